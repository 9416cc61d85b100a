package remediate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
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

// over resolves an alert while the engine is in the middle of something.
func (w *world) over(a receiver.Alert) {
	a.Status, a.EndsAt = receiver.Resolved, time.Now()
	if err := w.engine.Keep(w.Context(), []receiver.Alert{a}); err != nil {
		w.Error(err)
	}
}

// The same while the action itself is under way, as its API is closed for that long.
func TestAlertThatResolvesDuringItsAction(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-2"]
		n.cure = true
		a := w.alert("node-2", "node_stalled")
		n.onRestart = func() error { w.over(a); time.Sleep(time.Minute); return nil }
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

// The node's other alerts are silent from the beginning of an action on.
func TestSilenceBeginsBeforeTheAction(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		n.onRestart = func() error {
			if !w.silenced["node-1"] {
				t.Error("not silenced while it is restarted")
			}
			return nil
		}
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(time.Minute)
		if n.restarts != 1 {
			t.Errorf("%d restarts", n.restarts)
		}
	})
}

// A node that is taken out of the configuration while it is looked after is not silenced for ever.
func TestSilenceOfNodeThatIsTakenOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.stall("node-2")
		w.fire("node-2", "node_stalled")
		w.pass(time.Minute)
		if !w.silenced["node-2"] {
			t.Fatal(w.story("node-2"))
		}
		without := *w.cfg
		without.Nodes = slices.DeleteFunc(slices.Clone(w.cfg.Nodes), func(n config.Node) bool { return n.Name == "node-2" })
		w.engine.Reload(&without, w)
		w.pass(time.Minute)
		if len(w.silenced) > 0 || w.incident("node-2").Closed != closedUnknown {
			t.Errorf("silenced: %v\n%s", w.silenced, w.story("node-2"))
		}
	})
}

// While a guard holds the second half of a step up, nothing is under way that an alert could be about.
func TestNoSilenceWhileTheActionWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.refused, n.active, n.cure = true, actuator.Failed, true
		n.onState = func() { w.file("pause", "") } // right after the failover
		w.down("alpha")
		w.fire("node-1", "source_unusable")
		w.pass(3 * time.Minute)
		if w.inventory() == inventory || n.restarts != 0 || len(w.silenced) > 0 {
			t.Errorf("%d restarts, silenced: %v\n%s", n.restarts, w.silenced, w.story("node-1"))
		}
		n.onState = nil
		if err := os.Remove(filepath.Join(w.dir, "pause")); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if n.restarts != 1 {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
	})
}

// Somebody stops the client after the last look at it: it is not ours to start.
func TestClientStoppedBeforeItsResyncBegins(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, n := resynced(t)
		looked := false
		n.onState = func() { looked = true }
		w.step = func(s string) error {
			if s == journal.StepWrite && looked {
				n.active = actuator.Inactive
			}
			return nil
		}
		w.fire("node-1", "wrong_network")
		w.pass(30 * time.Minute)
		if len(n.did) > 0 || n.active != actuator.Inactive || !strings.Contains(w.story("node-1"), "stopped by someone") {
			t.Errorf("it is %s, did %q\n%s", n.active, n.did, w.story("node-1"))
		}
		w.wantFiles("beacon/chain_db/CURRENT=old")
	})
}

func TestClientThatSomebodyIsStopping(t *testing.T) {
	for _, playbook := range []string{"wrong_network", "node_stalled"} {
		t.Run(playbook, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, n := resynced(t)
				n.active = actuator.Deactivating
				w.stall("node-1")
				w.fire("node-1", playbook)
				w.pass(10 * time.Minute)
				if len(n.did) > 0 || len(w.records(kindIntent)) > 0 {
					t.Errorf("did %q\n%s", n.did, w.story("node-1"))
				}
			})
		})
	}
}

// A client that cannot be stopped keeps its data, and those that were stopped before it run again.
func TestResetOfClientThatCannotBeStopped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newIteration(t, fetchTwo, initialise)
		n := w.nodes["node-1"]
		stops := 0
		w.step = func(s string) error {
			if s == "unit: stop" {
				if stops++; stops > 1 {
					return errDisk
				}
			}
			return nil
		}
		w.fire("node-1", "old_iteration")
		w.pass(10 * time.Minute)
		if n.vc.active != actuator.Active || n.active != actuator.Active || n.el.active != actuator.Active {
			t.Errorf("validator %s, consensus %s, execution %s\n%s", n.vc.active, n.active, n.el.active, w.story("node-1"))
		}
		old := []string{"geth/geth/chaindata/CURRENT", "data/beacon/chain_db/CURRENT", "data/validators/slashing_protection.sqlite"}
		if got := w.has(old...); !slices.Equal(got, old) {
			t.Errorf("only %q is where it was", got)
		}
	})
}

