package simulate

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// ledger is one chain's history, computed: every block of every slot, as one fork has it.
type ledger struct {
	seed  string
	chain network.Chain
	// fork tells another fork's roots apart; empty for the canonical one.
	fork string
	// unaligned skips the first slot of every epoch.
	unaligned bool
	// gvr is the chain's genesis validators root.
	gvr network.Root
}

func newLedger(seed string, c network.Chain) ledger {
	l := ledger{seed: seed, chain: c, gvr: c.GenesisValidatorsRoot}
	if l.gvr.IsZero() {
		l.gvr = l.hash("genesis_validators_root", 0)
	}
	return l
}

// hash is 32 bytes that only the seed, the chain, the fork, a purpose and a number decide.
func (l ledger) hash(purpose string, n uint64) network.Root {
	return sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d|%s|%s|%d", l.seed, l.chain.Network, l.chain.GenesisTime.Unix(), l.fork, purpose, n))
}

// bytes are n such bytes, for signatures and the like.
func (l ledger) bytes(purpose string, slot uint64, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		h := l.hash(fmt.Sprintf("%s.%d", purpose, i), slot)
		out = append(out, h[:]...)
	}
	return out[:n]
}

// hasBlock tells whether a block was proposed at a slot.
func (l ledger) hasBlock(slot uint64) bool {
	return slot == 0 || !l.unaligned || slot%l.chain.SlotsPerEpoch != 0
}

// blockAt is the slot of the last block at or before a slot.
func (l ledger) blockAt(slot uint64) uint64 {
	for !l.hasBlock(slot) {
		slot--
	}
	return slot
}

func (l ledger) blockRoot(slot uint64) network.Root { return l.hash("block_root", slot) }
func (l ledger) stateRoot(slot uint64) network.Root { return l.hash("state_root", slot) }
func (l ledger) bodyRoot(slot uint64) network.Root  { return l.hash("body_root", slot) }
func (l ledger) blockHash(slot uint64) network.Root { return l.hash("block_hash", slot) }
func (l ledger) proposer(slot uint64, of int) uint64 {
	h := l.hash("proposer", slot)
	return (uint64(h[0])<<16 | uint64(h[1])<<8 | uint64(h[2])) % uint64(of)
}

// parentRoot is zero for the genesis.
func (l ledger) parentRoot(slot uint64) network.Root {
	if slot == 0 {
		return network.Root{}
	}
	return l.blockRoot(l.blockAt(slot - 1))
}

// slotOf finds the block of a root among the slots given, or false.
func (l ledger) slotOf(r network.Root, slots []uint64) (uint64, bool) {
	for _, s := range slots {
		if l.hasBlock(s) && l.blockRoot(s) == r {
			return s, true
		}
	}
	return 0, false
}

// slotAt is the slot of a time. The chain of a network that resets ends with its iteration.
func (l ledger) slotAt(t time.Time) uint64 {
	if !l.chain.ResetAt.IsZero() && !t.Before(l.chain.ResetAt) {
		t = l.chain.ResetAt.Add(-time.Nanosecond)
	}
	return l.chain.Slot(t)
}

// checkpoint is an epoch and the root of the last block at or before its first slot. Epoch 0's root is zero, as in the states.
type checkpoint struct {
	epoch uint64
	root  network.Root
}

func (l ledger) checkpoint(epoch uint64) checkpoint {
	if epoch == 0 {
		return checkpoint{}
	}
	return checkpoint{epoch, l.blockRoot(l.blockAt(l.chain.EpochStart(epoch)))}
}

// finality is what FinalityCheckpoints tells.
type finality struct{ previous, current, finalized checkpoint }

// finality is that of a chain with full attendance in the midst of an epoch: process_justification_and_finalization of the
// consensus specs first justifies at the end of epoch 2, and from then on finalizes two epochs behind.
func (l ledger) finality(epoch uint64) finality {
	switch {
	case epoch < 3:
		return finality{}
	case epoch == 3:
		return finality{current: l.checkpoint(2)}
	}
	return finality{l.checkpoint(epoch - 2), l.checkpoint(epoch - 1), l.checkpoint(epoch - 2)}
}

// period is that of Ephemery; it is used for networks that do not reset.
const period = 28 * 24 * time.Hour

// previousChain is the iteration before a chain.
func previousChain(n network.Network, c network.Chain) network.Chain {
	begun := c.GenesisTime.Add(-period)
	if n.Iterations != nil {
		c.Iteration--
		begun = n.Iterations.Genesis(c.Iteration)
	}
	c.ResetAt, c.GenesisTime = c.GenesisTime, begun
	c.GenesisValidatorsRoot = network.Root{}
	if c.DepositChainID > 0 {
		c.DepositChainID--
	}
	return c
}

// otherChain is the chain of another network, a preset. On a clock of the past, such as a bubble's, it began some decades earlier than it
// really did.
func otherChain(n network.Network, preset string, now time.Time) (network.Chain, error) {
	if preset == "" {
		preset = "mainnet"
		if n.Network == preset {
			preset = "hoodi"
		}
	}
	other, ok := network.Preset(preset)
	if !ok {
		return network.Chain{}, fmt.Errorf("unknown network %q; one of %v", preset, network.Presets())
	}
	c := other.ChainAt(now)
	for c.GenesisTime.After(now) {
		c.GenesisTime = c.GenesisTime.AddDate(-10, 0, 0)
		if !c.ResetAt.IsZero() {
			c.ResetAt = c.ResetAt.AddDate(-10, 0, 0)
		}
	}
	return c, nil
}
