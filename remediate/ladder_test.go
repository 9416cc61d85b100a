package remediate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// resyncable gives node-1 what a resync needs.
var resyncable = []string{
	`consensus: {url: "http://node-1.test"}`, `consensus: {url: "http://node-1.test", client: lighthouse}`,
}

// database makes a data directory of Lighthouse's in which the database holds one file of a text.
func (w *world) database(text string) {
	w.Helper()
	for name, text := range map[string]string{"beacon/chain_db/CURRENT": text, "beacon/network/key": "the node's key", "validators/slashing_protection.sqlite": "never lose this"} {
		path := filepath.Join(w.dir, "data", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
	}
}

// files are all below the data directory, as path=text.
func (w *world) files() (all []string) {
	w.Helper()
	root := filepath.Join(w.dir, "data")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, strings.TrimPrefix(path, root+"/")+"="+string(text))
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) wantFiles(want ...string) {
	w.Helper()
	want = append(want, "beacon/network/key=the node's key", "validators/slashing_protection.sqlite=never lose this")
	slices.Sort(want)
	got := w.files()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.Errorf("files %q\nwant  %q\n%s", got, want, w.story("node-1"))
	}
}

func TestResyncOfNodeOnWrongNetwork(t *testing.T) {
	for _, tc := range []struct {
		name  string
		cured bool
	}{{"it helps, and the old database is deleted", true}, {"it does not, and the old database comes back", false}} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t, resyncable...)
				w.database("old")
				n := w.nodes["node-1"]
				n.phase = progress.WrongNetwork
				n.onStart = func() error {
					if _, err := os.Stat(filepath.Join(w.dir, "data", "beacon", "chain_db")); err == nil {
						return nil
					}
					w.database("new")
					if tc.cured {
						n.phase = progress.Syncing
					}
					return nil
				}
				a := w.fire("node-1", "wrong_network")
				w.pass(time.Minute)
				if !slices.Equal(n.runs.did, []string{"stop", "start"}) {
					t.Fatalf("did %q\n%s", n.runs.did, w.story("node-1"))
				}
				if !strings.Contains(w.story("node-1"), "step 1, failover, is passed over: its source is alpha, which is usable") {
					t.Error(w.story("node-1"))
				}
				if tc.cured {
					w.pass(time.Hour)
					w.wantFiles("beacon/chain_db/CURRENT=new")
					w.resolve(a)
					w.pass(time.Minute)
					if got := w.incident("node-1"); got.Closed != closedResolved || len(n.runs.did) != 2 {
						t.Errorf("closed %q, did %q\n%s", got.Closed, n.runs.did, w.story("node-1"))
					}
					return
				}
				w.pass(time.Hour)
				w.wantFiles("beacon/chain_db/CURRENT=old")
				if !slices.Equal(n.runs.did, []string{"stop", "start", "stop", "start"}) || w.incident("node-1").Stage != "exhausted" {
					t.Errorf("did %q\n%s", n.runs.did, w.story("node-1"))
				}
			})
		})
	}
}

func TestNoResyncWhen(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edits []string
		set   func(w *world, n *fakeNode)
		want  string
	}{
		{"the API is unreachable", nil, func(_ *world, n *fakeNode) { n.refused = true }, "symptom: the node does not answer"},
		{"its source is not usable, and no other is", nil, func(w *world, _ *fakeNode) { w.down("alpha", "beta") }, "quorum: 1 usable providers"},
		{"the source is none of ours", nil, func(w *world, _ *fakeNode) { w.edit("alpha.test", "stranger.test") }, "its source http://stranger.test is none of the configured providers"},
		{"the unit was stopped by someone", nil, func(_ *world, n *fakeNode) { n.active = "inactive" }, "was stopped by someone"},
		{"the data directory is something else", nil, func(w *world, _ *fakeNode) {
			if err := os.RemoveAll(filepath.Join(w.dir, "data", "beacon")); err != nil {
				w.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(w.dir, "data", "validators")); err != nil {
				w.Fatal(err)
			}
		}, "data_dir: "},
		{"the client is not known", []string{}, nil, "no data_dir: and consensus.client: are configured"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				if tc.edits == nil {
					tc.edits = resyncable
				}
				w := running(t, tc.edits...)
				w.database("old")
				n := w.nodes["node-1"]
				n.phase = progress.WrongNetwork
				if tc.set != nil {
					tc.set(w, n)
				}
				w.fire("node-1", "wrong_network")
				w.pass(time.Hour)
				if len(n.runs.did) > 0 || !strings.Contains(w.story("node-1"), tc.want) {
					t.Errorf("did %q, want %q in\n%s", n.runs.did, tc.want, w.story("node-1"))
				}
			})
		})
	}
}

