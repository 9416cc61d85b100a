package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/google/go-cmp/cmp"
)

type counters struct {
	Opened int `json:"opened"`
}

// rotate carries every note of the running file over.
func rotate(t testing.TB, j *journal.Journal) string {
	t.Helper()
	archive, err := j.Rotate(counters{7}, carried(t, j)...)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func carried(t testing.TB, j *journal.Journal) (entries []journal.Entry) {
	t.Helper()
	for rec, err := range j.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind != journal.KindRotated {
			entries = append(entries, journal.Carry(rec))
		}
	}
	return entries
}

// originals are the texts of all notes of the running file, carried or not.
func originals(t testing.TB, j *journal.Journal) []string {
	t.Helper()
	out := []string{}
	for rec, err := range j.Records() {
		if err == nil {
			rec, err = rec.Original()
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind != "note" {
			continue
		}
		var n note
		if err := rec.Decode(&n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Text)
	}
	return out
}

// scanned are the texts of all notes of all files, as first written.
func scanned(t testing.TB, path string, since time.Time) []string {
	t.Helper()
	out := []string{}
	for rec, err := range journal.ScanAll(path, since) {
		if err != nil {
			t.Fatal(err)
		}
		var n note
		if rec.Kind == "note" {
			if err := rec.Decode(&n); err != nil {
				t.Fatal(err)
			}
			out = append(out, n.Text)
		}
	}
	return out
}

func names(t testing.TB, path string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRotate(t *testing.T) {
	path := newPath(t)
	now := noon
	j := open(t, path, journal.Options{Now: func() time.Time { return now }})
	if archive := rotate(t, j); archive != "" {
		t.Errorf("an empty journal was rotated to %s", archive)
	}
	appendText(t, j, "one", "two")
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	first := rotate(t, j)
	if want := path + ".000000000001-20260102T120000Z"; first != want {
		t.Errorf("archive %s, want %s", first, want)
	}
	head := j.Head()
	if head == 0 || head != j.Size() {
		t.Errorf("Head() = %d, Size() = %d", head, j.Size())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o604 || info.Size() != head {
		t.Errorf("the new file: %v, %v", info, err)
	}
	appendText(t, j, "three")
	if j.Head() != head || j.Size() <= head {
		t.Errorf("after an append Head() = %d, Size() = %d", j.Head(), j.Size())
	}
	now = now.Add(time.Hour)
	second := rotate(t, j)
	appendText(t, j, "four")

	want := []string{"one", "two", "three", "four"}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(want, originals(t, j)); diff != "" {
			t.Errorf("what counts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, scanned(t, path, time.Time{})); diff != "" {
			t.Errorf("what was ever written (-want +got):\n%s", diff)
		}
	}
	check()
	head = j.Head()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path, journal.Options{})
	check()
	if j.Head() != head {
		t.Errorf("Head() = %d after reopening, want %d", j.Head(), head)
	}

	files, err := journal.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles := []journal.File{
		{Path: first, First: 1, Rotated: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)},
		{Path: second, First: 3, Rotated: time.Date(2026, 1, 2, 13, 0, 0, 0, time.UTC)},
		{Path: path},
	}
	if diff := cmp.Diff(wantFiles, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"three", "four"}, scanned(t, path, noon.Add(90*time.Minute))); diff != "" {
		t.Errorf("since the second hour (-want +got):\n%s", diff)
	}

	// What was carried twice is still the record that was first written.
	var seqs []uint64
	for rec, err := range j.Records() {
		if err != nil {
			t.Fatal(err)
		}
		switch rec.Kind {
		case journal.KindRotated:
			var r journal.Rotated
			if err := rec.Decode(&r); err != nil || r.Archive != filepath.Base(second) || string(r.Counters) != `{"opened":7}` {
				t.Errorf("%+v, %v", r, err)
			}
			continue
		case journal.KindCarried:
			if rec, err = rec.Original(); err != nil {
				t.Fatal(err)
			}
		}
		seqs = append(seqs, rec.Seq)
		if !rec.Time.Before(now) && rec.Seq < 6 {
			t.Errorf("record %d of %s", rec.Seq, rec.Time)
		}
	}
	if diff := cmp.Diff([]uint64{1, 2, 6, 11}, seqs); diff != "" {
		t.Errorf("original numbers (-want +got):\n%s", diff)
	}
}

