package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Limits of the answers, in bytes. The largest real ones seen: 44 kB (spec), 1 kB (checkpointz with one upstream), below 700 bytes
// for the others.
const (
	smallLimit  = 64 << 10
	specLimit   = 512 << 10
	statusLimit = 512 << 10
)

// Client asks one consensus node or checkpoint provider over the Beacon API. Every method fails with an *Error. It is safe for
// concurrent use; CloseIdle lets go of its connections.
type Client struct{ door *door }

// NewClient makes a client for a base URL such as http://127.0.0.1:5052; a path in it is kept in front of the routes.
func NewClient(base string, o Options) (*Client, error) {
	d, err := newDoor(base, o)
	if err != nil {
		return nil, err
	}
	return &Client{door: d}, nil
}

// String is the base URL without a password.
func (c *Client) String() string { return c.door.String() }

// CloseIdle closes connections that wait for another request.
func (c *Client) CloseIdle() { c.door.closeIdle() }

// Genesis is what /eth/v1/beacon/genesis tells.
type Genesis struct {
	// Time is in seconds since the Unix epoch.
	Time           uint64
	ValidatorsRoot network.Root
	ForkVersion    network.Version
}

// Genesis asks for the chain's identity.
func (c *Client) Genesis(ctx context.Context) (Genesis, error) {
	return get(ctx, c.door, "/eth/v1/beacon/genesis", smallLimit, decodeGenesis)
}

func decodeGenesis(b []byte) (Genesis, error) {
	w, err := unwrap[struct {
		Time    *number          `json:"genesis_time"`
		Root    *network.Root    `json:"genesis_validators_root"`
		Version *network.Version `json:"genesis_fork_version"`
	}](b)
	if err != nil {
		return Genesis{}, err
	}
	time, err := need("genesis_time", w.Time)
	if err != nil {
		return Genesis{}, err
	}
	root, err := need("genesis_validators_root", w.Root)
	if err != nil {
		return Genesis{}, err
	}
	g := Genesis{Time: uint64(time), ValidatorsRoot: root}
	if w.Version != nil {
		g.ForkVersion = *w.Version
	}
	return g, nil
}

// Syncing is what /eth/v1/node/syncing tells. The fields mean different things in each client; see docs/metrics.md.
type Syncing struct {
	HeadSlot uint64
	// SyncDistance is in slots; nil when absent.
	SyncDistance *uint64
	IsSyncing    bool
	// IsOptimistic and ELOffline are nil when absent: older clients leave them out.
	IsOptimistic, ELOffline *bool
}

// Syncing asks how far the node says that it is.
func (c *Client) Syncing(ctx context.Context) (Syncing, error) {
	return get(ctx, c.door, "/eth/v1/node/syncing", smallLimit, decodeSyncing)
}

func decodeSyncing(b []byte) (Syncing, error) {
	w, err := unwrap[struct {
		Head       *number `json:"head_slot"`
		Distance   *number `json:"sync_distance"`
		Syncing    *flag   `json:"is_syncing"`
		Optimistic *flag   `json:"is_optimistic"`
		Offline    *flag   `json:"el_offline"`
	}](b)
	if err != nil {
		return Syncing{}, err
	}
	head, err := need("head_slot", w.Head)
	if err != nil {
		return Syncing{}, err
	}
	syncing, err := need("is_syncing", w.Syncing)
	return Syncing{
		HeadSlot: uint64(head), SyncDistance: w.Distance.ptr(), IsSyncing: bool(syncing),
		IsOptimistic: w.Optimistic.ptr(), ELOffline: w.Offline.ptr(),
	}, err
}

// PeerCount is what /eth/v1/node/peer_count tells. States other than connected are nil when absent.
type PeerCount struct {
	Connected                               uint64
	Connecting, Disconnected, Disconnecting *uint64
}

// PeerCount asks for the number of peers by state.
func (c *Client) PeerCount(ctx context.Context) (PeerCount, error) {
	return get(ctx, c.door, "/eth/v1/node/peer_count", smallLimit, decodePeerCount)
}