// A second resync within the period is one too many, and the node goes to people.
func TestResyncBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, resyncable...)
		w.database("old")
		n := w.nodes["node-1"]
		n.phase = progress.WrongNetwork
		n.onStart = func() error { n.phase = progress.Syncing; w.database("new"); return nil }
		a := w.fire("node-1", "wrong_network")
		w.pass(30 * time.Minute)
		w.resolve(a)
		n.phase = progress.WrongNetwork
		w.pass(time.Minute)
		w.fire("node-1", "wrong_network")
		w.pass(time.Hour)
		if got := w.incident("node-1"); got.Stage != "exhausted" || !strings.Contains(w.story("node-1"), "resyncs: 1 of 1 resyncs in 6h0m0s are used") || len(n.runs.did) != 2 {
			t.Errorf("did %q\n%s", n.runs.did, w.story("node-1"))
		}
	})
}

func TestNodeDown(t *testing.T) {
	for _, tc := range []struct {
		name string
		log  []string
		did  []string
		want string
	}{
		{"says nothing", []string{"INFO Starting"}, nil, "people are needed: every step"},
		{"cannot read the fork's state", []string{"CRIT Failed to start beacon node reason: Error loading checkpoint state: InvalidSsz(OffsetSkipsVariableBytes(2737225))"},
			nil, "people are needed: client_too_old: CRIT Failed"},
		{"disk full beside a corrupt database", []string{"ERRO Database corruption: checksum mismatch", "ERRO No space left on device (os error 28)"}, nil, "people are needed: disk_full"},
		{"outside weak subjectivity", []string{"FATAL - Cannot sync outside of weak subjectivity period. Consider re-syncing your node using --checkpoint-sync-url"},
			[]string{"stop", "start"}, "the client's log tells outside_weak_subjectivity"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t, resyncable...)
				w.database("old")
				n := w.nodes["node-1"]
				n.refused, n.active, n.log = true, "activating", tc.log
				n.onStart = func() error { n.refused = false; w.database("new"); return nil }
				w.fire("node-1", "node_down")
				w.pass(30 * time.Minute)
				if !slices.Equal(n.runs.did, tc.did) || !strings.Contains(w.story("node-1"), tc.want) {
					t.Errorf("did %q, want %q in\n%s", n.runs.did, tc.want, w.story("node-1"))
				}
				if len(w.records(kindObserved)) != 1 {
					t.Error("the evidence was not kept")
				}
			})
		})
	}
}

func TestRestartOfBothBeginsWithExecution(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "  guards:", "  playbooks: {node_stalled: [{restart: both, verify: {progress: 64}}]}\n  guards:")
		n := w.nodes["node-1"]
		n.cure = true
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(2 * time.Minute)
		if want := []string{"restart execution", "restart"}; !slices.Equal(n.runs.did, want) {
			t.Errorf("did %q\n%s", n.runs.did, w.story("node-1"))
		}
	})
}

func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "  guards:", "  playbooks: {node_stalled: [{stop: consensus}, {restart: consensus, verify: {progress: 64}}]}\n  guards:")
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(time.Hour)
		n := w.nodes["node-1"]
		if !slices.Equal(n.runs.did, []string{"stop"}) || !strings.Contains(w.story("node-1"), "was stopped by someone") {
			t.Errorf("did %q\n%s", n.runs.did, w.story("node-1"))
		}
	})
}

func TestFlapping(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "budget:", "budgeted:", `guards: {pause_file: "DIR/pause"}`, `guards: {pause_file: "DIR/pause", budget: {actions: 100, per: 24h}}`)
		n := w.nodes["node-1"]
		n.cure = true
		for range 5 {
			w.stall("node-1")
			a := w.fire("node-1", "node_stalled")
			w.pass(30 * time.Minute)
			w.resolve(a)
			w.pass(30 * time.Minute)
		}
		if n.restarts != 3 || !strings.Contains(w.story("node-1"), "flapping: it recovered from this 3 times in 24h0m0s, and 3 are allowed") {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
		n.stuck = nil
		w.pass(24 * time.Hour)
		w.stall("node-1")
		w.fire("node-1", "node_stalled")
		w.pass(30 * time.Minute)
		if n.restarts != 4 {
			t.Errorf("%d restarts a day later\n%s", n.restarts, w.story("node-1"))
		}
	})
}

