package console

import (
	"fmt"
	"strings"
)

// diff is what turns one text into another, as a unified diff without context; empty if they are equal.
func diff(from, to string, before, after []byte) string {
	a, b := textLines(before), textLines(after)
	var out strings.Builder
	hunk := func(at, na, nb int) {
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span2(at, na), span2(at, nb))
		for _, l := range a[at : at+na] {
			fmt.Fprintf(&out, "-%s\n", l)
		}
		for _, l := range b[at : at+nb] {
			fmt.Fprintf(&out, "+%s\n", l)
		}
	}
	if len(a) == len(b) { // as where values were changed: every run of lines that differ is a hunk
		for i := 0; i < len(a); {
			n := 0
			for i+n < len(a) && a[i+n] != b[i+n] {
				n++
			}
			if n > 0 {
				hunk(i, n, n)
			}
			i += n + 1
		}
	} else {
		head, tail := 0, 0
		for head < min(len(a), len(b)) && a[head] == b[head] {
			head++
		}
		for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
			tail++
		}
		hunk(head, len(a)-tail-head, len(b)-tail-head)
	}
	if out.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("--- %s\n+++ %s\n%s", from, to, out.String())
}

// textLines are lines without their ends. One that ends without a newline says so, as it is another line then.
func textLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	lines := strings.Split(string(text), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		lines[last] += "\n\\ No newline at end of file"
	}
	return lines
}

// span2 is a range of lines in a unified diff; of none it is the line before.
func span2(at, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", at)
	case 1:
		return fmt.Sprint(at + 1)
	}
	return fmt.Sprintf("%d,%d", at+1, n)
}

// diff writes one.
func (t *Terminal) diff(text string) {
	for line := range strings.Lines(text) {
		line = clean(strings.TrimSuffix(line, "\n"))
		s := plain
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
			s = bold
		case strings.HasPrefix(line, "@@"):
			s = dim
		case strings.HasPrefix(line, "-"):
			s = red
		case strings.HasPrefix(line, "+"):
			s = green
		}
		t.printf("%s\n", t.paint(s, line))
	}
}