func decodePeerCount(b []byte) (PeerCount, error) {
	w, err := unwrap[struct {
		Connected     *number `json:"connected"`
		Connecting    *number `json:"connecting"`
		Disconnected  *number `json:"disconnected"`
		Disconnecting *number `json:"disconnecting"`
	}](b)
	if err != nil {
		return PeerCount{}, err
	}
	connected, err := need("connected", w.Connected)
	return PeerCount{
		Connected: uint64(connected), Connecting: w.Connecting.ptr(), Disconnected: w.Disconnected.ptr(), Disconnecting: w.Disconnecting.ptr(),
	}, err
}

// Health asks /eth/v1/node/health and gives its status code: 200 ready, 206 syncing, 503 not initialised or, in Lighthouse, without
// its execution client. Only an answer that is none of a health route's is an error; checkpointz has no such route (404).
func (c *Client) Health(ctx context.Context) (int, error) {
	const path = "/eth/v1/node/health"
	q := request{method: http.MethodGet, path: path, accept: mediaJSON}
	err := c.door.ask(ctx, q, func(*http.Response) error { return nil })
	var e *Error
	if errors.As(err, &e) && (e.Status == http.StatusPartialContent || e.Status == http.StatusBadRequest || e.Status == http.StatusServiceUnavailable) {
		return e.Status, nil
	}
	if err != nil {
		return 0, err
	}
	return http.StatusOK, nil
}

// Header is a block header with its root, as /eth/v1/beacon/headers/{id} tells.
type Header struct {
	Root network.Root
	BlockHeader
	// Optimistic tells whether the execution layer has not verified the block; nil when absent.
	Optimistic *bool
}

// Header asks for the header of a block: "head", "finalized", "genesis", a slot or a root.
func (c *Client) Header(ctx context.Context, id string) (Header, error) {
	return get(ctx, c.door, "/eth/v1/beacon/headers/"+url.PathEscape(id), smallLimit, decodeHeader)
}

