//go:build !race

// With the race detector these hours of simulated time would take half an hour of real time; the loop itself is tried with it elsewhere.

package standalone_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// mode is a way in which a node or a provider fails in practice, and what is to be done about it.
type mode struct {
	// number counts the modes; several cases may be of one.
	number int
	name   string
	lab    labOptions
	// happens lets it happen, and time pass.
	happens func(*lab)
	// done is what the remediator has then done, in order; nothing else may have been touched.
	done []string
	// calls are alerts of which people were told, and silent such that did not fire.
	calls, silent []string
	// well tells that the node has to be synced in the end.
	well bool
	// holds checks what else has to hold.
	holds func(*lab)
}

const (
	exhausted = "CheckpointRemediationExhausted"
	days      = 24 * time.Hour
)

// crashing starts without a database, and is started again by its unit for as long as it cannot bootstrap.
func crashing(c simulate.Client, faults ...simulate.Fault) simulate.NodeOptions {
	return simulate.NodeOptions{Client: c, RestartDelay: 10 * time.Second, Faults: faults}
}

func running(c simulate.Client) simulate.NodeOptions {
	return simulate.NodeOptions{Client: c, Database: true, RestartDelay: 10 * time.Second}
}

// fails lets the provider that the node is to start from fail.
func fails(f ...simulate.Fault) func(*lab) {
	return func(l *lab) {
		l.Helper()
		for _, f := range f {
			l.need(l.sim.Provider(dying).SetFault(f))
		}
	}
}

// breaks lets the node break, and time pass.
func breaks(d time.Duration, f ...simulate.Fault) func(*lab) {
	return func(l *lab) {
		l.Helper()
		for _, f := range f {
			l.need(l.sim.Node(follower).SetFault(f))
		}
		l.pass(d)
	}
}

func wait(d time.Duration) func(*lab) { return func(l *lab) { l.pass(d) } }

func then(steps ...func(*lab)) func(*lab) {
	return func(l *lab) {
		for _, s := range steps {
			s(l)
		}
	}
}

// untouched holds that nothing has been done yet.
func untouched(l *lab) {
	l.Helper()
	if s := l.story(); len(s) > 0 {
		l.Errorf("too early: %q", s)
	}
}