// A validator client that cannot be stopped would go on writing the slashing protection that is set aside.
func TestNoResetUnderValidatorWithoutRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newIteration(t, fetchTwo, initialise, "validator: {restart: {systemd: validator-1.service}}", `validator: {slashing_protection: "DIR/vc/slashing_protection.sqlite"}`)
		w.file("vc/slashing_protection.sqlite", "never lose this")
		n := w.nodes["node-1"]
		w.fire("node-1", "old_iteration")
		w.pass(30 * time.Minute)
		if len(n.did) > 0 || len(w.has("vc/slashing_protection.sqlite")) == 0 || !strings.Contains(w.story("node-1"), "validator: ") {
			t.Errorf("did %q\n%s", n.did, w.story("node-1"))
		}
	})
}

// What could be neither ended nor taken back is not forgotten: it is tried once more, and if that fails people are called, whatever steps are left.
func TestResyncThatCannotBeTakenBackAtOnce(t *testing.T) {
	for name, later := range map[string]bool{"but later": true, "nor later": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, n := resynced(t, "  guards:", `  playbooks: {wrong_network: [{resync: {keep: [network, validators, slashing_protection]}, verify: {phase: [syncing]}}, {restart: consensus, verify: {phase: [syncing]}}]}
  guards:`)
				n.onStart = func() error { return errDisk }
				w.step = func(s string) error { return failing(s, chaindata.StepBack) }
				w.fire("node-1", "wrong_network")
				for len(w.outcomes()) == 0 {
					w.pass(time.Second)
				}
				if later {
					w.step, n.onStart = nil, nil
				}
				w.restart()
				w.pass(10 * time.Minute)
				stage := w.incident("node-1").Stage
				if _, is := w.engine.summary()["kept node-1-w-1.1"]; is == later {
					t.Errorf("kept: %v\n%s", is, w.story("node-1"))
				}
				if later {
					w.wantFiles("beacon/chain_db/CURRENT=old")
				}
				if later != (n.active == actuator.Active) || later == (stage == "exhausted") {
					t.Errorf("it is %s, stage %s\n%s", n.active, stage, w.story("node-1"))
				}
			})
		})
	}
}

// A node that somebody has stopped since is theirs: its data is not moved and it is not started.
func TestNothingIsTakenBackUnderSomebodysHands(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, n := resynced(t)
		n.onStart = func() error { w.database("new"); return nil }
		w.fire("node-1", "wrong_network")
		w.pass(5 * time.Minute)
		n.active = actuator.Inactive
		w.pass(30 * time.Minute)
		if n.active != actuator.Inactive || w.incident("node-1").Stage != "exhausted" || !strings.Contains(w.story("node-1"), "could not be put back") {
			t.Errorf("it is %s, did %q\n%s", n.active, n.did, w.story("node-1"))
		}
		if _, is := w.engine.summary()["kept node-1-w-1.1"]; !is {
			t.Error("what is aside is forgotten")
		}
	})
}

// The node comes up while something holds up that its old database is put back: then it stays with the new one.
func TestNodeThatCameUpLateKeepsItsNewDatabase(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, n := resynced(t)
		n.onStart = func() error { w.database("new"); return nil }
		a := w.fire("node-1", "wrong_network")
		w.pass(5 * time.Minute)
		w.file("pause", "by hand")
		w.pass(30 * time.Minute)
		n.phase = progress.Syncing
		if err := os.Remove(filepath.Join(w.dir, "pause")); err != nil {
			t.Fatal(err)
		}
		w.keep(a)
		w.pass(10 * time.Minute)
		if !slices.Equal(n.did, []string{"stop", "start"}) || w.incident("node-1").Stage != "exhausted" {
			t.Errorf("did %q\n%s", n.did, w.story("node-1"))
		}
		w.resolve(a)
		w.pass(time.Hour)
		w.wantFiles("beacon/chain_db/CURRENT=new")
	})
}

