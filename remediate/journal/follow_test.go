package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/google/go-cmp/cmp"
)

// tail is a follower of a journal with what it was told.
type tail struct {
	mu    sync.Mutex
	texts []string
	err   error
	stop  func()
}

func follow(t testing.TB, path string, after uint64) *tail {
	ctx, cancel := context.WithCancel(context.Background())
	f := &tail{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for rec, err := range journal.Follow(ctx, path, after) {
			f.mu.Lock()
			if err != nil {
				f.err = err
			} else if rec.Kind == "note" {
				var n note
				f.err = errors.Join(f.err, rec.Decode(&n))
				f.texts = append(f.texts, n.Text)
			}
			f.mu.Unlock()
		}
	}()
	f.stop = func() { cancel(); <-done }
	t.Cleanup(f.stop)
	return f
}

func (f *tail) told() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.texts), f.err
}

func (f *tail) wait(t testing.TB, want ...string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := f.told()
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(want, got) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("told (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

func TestFollow(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{})
	f := follow(t, path, 0)
	f.wait(t)
	appendText(t, j, "one", "two")
	f.wait(t, "one", "two")
	rotate(t, j)
	appendText(t, j, "three")
	f.wait(t, "one", "two", "three")
	// Several at once, between two looks.
	appendText(t, j, "four")
	rotate(t, j)
	appendText(t, j, "five")
	rotate(t, j)
	rotate(t, j)
	f.wait(t, "one", "two", "three", "four", "five")

	follow(t, path, 0).wait(t, "one", "two", "three", "four", "five")
	follow(t, path, 1).wait(t, "two", "three", "four", "five")
	late := follow(t, path, 1000)
	last := follow(t, path, lastSeq(t, path))
	appendText(t, j, "six")
	last.wait(t, "six")
	f.wait(t, "one", "two", "three", "four", "five", "six")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	late.stop()
	if _, err := late.told(); err != nil {
		t.Error(err)
	}
}

func lastSeq(t testing.TB, path string) (last uint64) {
	for rec, err := range journal.ScanAll(path, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		last = rec.Seq
	}
	return last
}

func TestFollowEnds(t *testing.T) {
	for rec, err := range journal.Follow(t.Context(), newPath(t), 0) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v, %v", rec, err)
		}
	}
	path := newPath(t)
	j := open(t, path, journal.Options{})
	appendText(t, j, "one", "two")
	for range journal.Follow(t.Context(), path, 0) {
		break
	}
	if err := edit(path, "one", "0ne"); err != nil {
		t.Fatal(err)
	}
	f := follow(t, path, 0)
	var damage *journal.DamageError
	eventually(t, func() bool { _, err := f.told(); return errors.As(err, &damage) })
}

func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come true")
		}
	}
}

// A follower sees half a line as nothing, and a line that could not be kept as one that is taken back.
func TestFollowWhatFails(t *testing.T) {
	for _, step := range []string{journal.StepTear, journal.StepSync} {
		t.Run(step, func(t *testing.T) {
			path := newPath(t)
			reached, goOn := make(chan struct{}), make(chan struct{})
			failing := false
			j := open(t, path, journal.Options{Step: func(s string) error {
				if s == step && failing {
					failing = false
					reached <- struct{}{}
					<-goOn
					return syscall.ENOSPC
				}
				return nil
			}})
			appendText(t, j, "one")
			f := follow(t, path, 0)
			f.wait(t, "one")
			failing = true
			want := []string{"one"}
			go func() {
				<-reached
				if step == journal.StepSync {
					want = append(want, "taken back")
					f.wait(t, want...)
				}
				close(goOn)
			}()
			if _, err := j.Append("note", note{Text: "taken back"}); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			want = append(want, "in its place, and longer than that")
			appendText(t, j, "in its place, and longer than that")
			f.wait(t, want...)
			appendText(t, j, "more")
			f.wait(t, append(want, "more")...)
		})
	}
}

// Whoever reads slowly misses what has expired, and goes on with what is there.
func TestFollowExpired(t *testing.T) {
	path := newPath(t)
	now := noon
	j := open(t, path, journal.Options{Keep: 1, KeepFor: 1, Now: func() time.Time { now = now.Add(time.Minute); return now }})
	appendText(t, j, "one", "two")
	var got []string
	for rec, err := range journal.Follow(t.Context(), path, 0) {
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
		got = append(got, n.Text)
		if len(got) == 1 {
			for i := range 4 {
				if _, err := j.Rotate(nil); err != nil {
					t.Fatal(err)
				}
				appendText(t, j, fmt.Sprint(i))
			}
		}
		if n.Text == "3" {
			break
		}
	}
	if diff := cmp.Diff([]string{"one", "two", "2", "3"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFollowMovedAway(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{})
	appendText(t, j, "one")
	f := follow(t, path, 0)
	f.wait(t, "one")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	other := open(t, path, journal.Options{})
	appendText(t, other, "another journal")
	f.wait(t, "one", "another journal")
}

// What is read while it is written, rotated and expired has no hole, as long as the reader keeps up.
func TestFollowAWriter(t *testing.T) {
	path := newPath(t)
	j := open(t, path, journal.Options{})
	f := follow(t, path, 0)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprint(i))
		appendText(t, j, fmt.Sprint(i))
		if i%7 == 0 {
			rotate(t, j)
		}
	}
	f.wait(t, want...)
}