func TestCalendar(t *testing.T) {
	// The bubble begins on a Saturday at midnight UTC.
	for name, tc := range map[string]struct {
		guard string
		after time.Duration // from then until it acts
	}{
		"muted until six":           {`mute_time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}]}]`, 6 * time.Hour},
		"active from Monday":        {`active_time_intervals: [{weekdays: ["monday:friday"]}]`, 48 * time.Hour},
		"active from four, in Rome": {`active_time_intervals: [{times: [{start_time: "04:00", end_time: "24:00"}], location: Europe/Rome}]`, 3 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := running(t, `guards: {pause_file: "DIR/pause"}`, `guards: {pause_file: "DIR/pause", `+tc.guard+`}`)
				n := w.nodes["node-1"]
				n.cure = true
				w.stall("node-1")
				a := w.fire("node-1", "node_stalled")
				for w.elapsed() < tc.after-time.Minute {
					w.pass(time.Minute)
					w.keep(a)
				}
				if n.restarts != 0 || !strings.Contains(w.story("node-1"), "calendar: it is") {
					t.Errorf("%d restarts before the time\n%s", n.restarts, w.story("node-1"))
				}
				w.pass(5 * time.Minute)
				if n.restarts != 1 {
					t.Errorf("%d restarts after it\n%s", n.restarts, w.story("node-1"))
				}
			})
		})
	}
}

// elapsed is the bubble's age.
func (w *world) elapsed() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

func TestPauseWithAnEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-1"]
		n.cure = true
		w.stall("node-1")
		text := fmt.Sprintf("new disks\nby: anna\nuntil: %s\n", time.Now().Add(time.Hour).Format(time.RFC3339))
		if err := os.WriteFile(w.cfg.Remediation.Guards.PauseFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		w.fire("node-1", "node_stalled")
		w.pass(55 * time.Minute)
		if n.restarts != 0 || !strings.Contains(w.story("node-1"), "pause: paused by "+w.cfg.Remediation.Guards.PauseFile+": new disks\n") {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
		}
		w.pass(10 * time.Minute)
		if n.restarts != 1 {
			t.Errorf("%d restarts after the pause\n%s", n.restarts, w.story("node-1"))
		}
	})
}

// A person's word takes back the call for people, and what was done before no longer counts.
func TestAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t)
		n := w.nodes["node-2"]
		w.stall("node-2")
		a := w.fire("node-2", "node_stalled")
		w.pass(15 * time.Minute)
		w.keep(a)
		if len(w.engine.View().Exhausted) != 1 || n.restarts != 1 {
			t.Fatalf("%d restarts\n%s", n.restarts, w.story("node-2"))
		}
		if err := w.engine.Ack(Acked{Node: "node-9"}); err == nil {
			t.Error("an unknown node was acknowledged")
		}
		if err := w.engine.Ack(Acked{Node: "node-2", By: "anna", Reason: "saw to it"}); err != nil {
			t.Fatal(err)
		}
		if got := w.incident("node-2"); got.Closed != closedAcked || len(w.engine.View().Exhausted) != 0 {
			t.Errorf("closed %q\n%s", got.Closed, w.story("node-2"))
		}
		n.cure = true
		w.keep(a)
		w.pass(2 * time.Minute)
		if n.restarts != 2 {
			t.Errorf("%d restarts\n%s", n.restarts, w.story("node-2"))
		}
		w.restart()
		if len(w.engine.View().Exhausted) != 0 || n.restarts != 2 {
			t.Error("people are still called after a restart")
		}
	})
}

// The wall clock steps, as it does when NTP sets it or a laptop wakes: nothing is done on what was measured before.
func TestClockStep(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": 3 * time.Hour, "back": -3 * time.Hour, "a little": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.start()
				defer func() { w.stop() }()
				n := w.nodes["node-1"]
				w.stall("node-1")
				var off time.Duration
				w.engine.mu.Lock()
				w.engine.clock.wall = func() time.Time { w.fence(); return time.Now().Add(off) }
				w.engine.mu.Unlock()
				w.fire("node-1", "node_stalled")
				w.pass(10 * time.Second) // the first of two looks
				off = step
				w.pass(time.Minute)
				if n.restarts != 0 || !strings.Contains(w.story("node-1"), "clock: the clock stepped by "+step.String()) {
					t.Errorf("%d restarts\n%s", n.restarts, w.story("node-1"))
				}
				w.pass(5 * time.Minute)
				if n.restarts != 1 || len(w.records(kindClock)) != 1 {
					t.Errorf("%d restarts once it is steady\n%s", n.restarts, w.story("node-1"))
				}
			})
		})
	}
}

