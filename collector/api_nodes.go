package collector

import (
	"net/http"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// Nodes is what GET /api/v1/nodes answers. The conventions are those of Providers.
type Nodes struct {
	// At is when the answer was made.
	At      time.Time `json:"at"`
	Network Network   `json:"network"`
	// Nodes are in configured order.
	Nodes []Node `json:"nodes"`
}

// Node is one node and where it stands.
type Node struct {
	Name string `json:"name"`
	// Looked is false until the first look has ended; nothing else is known then.
	Looked bool   `json:"looked"`
	Up     bool   `json:"up"`
	Phase  string `json:"phase"`
	// Error is why the consensus client does not answer.
	Error  *Finding `json:"error,omitempty"`
	Client *Client  `json:"client,omitempty"`
	// LookedAt is when the latest look began, and LastSeenAt when the client answered last.
	LookedAt   *time.Time `json:"looked_at,omitempty"`
	LastSeenAt *time.Time `json:"last_seen_at,omitempty"`

	HeadSlot       *uint64 `json:"head_slot,omitempty"`
	DistanceSlots  *uint64 `json:"distance_slots,omitempty"`
	FinalizedEpoch *uint64 `json:"finalized_epoch,omitempty"`
	// Peers counts peers by state: connected, connecting, disconnected, disconnecting.
	Peers map[string]uint64 `json:"peers,omitempty"`
	// Syncing, ExecutionOffline and ReportedDistance are the client's own words.
	Syncing          *bool   `json:"syncing,omitempty"`
	Optimistic       *bool   `json:"optimistic,omitempty"`
	ExecutionOffline *bool   `json:"execution_offline,omitempty"`
	ReportedDistance *uint64 `json:"reported_distance_slots,omitempty"`

	Speed         *float64  `json:"sync_speed_slots_per_second,omitempty"`
	Closing       *float64  `json:"closing_speed_slots_per_second,omitempty"`
	ETA           *ETA      `json:"sync_eta_seconds,omitempty"`
	Progress      *float64  `json:"sync_progress_ratio,omitempty"`
	SinceProgress *float64  `json:"seconds_since_progress,omitempty"`
	StallAfter    float64   `json:"stall_threshold_seconds"`
	Backfill      *Backfill `json:"backfill,omitempty"`

	// Execution is left out where no execution client is configured.
	Execution *Execution `json:"execution,omitempty"`
}

// Client is what a program says that it is.
type Client struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// ETA is how many seconds are to go: less than P10 in one case of ten, less than P90 in nine.
type ETA struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// Backfill is how much history is still to be fetched.
type Backfill struct {
	RemainingSlots uint64 `json:"remaining_slots"`
	ETA            *ETA   `json:"eta_seconds,omitempty"`
}

// Execution is a node's execution client.
type Execution struct {
	Up           bool       `json:"up"`
	Error        *Finding   `json:"error,omitempty"`
	Client       *Client    `json:"client,omitempty"`
	Syncing      *bool      `json:"syncing,omitempty"`
	HeadBlock    *uint64    `json:"head_block,omitempty"`
	HeadTime     *time.Time `json:"head_time,omitempty"`
	Peers        *uint64    `json:"peers,omitempty"`
	ChainID      *uint64    `json:"chain_id,omitempty"`
	ChainIDMatch *bool      `json:"chain_id_match,omitempty"`
}

func (e *Exporter) serveNodes(w http.ResponseWriter, _ *http.Request) {
	e.writeJSON(w, nodesOf(e.look()))
}

func nodesOf(v *view) Nodes {
	out := Nodes{At: v.now.UTC(), Network: networkOf(v), Nodes: []Node{}}
	for _, n := range v.nodes {
		out.Nodes = append(out.Nodes, nodeOf(v, n))
	}
	return out
}

func nodeOf(v *view, n nodeView) Node {
	out := Node{Name: n.name, Phase: string(n.phase()), StallAfter: n.stallAfter.Seconds()}
	if n.sight == nil {
		return out
	}
	seen := n.sight.observation
	out.Looked, out.Up = true, n.up()
	out.LookedAt, out.LastSeenAt = when(seen.At), when(n.sight.status.LastSeen)
	if seen.Execution != nil {
		out.Execution = executionOf(v, n, seen.Execution)
	}
	switch {
	case n.stale:
		out.Error = &Finding{string(beacon.Timeout), "no look has ended lately"}
	case !out.Up:
		out.Error = findingOf(seen.Consensus.Err())
	default:
		out.consensus(seen)
		out.progress(n.sight.status)
	}
	return out
}

func (out *Node) consensus(seen node.Observation) {
	c := seen.Consensus
	out.Client, out.HeadSlot, out.Optimistic = clientOf(c.Version.Value), c.HeadSlot(), c.Optimistic()
	if c.Finality.OK() {
		out.FinalizedEpoch = &c.Finality.Value.Finalized.Epoch
	}
	if s := c.Syncing.Value; s != nil {
		out.Syncing, out.ExecutionOffline, out.ReportedDistance = &s.IsSyncing, s.ELOffline, s.SyncDistance
	}
	if p := c.Peers.Value; p != nil {
		out.Peers = map[string]uint64{}
		for _, state := range peerStates(*p) {
			if state.peers != nil {
				out.Peers[state.name] = *state.peers
			}
		}
	}
}

func (out *Node) progress(s progress.Status) {
	out.DistanceSlots, out.Speed, out.Closing, out.Progress, out.ETA = s.Distance, s.Speed, s.Closing, s.Ratio, etaOf(s.ETA)
	if s.SinceProgress != nil {
		out.SinceProgress = new(s.SinceProgress.Seconds())
	}
	if s.BackfillRemaining != nil {
		out.Backfill = &Backfill{*s.BackfillRemaining, etaOf(s.BackfillETA)}
	}
}

func executionOf(v *view, n nodeView, e *node.Execution) *Execution {
	out := &Execution{Up: !n.stale && e.Up()}
	if !out.Up {
		out.Error = findingOf(e.Err())
		return out
	}
	out.Client, out.Syncing, out.Peers = clientOf(e.Version.Value), e.SyncingAt(v.now), e.Peers.Value
	out.ChainID, out.ChainIDMatch = e.ChainID.Value, e.ChainIDMatch
	if e.Head.OK() {
		out.HeadBlock, out.HeadTime = &e.Head.Value.Number, when(e.Head.Value.Time)
	}
	return out
}

func clientOf(v *beacon.ClientVersion) *Client {
	if v == nil {
		return nil
	}
	return &Client{v.Client, v.Version}
}

func etaOf(e *progress.ETA) *ETA {
	if e == nil {
		return nil
	}
	return &ETA{e.P10.Seconds(), e.P50.Seconds(), e.P90.Seconds()}
}

// findingOf is an error as the API tells it; nil for none.
func findingOf(err error) *Finding {
	if err == nil {
		return nil
	}
	return &Finding{string(beacon.ReasonOf(err)), err.Error()}
}