func TestOriginalOfNonsense(t *testing.T) {
	for _, payload := range []string{`[]`, `{}`, `{"kind":"carried","seq":1}`} {
		if _, err := (journal.Record{Kind: journal.KindCarried, Payload: []byte(payload)}).Original(); err == nil {
			t.Errorf("%s is accepted", payload)
		}
	}
}

// A record that was as large as may be can be carried over.
func TestLargestRecordIsCarried(t *testing.T) {
	j := open(t, newPath(t), journal.Options{})
	if _, err := j.Append(strings.Repeat("\x01", journal.MaxKind), strings.Repeat("x", journal.MaxLine-2*(256+6*journal.MaxKind)-3)); err != nil {
		t.Fatal(err)
	}
	rotate(t, j)
	rotate(t, j)
	if _, err := j.Rotate(func() {}); err == nil {
		t.Error("counters that are not JSON are accepted")
	}
	if _, err := j.Rotate(strings.Repeat("x", journal.MaxLine)); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("counters too large for a line: %v", err)
	}
	appendText(t, j, "after")
}

func TestExpiry(t *testing.T) {
	path := newPath(t)
	now := noon
	j := open(t, path, journal.Options{Now: func() time.Time { return now }, Keep: 2, KeepFor: 150 * time.Minute})
	others := []string{"journal.jsonl.1", "journal.jsonl.000000000001-today", "journal.jsonl.old-20260102T120000Z", "journal.jsonl.bak"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var left []int
	for i := range 6 {
		appendText(t, j, fmt.Sprint(i))
		now = now.Add(time.Hour)
		if _, err := j.Rotate(nil); err != nil {
			t.Fatal(err)
		}
		files, err := journal.Files(path)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, len(files)-1)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 3, 3, 3}, left); diff != "" {
		t.Errorf("archives after each rotation (-want +got):\n%s", diff)
	}
	now = now.Add(1000 * time.Hour)
	if _, err := j.Rotate(nil); err != nil {
		t.Fatal(err)
	}
	if files, err := journal.Files(path); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
	for _, name := range others {
		if !slices.Contains(names(t, path), name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// On a failure the journal goes on as it was, and the next rotation succeeds.
func TestRotationFailsWithoutHarm(t *testing.T) {
	for _, step := range []string{journal.StepCreate, journal.StepWrite, journal.StepTear, journal.StepSync, journal.StepLink,
		journal.StepSyncDirectory, journal.StepReplace} {
		for _, stays := range []bool{false, true} { // whether what it left cannot even be removed
			t.Run(fmt.Sprint(step, stays), func(t *testing.T) {
				var f faults
				path := newPath(t)
				j := open(t, path, journal.Options{Step: f.step})
				appendText(t, j, "one")
				f.arm(step, 1)
				if stays {
					f.arm(journal.StepRemove, 1)
				}
				size := j.Size()
				if archive, err := j.Rotate(nil, carried(t, j)...); archive != "" || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
					t.Fatalf("%q, %v", archive, err)
				}
				if j.Size() != size || j.Head() != 0 {
					t.Errorf("Size() = %d, Head() = %d; want %d, 0", j.Size(), j.Head(), size)
				}
				appendText(t, j, "two")
				rotate(t, j)
				appendText(t, j, "three")
				f.arm(journal.StepRemove, 0)
				if diff := cmp.Diff([]string{"one", "two", "three"}, originals(t, j)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if got := names(t, path); len(got) != 2 {
					t.Errorf("files %v", got)
				}
			})
		}
	}
}

// After the new file is in place nothing is taken back; but nobody is told that anything is kept before the directory is on the disk.
func TestFailureAfterRotation(t *testing.T) {
	path := newPath(t)
	syncs, broken := 0, false
	j := open(t, path, journal.Options{Keep: 1, KeepFor: 1, Now: time.Now, Step: func(s string) error {
		if s == journal.StepReplace {
			syncs = 1
		} else if s == journal.StepSyncDirectory && syncs == 1 && broken {
			return syscall.EIO
		}
		return nil
	}})
	appendText(t, j, "one")
	broken = true
	archive, err := j.Rotate(nil, carried(t, j)...)
	if archive == "" || !errors.Is(err, syscall.EIO) {
		t.Fatalf("%q, %v", archive, err)
	}
	if _, err := j.Append("note", nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("appended to a file that a loss of power could take away: %v", err)
	}
	broken = false
	appendText(t, j, "two")
	if diff := cmp.Diff([]string{"one", "two"}, originals(t, j)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Wherever the process dies, there is one journal when it comes back, with all that was acknowledged.
func TestDeathAtEveryStepOfRotation(t *testing.T) {
	died := errors.New("died")
	now := noon
	options := func(step func(string) error) journal.Options {
		return journal.Options{Keep: 1, KeepFor: 1, Now: func() time.Time { now = now.Add(time.Minute); return now }, Step: step}
	}
	run := func(path string, deadline int) (acknowledged []string, dead bool) {
		steps := 0
		j, err := journal.Open(path, options(func(string) error {
			if steps++; steps >= deadline {
				return died // and every step after it: nothing more reaches the disk
			}
			return nil
		}))
		if err != nil {
			return nil, true
		}
		defer func() { _ = j.Close() }()
		for i := range 4 {
			if _, err := j.Append("note", note{Text: fmt.Sprint(i)}); err != nil {
				return acknowledged, true
			}
			acknowledged = append(acknowledged, fmt.Sprint(i))
			if _, err := j.Rotate(counters{i}, carried(t, j)...); err != nil {
				dead = true
			}
		}
		return acknowledged, dead
	}
	points := 0
	for deadline := 1; ; deadline++ {
		path := newPath(t)
		want, dead := run(path, deadline)
		// Those who only read find a journal as well, before anybody has tidied up.
		if len(want) > 0 {
			if got := scanned(t, path, time.Time{}); !ends(got, want) && !ends(got[:max(0, len(got)-1)], want) {
				t.Fatalf("death at step %d: read %v of %v", deadline, got, want)
			}
		}
		j := open(t, path, options(nil))
		got := originals(t, j)
		if len(got) < len(want) || len(got) > len(want)+1 || !slices.Equal(got[:len(want)], want) {
			t.Fatalf("death at step %d: %v, acknowledged were %v", deadline, got, want)
		}
		files, err := journal.Files(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, path); len(got) != len(files) || len(files) > 3 { // the expiry of one may be outstanding
			t.Fatalf("death at step %d: files %v", deadline, got)
		}
		appendText(t, j, "on")
		rotate(t, j)
		if got := names(t, path); len(got) != 2 {
			t.Fatalf("death at step %d: files after the next rotation %v", deadline, got)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if !dead {
			break
		}
		points++
	}
	t.Logf("%d points", points)
	if points < 45 {
		t.Errorf("only %d points tried", points)
	}
}

// ends tells whether all is the last ones of want, as long as some of it is there.
func ends(all, want []string) bool {
	return len(all) <= len(want) && slices.Equal(all, want[len(want)-len(all):])
}

// While one process rotates, no other gets hold of the journal.
func TestLockSurvivesRotation(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{Keep: 1, KeepFor: 1, Now: time.Now})
	var stop atomic.Bool
	var wg sync.WaitGroup
	appendText(t, j, "kept")
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				other, err := journal.Open(path, journal.Options{})
				if err == nil {
					_ = other.Close()
				}
				if !errors.Is(err, journal.ErrLocked) {
					t.Errorf("another process opened the journal: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			if got := originals(t, j); len(got) == 0 || got[0] != "kept" {
				t.Errorf("a reader of the open journal found %v", got)
				return
			}
		}
	})
	for i := range 100 {
		if _, err := j.Append("note", note{Text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Rotate(nil, journal.Entry{Kind: "note", Payload: note{Text: "kept"}}); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, journal.Options{})
}

func TestReaderKeepsItsFile(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{})
	appendText(t, j, "one", "two", "three")
	seen := 0
	for _, err := range j.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 1 {
			rotate(t, j)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			open(t, path, journal.Options{}) // the lock went with Close, whoever reads
		}
	}
	if seen != 3 {
		t.Errorf("%d records", seen)
	}
}

func TestArchivesWithoutRunningFile(t *testing.T) {
	for name, harm := range map[string]func(string) error{
		"gone":      os.Remove,
		"truncated": func(p string) error { return os.Truncate(p, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			j := open(t, path, journal.Options{})
			appendText(t, j, "one")
			archive := rotate(t, j)
			if err := errors.Join(j.Close(), harm(path)); err != nil {
				t.Fatal(err)
			}
			before := names(t, path)
			if _, err := journal.Open(path, journal.Options{}); !errors.Is(err, journal.ErrGone) || !strings.Contains(err.Error(), path) {
				t.Fatalf("Open: %v, want ErrGone: budgets would be forgotten without a word", err)
			}
			if diff := cmp.Diff(before, names(t, path)); diff != "" {
				t.Error(diff)
			}
			if err := os.Rename(archive, filepath.Join(filepath.Dir(path), "away")); err != nil {
				t.Fatal(err)
			}
			appendText(t, open(t, path, journal.Options{}), "afresh")
		})
	}
}

func TestSymbolicLink(t *testing.T) {
	path := newPath(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	j := open(t, link, journal.Options{})
	if err := j.Close(); err != nil { // the file has to be there before the link leads anywhere
		t.Fatal(err)
	}
	j = open(t, link, journal.Options{})
	appendText(t, j, "one")
	archive := rotate(t, j)
	if filepath.Dir(archive) != filepath.Dir(path) || j.Path() != link {
		t.Errorf("archive %s, path %s", archive, j.Path())
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if diff := cmp.Diff([]string{"one"}, scanned(t, link, time.Time{})); diff != "" {
		t.Error(diff)
	}
}

func TestScanAllFindsDamage(t *testing.T) {
	tests := map[string]struct {
		harm   func(path, first, second string) error
		reason string
	}{
		"an archive is missing":      {func(_, _, second string) error { return os.Remove(second) }, "where"},
		"the oldest is missing":      {func(_, first, _ string) error { return os.Remove(first) }, ""},
		"a last line was edited":     {func(_, first, _ string) error { return edit(first, "one", "0ne") }, "hash of the line before"},
		"an archive ends in the mid": {func(_, first, _ string) error { return shorten(first, 3) }, "ends within a line"},
		"running file is torn":       {func(path, _, _ string) error { return shorten(path, 3) }, ""},
		"a line is missing":          {func(_, first, second string) error { return os.Rename(first, second) }, "where"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			j := open(t, path, journal.Options{})
			appendText(t, j, "one")
			first := rotate(t, j)
			appendText(t, j, "two")
			second := rotate(t, j)
			appendText(t, j, "three")
			if err := tt.harm(path, first, second); err != nil {
				t.Fatal(err)
			}
			var got error
			for _, err := range journal.ScanAll(path, time.Time{}) {
				got = err
			}
			var damage *journal.DamageError
			if tt.reason == "" && got != nil || tt.reason != "" && (!errors.As(got, &damage) || !strings.Contains(damage.Reason, tt.reason)) {
				t.Errorf("%v, want %q", got, tt.reason)
			}
		})
	}
	if err := func() (err error) {
		for _, err = range journal.ScanAll(newPath(t), time.Time{}) {
		}
		return err
	}(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
}

func edit(path, from, to string) error {
	b, err := os.ReadFile(path)
	return errors.Join(err, os.WriteFile(path, bytes.Replace(b, []byte(from), []byte(to), 1), 0o600))
}

func shorten(path string, by int64) error {
	info, err := os.Stat(path)
	return errors.Join(err, os.Truncate(path, info.Size()-by))
}

// A scan during rotations and expiry tells a part of the story without a hole in it.
func TestScanAllWhileRotating(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{Keep: 3, KeepFor: 1, Now: time.Now})
	appendText(t, j, "begin")
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			var last uint64
			for rec, err := range journal.ScanAll(path, time.Time{}) {
				if err != nil {
					t.Error(err)
					return
				}
				if rec.Seq <= last {
					t.Errorf("record %d after %d", rec.Seq, last)
					return
				}
				last = rec.Seq
			}
		}
	})
	for i := range 200 {
		if _, err := j.Append("note", note{Text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Rotate(nil); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// In the middle of a rotation the running file has two names, and is one file all the same.
func TestReadersInTheMiddleOfARotation(t *testing.T) {
	path := newPath(t)
	var during func()
	j := open(t, path, journal.Options{Step: func(s string) error {
		if s == journal.StepReplace && during != nil {
			during()
		}
		return nil
	}})
	appendText(t, j, "one")
	rotate(t, j)
	appendText(t, j, "two")
	looked := false
	during = func() {
		looked = true
		if diff := cmp.Diff([]string{"one", "two"}, scanned(t, path, time.Time{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if files, err := journal.Files(path); err != nil || len(files) != 2 {
			t.Errorf("files %v, %v", files, err)
		}
		follow(t, path, 0).wait(t, "one", "two")
	}
	rotate(t, j)
	if !looked {
		t.Error("the rotation did not come to that step")
	}
}
