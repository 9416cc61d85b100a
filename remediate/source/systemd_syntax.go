package source

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// logical is a line of a unit file with those that continue it, and where each of its bytes is in the file (systemd.syntax(7),
// src/shared/conf-parser.c).
type logical struct {
	text []byte
	at   []int
	// start and end are those of the whole in the file, comments between included, the last break excluded.
	start, end int
	line       int
}

const unitBlanks = " \t\n\r"

// unitLines takes a unit file apart. Comments are left out, and so are empty lines.
func unitLines(data []byte) ([]logical, error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, &PlaceError{Line: lineAt(data, i), Reason: "has a NUL byte"}
	}
	if i := loneReturn(data); i >= 0 {
		return nil, &PlaceError{Line: lineAt(data, i), Reason: "has a carriage return within a line, which systemd takes for its end"}
	}
	var all []logical
	var open *logical
	at := 0
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		at = len("\ufeff")
	}
	for line := 1; at < len(data); line++ {
		from, next := at, len(data)
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
			next = at + n + 1
		}
		at = next
		text := bytes.TrimRight(data[from:next], "\r\n")
		if t := bytes.TrimLeft(text, unitBlanks); len(t) > 0 && (t[0] == '#' || t[0] == ';') {
			continue
		}
		if open == nil {
			open = &logical{start: from, line: line}
		}
		continues := trailingEscape(text)
		for i, c := range text {
			if continues && i == len(text)-1 {
				c = ' '
			}
			open.text = append(open.text, c)
			open.at = append(open.at, from+i)
		}
		open.end = from + len(text)
		if continues {
			continue
		}
		all = append(all, *open)
		open = nil
	}
	if open != nil {
		all = append(all, *open)
	}
	return all, nil
}

// trailingEscape tells whether a line ends with a backslash that is not itself escaped.
func trailingEscape(line []byte) bool {
	escaped := false
	for _, c := range line {
		escaped = !escaped && c == '\\'
	}
	return escaped
}

// setting is one line KEY=value of a unit file.
type setting struct {
	section, key string
	*logical
	// lo and hi are those of the value in the logical line, blanks around it excluded.
	lo, hi int
}

func (s setting) value() string { return string(s.text[s.lo:s.hi]) }

// unitSettings lists the settings of a unit file in their order.
func unitSettings(data []byte) ([]setting, error) {
	lines, err := unitLines(data)
	if err != nil {
		return nil, err
	}
	var all []setting
	section := ""
	for i := range lines {
		l := &lines[i]
		text := bytes.Trim(l.text, unitBlanks)
		if len(text) == 0 {
			continue
		}
		if text[0] == '[' {
			if text[len(text)-1] != ']' {
				return nil, &PlaceError{Line: l.line, Reason: "has a section that is not closed"}
			}
			section = string(text[1 : len(text)-1])
			continue
		}
		n := bytes.IndexByte(l.text, '=')
		if n < 0 {
			continue // systemd warns of it and goes on
		}
		s := setting{section: section, key: string(bytes.Trim(l.text[:n], unitBlanks)), logical: l, lo: n + 1, hi: len(bytes.TrimRight(l.text, unitBlanks))}
		s.hi = max(s.hi, s.lo)
		for s.lo < s.hi && strings.IndexByte(unitBlanks, l.text[s.lo]) >= 0 {
			s.lo++
		}
		all = append(all, s)
	}
	return all, nil
}

// word is one item of a value, without quotes and escapes.
type word struct {
	text string
	// from and to are, for each byte of text, what it was written as; lo and hi those of the whole: offsets in the logical line.
	from, to []int
	lo, hi   int
}

// bare tells whether the bytes from start on are written just as they are, one behind the other.
func (w word) bare(start int) bool {
	for i := start; i < len(w.text); i++ {
		if w.to[i] != w.from[i]+1 || i > start && w.from[i] != w.to[i-1] {
			return false
		}
	}
	return true
}

// nextWord reads the first word from lo on, as systemd does (src/basic/extract-word.c with EXTRACT_UNQUOTE and EXTRACT_CUNESCAPE, unknown
// escapes left as they are). ok is false when there is none. next is where the following one begins.
func nextWord(s setting, lo int) (w word, next int, ok bool, err error) {
	text, hi := s.text, s.hi
	for lo < hi && strings.IndexByte(unitBlanks, text[lo]) >= 0 {
		lo++
	}
	if lo == hi {
		return word{}, hi, false, nil
	}
	w.lo = lo
	var out []byte
	var quote byte
	i := lo
	for ; i < hi; i++ {
		c := text[i]
		switch {
		case c == '\\':
			value, n := unescape(text[i:hi])
			for _, b := range value {
				out = append(out, b)
				w.from, w.to = append(w.from, i), append(w.to, i+n)
			}
			i += n - 1
			continue
		case quote != 0 && c == quote:
			quote = 0
			continue
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
			continue
		case quote == 0 && strings.IndexByte(unitBlanks, c) >= 0:
		default:
			out = append(out, c)
			w.from, w.to = append(w.from, i), append(w.to, i+1)
			continue
		}
		break
	}
	if quote != 0 {
		return word{}, hi, false, &PlaceError{Line: s.line, Reason: "has a quote that is not closed in " + s.key + "="}
	}
	w.text, w.hi = string(out), i
	for i < hi && strings.IndexByte(unitBlanks, text[i]) >= 0 {
		i++
	}
	return w, i, true, nil
}

