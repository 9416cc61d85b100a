package source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// assignment is one line KEY=value of a file of assignments, or several if the value in quotes is.
type assignment struct {
	key      string
	exported bool
	line     int
	quote    byte // ', " or 0
	value    string
	// start and end are those of the value with its quotes, offsets in the file.
	start, end int
	// tail is what follows on the line: blanks and a comment.
	tail string
	// problem is why the value cannot be relied on, and mend what to do; "" if it can.
	problem, mend string
}

const blanks = " \t\v\f\r"

// scanEnv reads a file of assignments. Docker Compose (compose-go dotenv/parser.go) and systemd (src/basic/env-file.c) read such files
// with small differences, and so do shells: where they would not see the same value, the assignment has a problem; where they would not
// see the same assignments, the file is refused.
func scanEnv(data []byte) ([]assignment, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, &PlaceError{Reason: "is UTF-16", Mend: "store it as UTF-8"}
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, &PlaceError{Line: lineAt(data, i), Reason: "has a NUL byte"}
	}
	if i := loneReturn(data); i >= 0 {
		return nil, &PlaceError{Line: lineAt(data, i), Reason: "has a carriage return within a line, which some readers take for its end"}
	}
	s := envScanner{data: data, line: 1}
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		s.at = len("\ufeff")
	}
	for s.at < len(data) {
		if err := s.statement(); err != nil {
			return nil, err
		}
	}
	return s.found, nil
}

// loneReturn is the offset of a carriage return that does not end a line; -1 if there is none.
func loneReturn(data []byte) int {
	for i, c := range data {
		if c == '\r' && i+1 < len(data) && data[i+1] != '\n' {
			return i
		}
	}
	return -1
}

