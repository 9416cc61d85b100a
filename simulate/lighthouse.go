package simulate

import (
	"net/http"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// States of Lighthouse's sync, as /lighthouse/syncing names them (lighthouse beacon_node/lighthouse_network, SyncState).
const (
	lighthouseSynced      = "Synced"
	lighthouseStalled     = "Stalled"
	lighthouseFinalized   = "SyncingFinalized"
	lighthouseHead        = "SyncingHead"
	lighthouseBackfilling = "BackFillSyncing"
)

// syncState is a word, or an object with the state's numbers: slots are strings, backfill's counts are numbers.
func syncState(v view) any {
	switch v.lighthouse {
	case lighthouseFinalized, lighthouseHead:
		return map[string]any{v.lighthouse: map[string]any{"start_slot": dec(v.from), "target_slot": dec(v.to)}}
	case lighthouseBackfilling:
		return map[string]any{v.lighthouse: map[string]any{"completed": v.from, "remaining": v.to}}
	case "":
		return lighthouseSynced
	}
	return v.lighthouse
}

func (a api) lighthouseSyncing(w http.ResponseWriter, _ *http.Request, v view) {
	a.data(w, syncState(v))
}

// lighthouseDatabase has no data wrapper: Lighthouse's book, api_lighthouse.
func (a api) lighthouseDatabase(w http.ResponseWriter, _ *http.Request, v view) {
	split := v.finalSlot()
	parent := network.Root{}
	if v.oldest > 0 {
		parent = v.chain.parentRoot(v.oldest)
	}
	upper := v.anchor
	if upper > 0 {
		upper += v.chain.chain.SlotsPerEpoch
	}
	a.json(w, http.StatusOK, map[string]any{
		"schema_version": 28,
		"config":         map[string]any{"block_cache_size": 5, "state_cache_size": 128, "compression_level": 1, "prune_payloads": true},
		"split": map[string]any{
			"slot": dec(split), "state_root": v.chain.stateRoot(split).String(), "block_root": v.chain.blockRoot(split).String(),
		},
		"anchor": map[string]any{
			"anchor_slot": dec(v.anchor), "oldest_block_slot": dec(v.oldest), "oldest_block_parent": parent.String(),
			"state_upper_limit": dec(upper), "state_lower_limit": "0",
		},
		"blob_info": map[string]any{"oldest_blob_slot": dec(v.oldest), "blobs_db": true},
	})
}

func (a api) lighthouseHealth(w http.ResponseWriter, _ *http.Request, v view) {
	const gib = 1 << 30
	a.data(w, map[string]any{
		"total_memory": 16 * gib, "free_memory": 4 * gib, "used_memory": 12 * gib, "sys_loadavg_1": 0.5, "sys_loadavg_5": 0.5,
		"sys_loadavg_15": 0.5, "cpu_cores": 4, "cpu_threads": 8, "global_cpu_frequency": 3.4, "disk_bytes_total": 500 * gib,
		"disk_bytes_free": 300 * gib, "system_uptime": 660706, "app_uptime": 600, "system_name": "Debian GNU/Linux",
		"kernel_version": "6.1.0", "os_version": "Linux 12 Debian GNU/Linux", "host_name": "simulated", "network_name": "eth0",
		"network_bytes_total_received": gib, "network_bytes_total_transmit": gib, "nat_open": true, "connected_peers": v.peers,
		"sync_state": syncState(v),
	})
}

// lighthousePeers has no data wrapper either; only the fields that say who and how are filled.
func (a api) lighthousePeers(w http.ResponseWriter, _ *http.Request, v view) {
	list := make([]any, v.peers)
	for i := range list {
		list[i] = map[string]any{
			"peer_id": a.peerID(v, i),
			"peer_info": map[string]any{
				"client":               map[string]any{"kind": "Lighthouse", "version": "v8.0.1-1a2b3c4", "os_version": "x86_64-linux", "protocol_version": "eth2/1.0.0", "agent_string": Lighthouse.version()},
				"connection_status":    map[string]any{"status": "connected", "connections_in": 0, "connections_out": 1, "last_seen": 0},
				"connection_direction": "Outgoing", "is_trusted": false,
			},
		}
	}
	a.json(w, http.StatusOK, list)
}
