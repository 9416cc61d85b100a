package remediate

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// resynced is a world in which a resync of node-1 is done and helped, for now.
func resynced(t *testing.T, edits ...string) (*world, *fakeNode) {
	t.Helper()
	w := running(t, append(slices.Clone(resyncable), edits...)...)
	w.database("old")
	n := w.nodes["node-1"]
	n.phase = progress.WrongNetwork
	n.onStart = func() error {
		if len(w.has("data/beacon/chain_db")) == 0 {
			w.database("new")
			n.phase = progress.Syncing
		}
		return nil
	}
	return w, n
}

// What was let go of cannot be taken back, and no client is stopped for it.
func TestCureThatDoesNotLastAfterTheOldDatabaseIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, n := resynced(t)
		a := w.fire("node-1", "wrong_network")
		w.pass(5 * time.Minute)
		if len(w.records(kindSettled)) != 1 {
			t.Fatal(w.story("node-1"))
		}
		n.phase = progress.WrongNetwork
		for range 6 {
			w.pass(10 * time.Minute)
			w.keep(a)
		}
		if n.active != "active" || !slices.Equal(n.did, []string{"stop", "start"}) {
			t.Errorf("it is %s, did %q\n%s", n.active, n.did, w.story("node-1"))
		}
		if w.incident("node-1").Stage != "exhausted" {
			t.Error(w.story("node-1"))
		}
	})
}

// A deletion that the program did not live to write down is one all the same.
func TestUndoOfWhatIsDeletedTouchesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, n := resynced(t)
		a := w.fire("node-1", "wrong_network")
		n.onStart = func() error { w.database("new"); return nil } // it does not help
		for len(n.did) < 2 {
			w.pass(time.Second)
		}
		aside, err := filepath.Glob(filepath.Join(w.dir, "data/beacon/.checkpoint-aside-*"))
		if err != nil || len(aside) != 1 {
			t.Fatal(aside, err)
		}
		if err := os.RemoveAll(aside[0]); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			w.pass(10 * time.Minute)
			w.keep(a)
		}
		if n.active != "active" || w.incident("node-1").Stage != "exhausted" {
			t.Errorf("it is %s, did %q\n%s", n.active, n.did, w.story("node-1"))
		}
	})
}