// A check that fails while nobody can be reached tells nothing of what was done, and nothing is taken back in the dark.
func TestNothingIsTakenBackWithoutTheNetwork(t *testing.T) {
	for name, dark := range map[string]func(*world){
		"our own network": func(w *world) { w.down("alpha", "beta", "gamma") }, "the chain does not finalize": func(w *world) { w.lag = 50 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, n := resynced(t)
				n.onStart = func() error {
					if len(w.has("data/beacon/chain_db")) == 0 {
						w.database("new")
					}
					return nil
				}
				w.fire("node-1", "wrong_network")
				w.pass(5 * time.Minute)
				dark(w)
				w.pass(time.Hour)
				if !slices.Equal(n.did, []string{"stop", "start"}) {
					t.Errorf("did %q\n%s", n.did, w.story("node-1"))
				}
				w.lag, w.bad = 0, map[string][]provider.Finding{}
				w.pass(15 * time.Minute)
				w.wantFiles("beacon/chain_db/CURRENT=old")
			})
		})
	}
}

// Progress is not counted from one database to another.
func TestProgressAfterResync(t *testing.T) {
	const before, anchor = 100, 2900
	for name, moves := range map[string]bool{"it stands still where it began anew": false, "it moves": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, n := resynced(t, "  guards:", `  playbooks: {node_stalled: [{resync: {keep: [network, validators, slashing_protection]}, verify: {progress: 64, within: 20m}}]}
  guards:`)
				w.pass(10 * time.Hour) // to slot 3000
				n.phase, n.stuck = progress.Stalled, new(uint64(before))
				n.onStart = func() error {
					n.stuck = new(uint64(anchor))
					return nil
				}
				w.fire("node-1", "node_stalled")
				for len(n.did) < 2 {
					w.pass(time.Second)
				}
				for range 12 {
					w.pass(time.Minute)
					if moves {
						n.stuck = new(*n.stuck + 7)
					}
				}
				if helped := w.incident("node-1").Stage == "settled"; helped != moves {
					t.Error(w.story("node-1"))
				}
			})
		})
	}
}

// shut is a world that is left in the middle of a look: as the engine asks, the program is told to stop, and gets no answer any more.
type shut struct {
	*world
	end context.CancelFunc
	// what is asked when that happens.
	at string
}

func (s shut) Look(ctx context.Context, name string) node.Observation {
	if s.at == "node" {
		s.end()
	}
	if err := ctx.Err(); err != nil {
		var o node.Observation
		o.Consensus.Syncing.Err = &beacon.Error{Reason: beacon.Timeout, Message: "the request was called off", Err: err}
		return o
	}
	return s.world.Look(ctx, name)
}

func (s shut) Judge(ctx context.Context, maxAge time.Duration) provider.Judgement {
	if s.at == "providers" {
		s.end()
	}
	j := s.world.Judge(ctx, maxAge)
	for k := range j.Verdicts {
		if ctx.Err() != nil {
			j.Verdicts[k] = provider.Verdict{Provider: j.Verdicts[k].Provider, Reasons: []provider.Finding{{Reason: provider.Timeout, Text: "called off"}}}
		}
	}
	return j
}

func (s shut) Actuator(r config.Restart) (actuator.Actuator, error) {
	a, err := s.world.Actuator(r)
	return shutUnit{a.(unit), s}, err
}

type shutUnit struct {
	unit
	shut shut
}

func (u shutUnit) State(ctx context.Context) (actuator.State, error) {
	if u.shut.at == "unit" {
		u.shut.end()
	}
	if err := ctx.Err(); err != nil {
		return actuator.State{}, err
	}
	return u.unit.State(ctx)
}

// leave plays a program that is told to stop in the middle of a look at something.
func (w *world) leave(at string, alerts ...receiver.Alert) {
	w.Helper()
	w.stop()
	j, err := journal.Open(w.cfg.Remediation.Journal, journal.Options{})
	if err != nil {
		w.Fatal(err)
	}
	defer j.Close()
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	s := shut{w, cancel, at}
	e, err := NewEngine(w.cfg, j, s, s, w, m, log.NewNopLogger())
	if err != nil {
		w.Fatal(err)
	}
	if err := e.Keep(ctx, alerts); err != nil {
		w.Fatal(err)
	}
	for range 60 {
		if err := e.round(ctx); err != nil {
			w.Fatal(err)
		}
		if ctx.Err() != nil {
			return
		}
		w.pass(tick)
	}
	w.Errorf("%s was never looked at", at)
}

// failing fails the steps of one kind.
func failing(step, kind string) error {
	if strings.HasPrefix(step, kind) {
		return errDisk
	}
	return nil
}

