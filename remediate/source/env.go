package source

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// Env names one variable in a file of assignments, such as the .env of a Docker Compose project or systemd's EnvironmentFile.
type Env struct {
	// File is its path.
	File string
	// Key is the variable's name.
	Key string
}

var envKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// NewEnv is the source of a checkpoint URL in a file of assignments. Nothing is read yet. A variable that is there more than once, or
// refers to others, is refused, and so is whatever Docker Compose, systemd and shells would read differently.
func NewEnv(e Env, opts Options) (*File, error) {
	if !envKey.MatchString(e.Key) {
		return nil, fmt.Errorf("env source of %s: %q is not a variable's name", e.File, e.Key)
	}
	return newFile("env "+e.File+" "+e.Key, e.File, envCodec{key: e.Key}, opts)
}

// envCodec is the codec of one variable.
type envCodec struct {
	key string
	// systemd tells that only systemd reads the file: it knows neither export nor comments behind a value.
	systemd bool
}

func (c envCodec) find(data []byte) (place, error) {
	all, err := scanEnv(data)
	if err != nil {
		return place{}, err
	}
	a, err := c.choose(all)
	if err != nil {
		return place{}, err
	}
	return a.place(), nil
}

func (a *assignment) place() place {
	return place{url: a.value, key: a.key, line: a.line, start: a.start, end: a.end}
}

// choose returns the one assignment of the key.
func (c envCodec) choose(all []assignment) (assignment, error) {
	own := assignments(all, c.key)
	switch {
	case len(own) == 0:
		return assignment{}, &PlaceError{Reason: "has no variable " + c.key, Mend: "add a line " + c.key + "=URL"}
	case len(own) > 1:
		return assignment{}, &PlaceError{Line: own[1].line, Reason: c.key + " is there more than once, in lines " + lines(own), Mend: "leave one"}
	case own[0].problem != "":
		return assignment{}, &PlaceError{Line: own[0].line, Reason: c.key + " " + own[0].problem, Mend: own[0].mend}
	case c.systemd && own[0].exported:
		return assignment{}, &PlaceError{Line: own[0].line, Reason: c.key + " has export before it, which systemd does not know", Mend: "leave it out"}
	case c.systemd && strings.Trim(own[0].tail, blanks) != "":
		return assignment{}, &PlaceError{Line: own[0].line, Reason: c.key + " has a comment behind it, which systemd takes for a part of the value", Mend: "put it on a line of its own"}
	}
	return own[0], nil
}

func (c envCodec) splice(data []byte, p place, url string) ([]byte, error) {
	all, err := scanEnv(data)
	if err != nil {
		return nil, err
	}
	old, err := c.choose(all)
	if err != nil {
		return nil, err
	}
	if old.place() != p {
		return nil, &PlaceError{Line: p.line, Reason: "the value moved while it was looked at"}
	}
	text, err := old.spell(url)
	if err != nil {
		return nil, err
	}
	after := bytes.Join([][]byte{data[:p.start], []byte(text), data[p.end:]}, nil)
	now, err := scanEnv(after)
	if err != nil {
		return nil, err
	}
	is, err := c.choose(now)
	if err != nil {
		return nil, err
	}
	if is.value != url {
		return nil, &PlaceError{Line: p.line, Reason: "the new URL would not be read back as it is"}
	}
	if len(now) != len(all) {
		return nil, &PlaceError{Line: p.line, Reason: "changing the URL would change something else"}
	}
	for i := range all {
		if want := all[i]; want.key == c.key {
			want.value = url
			if !want.same(&now[i]) {
				return nil, &PlaceError{Line: want.line, Reason: "changing the URL would change something else"}
			}
		} else if !want.same(&now[i]) {
			return nil, &PlaceError{Line: want.line, Reason: "changing the URL would change something else"}
		}
	}
	return after, nil
}

// spell writes url in the quotes of the old value. None are added: docker run --env-file would make them part of the value.
func (a *assignment) spell(url string) (string, error) {
	special := map[byte]string{0: "$&'();", '"': "$", '\'': "'"}[a.quote]
	if i := strings.IndexAny(url, special); i >= 0 {
		return "", &PlaceError{Line: a.line, Reason: fmt.Sprintf("the new URL has the character %q, which readers take differently there", url[i]), Mend: "put the value in single quotes"}
	}
	if a.quote == 0 {
		return url, nil
	}
	return string(a.quote) + url + string(a.quote), nil
}

// sibling is the codec of another variable in the same file.
func (c envCodec) sibling(key string) (codec, error) {
	c.key = key
	return c, nil
}
