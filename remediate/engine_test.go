package remediate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

func TestRestartCuresStall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		w.pass(40 * time.Second)
		if n.restarts != 1 {
			t.Fatalf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
		if !w.silenced["node-1"] || len(w.silenced) != 1 {
			t.Errorf("silenced while it is verified: %v", w.silenced)
		}
		w.pass(6 * time.Minute)
		if len(w.silenced) > 0 {
			t.Errorf("silenced when it is over: %v", w.silenced)
		}
		if got := w.incident("node-1"); got.Stage != "settled" || !strings.Contains(w.story("node-1"), "it helped: its head") {
			t.Errorf("stage %s\n%s", got.Stage, w.story("node-1"))
		}
		// Alertmanager repeats itself, from several peers, in any order.
		w.keep(a, a)
		w.pass(time.Hour)
		if n.restarts != 1 {
			t.Errorf("a repetition made it %d restarts", n.restarts)
		}
		w.resolve(a)
		w.resolve(a)
		w.keep(a) // late duplicate
		if got := w.incident("node-1"); got.Closed != closedResolved || n.restarts != 1 {
			t.Errorf("closed %q\n%s", got.Closed, w.story("node-1"))
		}
	})
}

func TestFailoverWithoutRestartWhenDatabaseExists(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.down("alpha")
		w.fire("node-1", "source_unusable")
		w.pass(2 * time.Minute)
		if got := w.inventory(); got != strings.Replace(inventory, "alpha", "beta", 1) {
			t.Errorf("inventory:\n%s\n%s", got, w.story("node-1"))
		}
		if w.nodes["node-1"].restarts != 0 {
			t.Error("a node with a database was restarted for its provider")
		}
		if !strings.Contains(w.story("node-1"), "the node answers, so it has a database") {
			t.Error(w.story("node-1"))
		}
		backups, err := filepath.Glob(filepath.Join(w.dir, "backups", "*", "*"))
		if err != nil || len(backups) != 1 {
			t.Error("backups:", backups, err)
		}
	})
}

func TestFailoverRestartsNodeWithoutDatabase(t *testing.T) {
	for _, tc := range []struct {
		name   string
		active actuator.Activity
		db     int64 // bytes; 0 for no directory
		want   int
	}{
		{"crash loop", actuator.Activating, 0, 1},
		{"failed", actuator.Failed, smallDatabase, 1},
		{"runs, no database", "active", 0, 1},
		{"runs, with a database", "active", smallDatabase, 0},
		{"stopped by someone", actuator.Inactive, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t)
				n := w.nodes["node-1"]
				n.refused, n.active = true, tc.active
				if tc.db > 0 {
					db := filepath.Join(w.dir, "data", "beacon", "chain_db")
					if err := os.MkdirAll(db, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(db, "data"), nil, 0o644); err != nil {
						t.Fatal(err)
					}
					if err := os.Truncate(filepath.Join(db, "data"), tc.db); err != nil {
						t.Fatal(err)
					}
				}
				w.down("alpha")
				w.fire("node-1", "source_unusable")
				w.pass(3 * time.Minute)
				if !strings.Contains(w.inventory(), "beta") || n.restarts != tc.want {
					t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
				}
			})
		})
	}
}