// What a look sees while the program is told to stop decides nothing.
func TestShutdownDecidesNothing(t *testing.T) {
	t.Run("whether the restart after a failover is needed", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			w := running(t)
			n := w.nodes["node-1"]
			n.refused, n.active, n.cure = true, actuator.Failed, true
			n.onState = func() { w.file("pause", "") }
			w.down("alpha")
			w.fire("node-1", "source_unusable")
			w.pass(3 * time.Minute)
			n.onState = nil
			if err := os.Remove(filepath.Join(w.dir, "pause")); err != nil {
				t.Fatal(err)
			}
			w.leave("node")
			w.start()
			w.pass(3 * time.Minute)
			if n.restarts != 1 {
				t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
			}
		})
	})
	t.Run("what became of an action", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			w := running(t)
			n := w.nodes["node-1"]
			n.onRestart = func() error { w.step = func(s string) error { return failing(s, "journal: ") }; return nil }
			w.stall("node-1")
			w.fire("node-1", "node_stalled")
			w.pass(40 * time.Second)
			w.step, n.onRestart = nil, nil
			w.leave("unit")
			w.start()
			w.pass(time.Minute)
			if got := w.outcomes(); !slices.Equal(got, []string{resultDone}) {
				t.Errorf("outcomes %q\n%s", got, w.story("node-1"))
			}
		})
	})
	for _, tc := range []struct{ name, at, playbook, kind string }{
		{"evidence", "node", "node_down", kindObserved},
		{"whether anybody can be reached", "providers", "node_stalled", kindDecision},
		{"how a client runs", "unit", "node_stalled", kindDecision},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t)
				w.stall("node-1")
				w.leave(tc.at, w.alert("node-1", tc.playbook))
				w.start()
				if n := len(w.records(tc.kind)); n != 0 {
					t.Errorf("%d records of %s\n%s", n, tc.kind, w.story("node-1"))
				}
			})
		})
	}
}

// What a kill in the middle of a resync has left is not touched while nothing may be done, and taken back once it may.
func TestHalfResyncWaitsUntilItMayBeTakenBack(t *testing.T) {
	for name, tc := range map[string]struct {
		edits       []string
		hold, allow func(*world)
	}{
		"mode observe": {hold: func(w *world) { w.mode(config.Observe) }, allow: func(w *world) { w.mode(config.Act) }},
		"pause":        {hold: func(w *world) { w.file("pause", "hands off") }, allow: func(w *world) { _ = os.Remove(filepath.Join(w.dir, "pause")) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, n := resynced(t)
				w.step = func(s string) error {
					if s == chaindata.StepAside { // from here on it is as if the program were gone
						w.step = func(string) error { return errDisk }
					}
					return nil
				}
				a := w.fire("node-1", "wrong_network")
				w.pass(time.Minute)
				w.stop()
				w.step = nil
				tc.hold(w)
				w.start()
				w.pass(20 * time.Minute)
				w.keep(a)
				if !slices.Equal(n.did, []string{"stop"}) || len(w.silenced) > 0 {
					t.Fatalf("did %q, silenced %v\n%s", n.did, w.silenced, w.story("node-1"))
				}
				if k := len(w.records(kindDecision)); k > 3 {
					t.Errorf("%d decisions for one state of affairs", k)
				}
				w.restart()
				tc.allow(w)
				w.pass(10 * time.Minute)
				if n.active != actuator.Active {
					t.Errorf("did %q\n%s", n.did, w.story("node-1"))
				}
				w.wantFiles("beacon/chain_db/CURRENT=old")
			})
		})
	}
}

// mode switches the mode, of a program that runs or of the next.
func (w *world) mode(mode string) {
	c := *w.cfg
	c.Remediation.Mode = mode
	w.cfg = &c
	w.engine.Reload(&c, w)
}

// dumb is a service manager, and a source, that take a question and never answer.
type dumb struct{ *world }

func (d dumb) Actuator(r config.Restart) (actuator.Actuator, error) {
	a, err := d.world.Actuator(r)
	if strings.HasPrefix(r.Systemd, "node-1") {
		return dumbUnit{a.(unit)}, err
	}
	return a, err
}

func (d dumb) Source(config.Node) (source.Source, error) { return dumbSource{}, nil }

type dumbUnit struct{ unit }

func (dumbUnit) State(ctx context.Context) (actuator.State, error) {
	<-ctx.Done()
	return actuator.State{}, ctx.Err()
}

type dumbSource struct{ source.Source }