// modes are the failure modes by their number. A node whose database is there does not read its source, so its client is left alone.
var modes = []mode{
	{number: 1, name: "provider is down", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(fails(simulate.Down()), wait(15*time.Minute)),
		done:    []string{"source_unusable: failover"}, calls: []string{"CheckpointProviderDown"}, well: true},
	{number: 1, name: "provider is down and there is no database", lab: labOptions{
		node: simulate.NodeOptions{Client: simulate.Lighthouse, RestartDelay: 10 * time.Minute}, prepare: fails(simulate.Down()), ill: true},
		happens: wait(20 * time.Minute),
		done:    []string{"source_unusable: failover", "source_unusable: restart consensus"}, well: true},
	{number: 2, name: "provider has no block for a while", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(fails(simulate.Status(500)), wait(4*time.Minute), func(l *lab) { l.need(l.sim.Provider(dying).ClearFaults()) }, wait(20*time.Minute)),
		done:    []string{"source_unusable: failover"}, silent: []string{"CheckpointProviderDown"}, well: true,
		holds: func(l *lab) { l.usable(dying) }},
	{number: 3, name: "provider answers a page for a state", lab: labOptions{
		node:    simulate.NodeOptions{Client: simulate.Lighthouse, RestartDelay: 10 * time.Minute},
		prepare: fails(simulate.HTML().On("/eth/v2/debug/beacon/states")), ill: true},
		happens: wait(20 * time.Minute),
		done:    []string{"source_unusable: failover", "source_unusable: restart consensus"}, well: true},
	{number: 4, name: "client is too old for the fork", lab: labOptions{node: crashing(simulate.Lighthouse, simulate.TooOld()), ill: true},
		happens: wait(40 * time.Minute),
		done:    []string{"node_down: observe", "node_down: people"}, calls: []string{"CheckpointNodeUnreachable", "CheckpointNodeDown", exhausted},
		holds: func(l *lab) { l.usable(dying) }},
	{number: 5, name: "state is too large for the line", lab: labOptions{
		node: crashing(simulate.Lighthouse), prepare: fails(simulate.Trickle(8 << 10).On("/eth/v2/debug/beacon/states")), ill: true},
		happens: wait(40 * time.Minute),
		done:    []string{"node_down: observe", "node_down: failover", "node_down: restart consensus"}, calls: []string{"CheckpointNodeDown"}, well: true},
	{number: 6, name: "gateway times out once", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(func(l *lab) {
			now := time.Now()
			l.await("a probe", func() bool { return !l.log.since(now, "provider probed", dying).IsZero() })
			now = time.Now()
			l.need(l.sim.Provider(dying).SetFault(simulate.Status(504)))
			l.await("a probe that fails", func() bool { return !l.log.since(now, "provider probed", dying).IsZero() })
			l.need(l.sim.Provider(dying).ClearFaults())
		}, wait(15*time.Minute), untouched, fails(simulate.Status(504)), wait(15*time.Minute)),
		done: []string{"source_unusable: failover"}, calls: []string{"CheckpointProviderDown"}, well: true},
	{number: 7, name: "provider asks to be left alone", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: func(l *lab) {
			fails(simulate.RateLimited(5 * time.Minute))(l)
			before := l.requests(dying)
			l.pass(30 * time.Minute)
			// The exporter and the remediator each ask once in five minutes, but for what was under way.
			if n := l.requests(dying) - before; n > 16 {
				l.Errorf("it got %d requests", n)
			}
		},
		done: []string{"source_unusable: failover"}, calls: []string{"CheckpointProviderDown"}, well: true},
	{number: 8, name: "node is on another network", lab: labOptions{node: crashing(simulate.Lodestar), prepare: fails(simulate.WrongNetwork("")), ill: true},
		happens: wait(50 * time.Minute),
		done:    []string{"source_unusable: failover", "wrong_network: resync"},
		calls:   []string{"CheckpointProviderWrongNetwork", "CheckpointNodeWrongNetwork"}, well: true},
	{number: 9, name: "provider is stuck on an old iteration", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(fails(simulate.OldIteration(simulate.PartGenesis)), wait(15*time.Minute)),
		done:    []string{"source_unusable: failover"}, calls: []string{"CheckpointProviderOldIteration"}, well: true},
	{number: 10, name: "provider is stale", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(fails(simulate.Stale(1)), wait(20*time.Minute), untouched, fails(simulate.Stale(10)), wait(20*time.Minute)),
		done:    []string{"source_unusable: failover"}, calls: []string{"CheckpointProviderStale"}, well: true},
	{number: 11, name: "client refuses a database that is too old", lab: labOptions{node: old(simulate.Teku, 700, 20), ill: true},
		happens: wait(45 * time.Minute),
		done:    []string{"node_down: observe", "node_down: resync"}, calls: []string{"CheckpointNodeDown"}, well: true},
	{number: 11, name: "client goes on from a database that is too old", lab: labOptions{node: old(simulate.Lighthouse, 700, 1), ill: true},
		happens: wait(45 * time.Minute),
		done:    []string{"outside_weak_subjectivity: resync"}, calls: []string{"CheckpointNodeOutsideWeakSubjectivity"}, well: true},
	{number: 12, name: "database is old and the sync slow", lab: labOptions{node: old(simulate.Lighthouse, 500, 0.7), ill: true},
		happens: wait(75 * time.Minute),
		done:    []string{"resync_faster: resync"}, calls: []string{"CheckpointNodeResyncFaster"}, silent: []string{"CheckpointNodeOutsideWeakSubjectivity"}, well: true},
	{number: 13, name: "blobs of the anchor are nowhere", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(100*time.Minute, simulate.Stall().CuredBy(simulate.CureWipe)),
		done:    []string{"node_stalled: restart consensus", "node_stalled: failover", "node_stalled: resync"},
		calls:   []string{"CheckpointNodeSyncStalled"}, well: true},
	{number: 14, name: "backfill stalls", lab: labOptions{node: crashing(simulate.Lighthouse), ill: true},
		happens: then(wait(10*time.Minute), breaks(85*time.Minute, simulate.BackfillStall())),
		done:    []string{"backfill_stalled: restart consensus"}, calls: []string{"CheckpointNodeBackfillStalled"}, well: true},
	{number: 15, name: "execution client is down", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(30*time.Minute, simulate.ExecutionDown()),
		done:    []string{"execution_offline: restart execution"}, calls: []string{"CheckpointNodeExecutionOffline"}, well: true},
	{number: 15, name: "clients have different secrets", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(80*time.Minute, simulate.EngineAuth()),
		done:    []string{"execution_offline: restart consensus", "execution_offline: observe", "execution_offline: people"},
		calls:   []string{"CheckpointNodeExecutionOffline", exhausted}, silent: []string{"CheckpointNodeDown"}},
	{number: 16, name: "execution client syncs", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(75*time.Minute, simulate.ExecutionSyncing()), holds: nobodyWasCalled},
	{number: 16, name: "execution client has no peers", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(85*time.Minute, simulate.ExecutionNoPeers()),
		done:    []string{"stuck_optimistic: restart execution"}, calls: []string{"CheckpointNodeStuckOptimistic"}, well: true},
	{number: 16, name: "execution client is on another chain", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(75*time.Minute, simulate.ExecutionWrongNetwork("")), calls: []string{"CheckpointNodeExecutionWrongNetwork"},
		silent: []string{"CheckpointNodeStuckOptimistic", "CheckpointNodeExecutionStuck"}},
	{number: 16, name: "execution client calls the chain invalid", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(75*time.Minute, simulate.InvalidPayload()), calls: []string{"CheckpointNodeExecutionStuck"}},
	{number: 17, name: "healing never ends", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(breaks(5*time.Hour, simulate.ExecutionHealing()), nobodyWasCalled, wait(100*time.Minute)), calls: []string{"CheckpointNodeExecutionSlow"}},
	{number: 17, name: "indexing", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(75*time.Minute, simulate.ExecutionIndexing()), well: true, holds: nobodyWasCalled},
	{number: 18, name: "no peers", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(60*time.Minute, simulate.NoPeers()),
		done:    []string{"no_peers: restart consensus", "no_peers: people"}, calls: []string{"CheckpointNodeNoPeers", exhausted}, silent: []string{"CheckpointNodeSyncStalled"}},
	{number: 19, name: "iteration ends", lab: labOptions{at: 28*days - 40*time.Minute, node: running(simulate.Lighthouse), ill: true},
		happens: func(l *lab) {
			reset := l.sim.Chain().ResetAt
			// The release is late, and nothing but to wait can be done about that.
			l.machine.releasedAt = reset.Add(170 * time.Minute)
			l.pass(time.Until(reset.Add(150 * time.Minute)))
			l.called("CheckpointNetworkResetImminent")
			l.pass(time.Until(l.machine.releasedAt))
			untouched(l)
			l.pass(40 * time.Minute)
		},
		done: []string{"old_iteration: reset"}, calls: []string{"CheckpointNodeOldIteration"}, well: true, holds: wasReset},
	{number: 20, name: "node missed the reset", lab: labOptions{node: missed(simulate.Lighthouse), ill: true},
		happens: wait(30 * time.Minute),
		done:    []string{"old_iteration: reset"}, calls: []string{"CheckpointNodeOldIteration"}, well: true, holds: wasReset},
	{number: 21, name: "network does not finalize", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: then(func(l *lab) { l.sim.HaltFinality() }, wait(2*time.Hour)), calls: []string{"CheckpointNetworkNotFinalizing"}, well: true,
		silent: []string{"CheckpointNodeOutsideWeakSubjectivity"}},
	{number: 22, name: "disk is full", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(40*time.Minute, simulate.DiskFull()),
		done:    []string{"node_down: observe", "node_down: people"}, calls: []string{"CheckpointNodeDown", exhausted}},
	{number: 22, name: "database is corrupt", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: breaks(45*time.Minute, simulate.CorruptDatabase()),
		done:    []string{"node_down: observe", "node_down: resync"}, calls: []string{"CheckpointNodeDown"}, well: true},
	{number: 23, name: "clock is wrong", lab: labOptions{node: running(simulate.Lighthouse)},
		happens: func(l *lab) {
			for _, p := range l.sim.Providers() {
				l.need(p.SetFault(simulate.ClockSkew(30 * time.Second)))
			}
			breaks(60*time.Minute, simulate.Stall())(l)
		},
		calls: []string{"CheckpointClockSkew", "CheckpointNodeSyncStalled"}},
}

