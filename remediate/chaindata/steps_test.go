package chaindata_test

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/google/go-cmp/cmp"
)

var errStopped = errors.New("stopped here")

// stopAt makes the n-th step fail, from 1, and all later ones: the process is gone.
func stopAt(n int, count *int) func(string) error {
	return func(string) error {
		*count++
		if n > 0 && *count >= n {
			return errStopped
		}
		return nil
	}
}

// points runs do with a stop at every step in turn, until it gets through, and returns how many steps there were.
func points(t *testing.T, do func(t *testing.T, step func(string) error) error) int {
	t.Helper()
	for n := 1; ; n++ {
		count := 0
		err := do(t, stopAt(n, &count))
		if count < n {
			if err != nil {
				t.Fatalf("nothing stopped it: %v", err)
			}
			return n - 1
		}
		if !errors.Is(err, errStopped) {
			t.Fatalf("stopped at step %d, it says %v", n, err)
		}
		if n > 1000 {
			t.Fatal("it does not end")
		}
	}
}

func TestStopAtEveryStep(t *testing.T) {
	tried := 0
	everyClient(t, func(t *testing.T, m machine, reset bool) {
		// Stopped while setting aside: everything can be put back, or gone on with.
		for _, goOn := range []bool{false, true} {
			tried += points(t, func(t *testing.T, step func(string) error) error {
				before := tree(t, m.dir)
				move := plan(t, m.options(reset))
				move.Step = step
				err := move.Apply(t.Context())
				move.Step = nil
				c := look(t, move, chaindata.NotApplied, chaindata.Half, chaindata.Applied)
				if err == nil && c != chaindata.Applied {
					t.Fatalf("it says nothing, and is %s", c)
				}
				if goOn {
					if err := move.Apply(t.Context()); err != nil {
						t.Fatal(err)
					}
					look(t, move, chaindata.Applied)
				}
				if err := move.Restore(t.Context()); err != nil {
					t.Fatal(err)
				}
				look(t, move, chaindata.NotApplied)
				if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
					t.Fatal(diff)
				}
				return err
			})
		}
		// Stopped while putting back, after the client had begun anew: putting back again ends it.
		tried += points(t, func(t *testing.T, step func(string) error) error {
			before := tree(t, m.dir)
			move := plan(t, m.options(reset))
			if err := move.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.fill(t, m.layout.Database)
			move.Step = step
			err := move.Restore(t.Context())
			move.Step = nil
			if look(t, move) == chaindata.Deleted {
				t.Fatal("it is held to be deleted")
			}
			if err := move.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			look(t, move, chaindata.NotApplied)
			if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
				t.Fatal(diff)
			}
			return err
		})
		// Stopped while deleting: either nothing is lost yet, or deleting again ends it. The new database is never touched.
		tried += points(t, func(t *testing.T, step func(string) error) error {
			m.fill(t, m.goes(reset))
			move := plan(t, m.options(reset))
			if err := move.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.fill(t, m.layout.Database)
			var asides []string
			for _, p := range move.Places {
				rel, _ := filepath.Rel(m.dir, p.Aside)
				asides = append(asides, rel)
			}
			after := without(tree(t, m.dir), asides...)
			move.Step = step
			err := move.Delete(t.Context())
			move.Step = nil
			if look(t, move, chaindata.Applied, chaindata.Deleted) == chaindata.Deleted {
				if err := move.Restore(t.Context()); !errors.Is(err, chaindata.ErrDeleted) {
					t.Fatalf("half of it could be put back: %v", err)
				}
			}
			if err := move.Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
			look(t, move, chaindata.Deleted)
			if diff := cmp.Diff(after, tree(t, m.dir)); diff != "" {
				t.Fatal(diff)
			}
			return err
		})
	})
	t.Logf("stopped at %d points", tried)
	if tried < 200 {
		t.Errorf("only %d points", tried)
	}
}

// Every step has its own name, and no effect lies between two without one.
func TestStepsAreSeen(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	seen := map[string]bool{}
	move := plan(t, m.options(false))
	move.Step = func(s string) error { seen[s] = true; return nil }
	if err := move.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.fill(t, m.layout.Database)
	if err := move.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{chaindata.StepMakeAside, chaindata.StepManifest, chaindata.StepAside, chaindata.StepNew, chaindata.StepBack, chaindata.StepSync,
		chaindata.StepSettle, chaindata.StepRemove}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