func (dumbSource) Read(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestWhatDoesNotAnswerHoldsNobodyElseUp(t *testing.T) {
	for _, playbook := range []string{"node_stalled", "source_unusable"} {
		t.Run(playbook, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t)
				w.engine.hands = dumb{w}
				w.nodes["node-2"].cure = true
				w.stall("node-1")
				w.stall("node-2")
				w.fire("node-1", playbook)
				w.fire("node-2", "node_stalled")
				w.pass(10 * time.Minute)
				if w.nodes["node-2"].restarts != 1 || !strings.Contains(w.story("node-1"), "deadline exceeded") {
					t.Errorf("%d restarts\n%s%s", w.nodes["node-2"].restarts, w.story("node-1"), w.story("node-2"))
				}
			})
		})
	}
}

// The second reading of the clock sees what the first could not.
func TestClockStepsWhileAStepIsMadeReady(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		w.stall("node-1")
		var off time.Duration
		w.engine.mu.Lock()
		w.engine.clock.wall = func() time.Time { w.fence(); return time.Now().Add(off) }
		w.engine.mu.Unlock()
		n.onState = func() { off = 3 * time.Hour }
		w.fire("node-1", "node_stalled")
		w.pass(time.Minute)
		if n.restarts != 0 {
			t.Fatalf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
		n.onState = nil
		w.pass(5 * time.Minute)
		if n.restarts != 1 {
			t.Errorf("%d restarts once it is steady\n%s", n.restarts, w.story("node-1"))
		}
	})
}

// An incident is over after two reads without its alert, whatever was read of the one before.
func TestAbsenceOfAnEarlierAlert(t *testing.T) {
	a := "[]"
	w := newWorld(t)
	w.cfg.Remediation.Alertmanagers = []string{peer(t, &a)}
	w.start()
	t.Cleanup(w.stop)
	u := newCatchUp(w.engine, nil)
	tell := func(status receiver.Status) {
		now := time.Now()
		if err := w.engine.Keep(t.Context(), []receiver.Alert{{Fingerprint: "a1b2c3d4e5f60718", Status: status, StartsAt: now, EndsAt: now,
			Labels: map[string]string{"alertname": "A", "node": "node-1", "playbook": "no_peers"}}}); err != nil {
			t.Fatal(err)
		}
	}
	tell(receiver.Firing)
	u.once(t.Context())
	tell(receiver.Resolved)
	tell(receiver.Firing)
	u.once(t.Context())
	if got := w.incident("node-1").Closed; got != "" {
		t.Errorf("closed %q after one read", got)
	}
	u.once(t.Context())
	if got := w.incident("node-1").Closed; got != closedAbsent {
		t.Errorf("closed %q after two", got)
	}
}

// A healthy sync pauses for up to a minute. That does not undo a cure.
func TestPauseOfASyncIsNoRelapse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "  guards:", "  playbooks: {node_stalled: [{restart: consensus, verify: {progress: 64, within: 10m, hold: 5s}}]}\n  guards:")
		n := w.nodes["node-1"]
		w.pass(20 * time.Hour)
		head := uint64(100)
		n.stuck = new(head)
		a := w.fire("node-1", "node_stalled")
		for n.restarts == 0 {
			w.pass(time.Second)
		}
		for range 60 { // it stays far behind, and goes on a batch a minute
			head += 30
			n.stuck = new(head)
			w.pass(time.Minute)
			w.keep(a)
		}
		if got := w.incident("node-1"); got.Stage != "settled" {
			t.Errorf("stage %s\n%s", got.Stage, w.story("node-1"))
		}
	})
}

// ledger is a journal whose records are written at times that a test chooses.
type ledger struct {
	*world
	now     time.Time
	engine  *Engine
	journal *journal.Journal
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{world: newWorld(t), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	l.open()
	t.Cleanup(func() { l.journal.Close() })
	return l
}

func (l *ledger) open() {
	l.Helper()
	var err error
	if l.journal, err = journal.Open(l.cfg.Remediation.Journal, journal.Options{Now: func() time.Time { return l.now }}); err != nil {
		l.Fatal(err)
	}
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		l.Fatal(err)
	}
	if l.engine, err = NewEngine(l.cfg, l.journal, l.world, l.world, l.world, m, log.NewNopLogger()); err != nil {
		l.Fatal(err)
	}
	l.engine.clock.wall = func() time.Time { return l.now }
}