func decodeHeader(b []byte) (Header, error) {
	var w struct {
		Optimistic *flag `json:"execution_optimistic"`
		Data       *struct {
			Root   *network.Root `json:"root"`
			Header *struct {
				Message *struct {
					Slot       *number       `json:"slot"`
					Proposer   *number       `json:"proposer_index"`
					ParentRoot *network.Root `json:"parent_root"`
					StateRoot  *network.Root `json:"state_root"`
					BodyRoot   *network.Root `json:"body_root"`
				} `json:"message"`
			} `json:"header"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return Header{}, err
	}
	if w.Data == nil || w.Data.Header == nil || w.Data.Header.Message == nil {
		return Header{}, missing("data.header.message")
	}
	root, err := need("root", w.Data.Root)
	if err != nil {
		return Header{}, err
	}
	m := w.Data.Header.Message
	slot, err := need("slot", m.Slot)
	h := Header{Root: root, Optimistic: w.Optimistic.ptr(), BlockHeader: BlockHeader{Slot: uint64(slot)}}
	if m.Proposer != nil {
		h.ProposerIndex = uint64(*m.Proposer)
	}
	for _, r := range []struct {
		to   *network.Root
		from *network.Root
	}{{&h.ParentRoot, m.ParentRoot}, {&h.StateRoot, m.StateRoot}, {&h.BodyRoot, m.BodyRoot}} {
		if r.from != nil {
			*r.to = *r.from
		}
	}
	return h, err
}

// Head is where a node's chain ends.
type Head struct {
	Slot uint64
	// Root is zero when only the slot is known.
	Root network.Root
	// Optimistic is nil when not told.
	Optimistic *bool
}

// Head asks for the head's header, and takes the head slot of /eth/v1/node/syncing where there is none: checkpointz has no such route,
// and a syncing Lodestar answers 404.
func (c *Client) Head(ctx context.Context) (Head, error) {
	h, err := c.Header(ctx, "head")
	if err == nil {
		return Head{Slot: h.Slot, Root: h.Root, Optimistic: h.Optimistic}, nil
	}
	if StatusOf(err) != http.StatusNotFound {
		return Head{}, err
	}
	s, err := c.Syncing(ctx)
	return Head{Slot: s.HeadSlot, Optimistic: s.IsOptimistic}, err
}

// Checkpoint is an epoch and the root of the latest block at or before its first slot.
type Checkpoint struct {
	Epoch uint64
	Root  network.Root
}

// Finality is what /eth/v1/beacon/states/{id}/finality_checkpoints tells.
type Finality struct {
	Finalized Checkpoint
	// CurrentJustified is nil when absent.
	CurrentJustified *Checkpoint
}

// FinalityCheckpoints asks what a state knows of finality: "head", or on checkpointz "finalized" for the checkpoint that it serves,
// which can be older. On a node "finalized" is what was final as of the finalized state, one or more epochs before.
func (c *Client) FinalityCheckpoints(ctx context.Context, id string) (Finality, error) {
	return get(ctx, c.door, "/eth/v1/beacon/states/"+url.PathEscape(id)+"/finality_checkpoints", smallLimit, decodeFinality)
}

func decodeFinality(b []byte) (Finality, error) {
	w, err := unwrap[struct {
		Finalized *wireCheckpoint `json:"finalized"`
		Justified *wireCheckpoint `json:"current_justified"`
	}](b)
	if err != nil {
		return Finality{}, err
	}
	finalized, err := w.Finalized.checkpoint()
	if err != nil {
		return Finality{}, err
	}
	f := Finality{Finalized: finalized}
	if w.Justified != nil {
		justified, err := w.Justified.checkpoint()
		if err != nil {
			return Finality{}, err
		}
		f.CurrentJustified = &justified
	}
	return f, nil
}

// BlockRoot asks for the root of a block: "finalized", a slot in decimal, or a root.
func (c *Client) BlockRoot(ctx context.Context, id string) (network.Root, error) {
	return get(ctx, c.door, "/eth/v1/beacon/blocks/"+url.PathEscape(id)+"/root", smallLimit, decodeBlockRoot)
}

// BlockRootAt asks for the root of the block in a slot; a slot without a block is status 404, or 500 on checkpointz.
func (c *Client) BlockRootAt(ctx context.Context, slot uint64) (network.Root, error) {
	return c.BlockRoot(ctx, strconv.FormatUint(slot, 10))
}

func decodeBlockRoot(b []byte) (network.Root, error) {
	w, err := unwrap[struct {
		Root *network.Root `json:"root"`
	}](b)
	if err != nil {
		return network.Root{}, err
	}
	return need("root", w.Root)
}

// ClientVersion is what /eth/v1/node/version tells.
type ClientVersion struct {
	// Client is Lighthouse, Teku, Prysm, Nimbus, Lodestar, Grandine, Checkpointz, or the name of another as it gives it.
	Client string
	// Version is the part after the name; empty when there is none.
	Version string
	// Full is the whole string, clipped and cleaned.
	Full string
}

// Version asks what the server is.
func (c *Client) Version(ctx context.Context) (ClientVersion, error) {
	return get(ctx, c.door, "/eth/v1/node/version", smallLimit, decodeVersion)
}

func decodeVersion(b []byte) (ClientVersion, error) {
	w, err := unwrap[struct {
		Version *string `json:"version"`
	}](b)
	if err != nil {
		return ClientVersion{}, err
	}
	s, err := need("version", w.Version)
	if err != nil {
		return ClientVersion{}, err
	}
	return ParseVersion(s), nil
}

var consensusClients = []string{"Lighthouse", "Teku", "Prysm", "Nimbus", "Lodestar", "Grandine", "Checkpointz"}

// ParseVersion reads "Name/version/platform" or "Name/version (platform)" as clients write it.
func ParseVersion(s string) ClientVersion {
	v := ClientVersion{Full: clean(s, 128)}
	name, rest, _ := strings.Cut(v.Full, "/")
	v.Client = clean(name, 40)
	for _, known := range consensusClients {
		if strings.EqualFold(known, v.Client) {
			v.Client = known
		}
	}
	rest, _, _ = strings.Cut(rest, "/")
	rest, _, _ = strings.Cut(rest, " ")
	v.Version = clean(rest, 64)
	return v
}
