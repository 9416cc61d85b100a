package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// unitPart is one file of a unit.
type unitPart struct {
	path string // where systemd finds it
	real string // without symbolic links
	data []byte
}

// partSetting is a setting and the part that it is in.
type partSetting struct {
	setting
	part *unitPart
}

type partCommand struct {
	command
	part *unitPart
}

// partWord is one word of a setting.
type partWord struct {
	setting partSetting
	word    word
}

// unit is what systemd makes of a unit's files, as far as it says what the client is told.
type unit struct {
	unitFiles
	parts []*unitPart
	// every is every setting of [Service], in the order in which they are read.
	every []partSetting
	// commands are those of ExecStart= and ExecStartPre= that count.
	commands map[string][]partCommand
	// environment are the words of Environment= that count, files the EnvironmentFile= that do, unset the words of UnsetEnvironment=.
	environment []partWord
	files       []partSetting
	unset       []partWord
	// overlay are contents that stand for those of files, by their real paths.
	overlay map[string][]byte
	root    string
}

const (
	execStart    = "ExecStart"
	execStartPre = "ExecStartPre"
)

// loadUnit reads a unit. overlay holds contents that stand for those of files, by their real paths; virtual, if set, is a drop-in in it
// that is not there yet.
func loadUnit(root, name string, overlay map[string][]byte, virtual string) (*unit, error) {
	search := unitSearch{root: root, virtual: virtual}
	files, err := search.find(name)
	if err != nil {
		return nil, err
	}
	u := &unit{unitFiles: files, overlay: overlay, root: root, commands: map[string][]partCommand{}}
	for i, path := range append([]string{files.fragment}, files.dropins...) {
		part, err := u.read(path)
		if err != nil {
			return nil, err
		}
		if i == 0 && len(part.data) == 0 {
			return nil, &PlaceError{File: path, Reason: "the unit is masked", Mend: "unmask it: systemctl unmask " + files.name}
		}
		u.parts = append(u.parts, part)
		if err := u.add(part); err != nil {
			return nil, inPart(err, part)
		}
	}
	return u, nil
}

func inPart(err error, part *unitPart) error {
	if e, ok := errors.AsType[*PlaceError](err); ok && e.File == "" {
		e.File = part.path
	}
	return err
}

func (u *unit) read(path string) (*unitPart, error) {
	if data, ok := u.overlay[path]; ok {
		return &unitPart{path: path, real: path, data: data}, nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("read unit file %s: %w", path, err)
	}
	part := &unitPart{path: path, real: real}
	if data, ok := u.overlay[real]; ok {
		part.data = data
		return part, nil
	}
	if real == os.DevNull {
		return part, nil
	}
	part.data, _, err = readFile(real)
	return part, err
}

// add takes in the settings of a file.
func (u *unit) add(part *unitPart) error {
	settings, err := unitSettings(part.data)
	if err != nil {
		return err
	}
	for _, s := range settings {
		if s.section != "Service" {
			continue
		}
		ps := partSetting{s, part}
		u.every = append(u.every, ps)
		switch s.key {
		case execStart, execStartPre, "Environment", "EnvironmentFile", "UnsetEnvironment":
		default:
			continue
		}
		if !utf8.Valid(s.text) {
			return &PlaceError{Line: s.line, Reason: s.key + "= is not UTF-8, and systemd ignores it"}
		}
		if err := u.apply(ps); err != nil {
			return err
		}
	}
	return nil
}

// apply takes in a setting that counts. An empty one takes back those before it.
func (u *unit) apply(s partSetting) error {
	empty := s.lo == s.hi
	switch s.key {
	case execStart, execStartPre:
		if empty {
			u.commands[s.key] = nil
			return nil
		}
		all, err := commands(s.setting)
		for _, c := range all {
			u.commands[s.key] = append(u.commands[s.key], partCommand{c, s.part})
		}
		return err
	case "EnvironmentFile":
		if empty {
			u.files = nil
			return nil
		}
		u.files = append(u.files, s)
		return nil
	}
	to := &u.environment
	if s.key == "UnsetEnvironment" {
		to = &u.unset
	}
	if empty {
		*to = nil
		return nil
	}
	all, err := words(s.setting)
	for _, w := range all {
		*to = append(*to, partWord{s, w})
	}
	return err
}

// specifiers replaces those of systemd's specifiers that a unit's name tells (systemd.unit(5), "Specifiers").
func (u *unit) specifiers(text string) (string, error) {
	name := strings.TrimSuffix(u.name, ".service")
	prefix, instance, _ := strings.Cut(name, "@")
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out.WriteByte(text[i])
			continue
		}
		i++
		verb := byte(0)
		if i < len(text) {
			verb = text[i]
		}
		switch verb {
		case '%':
			out.WriteByte('%')
		case 'n':
			out.WriteString(u.name)
		case 'N':
			out.WriteString(name)
		case 'p':
			out.WriteString(prefix)
		case 'i':
			out.WriteString(instance)
		default:
			return "", fmt.Errorf("has a %%%s, which only systemd can replace", text[i:min(i+1, len(text))])
		}
	}
	return out.String(), nil
}

// environmentFile is the path of an EnvironmentFile=, and whether it may be missing.
func (u *unit) environmentFile(s partSetting) (path string, optional bool, err error) {
	path, optional = strings.CutPrefix(s.value(), "-")
	if path, err = u.specifiers(path); err != nil {
		return "", false, &PlaceError{File: s.part.path, Line: s.line, Reason: "EnvironmentFile= " + err.Error(), Mend: "name the file as source: {env: {file: …, key: …}}"}
	}
	if strings.ContainsAny(path, `*?[\`) {
		return "", false, &PlaceError{File: s.part.path, Line: s.line, Reason: "EnvironmentFile= has a pattern", Mend: "name the file as source: {env: {file: …, key: …}}"}
	}
	return filepath.Join(u.root, path), optional, nil
}

// unsets tells whether UnsetEnvironment= takes a variable away.
func (u *unit) unsets(key string) *PlaceError {
	i := slices.IndexFunc(u.unset, func(w partWord) bool {
		name, _, _ := strings.Cut(w.word.text, "=")
		return name == key
	})
	if i < 0 {
		return nil
	}
	s := u.unset[i].setting
	return &PlaceError{File: s.part.path, Line: s.line, Reason: "UnsetEnvironment= takes " + key + " away"}
}
