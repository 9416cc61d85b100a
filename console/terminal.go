// Package console is what an operator does at a terminal: read the journal, put files back, pause, acknowledge, and see how things are. What it
// writes for people is words and tables, what it writes for machines JSON.
package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Terminal is where commands read and write. It need not be one.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	// Asks tells that there is a person to answer questions.
	Asks bool
	// Color allows colours.
	Color bool
	// JSON asks for JSON instead of words.
	JSON bool
	// Now is the clock, Zone that in which times are shown; in JSON they are in UTC.
	Now  func() time.Time
	Zone *time.Location
}

// ErrNotFine is returned when a command has told that something is not as it should be. There is nothing to add.
var ErrNotFine = errors.New("not fine")

// UsageError is a command that was called in a way that makes no sense.
type UsageError struct{ Problem, Mend string }

func (e *UsageError) Error() string { return e.Problem + "; " + e.Mend }

// style is one of the terminal's (ECMA-48, select graphic rendition).
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

func (t *Terminal) paint(s style, text string) string {
	if !t.Color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

func (t *Terminal) printf(format string, args ...any) { fmt.Fprintf(t.Out, format, args...) }

// cell is one field of a table.
type cell struct {
	text  string
	style style
}

func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].text = text
	}
	return row
}

// table writes rows in columns as wide as they need to be.
func (t *Terminal) table(indent string, rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(c.text)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		b.WriteString(indent)
		gap := 0
		for i, c := range row {
			text := clean(c.text)
			if text != "" {
				b.WriteString(strings.Repeat(" ", gap))
				gap = 0
				b.WriteString(t.paint(c.style, text))
			}
			gap += widths[i] - utf8.RuneCountInString(text) + 2
		}
		t.printf("%s\n", b.String())
	}
}

// headed is a table with a first row of headings.
func (t *Terminal) headed(headings []string, rows [][]cell) {
	head := make([]cell, len(headings))
	for i, h := range headings {
		head[i] = cell{h, bold}
	}
	t.table("", append([][]cell{head}, rows...))
}

// json writes a value on one line, with nothing in it that a terminal would obey.
func (t *Terminal) json(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	_, err := io.WriteString(t.Out, escape(strings.TrimSuffix(b.String(), "\n"))+"\n")
	return err
}

// clean is foreign text on one line, with nothing in it that a terminal would obey: log lines and alerts are written by strangers.
func clean(s string) string {
	return escape(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' || r == '\v' || r == '\f' {
			return ' '
		}
		return r
	}, s))
}

// escape writes control characters, and those that turn the direction of writing around, as their numbers, in JSON's way.
func escape(s string) string {
	obeyed := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
	}
	if strings.IndexFunc(s, obeyed) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if obeyed(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

const (
	dayFormat   = "2006-01-02"
	clockFormat = "15:04:05"
	zoneFormat  = "-07:00"
	timeFormat  = dayFormat + " " + clockFormat + " " + zoneFormat
)

// at is a time as people read it.
func (t *Terminal) at(when time.Time) string { return when.In(t.Zone).Format(timeFormat) }

var utcTime = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// local is one of our sentences with the times in it as people read them.
func (t *Terminal) local(text string) string {
	return utcTime.ReplaceAllStringFunc(text, func(s string) string {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return s
		}
		return t.at(when)
	})
}

// span is a duration in two units at most: 41s, 5m39s, 3h12m, 2d4h.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	const day = 24 * time.Hour
	for _, unit := range []struct {
		from, large, small time.Duration
		largeName, name    string
	}{
		{day, day, time.Hour, "d", "h"}, {time.Hour, time.Hour, time.Minute, "h", "m"}, {time.Minute, time.Minute, time.Second, "m", "s"},
	} {
		if d >= unit.from {
			large, small := d/unit.large, d%unit.large/unit.small
			if small == 0 {
				return fmt.Sprintf("%d%s", large, unit.largeName)
			}
			return fmt.Sprintf("%d%s%d%s", large, unit.largeName, small, unit.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// bytesOf is a size as people read it.
func bytesOf(n uint64) string {
	value, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// count is a number and its noun.
func count[T int | uint64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// question is asked of a person; anything but yes is no.
func (t *Terminal) question(text string) bool {
	t.printf("%s [y/N] ", text)
	const most = 16
	answer := make([]byte, 0, most)
	one := make([]byte, 1)
	for len(answer) < most {
		n, err := t.In.Read(one)
		if n == 1 && one[0] == '\n' || err != nil {
			break
		}
		answer = append(answer, one[:n]...)
	}
	switch strings.ToLower(strings.TrimSpace(string(answer))) {
	case "y", "yes":
		return true
	}
	return false
}
