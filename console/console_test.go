package console_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

var (
	berlin = time.FixedZone("CET", 3600)
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, berlin)
)

// screen is a terminal and what was written on it.
type screen struct {
	*console.Terminal
	out bytes.Buffer
	now time.Time
}

func newScreen(in string) *screen {
	s := &screen{now: now}
	s.Terminal = &console.Terminal{In: strings.NewReader(in), Out: &s.out, Asks: in != "", Now: func() time.Time { return s.now }, Zone: berlin}
	return s
}

// text is what was written since the last call.
func (s *screen) text() string {
	defer s.out.Reset()
	return s.out.String()
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func lacks(t *testing.T, text string, not ...string) {
	t.Helper()
	for _, n := range not {
		if strings.Contains(text, n) {
			t.Errorf("%q stands in\n%s", n, text)
		}
	}
}

// diary is a journal that is being written, at times that the test says.
type diary struct {
	*testing.T
	*journal.Journal
	path string
	at   time.Time
}

func newDiary(t *testing.T, o journal.Options) *diary {
	t.Helper()
	d := &diary{T: t, path: filepath.Join(t.TempDir(), "journal.jsonl"), at: now.Add(-time.Hour)}
	if o.Now == nil {
		o.Now = func() time.Time { return d.at }
	}
	j, err := journal.Open(d.path, o)
	if err != nil {
		t.Fatal(err)
	}
	d.Journal = j
	t.Cleanup(func() { j.Close() })
	return d
}

func (d *diary) note(kind string, payload any) journal.Record {
	d.Helper()
	r, err := d.Append(kind, payload)
	if err != nil {
		d.Fatal(err)
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o750))
	must(t, os.WriteFile(path, []byte(text), 0o640))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestWhen(t *testing.T) {
	for text, want := range map[string]time.Time{
		"90s":                        now.Add(-90 * time.Second),
		"2h":                         now.Add(-2 * time.Hour),
		"7d":                         now.Add(-7 * 24 * time.Hour),
		"2026-02-28T23:00:00Z":       time.Date(2026, 3, 1, 0, 0, 0, 0, berlin),
		"2026-02-28T23:00:00+02:00":  time.Date(2026, 2, 28, 22, 0, 0, 0, berlin),
		"2026-02-28":                 time.Date(2026, 2, 28, 0, 0, 0, 0, berlin),
		"2026-02-28 02:10":           time.Date(2026, 2, 28, 2, 10, 0, 0, berlin),
		"2026-02-28T02:10:05":        time.Date(2026, 2, 28, 2, 10, 5, 0, berlin),
		"2026-02-28 02:10:05 +01:00": time.Date(2026, 2, 28, 2, 10, 5, 0, berlin), // as it is shown
		"09:30":                      time.Date(2026, 3, 1, 9, 30, 0, 0, berlin),
	} {
		if got, err := console.When(text, now, berlin); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "", "2026-13-01", "-2h"} {
		if got, err := console.When(text, now, berlin); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
