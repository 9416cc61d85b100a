package provider

import (
	"context"
	"fmt"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// finality finds the checkpoint that the provider gives out: the block that it calls finalized, and the epoch that this block is the
// checkpoint of. The two come from different routes, and finality may move in between or checkpointz serve an older one, so the
// epoch is looked for until one fits.
func (p *Prober) finality(ctx context.Context, seen *Observation) error {
	claimed, err := p.client.FinalityCheckpoints(ctx, "head")
	if err != nil {
		return p.noFinality(seen, "read finality", err)
	}
	seen.Claimed = settle(claimed.Finalized)
	if seen.Claimed == nil {
		return nil
	}
	root, err := p.client.BlockRoot(ctx, "finalized")
	if err != nil {
		return p.noFinality(seen, "read finalized block root", err)
	}
	if claimed.Finalized.Root == root {
		return p.serves(seen, claimed.Finalized)
	}
	// A checkpointz behind its own head tells what it serves here.
	if served, err := p.client.FinalityCheckpoints(ctx, "finalized"); err == nil && served.Finalized.Root == root {
		return p.serves(seen, served.Finalized)
	}
	again, err := p.client.FinalityCheckpoints(ctx, "head")
	if err != nil {
		return p.noFinality(seen, "read finality again", err)
	}
	seen.Claimed = settle(again.Finalized)
	if again.Finalized.Root == root {
		return p.serves(seen, again.Finalized)
	}
	return p.search(ctx, seen, root)
}

// search finds the epoch of a block that no checkpoint names, as behind a name with several servers that are not equally far.
func (p *Prober) search(ctx context.Context, seen *Observation, root network.Root) error {
	if epoch, ok := p.memory.epochOf(root); ok {
		return p.serves(seen, beacon.Checkpoint{Epoch: epoch, Root: root})
	}
	if per := seen.Spec.SlotsPerEpoch; per > 0 {
		if h, err := p.client.Header(ctx, root.String()); err == nil && h.Root == root && h.Slot < 1<<60 {
			return p.serves(seen, beacon.Checkpoint{Epoch: (h.Slot + per - 1) / per, Root: root})
		}
	}
	return fmt.Errorf("match finalized block: %w", &beacon.Error{
		Reason: Malformed, Route: "/eth/v1/beacon/blocks/finalized/root",
		Message: fmt.Sprintf("the block %s is served as finalized, and is that of no checkpoint told", short(root)),
	})
}

func (p *Prober) serves(seen *Observation, c beacon.Checkpoint) error {
	seen.Served = settle(c)
	if seen.Served != nil {
		p.memory.remember(c)
	}
	return nil
}

// noFinality notes that the provider is there and has no checkpoint to give; anything else that keeps it from telling is a failure.
func (p *Prober) noFinality(seen *Observation, what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	if !withheld(err) {
		return err
	}
	p.heed(err, seen.At)
	seen.FinalityErr = fmt.Errorf("probe provider %q: %w", p.name, err)
	return nil
}
