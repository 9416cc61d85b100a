// Package network knows what a chain should be at a given time: its identity, its slot clock, its resets and how long a
// checkpoint of it can be trusted. It does no I/O and has no clock of its own.
package network

import "time"

// Chain is one chain as it should be now. For a network that resets it is the current iteration. Facts that are not known
// have their zero value; provider.Judge learns them from a quorum.
type Chain struct {
	// Network is the configured name, such as "ephemery".
	Network string
	// Iteration counts a resetting network's chains; 0 for a network that does not reset.
	Iteration uint64
	// GenesisTime is the consensus layer's genesis; zero when not known.
	GenesisTime time.Time
	// GenesisValidatorsRoot is zero when not known, as for every iteration of Ephemery.
	GenesisValidatorsRoot Root
	// DepositChainID is the execution chain id of the deposit contract; 0 when not known.
	DepositChainID uint64
	// SecondsPerSlot and SlotsPerEpoch are the chain's preset; 0 when not known.
	SecondsPerSlot uint64
	SlotsPerEpoch  uint64
	// ResetAt is when the last slot of this iteration ends, which is the consensus genesis of the next one; zero when the
	// network does not reset.
	ResetAt time.Time
	// WeakSubjectivityEpochs is how old, in epochs, a checkpoint may be before syncing from it is unsafe; 0 when not known.
	WeakSubjectivityEpochs uint64
}

// HasClock tells whether enough is known to turn a time into a slot.
func (c Chain) HasClock() bool {
	return !c.GenesisTime.IsZero() && c.SecondsPerSlot > 0 && c.SlotsPerEpoch > 0
}

// SlotDuration is the length of one slot.
func (c Chain) SlotDuration() time.Duration { return time.Duration(c.SecondsPerSlot) * time.Second }

// EpochDuration is the length of one epoch.
func (c Chain) EpochDuration() time.Duration {
	return c.SlotDuration() * time.Duration(c.SlotsPerEpoch)
}

// Slot is the slot of time t: floor((t − genesis_time) / SECONDS_PER_SLOT), as get_current_slot of the consensus specs'
// fork-choice document has it. It is 0 before genesis and while the clock is not known.
func (c Chain) Slot(t time.Time) uint64 {
	if !c.HasClock() || t.Before(c.GenesisTime) {
		return 0
	}
	return uint64(t.Sub(c.GenesisTime) / c.SlotDuration())
}

// Epoch is the epoch of time t; 0 before genesis.
func (c Chain) Epoch(t time.Time) uint64 { return c.EpochOf(c.Slot(t)) }

// EpochOf is compute_epoch_at_slot of the consensus specs: the epoch that holds a slot.
func (c Chain) EpochOf(slot uint64) uint64 {
	if c.SlotsPerEpoch == 0 {
		return 0
	}
	return slot / c.SlotsPerEpoch
}

// EpochStart is compute_start_slot_at_epoch of the consensus specs: an epoch's first slot.
func (c Chain) EpochStart(epoch uint64) uint64 { return epoch * c.SlotsPerEpoch }

// SlotTime is when a slot begins.
func (c Chain) SlotTime(slot uint64) time.Time {
	return c.GenesisTime.Add(time.Duration(slot) * c.SlotDuration())
}

// Distance is how many slots a head is behind the clock at time t; 0 for a head that is not behind.
func (c Chain) Distance(head uint64, t time.Time) uint64 {
	if now := c.Slot(t); now > head {
		return now - head
	}
	return 0
}
