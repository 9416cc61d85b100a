//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Our programs beside real clients: a chain of Prysm and geth with two checkpointz in front, and a second Prysm that starts from one of
// them, loses its peers, and loses its source.
func TestRealChain(t *testing.T) {
	clock := newStopwatch(t)
	exporter := local(freePort(t))
	remediator := local(freePort(t))
	dir := workDir(t)
	// Whatever has to be built is built before the chain starts: it shares the processors with nothing.
	programs := []string{ourProgram(t, "checkpoint_exporter"), ourProgram(t, "checkpoint_remediator"),
		tool(t, "prometheus", "prometheus"), tool(t, "alertmanager", "alertmanager"), tool(t, "nodes/geth", "geth")}
	clock.lap("builds")

	c := startChain(t, clock)
	node := newFollower(t, c, c.providers[0].url)
	at := addresses{exporter: hostPort(exporter), remediator: hostPort(remediator), alertmanager: freePort(t), tokenFile: filepath.Join(dir, "token")}
	writeFile(t, at.tokenFile, "e2e-token\n")
	config := filepath.Join(dir, "checkpoint.yml")
	writeFile(t, config, c.config(node, at))

	start(t, "exporter", programs[0], "--config.file="+config, "--web.listen-address="+hostPort(exporter), "--log.level=debug")
	providers := []string{"checkpointz-1", "checkpointz-2", "prysm"}
	eventually(t, 3*time.Minute, "the exporter to call every provider usable", func() error {
		for _, name := range providers {
			if err := is(exporter, 1, "checkpoint_provider_usable", "provider", name); err != nil {
				return err
			}
		}
		return is(exporter, 3, "checkpoint_quorum_providers")
	})
	clock.lap("the exporter calls all three providers usable")

	began := time.Now()
	phases := watchPhases(t, exporter, "node-1")
	node.start()
	synced := func() error {
		return firstError(node.ended, func() error { return is(exporter, 1, "checkpoint_node_phase", "node", "node-1", "phase", "synced") })
	}
	eventually(t, 5*time.Minute, "the node to be synced", synced)
	clock.lap("the node has synced from checkpointz-1")
	seen, story := phases.since(began)
	t.Logf("phases of the first sync:%s", story)
	first := slices.IndexFunc(seen, func(phase string) bool { return phase == "bootstrapping" || phase == "unreachable" })
	if syncing := slices.Index(seen, "syncing"); first < 0 || syncing < first {
		t.Errorf("the phases of the first sync are %v; it begins without an API and goes on syncing", seen)
	}
	m, err := scrape(exporter)
	if err != nil {
		t.Fatal(err)
	}
	if client := m.label("client", "checkpoint_node_info", "node", "node-1"); !strings.EqualFold(client, "prysm") {
		t.Errorf("the node's client is %q, want Prysm", client)
	}
	if version := m.label("version", "checkpoint_node_info", "node", "node-1"); !strings.Contains(version, "7.1.2") {
		t.Errorf("the node's version is %q, want 7.1.2 in it", version)
	}
	if up, ok := m.value("checkpoint_execution_up", "node", "node-1"); !ok || up != 1 {
		t.Errorf("checkpoint_execution_up is %v (there: %t), want 1", up, ok)
	}

	befriend := node.isolate()
	node.stop()
	node.start()
	eventually(t, 5*time.Minute, "the exporter to see the stall of a node without peers", func() error {
		return firstError(node.ended,
			func() error { return is(exporter, 1, "checkpoint_node_phase", "node", "node-1", "phase", "stalled") },
			func() error { return is(exporter, 0, "checkpoint_node_peers", "node", "node-1", "state", "connected") })
	})
	clock.lap("the exporter sees the stall without peers")

	// The provider dies before the node has a database, and so does the node.
	befriend()
	node.stop()
	node.forget()
	c.providers[0].kill()
	before, err := os.ReadFile(node.inventory)
	if err != nil {
		t.Fatal(err)
	}
	starts, _ := node.startedWith()
	began = time.Now()
	node.start()
	monitoring := startMonitoring(t, at)
	rescue := start(t, "remediator", programs[1], "--config.file="+config, "--web.listen-address="+hostPort(remediator), "--log.level=debug")
	eventually(t, time.Minute, "Prometheus to scrape both programs", monitoring.scrapes)
	eventually(t, 5*time.Minute, "the alert about the source", func() error {
		return monitoring.firing("CheckpointNodeSourceUnusable", `node="node-1"`)
	})
	clock.lap("checkpointz-1 is dead, and CheckpointNodeSourceUnusable fires")
	eventually(t, 5*time.Minute, "the remediator to switch the source and to restart the node", func() error {
		return firstError(rescue.ended, func() error {
			sources, restarts := node.startedWith()
			if restarts == 0 {
				return fmt.Errorf("nobody has restarted the node; it was started with %v", sources[len(starts):])
			}
			return nil
		})
	})
	clock.lap("the source is switched and the node restarted")
	checkSwitched(t, node.inventory, string(before), filepath.Join(dir, "journal"))
	sources, restarts := node.startedWith()
	if last := sources[len(sources)-1]; last == c.providers[0].url {
		t.Errorf("after %d restarts the node was started with %s again", restarts, last)
	}
	// One peer serves a batch every half minute when it is asked too often: a sync may take minutes.
	eventually(t, 10*time.Minute, "the node to sync from its new source", synced)
	clock.lap("the node has synced from " + sources[len(sources)-1])
	_, story = phases.since(began)
	t.Logf("phases of the second sync:%s", story)
	eventually(t, 5*time.Minute, "the remediator to find that it helped", func() error {
		return helped(remediator, "node-1", "source_unusable")
	})
	clock.lap("the remediator has seen that it helped")
	if _, restarts := node.startedWith(); restarts != 1 {
		t.Errorf("the node was restarted %d times, want once", restarts)
	}
}

