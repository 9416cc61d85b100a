package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456789, time.FixedZone("", 3600))

type note struct {
	URL  string `json:"url"`
	Text string `json:"text,omitempty"`
}

func open(t testing.TB, path string, opts journal.Options) *journal.Journal {
	t.Helper()
	if opts.Now == nil {
		opts.Now = func() time.Time { return noon }
	}
	j, err := journal.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "journal.jsonl") }

func appendText(t testing.TB, j *journal.Journal, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if _, err := j.Append("note", note{Text: s}); err != nil {
			t.Fatal(err)
		}
	}
}

func texts(t testing.TB, j *journal.Journal) []string {
	t.Helper()
	var out []string
	for rec, err := range j.Records() {
		if err != nil {
			t.Fatal(err)
		}
		var n note
		if err := rec.Decode(&n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Text)
	}
	return out
}

func TestLinesOnDisk(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{})
	if _, err := j.Append("seen", note{URL: "https://a.example/?x=1&y=<2>", Text: "two\nlines"}); err != nil {
		t.Fatal(err)
	}
	second, err := j.Append("done", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := `{"seq":1,"time":"2026-01-02T11:00:00.123456789Z","kind":"seen","prev":"` + strings.Repeat("0", 64) +
		`","payload":{"url":"https://a.example/?x=1&y=<2>","text":"two\nlines"}}` + "\n"
	sum := sha256.Sum256([]byte(first))
	want := first + `{"seq":2,"time":"2026-01-02T11:00:00.123456789Z","kind":"done","prev":"` + hex.EncodeToString(sum[:]) + `"}` + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if second.Seq != 2 || second.Prev != hex.EncodeToString(sum[:]) || second.Payload != nil {
		t.Errorf("Append returned %+v", second)
	}
	if j.Size() != int64(len(want)) {
		t.Errorf("Size() = %d, want %d", j.Size(), len(want))
	}
	if info, _ := os.Stat(path); info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v lets others in", info.Mode())
	}
}

