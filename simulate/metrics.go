package simulate

import (
	"fmt"
	"net/http"
	"strings"
)

// serveMetrics is the client's own metrics page, with the series that tell of head, finality, peers and backfill; names as the clients' sources
// have them (beacon_head_slot and its kin are ethereum/beacon-metrics').
func (n *Node) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		http.NotFound(w, r)
		return
	}
	v := n.view()
	n.mu.Lock()
	speed := 0.0
	if n.db != nil {
		speed = n.db.backfillSpeed
	}
	n.mu.Unlock()
	var b strings.Builder
	gauge := func(name string, value uint64) {
		series, _, _ := strings.Cut(name, "{")
		fmt.Fprintf(&b, "# TYPE %s gauge\n%s %d\n", series, name, value)
	}
	gauge("beacon_head_slot", v.head)
	clock, finalized, peers := "beacon_clock_slot", "beacon_finalized_epoch", "libp2p_peers"
	switch v.client {
	case Lighthouse:
		clock, finalized = "slotclock_present_slot", "beacon_head_state_finalized_epoch"
	case Teku:
		clock, peers = "beacon_slot", `beacon_peer_count{direction="inbound"}`
	case Prysm:
		clock, peers = "beacon_clock_time_slot", `p2p_peer_count{state="Connected"}`
	case Nimbus:
		clock, peers = "beacon_slot", "nbc_peers"
	}
	gauge(clock, v.chain.chain.Slot(v.now))
	gauge(finalized, v.final.finalized.epoch)
	gauge(peers, uint64(v.peers))
	switch {
	case v.client == Teku:
		gauge("beacon_historical_block_sync_earliest_block", v.oldest)
	case v.client == Prysm && speed > 0:
		const batch = 32
		gauge("backfill_remaining_batches", (v.oldest+batch-1)/batch)
		gauge("backfill_batches_imported", (v.anchor-v.oldest)/batch)
	case v.client == Lodestar && speed > 0:
		status := uint64(2) // syncing
		if v.oldest == 0 {
			status = 3
		}
		gauge("lodestar_backfill_till_slot", v.oldest)
		gauge("lodestar_backfill_sync_status", status)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = fmt.Fprint(w, b.String())
}
