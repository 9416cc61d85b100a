package beacon

import (
	"context"
	"encoding/json"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// LighthouseSync is what /lighthouse/syncing tells, an unstable route of Lighthouse alone (its book, api_lighthouse).
type LighthouseSync struct {
	// State is Synced, Stalled, SyncTransition, SyncingFinalized, SyncingHead, BackFillSyncing or CustodyBackFillSyncing.
	State string
	// StartSlot and TargetSlot are those of range sync; nil in the other states.
	StartSlot, TargetSlot *uint64
	// Completed and Remaining are those of backfill; nil in the other states. Remaining is not updated while it runs:
	// LighthouseDatabase tells how far backfill is.
	Completed, Remaining *uint64
}

// LighthouseSync asks a Lighthouse for its own word on syncing.
func (c *Client) LighthouseSync(ctx context.Context) (LighthouseSync, error) {
	return get(ctx, c.door, "/lighthouse/syncing", smallLimit, decodeLighthouseSync)
}

func decodeLighthouseSync(b []byte) (LighthouseSync, error) {
	raw, err := unwrap[json.RawMessage](b)
	if err != nil {
		return LighthouseSync{}, err
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return LighthouseSync{State: clean(name, 40)}, nil
	}
	var states map[string]struct {
		Start     *number `json:"start_slot"`
		Target    *number `json:"target_slot"`
		Completed *number `json:"completed"`
		Remaining *number `json:"remaining"`
	}
	if err := json.Unmarshal(raw, &states); err != nil {
		return LighthouseSync{}, err
	}
	for name, w := range states {
		if len(states) == 1 {
			return LighthouseSync{
				State: clean(name, 40), StartSlot: w.Start.ptr(), TargetSlot: w.Target.ptr(),
				Completed: w.Completed.ptr(), Remaining: w.Remaining.ptr(),
			}, nil
		}
	}
	return LighthouseSync{}, missing("the one state")
}

// LighthouseDatabase is what /lighthouse/database/info tells of backfill, an unstable route of Lighthouse alone.
type LighthouseDatabase struct {
	// SplitSlot is where the hot database begins.
	SplitSlot *uint64
	// OldestBlockSlot is the oldest slot whose block is held; nil on a node that synced from genesis.
	OldestBlockSlot *uint64
	// OldestBlockParent is zero once every block back to genesis is held.
	OldestBlockParent network.Root
}

// LighthouseDatabase asks a Lighthouse about its database.
func (c *Client) LighthouseDatabase(ctx context.Context) (LighthouseDatabase, error) {
	return get(ctx, c.door, "/lighthouse/database/info", smallLimit, decodeLighthouseDatabase)
}

func decodeLighthouseDatabase(b []byte) (LighthouseDatabase, error) {
	var w struct {
		Split *struct {
			Slot *number `json:"slot"`
		} `json:"split"`
		Anchor *struct {
			Oldest *number       `json:"oldest_block_slot"`
			Parent *network.Root `json:"oldest_block_parent"`
		} `json:"anchor"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return LighthouseDatabase{}, err
	}
	if w.Split == nil {
		return LighthouseDatabase{}, missing("split")
	}
	d := LighthouseDatabase{SplitSlot: w.Split.Slot.ptr()}
	if w.Anchor != nil {
		d.OldestBlockSlot = w.Anchor.Oldest.ptr()
		if w.Anchor.Parent != nil {
			d.OldestBlockParent = *w.Anchor.Parent
		}
	}
	return d, nil
}

// Backfill is what is left of it. Nothing is left on a node that synced from genesis.
func (d LighthouseDatabase) Backfill() Backfill {
	if d.OldestBlockSlot == nil {
		none := uint64(0)
		return Backfill{OldestSlot: &none}
	}
	return Backfill{OldestSlot: d.OldestBlockSlot}
}

// Backfill is how far a node is with fetching the blocks before its checkpoint, as its client tells it.
type Backfill struct {
	// OldestSlot is the oldest slot whose block is held; nil when not told.
	OldestSlot *uint64
	// Left is how many slots are left to fetch; nil when not told.
	Left *uint64
}

// Remaining is how many slots are left to fetch down to a target slot: BackfillTarget, or 0 for a node told to keep everything.
// It is false when the client told nothing.
func (b Backfill) Remaining(target uint64) (uint64, bool) {
	switch {
	case b.Left != nil:
		return *b.Left, true
	case b.OldestSlot == nil:
		return 0, false
	case *b.OldestSlot <= target:
		return 0, true
	}
	return *b.OldestSlot - target, true
}

// minEpochsForBlockRequests is MIN_EPOCHS_FOR_BLOCK_REQUESTS of consensus-specs configs/mainnet.yaml, in epochs.
const minEpochsForBlockRequests = 33024

// BackfillTarget is the oldest slot that clients fetch by default at a current slot: MIN_EPOCHS_FOR_BLOCK_REQUESTS before it.
func BackfillTarget(slot, slotsPerEpoch uint64) uint64 {
	if keep := minEpochsForBlockRequests * slotsPerEpoch; slot > keep {
		return slot - keep
	}
	return 0
}