// config is a checkpoint.yml for the chain and the node that follows it.
func (c *chain) config(node *follower, at addresses) string {
	return fmt.Sprintf(`network:
  name: devnet
  genesis_time: %d
  genesis_validators_root: %q
  seconds_per_slot: %d
  slots_per_epoch: %d
  deposit_chain_id: %d
providers:
  - {name: checkpointz-1, url: %q}
  - {name: checkpointz-2, url: %q}
  - {name: prysm, url: %q}
# An epoch lasts seconds here, and checkpointz asks its upstream only now and then.
probe: {interval: 10s, timeout: 5s, node_interval: 1s, max_lag_epochs: 20}
nodes:
  - name: node-1
    consensus: {url: %q}
    execution: {url: %q}
    stall_after: 30s
    restart: {command: [/usr/bin/curl, --silent, --show-error, --fail, --request, POST, %q]}
    source: {yaml: {file: %q, key: checkpoint_sync_url}}
    data_dir: %q
remediation:
  mode: act
  journal: %q
  alertmanagers: [%q]
  webhook: {bearer_token_file: %q}
  guards: {pause_file: %q}
`,
		c.genesisTime, c.validatorsRoot, int(c.pace.slot.Seconds()), slotsPerEpoch, executionChain,
		c.providers[0].url, c.providers[1].url, c.beacon.url, node.beacon.url, node.execution.url, node.restartURL, node.inventory, node.beacon.data(),
		filepath.Join(c.dir, "journal", "journal.jsonl"), local(at.alertmanager), at.tokenFile, filepath.Join(c.dir, "pause"))
}

// phaseLog is the sequence of phases that an exporter has shown for a node, and when.
type phaseLog struct {
	mu     sync.Mutex
	phases []string
	times  []time.Time
}

// watchPhases reads a node's phase several times a second until the test ends.
func watchPhases(tb testing.TB, exporter, node string) *phaseLog {
	log := &phaseLog{}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for {
			if m, err := scrape(exporter); err == nil {
				log.add(m.label("phase", "checkpoint_node_phase", "node", node))
			}
			select {
			case <-ticker.C:
			case <-quit:
				return
			}
		}
	}()
	tb.Cleanup(func() { close(quit); <-done })
	return log
}

func (l *phaseLog) add(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if phase != "" && (len(l.phases) == 0 || l.phases[len(l.phases)-1] != phase) {
		l.phases, l.times = append(l.phases, phase), append(l.times, time.Now())
	}
}

// since returns the phases from a time on, and the same with their times to print.
func (l *phaseLog) since(began time.Time) (phases []string, story string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, at := range l.times {
		if at.After(began) {
			phases = append(phases, l.phases[i])
			story += fmt.Sprintf(" %s after %.0f s", l.phases[i], at.Sub(began).Seconds())
		}
	}
	return phases, story
}