// unescape reads an escape sequence at the beginning of b, n bytes long (src/basic/escape.c). One that is not known means itself.
func unescape(b []byte) (value []byte, n int) {
	if len(b) == 1 {
		return b, 1
	}
	if i := strings.IndexByte(`abfnrtvs\"'`, b[1]); i >= 0 {
		return []byte{"\a\b\f\n\r\t\v \\\"'"[i]}, 2
	}
	number := func(skip, digits, base int) (uint64, bool) {
		if len(b) < skip+digits {
			return 0, false
		}
		v, err := strconv.ParseUint(string(b[skip:skip+digits]), base, 32)
		return v, err == nil && v != 0
	}
	switch b[1] {
	case 'x':
		if v, ok := number(2, 2, 16); ok {
			return []byte{byte(v)}, 4
		}
	case 'u', 'U':
		digits := 4
		if b[1] == 'U' {
			digits = 8
		}
		if v, ok := number(2, digits, 16); ok && v <= utf8.MaxRune && utf8.ValidRune(rune(v)) {
			return utf8.AppendRune(nil, rune(v)), 2 + digits
		}
	case '0', '1', '2', '3', '4', '5', '6', '7':
		if v, ok := number(1, 3, 8); ok && v <= 255 {
			return []byte{byte(v)}, 4
		}
	}
	return b[:2], 2
}

// words reads all words of a value.
func words(s setting) ([]word, error) {
	var all []word
	for at := s.lo; ; {
		w, next, ok, err := nextWord(s, at)
		if err != nil || !ok {
			return all, err
		}
		all = append(all, w)
		at = next
	}
}

// command is one command line of ExecStart= and the like.
type command struct {
	setting
	// words are its words, the program, with its prefixes, among them.
	words []word
	// literal tells that systemd replaces no variables in it.
	literal bool
}

// commands reads the command lines of one value, which single semicolons separate (config_parse_exec of src/core/load-fragment.c).
func commands(s setting) ([]command, error) {
	var all []command
	var open *command
	for at := s.lo; at < s.hi; {
		if open != nil {
			if s.separator(at) {
				open, at = nil, at+1
				continue
			}
			if s.text[at] == '\\' && s.separator(at+1) {
				open.words = append(open.words, word{text: ";", from: []int{at}, to: []int{at + 2}, lo: at, hi: at + 2})
				at = skipBlanks(s, at+2)
				continue
			}
		}
		w, next, ok, err := nextWord(s, at)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		at = next
		if open == nil {
			prefix := w.text[:len(w.text)-len(strings.TrimLeft(w.text, "-@:+!|"))]
			all = append(all, command{setting: s, literal: strings.Contains(prefix, ":")})
			open = &all[len(all)-1]
		}
		open.words = append(open.words, w)
	}
	return all, nil
}

// separator tells whether there is a semicolon of its own.
func (s setting) separator(at int) bool {
	return at < s.hi && s.text[at] == ';' && (at+1 == s.hi || strings.IndexByte(unitBlanks, s.text[at+1]) >= 0)
}

func skipBlanks(s setting, at int) int {
	for at < s.hi && strings.IndexByte(unitBlanks, s.text[at]) >= 0 {
		at++
	}
	return at
}

// fileRange is where in the file the bytes from lo to hi of the logical line are; ok is false if they are not together there.
func (l *logical) fileRange(lo, hi int) (start, end int, ok bool) {
	switch {
	case lo < hi:
		start, end = l.at[lo], l.at[hi-1]+1
	case lo > 0:
		start = l.at[lo-1] + 1
		end = start
	default:
		return 0, 0, false
	}
	return start, end, end-start == hi-lo
}

// unspecify takes the doubled percent signs, and the doubled dollar signs of a command, for what they mean (systemd.unit(5), "Specifiers";
// systemd.service(5), "Command lines").
func unspecify(text string, dollars bool) (string, error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' || c == '$' && dollars {
			if i+1 == len(text) || text[i+1] != c {
				return "", fmt.Errorf("has %q, which systemd replaces, within the URL", text[i:min(i+2, len(text))])
			}
			i++
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}

func specify(text string, dollars bool) string {
	text = strings.ReplaceAll(text, "%", "%%")
	if dollars {
		text = strings.ReplaceAll(text, "$", "$$")
	}
	return text
}
