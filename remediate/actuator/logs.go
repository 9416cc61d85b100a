package actuator

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// logTimeout bounds the reading of a log.
const logTimeout = 30 * time.Second

// maxLog bounds what is read of a log, in bytes: that many of its end are looked at.
const maxLog = 2 * MaxLogLines * MaxLogLine

// checkLines bounds the lines asked for.
func checkLines(n int) (int, error) {
	if n < 1 {
		return 0, fmt.Errorf("%d lines of a log are asked for", n)
	}
	return min(n, MaxLogLines), nil
}

// escape is an escape sequence of ECMA-48, section 5.4, or of its operating system commands: colours and titles of terminals.
var escape = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])`)

// lines are the last n lines of a log's end, made fit for a journal and a terminal: valid UTF-8 without escape sequences and control
// characters, none longer than MaxLogLine. cut tells that the text does not begin with a line.
func lines(text string, cut bool, n int) []string {
	text = strings.TrimSuffix(text, "\n")
	if cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	all = all[max(0, len(all)-n):]
	out := make([]string, len(all))
	for i, l := range all {
		out[i] = tidy(l)
	}
	return out
}

func tidy(line string) string {
	line = strings.ToValidUTF8(strings.TrimSuffix(line, "\r"), "?")
	line = escape.ReplaceAllString(line, "")
	line = strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, line)
	if len(line) <= MaxLogLine {
		return line
	}
	end := MaxLogLine
	for !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end]
}