func TestGoesOnAfterReopening(t *testing.T) {
	path := newPath(t)
	for i := range 3 {
		j, err := journal.Open(path, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if j.Torn().Bytes != 0 {
			t.Errorf("a clean journal is torn: %+v", j.Torn())
		}
		appendText(t, j, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"0a", "0b", "1a", "1b", "2a", "2b"}
	if diff := cmp.Diff(want, texts(t, open(t, path, journal.Options{}))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestOneHolder(t *testing.T) {
	path := newPath(t)
	first := open(t, path, journal.Options{})
	_, err := journal.Open(path, journal.Options{})
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("second Open: %v, want ErrLocked with the path", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := first.Append("late", nil); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Append after Close: %v, want ErrClosed", err)
	}
	open(t, path, journal.Options{})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing directory": filepath.Join(dir, "none", "journal.jsonl"),
		"directory":         dir,
		"fifo":              fifo,
		"device":            os.DevNull,
	} {
		t.Run(name, func(t *testing.T) {
			if j, err := journal.Open(path, journal.Options{}); err == nil {
				_ = j.Close()
				t.Fatal("Open succeeded")
			} else if !strings.Contains(err.Error(), path) {
				t.Errorf("error does not name the path: %v", err)
			}
		})
	}
}

// sound is a journal of three records.
func sound(t testing.TB) []byte {
	t.Helper()
	path := newPath(t)
	j := open(t, path, journal.Options{})
	appendText(t, j, "one", "two", "three")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTornTailIsCut(t *testing.T) {
	whole := sound(t)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	kept := len(lines[0]) + len(lines[1])
	tails := map[string][]byte{
		"first byte":         lines[2][:1],
		"half a line":        lines[2][:len(lines[2])/2],
		"all but newline":    lines[2][:len(lines[2])-1],
		"garbage":            []byte("\xff\xfe{]"),
		"zeros":              make([]byte, 5000),
		"zeros over MaxLine": make([]byte, journal.MaxLine+5000),
		"zeros in a line":    append(make([]byte, 20), lines[2][20:]...),
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			if err := os.WriteFile(path, append(bytes.Clone(whole[:kept]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			j := open(t, path, journal.Options{})
			if want := (journal.Torn{Line: 3, Offset: int64(kept), Bytes: int64(len(tail))}); j.Torn() != want {
				t.Errorf("Torn() = %+v, want %+v", j.Torn(), want)
			}
			appendText(t, j, "after")
			if diff := cmp.Diff([]string{"one", "two", "after"}, texts(t, j)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDamageRefusesToStart(t *testing.T) {
	whole := string(sound(t))
	lines := strings.SplitAfter(whole, "\n")
	tests := map[string]struct {
		content string
		line    int
		reason  string
	}{
		"byte changed in the middle": {lines[0] + strings.Replace(lines[1], "two", "2wo", 1) + lines[2], 3, "hash of the line before"},
		"line removed":               {lines[0] + lines[2], 2, "record 3 where 2 was to come"},
		"first line removed":         {lines[1] + lines[2], 1, "record 2 where 1 was to come"},
		"line doubled":               {lines[0] + lines[0] + lines[1], 2, "record 1 where 2 was to come"},
		"lines swapped":              {lines[0] + lines[2] + lines[1], 2, "record 3 where 2 was to come"},
		"blank line":                 {lines[0] + "\n" + lines[1], 2, "not a record"},
		"not JSON, complete":         {lines[0] + lines[1] + "hello\n", 3, "not a record"},
		"zeros in the middle":        {lines[0] + strings.Repeat("\x00", len(lines[1])-1) + "\n" + lines[2], 2, "not a record"},
		"carriage returns":           {strings.ReplaceAll(whole, "\n", "\r\n"), 2, "hash of the line before"},
		"a line without kind":        {strings.Replace(lines[0], `"kind":"note"`, `"kind":""`, 1), 1, "no kind"},
		"an endless line":            {lines[0] + strings.Repeat("x", journal.MaxLine+1) + "\n", 2, "longer than"},
		"other file":                 {"#!/bin/sh\nexit 0\n", 1, "not a record"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := journal.Open(path, journal.Options{})
			var damage *journal.DamageError
			if !errors.As(err, &damage) || damage.Line != tt.line || !strings.Contains(damage.Reason, tt.reason) {
				t.Fatalf("Open: %v, want damage in line %d: %s", err, tt.line, tt.reason)
			}
			if !strings.HasPrefix(err.Error(), fmt.Sprintf("%s:%d: ", path, tt.line)) {
				t.Errorf("error does not begin with file:line: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != tt.content {
				t.Error("Open changed a damaged journal")
			}
			// The mend that the error tells works, and what is before the damage is left.
			if err := os.Truncate(path, damage.Offset); err != nil {
				t.Fatal(err)
			}
			if got := texts(t, open(t, path, journal.Options{})); len(got) != tt.line-1 {
				t.Errorf("%d records after the mend, want %d", len(got), tt.line-1)
			}
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	j := open(t, newPath(t), journal.Options{})
	tests := map[string]struct {
		entry journal.Entry
		is    error
	}{
		"no kind":        {journal.Entry{}, nil},
		"long kind":      {journal.Entry{Kind: strings.Repeat("k", journal.MaxKind+1)}, nil},
		"not JSON":       {journal.Entry{Kind: "k", Payload: func() {}}, nil},
		"too large":      {journal.Entry{Kind: "k", Payload: strings.Repeat("x", journal.MaxLine)}, journal.ErrTooLarge},
		"large escaped":  {journal.Entry{Kind: "k", Payload: strings.Repeat("\x01", journal.MaxLine/4)}, journal.ErrTooLarge},
		"one of several": {journal.Entry{Kind: "k", Payload: make(chan int)}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := j.AppendAll(journal.Entry{Kind: "good"}, tt.entry)
			if err == nil || (tt.is != nil && !errors.Is(err, tt.is)) {
				t.Errorf("AppendAll: %v, want %v", err, tt.is)
			}
		})
	}
	if j.Size() != 0 {
		t.Errorf("refused entries left %d bytes", j.Size())
	}
	if recs, err := j.AppendAll(); recs != nil || err != nil {
		t.Errorf("AppendAll() = %v, %v", recs, err)
	}
	// The largest that is accepted can be read again.
	if _, err := j.Append(strings.Repeat("\x01", journal.MaxKind), strings.Repeat("x", journal.MaxLine-2*(256+6*journal.MaxKind)-3)); err != nil {
		t.Fatal(err)
	}
	for _, err := range j.Records() {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// faults makes chosen steps fail once each time they are armed.
type faults struct {
	mu    sync.Mutex
	armed map[string]int
}

func (f *faults) arm(step string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.armed == nil {
		f.armed = map[string]int{}
	}
	f.armed[step] = times
}

func (f *faults) step(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.armed[name] > 0 {
		f.armed[name]--
		return &os.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}
	return nil
}

func TestFullDiskRecoversByItself(t *testing.T) {
	tests := map[string][]string{
		"nothing written":            {journal.StepWrite},
		"half a line written":        {journal.StepTear},
		"written but not on disk":    {journal.StepSync},
		"half a line that stays":     {journal.StepTear, journal.StepCut},
		"whole line that stays":      {journal.StepSync, journal.StepCut},
		"cannot even be opened well": {journal.StepWrite, journal.StepCut},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var f faults
			path := newPath(t)
			j := open(t, path, journal.Options{Step: f.step})
			appendText(t, j, "before")
			size := j.Size()
			for _, s := range steps {
				f.arm(s, 2)
			}
			for range 2 {
				_, err := j.Append("note", note{Text: "lost, and long enough to reach beyond the next one"})
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
					t.Fatalf("Append on a full disk: %v", err)
				}
				if j.Size() != size {
					t.Errorf("Size() = %d after a failed append, want %d", j.Size(), size)
				}
			}
			for _, s := range steps {
				f.arm(s, 0)
			}
			appendText(t, j, "after")
			want := []string{"before", "after"}
			if diff := cmp.Diff(want, texts(t, j)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, texts(t, open(t, path, journal.Options{}))); diff != "" {
				t.Errorf("records after reopening (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever step the process dies at, what was acknowledged is there when it comes back, in order, and at most the one batch
// under way beside it.
func TestDeathAtEveryStep(t *testing.T) {
	died := errors.New("died")
	run := func(path string, deadline int) (acknowledged []string, dead bool) {
		steps := 0
		j, err := journal.Open(path, journal.Options{Step: func(string) error {
			if steps++; steps >= deadline {
				return died // and every step after it: nothing more reaches the disk
			}
			return nil
		}})
		if err != nil {
			return nil, true
		}
		defer func() { _ = j.Close() }()
		for i := range 4 {
			a, b := fmt.Sprint(i, "a"), fmt.Sprint(i, "b")
			if _, err := j.AppendAll(journal.Entry{Kind: "note", Payload: note{Text: a}}, journal.Entry{Kind: "note", Payload: note{Text: b}}); err != nil {
				return acknowledged, true
			}
			acknowledged = append(acknowledged, a, b)
		}
		return acknowledged, false
	}
	points := 0
	for deadline := 1; ; deadline++ {
		path := newPath(t)
		want, dead := run(path, deadline)
		got := texts(t, open(t, path, journal.Options{}))
		if len(got) < len(want) || len(got) > len(want)+2 {
			t.Fatalf("death at step %d: %d records, %d were acknowledged", deadline, len(got), len(want))
		}
		if diff := cmp.Diff(want, got[:len(want)], cmp.Transformer("", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Fatalf("death at step %d (-want +got):\n%s", deadline, diff)
		}
		if !dead {
			break
		}
		points++
	}
	if points < 13 {
		t.Errorf("only %d points tried", points)
	}
}

func TestFileChangedWhileOpen(t *testing.T) {
	tests := map[string]struct {
		harm func(path string) error
		undo func(path string) error
	}{
		"copytruncate": {harm: func(p string) error { return os.Truncate(p, 0) }},
		"appended to": {harm: func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("x")
			return errors.Join(err, f.Close())
		}, undo: func(p string) error { info, err := os.Stat(p); return errors.Join(err, os.Truncate(p, info.Size()-1)) }},
		"replaced": {harm: func(p string) error {
			return errors.Join(os.Rename(p, p+".old"), os.WriteFile(p, []byte("x"), 0o600))
		}, undo: func(p string) error { return os.Rename(p+".old", p) }},
		"moved away": {
			harm: func(p string) error { return os.Rename(p, p+".1") },
			undo: func(p string) error { return os.Rename(p+".1", p) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			j := open(t, path, journal.Options{})
			appendText(t, j, "one", "two")
			if err := tt.harm(path); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Append("note", nil); err == nil {
				t.Fatal("Append into a file that others do not see, or with a hole, succeeded")
			}
			if tt.undo == nil {
				for _, err := range j.Records() {
					var damage *journal.DamageError
					if !errors.As(err, &damage) {
						t.Fatalf("Records: %v, want a *DamageError", err)
					}
				}
				return
			}
			if err := tt.undo(path); err != nil {
				t.Fatal(err)
			}
			appendText(t, j, "three")
			if diff := cmp.Diff([]string{"one", "two", "three"}, texts(t, j)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConcurrentAppendersAndReaders(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{})
	const writers, each = 16, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var before uint64
			for i := range each {
				recs, err := j.AppendAll(journal.Entry{Kind: "note", Payload: note{Text: fmt.Sprint(w)}}, journal.Entry{Kind: "note", Payload: note{Text: fmt.Sprint(i)}})
				if err != nil {
					t.Error(err)
					return
				}
				if len(recs) != 2 || recs[1].Seq != recs[0].Seq+1 || recs[0].Seq <= before {
					t.Errorf("records %+v after %d", recs, before)
					return
				}
				before = recs[1].Seq
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			for _, err := range j.Records() {
				if err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	wg.Wait()
	if got := len(texts(t, j)); got != 2*writers*each {
		t.Errorf("%d records, want %d", got, 2*writers*each)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, journal.Options{})
}

func TestScan(t *testing.T) {
	whole := sound(t)
	count := func(b []byte) (n int, err error) {
		for _, e := range journal.Scan("j", bytes.NewReader(b)) {
			if e != nil {
				return n, e
			}
			n++
		}
		return n, nil
	}
	if n, err := count(whole); n != 3 || err != nil {
		t.Errorf("whole: %d records, %v", n, err)
	}
	if n, err := count(whole[:len(whole)-5]); n != 2 || err != nil {
		t.Errorf("being written: %d records, %v", n, err)
	}
	if _, err := count(append([]byte("x\n"), whole...)); err == nil {
		t.Error("damage: no error")
	}
	for range journal.Scan("j", bytes.NewReader(whole)) {
		break
	}
}

func FuzzScan(f *testing.F) {
	whole := sound(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(bytes.Replace(whole, []byte("two"), []byte("2wo"), 1))
	f.Add([]byte("{}\n"))
	f.Add([]byte("\x00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, bad := uint64(0), false
		for rec, err := range journal.Scan("j", bytes.NewReader(b)) {
			if bad {
				t.Fatal("Scan went on after an error")
			}
			if bad = err != nil; !bad {
				if seq++; rec.Seq != seq {
					t.Fatalf("record %d where %d was to come", rec.Seq, seq)
				}
			}
		}
	})
}