func lineAt(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

type envScanner struct {
	data  []byte
	at    int
	line  int
	found []assignment
	// continued tells that the line before ends with a backslash, with which some readers continue it.
	continued bool
}

// rest is what is left of the line, without its break.
func (s *envScanner) rest() []byte {
	if n := bytes.IndexByte(s.data[s.at:], '\n'); n >= 0 {
		return s.data[s.at : s.at+n]
	}
	return s.data[s.at:]
}

// nextLine goes behind the line's break.
func (s *envScanner) nextLine() {
	rest := s.rest()
	s.continued = oddBackslashes(bytes.TrimRight(rest, "\r"))
	s.at = min(s.at+len(rest)+1, len(s.data))
	s.line++
}

func oddBackslashes(line []byte) bool {
	return (len(line)-len(bytes.TrimRight(line, `\`)))%2 == 1
}

// statement reads one line, or the lines of one quoted value.
func (s *envScanner) statement() error {
	rest := s.rest()
	text := bytes.TrimLeft(rest, blanks)
	if len(text) == 0 || text[0] == '#' || text[0] == ';' {
		s.nextLine()
		return nil
	}
	a := assignment{line: s.line}
	if s.continued {
		a.problem, a.mend = "follows a line that ends with a backslash, which some readers continue", "end that line otherwise"
	}
	name := text
	n := bytes.IndexAny(text, "=:")
	if n >= 0 {
		name = text[:n]
	}
	a.key, a.exported = variable(string(name))
	switch {
	case n < 0:
		a.problem, a.mend = "has no value here", "write "+a.key+"=URL"
	case text[n] == ':':
		a.problem, a.mend = "is written with a colon, which few readers know", "write "+a.key+"=URL"
	default:
		s.at += len(rest) - len(text) + n + 1
		if err := s.value(&a); err != nil {
			return err
		}
	}
	s.found = append(s.found, a)
	s.nextLine()
	return nil
}

func variable(name string) (key string, exported bool) {
	name = strings.Trim(name, blanks)
	if rest, ok := strings.CutPrefix(name, "export"); ok && rest != "" && strings.ContainsRune(blanks, rune(rest[0])) {
		return strings.TrimLeft(rest, blanks), true
	}
	return name, false
}

// value reads from behind the = to the end of the value's last line, its break excluded.
func (s *envScanner) value(a *assignment) error {
	rest := s.rest()
	text := bytes.TrimLeft(rest, blanks)
	a.start = s.at + len(rest) - len(text)
	continued := a.problem != ""
	if len(text) > 0 && (text[0] == '"' || text[0] == '\'') {
		a.quote = text[0]
		if err := s.quoted(a); err != nil {
			return err
		}
		if continued && s.line > a.line {
			return &PlaceError{Line: a.line, Reason: "a value of several lines follows a line that ends with a backslash, which some readers continue", Mend: "end that line otherwise"}
		}
	} else {
		s.plain(a, rest, text)
	}
	if a.problem == "" {
		a.problem, a.mend = a.doubt()
	}
	return nil
}

// quoted reads a value in quotes, and goes to its last line.
func (s *envScanner) quoted(a *assignment) error {
	end := -1
	for i := a.start + 1; i < len(s.data) && end < 0; i++ {
		switch c := s.data[i]; {
		case c == '\\' && a.quote == '"':
			i++
		case c == '\\' && i+1 < len(s.data) && s.data[i+1] == '\'':
			return &PlaceError{Line: lineAt(s.data, i), Reason: `has \' in single quotes, which some readers take for the end of the value`, Mend: "use double quotes"}
		case c == a.quote:
			end = i
		}
	}
	if end < 0 {
		return &PlaceError{Line: a.line, Reason: "has a quote that is not closed"}
	}
	a.value, a.end = string(s.data[a.start+1:end]), end+1
	s.line += bytes.Count(s.data[a.start:a.end], []byte("\n"))
	s.at = a.end
	a.tail = string(s.rest())
	return nil
}

func (s *envScanner) plain(a *assignment, rest, text []byte) {
	value := bytes.TrimRight(text, blanks)
	for i := range value {
		if value[i] == '#' && (i == 0 && len(text) < len(rest) || i > 0 && strings.IndexByte(blanks, value[i-1]) >= 0) {
			value = bytes.TrimRight(value[:i], blanks)
			break
		}
	}
	if len(value) == 0 {
		a.start = s.at // before the blanks, so that a comment stays one
	}
	a.value, a.end = string(value), a.start+len(value)
	a.tail = string(rest[a.end-s.at:])
}

// doubt says why a value cannot be relied on.
func (a *assignment) doubt() (problem, mend string) {
	const write = "write the URL itself"
	blank := strings.TrimLeft(a.tail, blanks)
	switch {
	case !utf8.ValidString(a.value):
		return "is not UTF-8", write
	case strings.Contains(a.value, "\n"):
		return "is spread over several lines", "write it on one"
	case a.quote != '\'' && strings.Contains(a.value, "$"):
		return "refers to another variable", write
	case strings.Contains(a.value, `\`):
		return "has a backslash", write
	case a.quote == 0 && strings.ContainsAny(a.value, `#'"`):
		return "has a # or a quote, which readers take differently", "put the whole value in quotes, and a blank before a comment"
	case a.quote != 0 && blank != "" && (blank[0] != '#' || len(blank) == len(a.tail)):
		return "has more behind its closing quote", write
	}
	return "", ""
}

// same compares two assignments but for their places.
func (a *assignment) same(b *assignment) bool {
	return a.key == b.key && a.exported == b.exported && a.line == b.line && a.quote == b.quote && a.tail == b.tail && a.value == b.value && a.problem == b.problem
}

// lines lists the lines of assignments.
func lines(all []assignment) string {
	const most = 10
	var out []string
	for i, a := range all {
		if i == most {
			out = append(out, "…")
			break
		}
		out = append(out, fmt.Sprint(a.line))
	}
	return strings.Join(out, ", ")
}

// assignments are those of key.
func assignments(all []assignment, key string) []assignment {
	return slices.DeleteFunc(slices.Clone(all), func(a assignment) bool { return a.key != key })
}