// old has a database that is some epochs behind the clock, and syncs at some slots a second.
func old(c simulate.Client, epochs uint64, speed float64) simulate.NodeOptions {
	o := running(c)
	o.Behind, o.SlotsPerSecond = epochs*32, speed
	return o
}

// missed is of the iteration before.
func missed(c simulate.Client) simulate.NodeOptions {
	o := running(c)
	o.IterationsBehind = 1
	return o
}

// nobodyWasCalled holds that people had their peace, but for some alerts.
func nobodyWasCalled(l *lab) { l.Helper(); l.called() }

func wasReset(l *lab) {
	l.Helper()
	// The execution client is initialised before either is started, and validators are the first to stop and the last to start.
	want := []string{"stop " + validatorUnit, "stop " + consensusUnit, "stop " + executionUnit, "init execution",
		"start " + executionUnit, "start " + consensusUnit, "start " + validatorUnit}
	if !slices.Equal(l.machine.did, want) {
		l.Errorf("services: %q", l.machine.did)
	}
	s := l.sim.Node(follower).Status()
	if s.Iteration != l.sim.Chain().Iteration {
		l.Errorf("after the reset: %+v", s)
	}
}

// Not parallel, for what is said in try.
func TestFailureModes(t *testing.T) {
	seen := map[int]bool{}
	for seed, m := range modes {
		seen[m.number] = true
		t.Run(fmt.Sprintf("%02d %s", m.number, m.name), func(t *testing.T) {
			_, _ = net.LookupHost("localhost")
			synctest.Test(t, func(t *testing.T) { m.play(newLab(t, seed, m.lab)) })
		})
	}
	for n := range 23 {
		if !seen[n+1] {
			t.Errorf("mode %d is not tried", n+1)
		}
	}
}