func (l *ledger) write(records ...any) {
	l.Helper()
	for _, p := range records {
		kind := map[string]string{"Opened": kindOpened, "Intent": kindIntent, "Outcome": kindOutcome, "Exhausted": kindExhausted, "Acked": kindAcked,
			"Closed": kindClosed, "Heard": kindHeard, "Verified": kindVerified, "Settled": kindSettled, "Cleared": kindCleared}[reflect.TypeOf(p).Name()]
		if err := l.engine.write(kind, p); err != nil {
			l.Fatal(err)
		}
	}
}

// What a rotated journal tells is what the journal before it told, whatever the times of its records.
func TestRotationForgetsNothingThatCounts(t *testing.T) {
	opened := func(id, node string) Opened {
		return Opened{Incident: id, Fingerprint: id + "-0123456789", Node: node, Playbook: "node_stalled"}
	}
	change := func(node string) *source.Change {
		return &source.Change{File: "/inventory.yaml", Key: "all.hosts." + node + ".url", From: "http://alpha.test", To: "http://beta.test"}
	}
	for _, tc := range []struct {
		name string
		tell func(l *ledger)
		// same is what must be so before and after, beside the summary.
		same func(e *Engine) any
	}{
		{name: "an incident that was acknowledged, of which something is kept", tell: func(l *ledger) {
			l.write(opened("a-1", "node-1"), Intent{ID: "a-1.1", Incident: "a-1", Node: "node-1", Action: actionFailover, Keeps: true}, Outcome{Intent: "a-1.1", Incident: "a-1", Result: resultDone},
				Exhausted{Incident: "a-1", Node: "node-1", Playbook: "node_stalled"}, Acked{Node: "node-1"})
			l.now = l.now.Add(48 * time.Hour)
		}},
		{name: "an attempt by a clock that was years ahead, and the word that it does not count", tell: func(l *ledger) {
			l.now = l.now.Add(20 * 365 * 24 * time.Hour)
			l.write(opened("a-1", "node-1"), Intent{ID: "a-1.1", Incident: "a-1", Node: "node-1", Action: actionRestart}, Outcome{Intent: "a-1.1", Incident: "a-1", Result: resultDone}, Closed{Incident: "a-1"})
			l.now = l.now.Add(-20 * 365 * 24 * time.Hour)
			l.write(Acked{Node: "node-1"})
			l.now = l.now.Add(48 * time.Hour)
		}},
		{name: "a call for people that was taken back", tell: func(l *ledger) {
			l.write(opened("a-1", "node-1"), Intent{ID: "a-1.1", Incident: "a-1", Node: "node-1", Action: actionFailover, Keeps: true}, Outcome{Intent: "a-1.1", Incident: "a-1", Result: resultDone},
				Exhausted{Incident: "a-1", Node: "node-1", Playbook: "node_stalled"}, Closed{Incident: "a-1"}, Cleared{Node: "node-1", Playbook: "node_stalled"})
			l.now = l.now.Add(48 * time.Hour)
		}},
		{name: "an intent without outcome", tell: func(l *ledger) {
			l.write(opened("a-1", "node-1"), Intent{ID: "a-1.1", Incident: "a-1", Node: "node-1", Action: actionResync, Keeps: true}, Closed{Incident: "a-1"})
			l.now = l.now.Add(48 * time.Hour)
		}},
		{name: "what another node's change made of a file that is to be put back", tell: func(l *ledger) {
			l.write(opened("a-1", "node-1"), Intent{ID: "a-1.1", Incident: "a-1", Node: "node-1", Action: actionFailover, Change: change("node-1")}, Outcome{Intent: "a-1.1", Incident: "a-1", Result: resultDone},
				opened("b-2", "node-2"), Intent{ID: "b-2.2", Incident: "b-2", Node: "node-2", Action: actionFailover, Change: change("node-2")}, Outcome{Intent: "b-2.2", Incident: "b-2", Result: resultDone}, Closed{Incident: "b-2"})
			l.now = l.now.Add(48 * time.Hour)
		}, same: func(e *Engine) any { return e.changes() }},
		{name: "an alert that was over before its action had proved itself", tell: func(l *ledger) {
			l.write(opened("a-1", "node-1"), Intent{ID: "a-1.1", Incident: "a-1", Node: "node-1", Action: actionResync, Keeps: true}, Heard{Incident: "a-1", Over: closedResolved},
				Outcome{Intent: "a-1.1", Incident: "a-1", Result: resultFailed, Half: true})
			l.now = l.now.Add(48 * time.Hour)
		}, same: func(e *Engine) any {
			i := e.state.byID["a-1"]
			return []any{i.Over, i.OverAt.UTC(), i.Half, len(i.Done)}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLedger(t)
			tc.tell(l)
			same := func() any {
				if tc.same == nil {
					return nil
				}
				return tc.same(l.engine)
			}
			// What is no longer asked after may be forgotten.
			summary := func() map[string]any {
				m := l.engine.summary()
				for k := range m {
					if strings.HasPrefix(k, "closed ") || strings.HasPrefix(k, "attempt ") {
						delete(m, k)
					}
				}
				return m
			}
			last := func() time.Time { _, _, at := l.engine.state.since("node-1", l.now); return at.UTC() }
			before, also, cooling := summary(), same(), last()
			for range 2 {
				l.engine.rotateAt = 0
				if err := l.engine.rotate(l.cfg); err != nil {
					t.Fatal(err)
				}
				if err := l.journal.Close(); err != nil {
					t.Fatal(err)
				}
				l.open()
				if diff := cmp.Diff(before, summary()); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(also, same()); diff != "" {
					t.Error(diff)
				}
				if got := last(); got.After(cooling) {
					t.Errorf("the last attempt was at %v, and is at %v now", cooling, got)
				}
			}
		})
	}
}

