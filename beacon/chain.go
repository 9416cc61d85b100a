package beacon

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

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