func TestNothingActs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edits []string
		make  func(*world)
		alert string // playbook; node_stalled unless set
		guard string // that must be named
	}{
		{name: "mode observe", edits: []string{"mode: act", "mode: observe"}, guard: "mode: the mode is observe: would restart the consensus client of node-1"},
		{name: "mode observe, failover", edits: []string{"mode: act", "mode: observe"}, make: func(w *world) { w.down("alpha") }, alert: "source_unusable",
			guard: "would change the checkpoint source of node-1"},
		{name: "pause file", make: func(w *world) {
			if err := os.WriteFile(filepath.Join(w.dir, "pause"), []byte("maintenance by ada"), 0o644); err != nil {
				w.Fatal(err)
			}
		}, guard: "pause: paused by"},
		{name: "all providers down is our own network", make: func(w *world) { w.down("alpha", "beta", "gamma") }, guard: "own_network"},
		{name: "all providers down, failover", make: func(w *world) { w.down("alpha", "beta", "gamma") }, alert: "source_unusable", guard: "own_network"},
		{name: "network does not finalize", make: func(w *world) { w.lag = 20 }, guard: "finality"},
		{name: "no quorum for a failover", make: func(w *world) {
			w.down("alpha")
			w.bad["beta"] = []provider.Finding{{Reason: provider.Stale, Text: "stale"}}
		}, alert: "source_unusable", guard: "quorum"},
		{name: "the node is well", make: func(w *world) { w.nodes["node-1"].stuck = nil }, guard: "nothing to do; symptom: its head"},
		{name: "the node does not answer", make: func(w *world) { w.nodes["node-1"].refused = true }, guard: "symptom: the node does not answer"},
		{name: "the unit was stopped by someone", make: func(w *world) { w.nodes["node-1"].active = actuator.Inactive }, guard: "stopped"},
		{name: "reset window", edits: []string{"deposit_chain_id: 1337}", "deposit_chain_id: 1337, iterations: {anchor: 1, anchor_genesis_time: 946684800, interval: 100m, base_chain_id: 5}}"}, guard: "quiet"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t, tc.edits...)
				w.stall("node-1")
				if tc.make != nil {
					tc.make(w)
				}
				playbook := tc.alert
				if playbook == "" {
					playbook = "node_stalled"
				}
				w.fire("node-1", playbook)
				w.pass(30 * time.Minute)
				if w.nodes["node-1"].restarts != 0 || w.inventory() != inventory || len(w.records(kindIntent)) != 0 {
					t.Errorf("it acted:\n%s", w.story("node-1"))
				}
				if !strings.Contains(w.story("node-1"), tc.guard) {
					t.Errorf("the story does not name %q:\n%s", tc.guard, w.story("node-1"))
				}
				if n := len(w.records(kindDecision)); n > 3 {
					t.Errorf("%d decisions journalled for one state of affairs", n)
				}
			})
		})
	}
}

func TestUnknownNodeOrPlaybookOpensNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.fire("../../etc/passwd", "node_stalled")
		w.fire("node-1", "rm -rf /")
		w.fire("node-1", "")
		if n := len(w.engine.View().Incidents); n != 0 {
			t.Errorf("%d incidents", n)
		}
	})
}

func TestIntentIsOnDiskBeforeEffect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		n.onRestart = func() error {
			if len(w.records(kindIntent)) != 1 || len(w.records(kindOutcome)) != 0 {
				t.Error("the effect began without its intent on the disk")
			}
			return nil
		}
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(2 * time.Minute)
		if n.restarts != 1 || len(w.records(kindOutcome)) != 1 {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
	})
}

func TestNoJournalNoAction(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		w.step = func(string) error { return errDisk }
		w.pass(5 * time.Minute)
		if n.restarts != 0 {
			t.Error("it acted without a journal")
		}
		b := a
		b.Fingerprint = "another-fingerprint"
		if err := w.engine.Keep(t.Context(), append(w.batch(a), b)); err == nil {
			t.Error("an alert was taken that could not be kept")
		}
		w.step = nil
		w.pass(2 * time.Minute)
		if n.restarts != 1 {
			t.Errorf("space came back, and it was restarted %d times", n.restarts)
		}
	})
}

func TestGuardsAreReadAgainBeforeEffect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		pause := filepath.Join(w.dir, "pause")
		// The pause comes while the step is being made ready: after the first reading of the guards.
		n.onState = func() {
			if err := os.WriteFile(pause, nil, 0o644); err != nil {
				t.Error(err)
			}
		}
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(5 * time.Minute)
		if n.restarts != 0 || fmt.Sprint(w.outcomes()) != "[refused]" {
			t.Fatalf("%d restarts, outcomes %v", n.restarts, w.outcomes())
		}
		n.onState = nil
		if err := os.Remove(pause); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Minute)
		if n.restarts != 1 {
			t.Errorf("after the pause: %d restarts; a refused intent is no attempt\n%s", n.restarts, w.story("node-1"))
		}
	})
}

func TestFailureBeforeEffectIsTriedOnceMore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		calls := 0
		n.onRestart = func() error { calls++; return &actuator.Error{BeforeEffect: true, Err: errDisk} }
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(90 * time.Minute)
		if calls != 2 {
			t.Errorf("tried %d times\n%s", calls, w.story("node-1"))
		}
	})
}

func TestFailureDuringEffectIsNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		calls := 0
		n.onRestart = func() error { calls++; return &actuator.Error{Err: errDisk} }
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(90 * time.Minute)
		if calls != 1 || !strings.Contains(w.inventory(), "alpha") {
			t.Errorf("tried %d times\n%s", calls, w.story("node-1"))
		}
	})
}

// After the last rung what was changed is put back, people are called, and nothing more is done until the alert is over.
func TestExhausted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		for range 12 {
			w.pass(10 * time.Minute)
			w.keep(a)
		}
		story := w.story("node-1")
		for _, want := range []string{"restart the consensus client", "it did not help", "change the checkpoint source", "put back the checkpoint source", "people are needed"} {
			if !strings.Contains(story, want) {
				t.Errorf("no %q in\n%s", want, story)
			}
		}
		if n.restarts != 1 || w.inventory() != inventory || len(w.engine.View().Exhausted) != 1 {
			t.Errorf("%d restarts, exhausted %v, inventory\n%s", n.restarts, w.engine.View().Exhausted, w.inventory())
		}
		w.restart()
		w.keep(a)
		w.pass(8 * time.Hour) // time does not reset it
		if n.restarts != 1 || len(w.engine.View().Exhausted) != 1 {
			t.Error("time or a restart of the program reset it")
		}
		w.resolve(a)
		w.pass(time.Minute)
		if len(w.engine.View().Exhausted) != 0 {
			t.Error("recovery did not clear it")
		}
	})
}

func TestUndoLeavesWhatOthersEdited(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		edited := ""
		for range 12 {
			w.pass(10 * time.Minute)
			w.keep(a)
			if now := w.inventory(); edited == "" && now != inventory {
				edited = now + "# edited by hand\n"
				if err := os.WriteFile(filepath.Join(w.dir, "inventory.yaml"), []byte(edited), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if edited == "" || w.inventory() != edited || !strings.Contains(w.story("node-1"), "edited by someone else") {
			t.Errorf("inventory\n%s\n%s", w.inventory(), w.story("node-1"))
		}
	})
}

func TestCooldownAndBudgetSurviveRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, `{pause_file: "DIR/pause"}`, `{pause_file: "DIR/pause", cooldown: 15m, budget: {actions: 2, per: 6h}}`)
		n := w.nodes["node-2"] // no source, so its only rung is the restart
		for round := range 4 {
			w.stall("node-2")
			before := n.restarts
			n.cure = true
			a := w.fire("node-2", "node_stalled")
			w.restart()
			w.pass(3 * time.Minute)
			if round == 0 && n.restarts != 1 {
				t.Fatalf("round 0: %d restarts\n%s", n.restarts, w.story("node-2"))
			}
			if round > 0 && round < 2 && n.restarts != before && w.cooling("node-2") {
				t.Error("acted inside the cooldown")
			}
			w.pass(15 * time.Minute)
			n.stuck = nil
			w.resolve(a)
			w.restart()
		}
		if n.restarts != 2 {
			t.Errorf("%d restarts on a budget of 2", n.restarts)
		}
	})
}

func TestConcurrentNodes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		for _, n := range []string{"node-2", "node-3", "node-4"} {
			w.stall(n)
		}
		for _, n := range []string{"node-2", "node-3", "node-4"} {
			w.fire(n, "node_stalled")
		}
		most := 0
		for range 20 {
			w.pass(time.Minute)
			busy := 0
			for _, i := range w.engine.View().Incidents {
				if i.Stage == "verifying" || i.Stage == "acting" {
					busy++
				}
			}
			most = max(most, busy)
		}
		if most != 1 {
			t.Errorf("%d nodes under remediation at once", most)
		}
	})
}

