package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// nodeMetrics are the metrics of each node's consensus client.
type nodeMetrics struct {
	up, phase, info, lookDuration, head, distance, finalizedEpoch, peers, syncing, optimistic, executionOffline *prometheus.Desc
	reportedDistance, healthCode, speed, eta, ratio, sinceProgress, stallThreshold, backfill, backfillETA       *prometheus.Desc
}

func newNodeMetrics() *nodeMetrics {
	const name = "node"
	return &nodeMetrics{
		up: desc("node_up",
			"Whether the node's consensus client answered the latest look, 1 or 0. Nodes are looked at in the background; a scrape asks no node.", name),
		phase:        desc("node_phase", "Whether the node is in a phase: 1 for the one that it is in, 0 for the others.", name, "phase"),
		info:         desc("node_info", "The consensus client and its version, as the node says. Always 1.", name, "client", "version"),
		lookDuration: desc("node_look_duration_seconds", "How long the latest look at the node took, in seconds.", name),
		head:         desc("node_head_slot", "Slot of the node's head.", name),
		distance: desc("node_distance_slots",
			"How many slots the head is behind the slot of the clock, computed by the exporter.", name),
		finalizedEpoch: desc("node_finalized_epoch", "Epoch that the node's head knows as finalized.", name),
		peers:          desc("node_peers", "Peers of the consensus client by state.", name, "state"),
		syncing:        desc("node_syncing", "The client's own is_syncing, 1 or 0. It means something else in each client.", name),
		optimistic:     desc("node_optimistic", "Whether the head has not been verified by the execution client, 1 or 0.", name),
		executionOffline: desc("node_execution_offline",
			"The client's own el_offline, 1 or 0. A client that says 0 may not have noticed yet.", name),
		reportedDistance: desc("node_reported_distance_slots",
			"The client's own sync_distance in slots. It means something else in each client.", name),
		healthCode: desc("node_health_code", "HTTP status of /eth/v1/node/health. It means something else in each client.", name),
		speed: desc("node_sync_speed_slots_per_second",
			"How fast the head moves in slots a second, over a window of looks finer than the scrape that adapts to the pace. Absent while unknown.", name),
		eta: desc("node_sync_eta_seconds",
			"Seconds until the head has caught up with the clock, with its uncertainty: less than quantile 0.1 in one case of ten, less than 0.9 in nine. Absent while unknown, while the node does not gain, and at the head.", name, "quantile"),
		ratio: desc("node_sync_progress_ratio",
			"Share of the way from where this sync was first seen to the clock's slot, 0 to 1.", name),
		sinceProgress: desc("node_seconds_since_progress",
			"For how many seconds the node has answered without its head passing the highest one seen.", name),
		stallThreshold: desc("node_stall_threshold_seconds",
			"The configured stall_after in seconds: without progress for longer, a node that is behind counts as stalled.", name),
		backfill: desc("node_backfill_remaining_slots",
			"Slots still to be fetched backwards from the checkpoint. Absent where the client does not tell.", name),
		backfillETA: desc("node_backfill_eta_seconds", "Seconds until the backfill is done, as the median estimate. Absent while unknown.", name),
	}
}

func (m *nodeMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.phase, m.info, m.lookDuration, m.head, m.distance, m.finalizedEpoch, m.peers, m.syncing,
		m.optimistic, m.executionOffline, m.reportedDistance, m.healthCode, m.speed, m.eta, m.ratio, m.sinceProgress, m.stallThreshold,
		m.backfill, m.backfillETA} {
		ch <- d
	}
}

func (m *nodeMetrics) collect(v *view, ch chan<- prometheus.Metric) {
	for _, n := range v.nodes {
		to := emit{ch, []string{n.name}}
		to.gauge(m.stallThreshold, n.stallAfter.Seconds())
		if n.sight == nil {
			continue
		}
		to.gauge(m.up, bit(n.up()))
		for _, p := range progress.Phases() {
			to.gauge(m.phase, bit(p == n.phase()), string(p))
		}
		if !n.stale {
			to.gauge(m.lookDuration, n.sight.observation.Took.Seconds())
		}
		if n.up() {
			m.consensus(to, n)
			m.progress(to, n.sight.status)
		}
	}
}

// up tells whether the consensus client answers, as far as that is known now.
func (n nodeView) up() bool { return !n.stale && n.sight != nil && n.sight.observation.Consensus.Up() }

// phase is the node's phase as far as that is known now.
func (n nodeView) phase() progress.Phase {
	if n.stale || n.sight == nil {
		return progress.Unreachable
	}
	return n.sight.status.Phase
}

// consensus tells what the client says.
func (m *nodeMetrics) consensus(to emit, n nodeView) {
	c := n.sight.observation.Consensus
	if c.Version.OK() {
		to.gauge(m.info, 1, c.Version.Value.Client, c.Version.Value.Version)
	}
	to.count(m.head, c.HeadSlot())
	to.truth(m.optimistic, c.Optimistic())
	if c.Finality.OK() {
		to.gauge(m.finalizedEpoch, float64(c.Finality.Value.Finalized.Epoch))
	}
	if c.Peers.OK() {
		for _, state := range peerStates(*c.Peers.Value) {
			to.count(m.peers, state.peers, state.name)
		}
	}
	if s := c.Syncing.Value; s != nil {
		to.gauge(m.syncing, bit(s.IsSyncing))
		to.truth(m.executionOffline, s.ELOffline)
		to.count(m.reportedDistance, s.SyncDistance)
	}
	if c.Health.OK() {
		to.gauge(m.healthCode, float64(*c.Health.Value))
	}
}

type peerState struct {
	name  string
	peers *uint64
}

// peerStates are the counts of peers by state, nil for those that the client does not tell.
func peerStates(p beacon.PeerCount) [4]peerState {
	return [...]peerState{{"connected", &p.Connected}, {"connecting", p.Connecting}, {"disconnected", p.Disconnected}, {"disconnecting", p.Disconnecting}}
}

// progress tells what was concluded.
func (m *nodeMetrics) progress(to emit, s progress.Status) {
	to.count(m.distance, s.Distance)
	to.count(m.backfill, s.BackfillRemaining)
	if s.Speed != nil {
		to.gauge(m.speed, *s.Speed)
	}
	if s.Ratio != nil {
		to.gauge(m.ratio, *s.Ratio)
	}
	if s.SinceProgress != nil {
		to.gauge(m.sinceProgress, s.SinceProgress.Seconds())
	}
	if s.ETA != nil {
		for quantile, d := range map[string]time.Duration{"0.1": s.ETA.P10, "0.5": s.ETA.P50, "0.9": s.ETA.P90} {
			// A gauge may not bear the label, and a summary would need a count and a sum.
			to.value(prometheus.UntypedValue, m.eta, d.Seconds(), quantile)
		}
	}
	if s.BackfillETA != nil {
		to.gauge(m.backfillETA, s.BackfillETA.P50.Seconds())
	}
}