// What an incident that failed has left aside is not deleted for a moment in which the node looks well.
func TestOldDatabaseOutlastsAGlimpseOfHealth(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, n := resynced(t)
		n.onStart = func() error { w.database("new"); return nil }
		a := w.fire("node-1", "wrong_network")
		w.pass(5 * time.Minute)
		n.active = actuator.Inactive // by somebody, so that nothing is taken back
		w.pass(30 * time.Minute)
		w.resolve(a)
		if w.incident("node-1").Closed == "" {
			t.Fatal(w.story("node-1"))
		}
		n.active, n.phase = actuator.Active, progress.Syncing
		w.pass(2 * time.Minute)
		n.phase = progress.WrongNetwork
		w.pass(5 * time.Minute)
		if len(w.records(kindSettled)) > 0 {
			t.Fatal("deleted for two minutes of health")
		}
		n.phase = progress.Syncing
		w.pass(30 * time.Minute)
		w.wantFiles("beacon/chain_db/CURRENT=new")
	})
}

// counting counts how often a client's run or log is looked at.
type counting struct {
	*world
	n *int
}

func (c counting) Actuator(r config.Restart) (actuator.Actuator, error) {
	*c.n++
	return c.world.Actuator(r)
}

// In mode observe a hand-over that would be is decided once, and looked into now and then.
func TestObservingWhatIsHopeless(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, append(slices.Clone(resyncable), "mode: act", "mode: observe")...)
		looks := 0
		w.engine.hands = counting{w, &looks}
		n := w.nodes["node-1"]
		n.refused, n.active, n.log = true, actuator.Activating, []string{"ERRO No space left on device (os error 28)"}
		w.fire("node-1", "node_down")
		w.pass(time.Hour)
		if looks > 60 || len(w.engine.View().Exhausted) > 0 || !strings.Contains(w.story("node-1"), "would hand over to people: disk_full") {
			t.Errorf("%d looks in an hour\n%s", looks, w.story("node-1"))
		}
	})
}

// Steps that a node is not configured for do not make its evidence be collected again and again.
func TestObservingCollectsEvidenceOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "mode: act", "mode: observe", "  guards:", `  playbooks: {no_peers: [{failover: best, verify: {source: usable}}, {restart: execution, verify: {peers: 1}}, {observe: [api]}, {restart: consensus, verify: {peers: 1}}]}
  guards:`)
		w.nodes["node-2"].peers = 0
		w.fire("node-2", "no_peers")
		w.pass(time.Hour)
		if n := len(w.records(kindObserved)); n != 1 || !strings.Contains(w.story("node-2"), "would restart the consensus client of node-2") {
			t.Errorf("collected %d times\n%s", n, w.story("node-2"))
		}
	})
}

// saying is a world with a source that says something.
type saying struct {
	*world
	text string
}

func (s saying) Source(config.Node) (source.Source, error) { return said{text: s.text}, nil }

type said struct {
	source.Source
	text string
}

func (s said) Read(context.Context) (string, error) { return s.text, nil }

// A unit file can hold any byte, escaped. No scrape dies of one.
func TestSourceThatIsNoText(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.pass(time.Second)
		w.engine.hands = saying{w, "http://alpha.test/?\xff#\xfe"}
		w.engine.readSources(t.Context())
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(w.engine)
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
	})
}

