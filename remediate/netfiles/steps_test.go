package netfiles

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

var errStopped = errors.New("stopped here")

// stopAt makes the n-th step fail, from 1, and all later ones: the process is gone.
func stopAt(n int, count *int) func(string) error {
	return func(string) error {
		*count++
		if *count >= n {
			return errStopped
		}
		return nil
	}
}

// points stops at every step in turn, until do gets through.
func points(t *testing.T, do func(step func(string) error) error) int {
	t.Helper()
	for n := 1; ; n++ {
		count := 0
		err := do(stopAt(n, &count))
		if count < n {
			if err != nil {
				t.Fatalf("nothing stopped it: %v", err)
			}
			return n - 1
		}
		if !errors.Is(err, errStopped) {
			t.Fatalf("stopped at step %d, it says %v", n, err)
		}
	}
}

const small = "export ITERATION_NUMBER=\"166\"\n"

// TestStopAtEveryStep tries both ways of replacing a directory.
func TestStopAtEveryStep(t *testing.T) {
	body := tarGz(t, "retention.vars", small)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer srv.Close()
	tried := 0
	for _, apart := range []bool{false, true} {
		for _, had := range []bool{true, false} {
			fresh := func(step func(string) error) (*Staged, string, error) {
				dir := filepath.Join(t.TempDir(), "opt", "network")
				if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
					t.Fatal(err)
				}
				if had {
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(dir, "old"), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				s, err := Fetch(t.Context(), Options{URL: srv.URL, Chain: network.Chain{Iteration: 166}, Dir: dir, Step: step})
				if err == nil {
					s.apart, s.Step = apart, nil
				}
				return s, dir, err
			}
			isOld := func(dir string) {
				t.Helper()
				if _, err := os.Stat(filepath.Join(dir, "old")); (err == nil) != had {
					t.Fatalf("the old files: %v", err)
				}
				if names, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(names) != map[bool]int{true: 1, false: 0}[had] {
					t.Fatalf("left behind: %v %v", names, err)
				}
			}
			isNew := func(dir string) {
				t.Helper()
				if err := Check(dir, network.Chain{Iteration: 166}); err != nil {
					t.Fatal(err)
				}
				if names, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(names) != 1 {
					t.Fatalf("left behind: %v %v", names, err)
				}
			}
			// Stopped while fetching: fetching again gets there.
			tried += points(t, func(step func(string) error) error {
				_, dir, err := fresh(step)
				s, again := Fetch(t.Context(), Options{URL: srv.URL, Chain: network.Chain{Iteration: 166}, Dir: dir})
				if again != nil {
					t.Fatal(again)
				}
				if err := s.Restore(t.Context()); err != nil {
					t.Fatal(err)
				}
				isOld(dir)
				return err
			})
			// Stopped while replacing: it can be put back, or gone on with.
			for _, goOn := range []bool{false, true} {
				tried += points(t, func(step func(string) error) error {
					s, dir, err := fresh(nil)
					if err != nil {
						t.Fatal(err)
					}
					s.Step = step
					err = s.Apply(t.Context())
					s.Step = nil
					if c, lookErr := s.Look(); lookErr != nil || c == Edited || err == nil && c != Applied {
						t.Fatalf("it is %s: %v", c, lookErr)
					}
					if goOn {
						if err := s.Apply(t.Context()); err != nil {
							t.Fatal(err)
						}
						if err := s.Settle(t.Context()); err != nil {
							t.Fatal(err)
						}
						isNew(dir)
						return err
					}
					if err := s.Restore(t.Context()); err != nil {
						t.Fatal(err)
					}
					isOld(dir)
					return err
				})
			}
			// Stopped while putting back, or while deleting the old ones: once more ends it.
			tried += points(t, func(step func(string) error) error {
				s, dir, err := fresh(nil)
				if err == nil {
					err = s.Apply(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				s.Step = step
				err = s.Restore(t.Context())
				s.Step = nil
				if err := s.Restore(t.Context()); err != nil {
					t.Fatal(err)
				}
				isOld(dir)
				return err
			})
			tried += points(t, func(step func(string) error) error {
				s, dir, err := fresh(nil)
				if err == nil {
					err = s.Apply(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				s.Step = step
				err = s.Settle(t.Context())
				s.Step = nil
				if err := s.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				isNew(dir)
				return err
			})
		}
	}
	t.Logf("stopped at %d points", tried)
	if tried < 40 {
		t.Errorf("only %d points", tried)
	}
}
