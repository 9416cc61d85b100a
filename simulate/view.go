package simulate

import (
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// view is what a server knows at one moment; its handlers answer from it.
type view struct {
	client     Client
	version    string
	now        time.Time
	validators int
	// genesis and spec are what those routes tell; chain is what all others are about. They differ where something is cached.
	genesis, spec, chain ledger
	// head is the slot of the head; final is finality there, and known tells whether any is.
	head  uint64
	final finality
	known bool
	// oldest is the oldest slot whose block is held, beside the genesis.
	oldest uint64
	light  bool
	// advanced serves the finalized state dialled forward.
	advanced bool

	syncing, optimistic, elOffline bool
	distance                       uint64
	peers                          int
	// lighthouse is the word of /lighthouse/syncing; from and to are the slots of its range, or completed and remaining ones.
	lighthouse string
	from, to   uint64
	anchor     uint64
}

// finalSlot is the slot of the finalized block.
func (v view) finalSlot() uint64 {
	return v.chain.blockAt(v.chain.chain.EpochStart(v.final.finalized.epoch))
}

// historyEpochs is checkpointz' default historical_epoch_count.
const historyEpochs = 20

// boundaries are the slots whose blocks a checkpointz holds beside the genesis, newest first.
func (v view) boundaries() []uint64 {
	var out []uint64
	last := v.final.finalized.epoch
	for e := last; v.known && e > 0 && last-e < historyEpochs; e-- {
		out = append(out, v.chain.blockAt(v.chain.chain.EpochStart(e)))
	}
	return out
}

// blockSlot resolves a block id, or tells why there is none: missing, or not a valid id.
func (v view) blockSlot(id string) (slot uint64, ok, valid bool) {
	switch id {
	case "genesis":
		return 0, true, true
	case "finalized":
		return v.finalSlot(), v.known || v.client != Checkpointz, true // nodes call the genesis finalized
	case "head", "justified":
		if v.client == Checkpointz {
			return 0, false, false
		}
		if id == "head" {
			return v.head, true, true
		}
		return v.chain.blockAt(v.chain.chain.EpochStart(v.final.current.epoch)), true, true
	}
	if r, err := network.ParseRoot(id); err == nil {
		slot, ok = v.chain.slotOf(r, v.held())
		return slot, ok, true
	}
	slot, err := parseSlot(id)
	if err != nil {
		return 0, false, false
	}
	return slot, v.holds(slot), true
}

// holds tells whether the block of a slot is there.
func (v view) holds(slot uint64) bool {
	if v.client != Checkpointz {
		return v.chain.hasBlock(slot) && slot <= v.head && (slot == 0 || slot >= v.oldest)
	}
	if slot == 0 {
		return true
	}
	for _, s := range v.boundaries() {
		if s == slot {
			return true
		}
	}
	return false
}

// held are slots whose roots are looked through: all that a checkpointz has, of a node the last epochs.
func (v view) held() []uint64 {
	out := append(v.boundaries(), 0)
	if v.client != Checkpointz {
		const epochs = 8
		for i := uint64(0); i < epochs*v.chain.chain.SlotsPerEpoch && i <= v.head; i++ {
			if v.holds(v.head - i) {
				out = append(out, v.head-i)
			}
		}
	}
	return out
}

// stateSlot resolves a state id as blockSlot does.
func (v view) stateSlot(id string) (slot uint64, ok, valid bool) {
	if r, err := network.ParseRoot(id); err == nil {
		for _, s := range v.held() {
			if v.chain.stateRoot(s) == r {
				return s, v.client != Checkpointz || s == 0 || s == v.finalSlot(), true
			}
		}
		return 0, false, true
	}
	slot, ok, valid = v.blockSlot(id)
	if v.client == Checkpointz {
		// Blocks are held for 20 epochs; states are of the genesis and the finalized one.
		ok = ok && !v.light && (slot == 0 || slot == v.finalSlot())
	} else if _, err := parseSlot(id); err == nil {
		ok = slot <= v.head && (slot == 0 || slot >= v.oldest) // an empty slot has a state as well
	}
	return slot, ok, valid
}

// state is the image of the state of a slot.
func (v view) state(slot uint64) stateImage {
	f := stateFacts{ledger: v.chain, slot: slot, header: v.chain.blockAt(slot), count: v.validators}
	if v.advanced && slot > 0 && slot == v.finalSlot() {
		behind := 3*v.chain.chain.SlotsPerEpoch + 1
		f.header, f.advanced = v.chain.blockAt(slot-min(slot, behind)), true
	}
	f.finality = v.chain.finality(v.chain.chain.EpochOf(slot))
	return newState(f)
}
