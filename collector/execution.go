package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/node"
)

// executionMetrics are the metrics of each node's execution client; a node for which none is configured has none.
type executionMetrics struct {
	up, info, syncing, items, head, headAge, peers, chainIDMatch *prometheus.Desc
}

func newExecutionMetrics() *executionMetrics {
	const name = "node"
	return &executionMetrics{
		up: desc("execution_up",
			"Whether the node's execution client answered the latest look, 1 or 0. Nodes are looked at in the background; a scrape asks no node.", name),
		info: desc("execution_info", "The execution client and its version, as it says. Always 1.", name, "client", "version"),
		syncing: desc("execution_syncing",
			"Whether the execution client is syncing, 1 or 0: eth_syncing, believed only together with a recent head. Building indexes does not count.", name),
		items: desc("execution_sync_items",
			"What the execution client counts of its sync, summed: blocks or stages, accounts, storage slots, codes and trie nodes. Only its movement means anything. Absent while the client says that it does not sync.", name),
		head:    desc("execution_head_block", "Number of the execution client's latest block.", name),
		headAge: desc("execution_head_age_seconds", "Seconds since the time of the latest block.", name),
		peers:   desc("execution_peers", "Peers of the execution client.", name),
		chainIDMatch: desc("execution_chain_id_match",
			"Whether eth_chainId is the deposit chain id of the chain that the node should follow, 1 or 0. Absent while either is unknown.", name),
	}
}

func (m *executionMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.info, m.syncing, m.items, m.head, m.headAge, m.peers, m.chainIDMatch} {
		ch <- d
	}
}

func (m *executionMetrics) collect(v *view, ch chan<- prometheus.Metric) {
	for _, n := range v.nodes {
		if n.sight == nil || n.sight.observation.Execution == nil {
			continue
		}
		to := emit{ch, []string{n.name}}
		e := n.sight.observation.Execution
		if n.stale || !e.Up() {
			to.gauge(m.up, 0)
			continue
		}
		to.gauge(m.up, 1)
		m.client(to, v, e)
	}
}

func (m *executionMetrics) client(to emit, v *view, e *node.Execution) {
	if e.Version.OK() {
		to.gauge(m.info, 1, e.Version.Value.Client, e.Version.Value.Version)
	}
	to.truth(m.syncing, e.SyncingAt(v.now))
	if s := e.Syncing.Value; s != nil && s.Syncing {
		to.gauge(m.items, float64(s.Items))
	}
	if e.Head.OK() {
		to.gauge(m.head, float64(e.Head.Value.Number))
		to.gauge(m.headAge, e.HeadAge(v.now).Seconds())
	}
	to.count(m.peers, e.Peers.Value)
	to.truth(m.chainIDMatch, e.ChainIDMatch)
}
