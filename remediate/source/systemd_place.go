package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Kinds of places that a unit's checkpoint URL may be in.
const (
	inUnit            = "unit"
	inEnvironmentFile = "environment_file"
	inDropIn          = "drop_in"
)

// unitPlace is the place of the URL that counts.
type unitPlace struct {
	place
	kind string
	part *unitPart
	// setting and word are those that the URL is in; not for an environment file.
	setting partSetting
	word    word
	// from is where the URL begins in the word's text.
	from int
	// dollars tells that a dollar sign must be doubled.
	dollars bool
}

// locate finds the URL that counts: the value of the client's flag, or of a variable of the environment.
func (u *unit) locate(consensus, environment string) (unitPlace, error) {
	if environment != "" {
		return u.variable(environment)
	}
	c, flag, err := u.flag(consensus)
	if err != nil {
		return unitPlace{}, err
	}
	w := c.words[flag.Arg]
	if name, ok := reference(flag); ok && !c.literal {
		p, err := u.variable(name)
		if err != nil {
			return unitPlace{}, fmt.Errorf("%s is ${%s}: %w", flag.Flag, name, err)
		}
		return p, nil
	}
	p := unitPlace{kind: inUnit, part: c.part, setting: partSetting{c.setting, c.part}, word: w, from: flag.Start, dollars: !c.literal}
	p.key = c.key + " " + flag.Flag
	return p, p.fill()
}

var variableReference = regexp.MustCompile(`^\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))$`)

// reference is the variable whose value is the flag's: ${NAME} anywhere, or $NAME as an argument of its own (systemd.service(5)).
func reference(flag client.Place) (string, bool) {
	m := variableReference.FindStringSubmatch(flag.Value)
	switch {
	case m == nil:
		return "", false
	case m[1] != "":
		return m[1], true
	}
	return m[2], flag.Start == 0
}

// fill works out url and offsets.
func (p *unitPlace) fill() error {
	s, w := p.setting, p.word
	p.line = s.line
	lo, hi := w.lo, w.hi
	if p.from < len(w.text) {
		lo, hi = w.from[p.from], w.to[len(w.text)-1]
		p.line = lineAt(p.part.data, s.at[lo])
	} else if p.from > 0 {
		lo = w.to[p.from-1]
	}
	at := func(reason, mend string) error {
		return &PlaceError{File: p.part.path, Line: p.line, Reason: p.key + " " + reason, Mend: mend}
	}
	if !w.bare(p.from) {
		return at("is written in pieces or with escapes", "write the URL as it is")
	}
	var err error
	if p.url, err = unspecify(w.text[p.from:], p.dollars); err != nil {
		return at(err.Error(), "write the URL itself")
	}
	var ok bool
	if p.start, p.end, ok = s.fileRange(lo, hi); !ok {
		return at("is spread over several lines", "write it on one")
	}
	return nil
}

// text is url as it is written there.
func (p *unitPlace) text(url string) string { return specify(url, p.dollars) }

// flag finds the one command with the client's flag.
func (u *unit) flag(consensus string) (partCommand, client.Place, error) {
	type match struct {
		partCommand
		client.Place
	}
	var found []match
	var missing error
	for _, key := range []string{execStart, execStartPre} {
		for _, c := range u.commands[key] {
			args := make([]string, len(c.words))
			for i, w := range c.words {
				args[i] = w.text
			}
			p, err := client.FindFlag(args, consensus)
			if err == nil {
				found = append(found, match{c, p})
				continue
			}
			err = u.flagProblem(c, err)
			if !errors.Is(err, client.ErrNoFlag) {
				return partCommand{}, client.Place{}, err
			}
			if missing == nil {
				missing = err
			}
		}
	}
	switch {
	case len(u.commands[execStart]) == 0:
		return partCommand{}, client.Place{}, &PlaceError{File: u.fragment, Reason: "has no ExecStart="}
	case len(found) == 0:
		return partCommand{}, client.Place{}, missing
	case len(found) > 1:
		return partCommand{}, client.Place{}, &PlaceError{File: found[1].part.path, Line: found[1].line,
			Reason: fmt.Sprintf("%s is in more than one command", found[1].Flag), Mend: "leave it in one"}
	}
	return found[0].partCommand, found[0].Place, nil
}

// flagError is a PlaceError about a command's arguments.
type flagError struct {
	PlaceError
	err error
}

func (e *flagError) Unwrap() []error { return []error{&e.PlaceError, e.err} }