func (m mode) play(l *lab) {
	m.happens(l)
	if s := l.story(); !slices.Equal(s, m.done) {
		l.Errorf("done:\n  %s\nwant:\n  %s", strings.Join(s, "\n  "), strings.Join(m.done, "\n  "))
	}
	acted := func(words ...string) bool {
		return slices.ContainsFunc(m.done, func(d string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(d, ": "+w) })
		})
	}
	if changed := l.readInventory() != l.machine.inventory; changed != acted("failover") {
		l.Errorf("the inventory has changed: %v", changed)
	}
	if !acted("restart", "resync", "reset") {
		if len(l.machine.did) > 0 {
			l.Errorf("services were touched: %q", l.machine.did)
		}
		if now := l.machine.tree(); m.lab.node.Database && !slices.Equal(now, l.machine.began) {
			l.Errorf("directories were touched:\n%q\n%q", l.machine.began, now)
		}
	}
	told, fired := l.people.told(), l.fired()
	for _, alert := range m.calls {
		if !slices.Contains(told, alert) {
			l.Errorf("nobody was told of %s", alert)
		}
	}
	for _, alert := range append(m.silent, "CheckpointExporterDown", "CheckpointRemediatorDown") {
		if slices.Contains(fired, alert) {
			l.Errorf("%s fired", alert)
		}
	}
	if !slices.Contains(m.calls, exhausted) && slices.Contains(fired, exhausted) {
		l.Errorf("%s fired", exhausted)
	}
	if s := l.sim.Node(follower).Status(); m.well && (!s.Synced || len(l.sim.Node(follower).Faults()) > 0 && s.Peers == 0) {
		l.Errorf("the node is not well: %+v", s)
	}
	if m.holds != nil {
		m.holds(l)
	}
	if l.Failed() {
		l.Logf("fired: %q\ntold: %q\nservices: %q\nnode's log:\n%s\n%s", fired, told, l.machine.did, strings.Join(l.sim.Node(follower).Logs(6), "\n"), l.log)
	}
}

// fired are the alerts that have fired.
func (l *lab) fired() []string {
	l.Helper()
	var names []string
	for _, s := range l.ask(`count by (alertname) (last_over_time(ALERTS{alertname!="CheckpointWatchdog",alertstate="firing"}[1d]))`) {
		names = append(names, s.Metric["alertname"])
	}
	slices.Sort(names)
	return names
}

// called holds that people were told of nothing but some alerts.
func (l *lab) called(but ...string) {
	l.Helper()
	for _, alert := range l.people.told() {
		if !slices.Contains(but, alert) {
			l.Errorf("people were told of %s", alert)
		}
	}
}

// usable holds that a provider is usable now.
func (l *lab) usable(provider string) {
	l.Helper()
	if len(l.query(fmt.Sprintf(`checkpoint_provider_usable{provider=%q} == 1`, provider))) == 0 {
		l.Errorf("%s is not usable", provider)
	}
}

// requests is how many a provider has got.
func (l *lab) requests(provider string) (n int) {
	for _, count := range l.sim.Provider(provider).Requests() {
		n += count
	}
	return n
}
