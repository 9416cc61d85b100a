package setup

import (
	"errors"
	"strings"
)

// Word is one word of extra options, as a shell splits them.
type Word struct {
	// Text is without quotes and backslashes.
	Text string
	// Start and End are where it is written, in bytes.
	Start, End int
}

// What no shell would take.
var (
	errQuote = errors.New("a quote is not closed")
	errSlash = errors.New("it ends with a backslash")
)

// Words splits extra options as a POSIX shell does (POSIX.1-2024, Shell Command Language, 2.2 Quoting), without expanding anything.
func Words(s string) ([]Word, error) {
	var all []Word
	var text strings.Builder
	open, start := false, 0
	begin := func(i int) {
		if !open {
			open, start = true, i
		}
	}
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'':
			text.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			begin(i)
			if i+1 == len(s) {
				return nil, errSlash
			}
			i++
			if quote == '"' && strings.IndexByte("$`\"\\\n", s[i]) < 0 {
				text.WriteByte('\\')
			}
			if s[i] != '\n' {
				text.WriteByte(s[i])
			}
		case quote == '"':
			text.WriteByte(c)
		case c == '"' || c == '\'':
			begin(i)
			quote = c
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if open {
				all = append(all, Word{text.String(), start, i})
				text.Reset()
				open = false
			}
		default:
			begin(i)
			text.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	if open {
		all = append(all, Word{text.String(), start, len(s)})
	}
	return all, nil
}

// Replaced tells whether something will be put in the place of parts of extra options before the client sees them, so that they cannot be told
// from here: a template of Ansible's, or a variable or command of a shell's.
func Replaced(s string) bool {
	return strings.Contains(s, "{{") || strings.Contains(s, "{%") || strings.ContainsAny(s, "$`")
}

// hasFlag finds a flag among words, joined to its value or not, with one dash or two; -1 if it is not there. fold: case makes no difference.
func hasFlag(words []Word, flag string, fold bool) int {
	bare := strings.TrimLeft(flag, "-")
	for i, w := range words {
		if !strings.HasPrefix(w.Text, "-") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimLeft(w.Text, "-"), "=")
		if name == bare || fold && strings.EqualFold(name, bare) {
			return i
		}
	}
	return -1
}
