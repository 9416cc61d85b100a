package simulate

import (
	"fmt"
	"net/http"
	"strconv"
)

// syncing answers four fields, and el_offline where the client has it: not checkpointz, not Lodestar v1.5.1.
func (a api) syncing(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "10")
	data := map[string]any{
		"head_slot": dec(v.head), "sync_distance": dec(v.distance), "is_syncing": v.syncing, "is_optimistic": v.optimistic,
	}
	switch a.client {
	case Checkpointz:
		// Its head is the finalized checkpoint, and so is what it serves.
		data["head_slot"] = dec(v.chain.chain.EpochStart(v.final.finalized.epoch))
		data["sync_distance"] = "0"
	case Lodestar:
	default:
		data["el_offline"] = v.elOffline
	}
	a.data(w, data)
}

func (a api) version(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "60")
	a.data(w, map[string]any{"version": v.version})
}

// peerID is a made-up peer of a node, or the upstream of a checkpointz.
func (a api) peerID(v view, i int) string {
	if a.client == Checkpointz {
		return fmt.Sprintf("upstream-%d", i+1)
	}
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	id := []byte("16Uiu2HAm")
	for _, b := range v.chain.bytes(fmt.Sprintf("peer%d", i), 0, 44) {
		id = append(id, alphabet[int(b)%len(alphabet)])
	}
	return string(id)
}

func (a api) peers(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "60")
	list := make([]any, v.peers)
	for i := range list {
		p := map[string]any{"peer_id": a.peerID(v, i), "enr": "", "state": "connected", "direction": "inbound"}
		p["last_seen_p2p_address"] = "/ip4/127.0.0.1/tcp/" + strconv.Itoa(13001+i)
		if a.client == Checkpointz {
			p["last_seen_p2p_address"], p["direction"], p["agent"] = "", "outbound", ""
		}
		list[i] = p
	}
	if a.client == Checkpointz {
		a.data(w, list)
		return
	}
	a.json(w, http.StatusOK, map[string]any{"data": list, "meta": map[string]any{"count": len(list)}})
}

func (a api) peerCount(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "60")
	a.data(w, map[string]any{"disconnected": "0", "connecting": "0", "connected": strconv.Itoa(v.peers), "disconnecting": "0"})
}

// identity is 500 on a Prysm without discovery, as it was recorded.
func (a api) identity(w http.ResponseWriter, _ *http.Request, v view) {
	if a.client == Prysm {
		a.fail(w, http.StatusInternalServerError, "Could not obtain enr: could not serialize nil record")
		return
	}
	id := a.peerID(v, 1<<20)
	a.data(w, map[string]any{
		"peer_id": id, "enr": "enr:-" + id, "p2p_addresses": []any{"/ip4/127.0.0.1/tcp/9000/p2p/" + id},
		"discovery_addresses": []any{"/ip4/127.0.0.1/udp/9000"},
		"metadata":            map[string]any{"seq_number": "1", "attnets": "0x0000000000000000", "syncnets": "0x00"},
	})
}

// health has no body. Lighthouse alone knows of its execution client here; Lodestar v1.5.1 says 200 even while it syncs, as it was
// recorded; Teku does not look at optimism.
func (a api) health(w http.ResponseWriter, r *http.Request, v view) {
	status := http.StatusOK
	switch busy := v.syncing || v.optimistic; {
	case a.client == Lighthouse && v.elOffline:
		status = http.StatusServiceUnavailable
	case a.client == Lodestar:
	case a.client == Teku:
		busy = v.syncing
		fallthrough
	default:
		if busy {
			status = http.StatusPartialContent
			if n, err := strconv.Atoi(r.URL.Query().Get("syncing_status")); err == nil && n >= 100 && n < 600 {
				status = n
			}
		}
	}
	if a.client == Prysm {
		a.head(w)
	}
	w.WriteHeader(status)
	if a.client == Lodestar {
		_ = http.NewResponseController(w).Flush() // an empty body without a length
	}
}
