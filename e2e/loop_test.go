//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// The loop of separate programs: the shipped units run our exporter and remediator, beside the real Prometheus and Alertmanager with the
// shipped rules and routes.
func TestLoop(t *testing.T) {
	t.Parallel()
	began := time.Now()
	clock := newStopwatch(t)
	s := startSimulation(t)
	exporter, remediator := local(freePort(t)), local(freePort(t))
	at := addresses{
		exporter: hostPort(exporter), remediator: hostPort(remediator),
		alertmanager: freePort(t), tokenFile: filepath.Join(workDir(t), "token"),
	}
	writeFile(t, at.tokenFile, token+"\n")

	m := startMachine(t)
	s.furnish(t, m, s.config(local(at.alertmanager)), "checkpoint_exporter", "checkpoint_remediator")
	m.write("/etc/default/checkpoint-exporter", "OPTIONS=--web.listen-address="+at.exporter+" --log.level=debug\n", 0o644)
	m.write("/etc/default/checkpoint-remediator", "OPTIONS=--web.listen-address="+at.remediator+" --log.level=debug\n", 0o644)
	m.startUnit("checkpoint-exporter.service")
	m.startUnit("checkpoint-remediator.service")
	monitoring := startMonitoring(t, at)
	eventually(t, 2*time.Minute, "Prometheus to scrape both programs", monitoring.scrapes)
	clock.lap("everything runs")

	tellStories(t, s, m, clock, watched{metrics: exporter, remediator: remediator, people: monitoring.people})
	monitoring.showsData(t, began)
	clock.lap("every panel of the dashboards shows data")
}

// watched is where the stories look at what the programs did.
type watched struct {
	metrics    string // the exporter's base URL
	remediator string // base URL of the remediator's API and metrics
	people     *people
}

// tellStories lets a node stall and then a provider die, and follows each to its end. Whatever runs the loop has to do the same.
func tellStories(t *testing.T, s *simulation, m *machine, clock *stopwatch, w watched) {
	t.Helper()
	eventually(t, 3*time.Minute, "every provider to be usable and both nodes to be followed", func() error {
		for _, provider := range s.providers {
			if err := is(w.metrics, 1, "checkpoint_provider_usable", "provider", provider.Name()); err != nil {
				return err
			}
		}
		return firstError(
			func() error { return is(w.metrics, 1, "checkpoint_node_phase", "node", sourced, "phase", "synced") },
			func() error { return is(w.metrics, 1, "checkpoint_node_phase", "node", stalled, "phase", "syncing") })
	})
	clock.lap("providers usable, one node synced, one syncing")

	before, err := m.invocation(unit)
	if err != nil {
		t.Fatal(err)
	}
	restarts := len(s.Node(stalled).Restarts())
	if err := s.Node(stalled).SetFault(simulate.Stall()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Minute, "the stalled node's unit to be restarted", func() error {
		after, err := m.invocation(unit)
		if err == nil && after == before {
			err = fmt.Errorf("the invocation id of %s is still %s", unit, before)
		}
		return err
	})
	clock.lap("the node stalled, and its unit was restarted (the threshold is 1m)")
	eventually(t, 10*time.Minute, "the remediator to find that the restart helped", func() error {
		return helped(w.remediator, stalled, "node_stalled")
	})
	clock.lap("the restart helped")
	if got := len(s.Node(stalled).Restarts()) - restarts; got != 1 {
		t.Errorf("the stalled node was restarted %d times, want once", got)
	}
	if err := is(w.metrics, 1, "checkpoint_node_phase", "node", stalled, "phase", "syncing"); err != nil {
		t.Error(err)
	}

	file := m.path(inventoryInside)
	if err := s.providers[0].SetFault(simulate.Down()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Minute, "the source to be switched away from the dead provider", func() error {
		provider, err := pointsAt(w.remediator, sourced)
		if err == nil && provider == s.providers[0].Name() {
			err = fmt.Errorf("%s still points at %s", sourced, provider)
		}
		return err
	})
	clock.lap("the provider died, and the source was switched")
	checkSwitched(t, file, inventory(s.providers[0].URL()), m.path(stateInside))
	if owner := m.mustRun("stat", "--format=%U:%G %a", inventoryInside); owner != "checkpoint:checkpoint 640\n" {
		t.Errorf("owner and mode of the inventory are now %s", owner)
	}
	eventually(t, 10*time.Minute, "the remediator to find that the failover helped", func() error {
		return helped(w.remediator, sourced, "source_unusable")
	})
	clock.lap("the failover helped")
	if got := len(s.Node(sourced).Restarts()); got != 0 {
		t.Errorf("a node that has a database and runs was restarted %d times for a dead provider", got)
	}
	for _, action := range [][]string{
		{"node", stalled, "playbook", "node_stalled", "action", "restart", "outcome", "done"},
		{"node", sourced, "playbook", "source_unusable", "action", "failover", "outcome", "done"},
	} {
		if err := is(w.remediator, 1, "checkpoint_remediation_actions_total", action...); err != nil {
			t.Error(err)
		}
	}
	for _, alert := range []string{"CheckpointNodeSyncStalled", "CheckpointNodeSourceUnusable"} {
		eventually(t, 2*time.Minute, "people to hear of "+alert, func() error { return w.people.heard(alert) })
	}
}
