package actuator

import (
	"io"
	"testing"
	"unicode"
	"unicode/utf8"
)

// CheckLog reads a multiplexed log, and checks what may come of any.
func CheckLog(t *testing.T, r io.Reader, n int) {
	n, err := checkLines(n)
	if err != nil {
		return
	}
	text := newTail(maxLog)
	if err := demultiplex(text, r); err != nil {
		return
	}
	all, cut := text.text()
	got := lines(all, cut > 0, n)
	if len(got) > n || len(got) > MaxLogLines {
		t.Errorf("%d lines of %d", len(got), n)
	}
	for _, l := range got {
		if len(l) > MaxLogLine || !utf8.ValidString(l) {
			t.Errorf("%d bytes: %q", len(l), l)
		}
		for _, c := range l {
			if unicode.IsControl(c) && c != '\t' {
				t.Errorf("a control character: %q", l)
			}
		}
	}
}