// edit is somebody's hand in the inventory.
func (w *world) edit(from, to string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "inventory.yaml"), []byte(strings.Replace(w.inventory(), from, to, 1)), 0o644); err != nil {
		w.Fatal(err)
	}
}

// What a rotated journal carries over is all that counts: the state after a replay of the new file is the one of before.
func TestRotation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, resyncable...)
		w.database("old")
		w.nodes["node-1"].onStart = func() error { w.database("new"); return nil }
		w.nodes["node-1"].phase = progress.WrongNetwork
		w.fire("node-1", "wrong_network") // is being verified
		w.nodes["node-3"].cure = true
		w.stall("node-3")
		b := w.fire("node-3", "node_stalled")
		w.pass(10 * time.Minute)
		w.resolve(b) // is over, and counts in budgets
		w.stall("node-2")
		w.fire("node-2", "node_stalled")
		w.pass(15 * time.Minute) // calls people
		before := w.engine.summary()

		w.stop()
		w.start()
		if diff := cmp.Diff(before, w.engine.summary()); diff != "" {
			t.Fatal(diff)
		}
		w.stop()
		w.start()
		w.engine.mu.Lock()
		w.engine.rotateAt = 0
		w.engine.mu.Unlock()
		w.pass(10 * time.Second)
		if files, err := journal.Files(w.cfg.Remediation.Journal); err != nil || len(files) != 2 {
			t.Fatalf("%d files: %v", len(files), err)
		}
		if diff := cmp.Diff(before, w.engine.summary()); diff != "" {
			t.Error("rotation changed the living state:", diff)
		}
		w.restart()
		if diff := cmp.Diff(before, w.engine.summary()); diff != "" {
			t.Error("a replay of the new file differs:", diff)
		}
	})
}

// summary is all of the state that decides anything.
func (e *Engine) summary() map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := map[string]any{"opened": e.state.opened, "intents": e.state.intents}
	for f, i := range e.state.open {
		m["open "+f] = fmt.Sprint(i.Incident, i.Stage, i.Step, i.Retries, i.RestartDue, i.Since.UTC(), len(i.Done), len(i.Story))
	}
	for node, all := range e.state.attempts {
		for _, a := range all {
			m["attempt "+node+a.intent] = a.action + a.at.UTC().String()
		}
	}
	for k, x := range e.state.exhausted {
		m["exhausted "+k.node+k.playbook] = x.Why
	}
	for k, c := range e.state.closed {
		m["closed "+k] = c.Reason + c.At.UTC().String()
	}
	for k := range e.state.kept {
		m["kept "+k] = true
	}
	for k := range e.state.pending {
		m["pending "+k] = true
	}
	for k, c := range e.state.cures {
		m[fmt.Sprint("cure ", k)] = c.node + c.playbook + c.at.UTC().String()
	}
	return m
}

// Two nodes share an inventory. Taking one's change back leaves the other's, which was made later.
func TestUndoAmongOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := running(t, "  guards:", "  playbooks: {no_peers: [{failover: beta, verify: {peers: 1, within: 30m}}]}\n  guards:",
			`- {name: node-3, consensus: {url: "http://node-3.test"}`, `- {name: node-3, source: {yaml: {file: "DIR/inventory.yaml", key: checkpoint_sync_url}}, consensus: {url: "http://node-3.test"}`,
			`{pause_file: "DIR/pause"}`, `{pause_file: "DIR/pause", concurrent_nodes: 4, max_share: 1}`)
		if err := os.WriteFile(filepath.Join(w.dir, "inventory.yaml"), []byte(inventory+"    node-3:\n      checkpoint_sync_url: http://alpha.test\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		w.nodes["node-1"].peers = 0
		w.fire("node-1", "no_peers")
		w.pass(5 * time.Minute)
		w.nodes["node-3"].peers = 0
		w.fire("node-3", "no_peers")
		w.pass(5 * time.Minute)
		if strings.Count(w.inventory(), "beta") != 2 {
			t.Fatalf("inventory:\n%s\n%s", w.inventory(), w.story("node-3"))
		}
		w.nodes["node-3"].peers = 1
		w.pass(40 * time.Minute)
		want := inventory + "    node-3:\n      checkpoint_sync_url: http://beta.test\n"
		if got := w.inventory(); got != want {
			t.Errorf("inventory:\n%s\n%s", got, w.story("node-1"))
		}
	})
}