// A process that ends between intent and outcome finds out what happened and does not do it again.
func TestCrashBetweenIntentAndOutcome(t *testing.T) {
	for _, tc := range []struct {
		name     string
		happened bool
		calls    int
		want     string
	}{
		{"the restart took place", true, 1, "[done]"},
		{"the restart did not begin", false, 2, "[failed_before_effect done]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t)
				n := w.nodes["node-1"]
				calls := 0
				n.onRestart = func() error {
					calls++
					if calls > 1 {
						n.stuck = nil
						return nil
					}
					if tc.happened {
						n.invocation++
						n.stuck = nil
					}
					// From here on nothing reaches the disk: the process is gone as far as the journal can tell.
					w.step = func(string) error { return errDisk }
					return nil
				}
				invocation := n.invocation
				w.stall("node-1")
				w.fire("node-1", "node_stalled")
				w.pass(40 * time.Second)
				w.step = func(string) error { return errDisk }
				if calls != 1 {
					t.Fatalf("%d calls", calls)
				}
				if !tc.happened {
					n.invocation = invocation
				}
				w.stop()
				w.step = nil
				w.start()
				w.pass(40 * time.Minute)
				if got := fmt.Sprint(w.outcomes()); calls != tc.calls || got != tc.want {
					t.Errorf("%d calls, outcomes %s\n%s", calls, got, w.story("node-1"))
				}
			})
		})
	}
}

func TestAlertThatIsNeverHeardOfAgainExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.fire("node-1", "node_stalled") // the node is well
		w.pass(3 * time.Hour)
		if got := w.incident("node-1").Closed; got != closedExpired {
			t.Errorf("closed %q", got)
		}
	})
}

func TestIntentThatCannotBeWrittenHasNoEffect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		writes := 0
		w.step = func(s string) error {
			if s == journal.StepWrite {
				writes++
			}
			if writes > 1 { // the decision is written, the intent is not
				return errDisk
			}
			return nil
		}
		w.pass(5 * time.Minute)
		if n.restarts != 0 || writes < 2 {
			t.Errorf("%d restarts after %d writes", n.restarts, writes)
		}
	})
}

func TestCooldownBetweenTwoPlaybooks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-2"]
		n.cure = true
		w.stall("node-2")
		w.fire("node-2", "node_stalled")
		w.pass(5 * time.Minute)
		n.peers, n.cure = 0, false
		w.fire("node-2", "no_peers")
		w.pass(5 * time.Minute)
		if n.restarts != 1 || !strings.Contains(w.story("node-2"), "cooldown until") {
			t.Errorf("%d restarts inside the cooldown\n%s", n.restarts, w.story("node-2"))
		}
		n.cure = true
		w.pass(10 * time.Minute)
		if n.restarts != 2 {
			t.Errorf("%d restarts after the cooldown\n%s", n.restarts, w.story("node-2"))
		}
	})
}

// Neither a glimpse of health nor the alert's own end is success: the check must hold for its time.
func TestSuccessIsACheckThatHolds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-2"]
		w.stall("node-2")
		old := *n.stuck
		n.cure = true
		w.fire("node-2", "node_stalled")
		for n.restarts == 0 {
			w.pass(time.Second)
		}
		w.pass(10 * time.Second)
		n.stuck = &old
		w.pass(5 * time.Minute)
		if got := w.incident("node-2").Stage; got != "verifying" {
			t.Errorf("stage %s\n%s", got, w.story("node-2"))
		}
		w.pass(10 * time.Minute)
		if !strings.Contains(w.story("node-2"), "it did not help") {
			t.Error(w.story("node-2"))
		}
	})
}

// Waiting costs neither the journal nor the providers more the longer it lasts.
func TestWaitingIsCheap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		pause := filepath.Join(w.dir, "pause")
		for w.inventory() == inventory {
			w.pass(time.Minute)
			w.keep(a)
		}
		// The failover does not help either, so it is to be taken back, while paused.
		if err := os.WriteFile(pause, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		w.pass(15 * time.Minute)
		size, forced := w.journal.Size(), w.forced
		for range 6 {
			w.pass(10 * time.Minute)
			w.keep(a)
		}
		if grown := w.journal.Size() - size; grown > 2000 || w.forced > forced {
			t.Errorf("an hour of pause: the journal grew by %d bytes, %d states were read\n%s", grown, w.forced-forced, w.story("node-1"))
		}
		if err := os.Remove(pause); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Minute)
		if w.inventory() != inventory {
			t.Errorf("not taken back\n%s", w.story("node-1"))
		}
	})
}

