package provider

import (
	"fmt"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
)

// finality judges the checkpoint that a provider serves by the clock at the time when it was seen.
func (c court) finality(v *Verdict, seen Observation) {
	if seen.Served == nil {
		switch err := seen.FinalityErr; {
		case err == nil:
			v.add(NoState, "nothing but the genesis is finalized on it yet")
		case withheld(err):
			v.add(NoState, "it tells no finalized checkpoint: "+sentence(err))
		default:
			v.add(beacon.ReasonOf(err), sentence(err))
		}
		return
	}
	v.Finalized = seen.Served
	if !c.chain.HasClock() {
		return
	}
	clock, epoch := c.chain.Epoch(seen.At), seen.Served.Epoch
	if epoch > clock {
		v.addf(InvalidState, "it calls epoch %d finalized, though the clock is at epoch %d", epoch, clock)
		return
	}
	lag := clock - epoch
	v.LagEpochs = &lag
	if lag > c.options.MaxLagEpochs {
		v.addf(Stale, "its finalized epoch %d is %d epochs behind the clock's %d, and %d are allowed", epoch, lag, clock, c.options.MaxLagEpochs)
	}
	if period := c.chain.WeakSubjectivityEpochs; period != 0 && lag > period {
		v.addf(OutsideWeakSubjectivity, "its finalized epoch %d is %d epochs old, and syncing is safe from at most %d", epoch, lag, period)
	}
}

// state judges the finalized state that a provider serves by its beginning.
func (c court) state(v *Verdict, seen Observation) {
	switch err := seen.StateErr; {
	case err == nil:
	case withheld(err) && seen.Mode == "light":
		v.add(NoState, "it runs in light mode and serves no states: "+sentence(err))
	case withheld(err):
		v.add(NoState, "it does not serve the finalized state: "+sentence(err))
	default:
		v.add(beacon.ReasonOf(err), "its finalized state cannot be had: "+sentence(err))
	}
	s := seen.State
	if s == nil || c.chain.SlotsPerEpoch == 0 {
		return
	}
	slot, block, per := s.Slot, s.LatestBlockHeader.Slot, c.chain.SlotsPerEpoch
	switch {
	case block > slot:
		v.addf(InvalidState, "its finalized state of slot %d holds a block of slot %d", slot, block)
	case block%per != 0:
		v.addf(Unaligned, "the block of its finalized state is in slot %d, which is slot %d of its epoch and not the first", block, block%per)
	case slot > block:
		v.addf(InvalidState, "its finalized state is of slot %d, advanced past its block in slot %d", slot, block)
	case !s.LatestBlockHeader.StateRoot.IsZero():
		v.addf(InvalidState, "its finalized state of slot %d is advanced past its block", slot)
	}
	if text, wrong := c.otherBlock(s); wrong {
		v.add(InvalidState, text)
	}
}

// otherBlock tells whether a state is older than the checkpoint that its server gave out just before. One epoch is let pass: a cache
// or a second server behind the name may be that much behind.
func (c court) otherBlock(s *State) (string, bool) {
	epoch := c.chain.EpochOf(s.LatestBlockHeader.Slot)
	if s.LatestBlockHeader.Slot%c.chain.SlotsPerEpoch != 0 {
		// A checkpoint whose first slot was skipped holds a block of the epoch before.
		epoch++
	}
	if epoch+1 < s.Served.Epoch {
		return fmt.Sprintf("the block of its finalized state is in slot %d of epoch %d, while it calls epoch %d finalized",
			s.LatestBlockHeader.Slot, c.chain.EpochOf(s.LatestBlockHeader.Slot), s.Served.Epoch), true
	}
	return "", false
}