func (u *unit) flagProblem(c partCommand, err error) error {
	e, ok := errors.AsType[*client.FlagError](err)
	if !ok {
		return err
	}
	out := &flagError{PlaceError: PlaceError{File: c.part.path, Line: c.line, Reason: c.key + "= " + e.Reason, Mend: e.Mend}, err: err}
	switch {
	case e.Arg >= 0 && e.Arg < len(c.words) && c.words[e.Arg].lo < len(c.at):
		out.Line = lineAt(c.part.data, c.at[c.words[e.Arg].lo])
	case errors.Is(err, client.ErrNoFlag) && !c.literal:
		for _, w := range c.words {
			if m := variableReference.FindStringSubmatch(w.text); m != nil && m[2] != "" {
				out.Mend = fmt.Sprintf("if it is in $%s, write it into the command itself", m[2])
			}
		}
	}
	return out
}

// variable finds where a variable of the service's environment gets its value: in the last EnvironmentFile= that has it, else in the last
// Environment= (systemd.exec(5)).
func (u *unit) variable(key string) (unitPlace, error) {
	if err := u.unsets(key); err != nil {
		return unitPlace{}, err
	}
	for _, s := range slices.Backward(u.files) {
		p, ok, err := u.inFile(s, key)
		if ok || err != nil {
			return p, err
		}
	}
	for _, w := range slices.Backward(u.environment) {
		name, _, ok := strings.Cut(w.word.text, "=")
		if !ok || name != key {
			continue
		}
		p := unitPlace{kind: inUnit, part: w.setting.part, setting: w.setting, word: w.word, from: len(key) + 1}
		p.key = "Environment " + key
		return p, p.fill()
	}
	return unitPlace{}, &PlaceError{File: u.fragment, Reason: "sets no variable " + key + " in Environment= or EnvironmentFile="}
}

func (u *unit) inFile(s partSetting, key string) (unitPlace, bool, error) {
	path, optional, err := u.environmentFile(s)
	if err != nil {
		return unitPlace{}, false, err
	}
	part, err := u.read(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && optional:
		return unitPlace{}, false, nil
	case err != nil:
		return unitPlace{}, false, &PlaceError{File: s.part.path, Line: s.line, Reason: fmt.Sprintf("EnvironmentFile= cannot be read: %v", err)}
	}
	all, err := scanEnv(part.data)
	if err != nil {
		return unitPlace{}, false, inPart(err, part)
	}
	if !slices.ContainsFunc(all, func(a assignment) bool { return a.key == key }) {
		return unitPlace{}, false, nil
	}
	p := unitPlace{kind: inEnvironmentFile, part: part}
	p.place, err = envCodec{key: key, systemd: true}.find(part.data)
	return p, true, inPart(err, part)
}

// theirs tells whether a file belongs to a package or a generator, so that it is overridden rather than edited.
func (u *unit) theirs(part *unitPart) bool {
	for _, path := range []string{part.path, part.real} {
		rel, ok := strings.CutPrefix(path, filepath.Clean("/"+u.root))
		if !ok || u.root == "" {
			rel = path
		}
		if slices.ContainsFunc(notOurs, func(dir string) bool { return strings.HasPrefix(rel, dir+"/") }) {
			return true
		}
	}
	return false
}

// without lists what the unit says, a mark in place of the URL at p: two units for which it is the same differ in nothing else that
// counts. The lines that a drop-in of ours would repeat are compared by their meaning.
func (u *unit) without(p unitPlace) []string {
	var out []string
	hide := func(s partSetting, w word) string {
		if p.part != nil && s.part.path == p.part.path && s.start == p.setting.start && w.lo == p.word.lo {
			return w.text[:p.from] + "\x00URL"
		}
		return w.text
	}
	for _, key := range []string{execStart, execStartPre} {
		for i, c := range u.commands[key] {
			out = append(out, fmt.Sprintf("%s %d %t", key, i, c.literal))
			for _, w := range c.words {
				out = append(out, hide(partSetting{c.setting, c.part}, w))
			}
		}
	}
	out = append(out, u.variables(hide)...)
	for _, w := range u.unset {
		out = append(out, "unset "+w.word.text)
	}
	for _, f := range u.files {
		out = append(out, "file "+f.value())
	}
	for _, s := range u.every {
		switch s.key {
		case execStart, execStartPre, "Environment", "EnvironmentFile", "UnsetEnvironment":
		default:
			out = append(out, s.key+"="+s.value())
		}
	}
	return out
}

// variables lists the words of Environment= that count, the last one of each variable.
func (u *unit) variables(hide func(partSetting, word) string) []string {
	last := map[string]int{}
	for i, w := range u.environment {
		name, _, _ := strings.Cut(w.word.text, "=")
		last[name] = i
	}
	var out []string
	for i, w := range u.environment {
		name, _, _ := strings.Cut(w.word.text, "=")
		if last[name] == i {
			out = append(out, "environment "+hide(w.setting, w.word))
		}
	}
	slices.Sort(out)
	return out
}
