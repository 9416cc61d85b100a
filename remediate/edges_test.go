package remediate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
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

// An alert that resolves because the node is down for an action proves nothing: the check goes on, and what does not help is taken back.
func TestAlertThatResolvesWhileItsActionIsVerified(t *testing.T) {
	for name, helps := range map[string]bool{"it helps": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, n := resynced(t)
				start := n.onStart
				n.onStart = func() error { err := start(); n.refused = true; return err }
				a := w.fire("node-1", "wrong_network")
				for len(n.did) < 2 {
					w.pass(time.Second)
				}
				w.pass(10 * time.Second)
				w.resolve(a)
				if !w.silenced["node-1"] {
					t.Error("it is no longer held to be under remediation")
				}
				w.pass(5 * time.Minute)
				if helps {
					n.refused = false
				}
				w.restart()
				w.pass(30 * time.Minute)
				want := "beacon/chain_db/CURRENT=old"
				if helps {
					want = "beacon/chain_db/CURRENT=new"
				}
				w.wantFiles(want)
				if got := w.incident("node-1"); got.Closed != closedResolved || strings.Contains(w.story("node-1"), "it helped") != helps {
					t.Errorf("closed %q\n%s", got.Closed, w.story("node-1"))
				}
				if len(w.silenced) > 0 || len(w.engine.View().Exhausted) > 0 {
					t.Error("silenced or exhausted when it is over")
				}
			})
		})
	}
}

// The same while the action itself is under way, as its API is closed for that long.
func TestAlertThatResolvesDuringItsAction(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-2"]
		n.cure = true
		a := w.alert("node-2", "node_stalled")
		n.onRestart = func() error { go w.resolve(a); time.Sleep(time.Minute); return nil }
		w.stall("node-2")
		w.keep(a)
		w.pass(100 * time.Second)
		if got := w.incident("node-2"); got.Closed != "" || got.Stage != "verifying" {
			t.Errorf("closed %q, stage %s\n%s", got.Closed, got.Stage, w.story("node-2"))
		}
		w.pass(20 * time.Minute)
		if got := w.incident("node-2"); got.Closed != closedResolved || !strings.Contains(w.story("node-2"), "it helped") {
			t.Errorf("closed %q\n%s", got.Closed, w.story("node-2"))
		}
	})
}

// An alert that is back before the check is over has never been away: the ladder goes on.
func TestAlertThatResolvesAndComesBackWhileItIsVerified(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		for n.restarts == 0 {
			w.pass(time.Second)
		}
		w.resolve(a)
		w.pass(time.Minute)
		a.StartsAt = time.Now()
		w.keep(a)
		w.restart()
		w.pass(17 * time.Minute)
		if w.inventory() == inventory || n.restarts != 1 {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
	})
}

// Two peers tell of one alert at once, the later word first: its end is no beginning.
func TestLateDuplicateInTheSameBatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		a := w.fire("node-1", "node_stalled")
		end := a
		end.Status, end.EndsAt = receiver.Resolved, time.Now()
		w.keep(end, a)
		if got := w.incident("node-1"); got.Closed != closedResolved || len(w.records(kindOpened)) != 1 {
			t.Errorf("closed %q, opened %d times", got.Closed, len(w.records(kindOpened)))
		}
	})
}
