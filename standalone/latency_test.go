package standalone_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// limit is what is promised, with the defaults as shipped: from the death of a provider until no source names it any more, and from
// the threshold of a stall to the restart.
const limit = 2 * time.Minute

// resolution is how often an outcome is looked for: what is measured can be that much too long.
const resolution = 250 * time.Millisecond

// trial is one run of the loop from a fault to what is done about it: when it began, and when each stage was over.
type trial struct {
	began  time.Time
	stages []stage
}

type stage struct {
	name string
	over time.Time
}

func (tr *trial) pass(name string, over time.Time) { tr.stages = append(tr.stages, stage{name, over}) }

func (tr trial) took() time.Duration { return tr.stages[len(tr.stages)-1].over.Sub(tr.began) }

func (tr trial) String() string {
	var parts []string
	last := tr.began
	for _, s := range tr.stages {
		parts = append(parts, fmt.Sprintf("%s %.0f s", s.name, s.over.Sub(last).Seconds()))
		last = s.over
	}
	return strings.Join(parts, ", ")
}

// try runs a trial in a bubble of its own. Its phase, from 0 to 1, is where in an interval the fault happens.
func try(t *testing.T, seed int, phase float64, run func(*lab, float64) trial) trial {
	t.Helper()
	// Prometheus looks its machine's name up, and package net keeps channels that it makes the first time. A bubble's could not be used
	// outside of it.
	_, _ = net.LookupHost("localhost")
	var tr trial
	synctest.Test(t, func(t *testing.T) { tr = run(newLab(t, seed, labOptions{}), phase) })
	return tr
}

// failover lets the provider that the node's source names fail, at a phase of the interval between two probes; 0 is right after one.
func failover(f simulate.Fault) func(*lab, float64) trial {
	return func(l *lab, phase float64) trial {
		l.Helper()
		cfg, err := l.config()
		if err != nil {
			l.Fatal(err)
		}
		before, now := l.readInventory(), time.Now()
		l.await("a probe", func() bool { return !l.log.since(now, "provider probed", dying).IsZero() })
		time.Sleep(time.Duration(phase * float64(cfg.Probe.Interval)))
		if err := l.sim.Provider(dying).SetFault(f); err != nil {
			l.Fatal(err)
		}
		tr := trial{began: time.Now()}
		done := l.await("failover", func() bool { return l.readInventory() != before })
		if after := l.readInventory(); strings.Contains(after, l.sim.Provider(dying).URL()) || len(strings.Split(after, "\n")) != len(strings.Split(before, "\n")) {
			l.Fatalf("the inventory is now\n%s", after)
		}
		tr.pass("probe", l.log.since(tr.began, "provider is not usable", dying))
		tr.pass("scrape", l.first(`checkpoint_provider_usable{provider="`+dying+`"}`, tr.began, func(v float64) bool { return v == 0 }))
		l.alerted(&tr, "CheckpointNodeSourceUnusable")
		tr.pass("remediator", done)
		return tr
	}
}

// restart lets the node stall. The trial begins when the head has stood still for as long as the node's threshold says.
func restart(l *lab, phase float64) trial {
	l.Helper()
	cfg, err := l.config()
	if err != nil {
		l.Fatal(err)
	}
	time.Sleep(time.Duration(phase * float64(cfg.Probe.NodeInterval)))
	node := l.sim.Node(follower)
	if err := node.SetFault(simulate.Stall()); err != nil {
		l.Fatal(err)
	}
	time.Sleep(time.Minute)
	head := l.query("checkpoint_node_head_slot")[0][0].value(l)
	tr := trial{began: l.sim.Chain().SlotTime(uint64(head)).Add(cfg.Nodes[0].StallAfter.Std())}
	done := l.await("restart", func() bool { return len(node.Restarts()) > 0 })
	if done.Before(tr.began) {
		l.Fatalf("restarted %s before the threshold", tr.began.Sub(done))
	}
	threshold := cfg.Nodes[0].StallAfter.Std().Seconds()
	tr.pass("look and scrape", l.first("checkpoint_node_seconds_since_progress", tr.began.Add(-time.Minute), func(v float64) bool { return v > threshold }))
	l.alerted(&tr, "CheckpointNodeSyncStalled")
	tr.pass("remediator", done)
	return tr
}

// alerted adds the stages from the rule to the webhook.
func (l *lab) alerted(tr *trial, alert string) {
	l.Helper()
	always := func(float64) bool { return true }
	tr.pass("evaluation", l.first(fmt.Sprintf("ALERTS{alertname=%q}", alert), tr.began, always))
	tr.pass("for", l.first(fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing"}`, alert), tr.began, always))
	tr.pass("group_wait", l.opened())
}

// first is the time of the first sample after another time that a selector selects and whose value is right.
func (l *lab) first(selector string, after time.Time, right func(float64) bool) time.Time {
	l.Helper()
	var first time.Time
	for _, series := range l.query(selector + "[30m]") {
		for _, s := range series {
			if at := s.time(); at.After(after) && right(s.value(l)) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	if first.IsZero() {
		l.Fatalf("there never was a sample of %s", selector)
	}
	return first
}

// opened is when the remediator kept the alert in its journal.
func (l *lab) opened() time.Time {
	l.Helper()
	lines, err := os.ReadFile(filepath.Join(l.dir, "data", "journal.jsonl"))
	if err != nil {
		l.Fatal(err)
	}
	for line := range bytes.Lines(lines) {
		var r journal.Record
		if err := json.Unmarshal(line, &r); err != nil {
			l.Fatal(err)
		}
		if r.Kind == "opened" {
			return r.Time
		}
	}
	l.Fatal("nothing was opened")
	return time.Time{}
}

func (l *lab) readInventory() string {
	l.Helper()
	b, err := os.ReadFile(l.inventory())
	if err != nil {
		l.Fatal(err)
	}
	return string(b)
}

// await lets the bubble's time pass until ok, and returns the time it then is.
func (l *lab) await(what string, ok func() bool) time.Time {
	l.Helper()
	for deadline := time.Now().Add(20 * time.Minute); !ok(); time.Sleep(resolution) {
		if time.Now().After(deadline) {
			l.Fatalf("not within 20 minutes: %s\n%s", what, l.log)
		}
	}
	return time.Now()
}

// scenario is what can be tried, and in which words it is told.
type scenario struct {
	name, what string
	run        func(*lab, float64) trial
}

var (
	refused = scenario{"refused", "provider death to failover", failover(simulate.Down())}
	hangs   = scenario{"hangs", "provider death to failover, when it hangs instead of refusing connections", failover(simulate.Hang())}
	stalled = scenario{"stalled", "stall threshold to restart", restart}
)

// Not parallel, for what is said in try. The provider dies right after a probe, which is the worst time.
func TestLoopActsInTime(t *testing.T) {
	for _, s := range []scenario{refused, hangs, stalled} {
		t.Run(s.name, func(t *testing.T) {
			tr := try(t, 0, 0, s.run)
			t.Log(tr)
			if tr.took() > limit {
				t.Errorf("took %s of simulated time: %s", tr.took(), tr)
			}
		})
	}
}