func TestObservingIsPolite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "mode: act", "mode: observe")
		w.down("alpha")
		a := w.fire("node-1", "source_unusable")
		for range 12 {
			w.pass(10 * time.Minute)
			w.keep(a)
		}
		if w.forced != 0 {
			t.Errorf("%d states were read without any intention to act", w.forced)
		}
	})
}

// Between a failover and its restart much may happen: a guard may hold the restart up until it is not needed any more.
func TestRestartAfterFailoverIsExaminedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.refused, n.active = true, actuator.Failed
		pause := filepath.Join(w.dir, "pause")
		n.onState = func() { // as soon as the need for a restart is looked into, that is right after the failover
			if err := os.WriteFile(pause, nil, 0o644); err != nil {
				t.Error(err)
			}
		}
		w.down("alpha")
		a := w.fire("node-1", "source_unusable")
		w.pass(3 * time.Minute)
		if w.inventory() == inventory || n.restarts != 0 {
			t.Fatalf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
		w.resolve(a) // the source is usable again, so its alert ends
		n.onState, n.refused, n.active = nil, false, actuator.Active
		w.restart()
		if err := os.Remove(pause); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Minute)
		if n.restarts != 0 {
			t.Errorf("a node that was started meanwhile was restarted\n%s", w.story("node-1"))
		}
		if got := w.incident("node-1").Stage; got != "settled" {
			t.Errorf("stage %s\n%s", got, w.story("node-1"))
		}
	})
}

func TestRestartConfigurationTakenAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.refused, n.active = true, actuator.Failed
		n.onState = func() { w.lag = 50 } // holds the restart up after the failover
		w.down("alpha")
		w.fire("node-1", "source_unusable")
		w.pass(3 * time.Minute)
		w.stop()
		without := *w.cfg
		without.Nodes = append(without.Nodes[:0:0], without.Nodes...)
		without.Nodes[0].Restart = nil
		w.cfg, w.lag = &without, 0
		w.start()
		w.pass(10 * time.Minute)
		if n.restarts != 0 || !strings.Contains(w.story("node-1"), "no restart: is configured") {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
	})
}

func TestSourceEditedByHandIsLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		mine := strings.Replace(inventory, "http://alpha.test", "http://my-own.test", 1)
		if err := os.WriteFile(filepath.Join(w.dir, "inventory.yaml"), []byte(mine), 0o644); err != nil {
			t.Fatal(err)
		}
		w.down("alpha")
		w.fire("node-1", "source_unusable")
		w.pass(time.Hour)
		if w.inventory() != mine || !strings.Contains(w.story("node-1"), "none of the configured providers") {
			t.Errorf("%s\n%s", w.inventory(), w.story("node-1"))
		}
	})
}

// Alertmanager takes an alert for resolved when Prometheus is silent for long, and then meets it again with the same beginning.
func TestSameAlertAfterMistakenEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		w.stall("node-1")
		a := w.fire("node-1", "node_stalled")
		w.resolve(a)
		w.keep(a)
		w.pass(9 * time.Minute)
		if n.restarts != 0 {
			t.Fatal("a late duplicate was acted upon")
		}
		w.pass(2 * time.Minute)
		w.keep(a)
		w.pass(3 * time.Minute)
		if n.restarts != 1 {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
	})
}

func TestReloadToObserveStopsWhatIsBeingPrepared(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.onState = func() {
			observe := *w.cfg
			observe.Remediation.Mode = config.Observe
			w.engine.Reload(&observe, w)
		}
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(5 * time.Minute)
		if n.restarts != 0 || fmt.Sprint(w.outcomes()) != "[refused]" {
			t.Errorf("%d restarts, outcomes %v", n.restarts, w.outcomes())
		}
	})
}

// A machine that was off while a check was under way gives the node its time after the start.
func TestDownTimeIsNotVerificationTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		for n.restarts == 0 {
			w.pass(time.Second)
		}
		w.stop()
		w.pass(20 * time.Minute)
		n.refused = true
		w.start()
		w.pass(5 * time.Minute)
		if got := w.incident("node-1").Stage; got != "verifying" {
			t.Errorf("stage %s\n%s", got, w.story("node-1"))
		}
	})
}