// The API lists the same things in the same order each time.
func TestViewIsInOrder(t *testing.T) {
	w := newLedger(t)
	for k := range 20 {
		id := fmt.Sprintf("a-%d", 20-k)
		w.write(Opened{Incident: id, Fingerprint: id, Node: "node-1", Playbook: id}, Exhausted{Incident: id, Node: "node-1", Playbook: id})
	}
	is := func(a, b Exhausted) int { return strings.Compare(a.Node+a.Playbook, b.Node+b.Playbook) }
	if got := w.engine.View().Exhausted; !slices.IsSortedFunc(got, is) {
		t.Errorf("%v", got)
	}
}

// The second half of a step is no action any more once the mode is observe: the incident ends like any other.
func TestRestartDueInModeObserve(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.refused, n.active = true, actuator.Failed
		n.onState = func() { w.file("pause", "") }
		w.down("alpha")
		a := w.fire("node-1", "source_unusable")
		w.pass(3 * time.Minute)
		n.onState = nil
		w.resolve(a)
		w.mode(config.Observe)
		if err := os.Remove(filepath.Join(w.dir, "pause")); err != nil {
			t.Fatal(err)
		}
		w.pass(4 * time.Hour)
		if got := w.incident("node-1"); got.Closed == "" || n.restarts != 0 {
			t.Errorf("stage %s, %d restarts\n%s", got.Stage, n.restarts, w.story("node-1"))
		}
	})
}

// The alert of a source ends as soon as the source is changed, which may be before that is written down.
func TestAlertThatResolvesDuringTheFailover(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.refused, n.active, n.cure = true, actuator.Failed, true
		w.down("alpha")
		a := w.alert("node-1", "source_unusable")
		n.onState = func() { n.onState = nil; w.over(a) } // as the need for a restart is looked into
		w.keep(a)
		w.pass(10 * time.Minute)
		if got := w.incident("node-1"); n.restarts != 1 || got.Closed != closedResolved {
			t.Errorf("%d restarts, closed %q\n%s", n.restarts, got.Closed, w.story("node-1"))
		}
	})
}

// container is a source that is part of how the client runs.
type container struct {
	source.Source
	n       *fakeNode
	settled *int
}

func (c container) Apply(ctx context.Context, change source.Change) error {
	c.n.did, c.n.active = append(c.n.did, "create"), actuator.Active
	c.n.invocation++
	return c.Source.Apply(ctx, change)
}

func (c container) Restore(ctx context.Context, change source.Change) error {
	c.n.did, c.n.active = append(c.n.did, "put back"), actuator.Active
	return c.Source.Restore(ctx, change)
}

func (c container) Settle(context.Context, source.Change) error { *c.settled++; return nil }

// boxed is a world whose sources are containers.
type boxed struct {
	*world
	settled *int
}

func (b boxed) Source(n config.Node) (source.Source, error) {
	s, err := b.world.Source(n)
	return container{s, b.nodes[n.Name], b.settled}, err
}

func TestContainerAsSource(t *testing.T) {
	for _, tc := range []struct {
		name    string
		then    func(w *world, n *fakeNode) // after it was created anew
		did     []string
		settled int
		want    string
	}{
		{"it helps", func(_ *world, n *fakeNode) { n.refused = false }, []string{"create"}, 1, "it helped"},
		{"it does not", func(*world, *fakeNode) {}, []string{"create", "put back"}, 0, "people are needed"},
		{"somebody stops it", func(_ *world, n *fakeNode) { n.active = actuator.Inactive }, []string{"create"}, 0, "could not be put back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t, "  guards:", "  playbooks: {node_down: [{failover: best, verify: {phase: [syncing], within: 20m, hold: 1m}}]}\n  guards:")
				settled := 0
				w.engine.hands = boxed{w, &settled}
				n := w.nodes["node-1"]
				n.refused, n.active = true, actuator.Failed
				w.fire("node-1", "node_down")
				for len(n.did) == 0 {
					w.pass(time.Second)
				}
				w.pass(time.Minute)
				tc.then(w, n)
				w.pass(time.Hour)
				if !slices.Equal(n.did, tc.did) || settled != tc.settled || !strings.Contains(w.story("node-1"), tc.want) {
					t.Errorf("did %q, settled %d times\n%s", n.did, settled, w.story("node-1"))
				}
			})
		})
	}
}
