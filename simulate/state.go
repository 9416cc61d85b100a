package simulate

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Sizes of the SSZ BeaconState with mainnet's preset: consensus-specs specs/*/beacon-chain.md and presets/mainnet.
const (
	stateHeaderSize      = 176
	historicalRootsAt    = 524464
	validatorsAt         = 524552
	balancesAt           = 524556
	finalizedAt          = 2687337
	phase0Size           = 2687377
	validatorSize        = 121
	bytesPerValidator    = validatorSize + 8 + 1 + 1 + 8
	payloadHeaderSize    = 584
	slotsPerHistorical   = 8192
	syncCommitteesSize   = 2 * (512*48 + 48)
	proposerLookaheadLen = 64
)

// stateImage is a state that is written out and never held: spots of bytes in a sea of zeros.
type stateImage struct {
	size  int64
	spots []spot
	// validators is where the registry lies, and how many.
	validators int64
	count      int
}

type spot struct {
	at    int64
	bytes []byte
}

// stateFacts are what the state of a slot says of itself.
type stateFacts struct {
	ledger ledger
	slot   uint64
	// header is the slot of the latest block; advanced fills in the state root that process_slot caches.
	header   uint64
	advanced bool
	finality finality
	count    int
}

// newState lays out the state of the fork in force at its slot: every offset is right, the registry holds active validators of 32 ETH,
// and everything else behind the header is zero.
func newState(f stateFacts) stateImage {
	l, c := f.ledger, f.ledger.chain
	forks := forksOf(c)
	level := forkAt(forks, c.EpochOf(f.slot))
	img := stateImage{count: f.count}

	// The fixed part up to Altair's fields is the same in every fork.
	head := make([]byte, 0, stateHeaderSize)
	head = binary.LittleEndian.AppendUint64(head, uint64(c.GenesisTime.Unix()))
	head = append(head, l.gvr[:]...)
	head = binary.LittleEndian.AppendUint64(head, f.slot)
	head = append(head, forks[max(level-1, 0)].version[:]...)
	head = append(head, forks[level].version[:]...)
	head = binary.LittleEndian.AppendUint64(head, forks[level].epoch)
	head = binary.LittleEndian.AppendUint64(head, f.header)
	head = binary.LittleEndian.AppendUint64(head, l.proposer(f.header, f.count))
	parent, body := l.parentRoot(f.header), l.bodyRoot(f.header)
	var root network.Root
	if f.advanced {
		root = l.stateRoot(f.header)
	}
	head = append(append(append(head, parent[:]...), root[:]...), body[:]...)
	img.put(0, head)
	// The latest of block_roots, where a reader of the state looks up recent blocks.
	for i := uint64(0); i < 64 && i < f.slot; i++ {
		s := f.slot - 1 - i
		r := l.blockRoot(l.blockAt(s))
		img.put(int64(stateHeaderSize+(s%slotsPerHistorical)*32), r[:])
	}

	var offsets []int64 // where each offset of a variable field stands
	fixed := int64(phase0Size)
	offsets = append(offsets, historicalRootsAt, 524540, validatorsAt, balancesAt, 2687248, 2687252)
	sizes := []int64{0, 0, int64(f.count) * validatorSize, int64(f.count) * 8, 0, 0}
	if level >= 1 {
		sizes[4], sizes[5] = int64(f.count), int64(f.count)
		offsets, sizes = append(offsets, fixed), append(sizes, int64(f.count)*8) // inactivity_scores
		fixed += 4 + syncCommitteesSize
	}
	if level >= 2 {
		// Capella added withdrawals_root, Deneb two numbers.
		payload := []int64{536, 568, payloadHeaderSize}[min(level-2, 2)]
		offsets, sizes = append(offsets, fixed), append(sizes, payload)
		fixed += 4
	}
	if level >= 3 {
		fixed += 16 // next_withdrawal_index, next_withdrawal_validator_index
		offsets, sizes = append(offsets, fixed), append(sizes, 0)
		fixed += 4
	}
	if level >= 5 {
		fixed += 48
		offsets, sizes = append(offsets, fixed, fixed+4, fixed+8), append(sizes, 0, 0, 0)
		fixed += 12
	}
	if level >= 6 {
		fixed += proposerLookaheadLen * 8
	}
	at := fixed
	for i, where := range offsets {
		img.put(where, binary.LittleEndian.AppendUint32(nil, uint32(at)))
		if where == validatorsAt {
			img.validators = at
		}
		if level >= 2 && i == 7 { // the payload header's own variable field begins at its end
			img.put(at+436, binary.LittleEndian.AppendUint32(nil, uint32(sizes[i])))
		}
		at += sizes[i]
	}
	img.size = at

	fin := make([]byte, 0, 120)
	for _, cp := range []checkpoint{f.finality.previous, f.finality.current, f.finality.finalized} {
		fin = binary.LittleEndian.AppendUint64(fin, cp.epoch)
		fin = append(fin, cp.root[:]...)
	}
	img.put(finalizedAt-80, fin)
	return img
}

func (s *stateImage) put(at int64, b []byte) { s.spots = append(s.spots, spot{at, b}) }

// WriteTo implements io.WriterTo.
func (s stateImage) WriteTo(w io.Writer) (int64, error) {
	const chunk = 64 << 10
	buf := make([]byte, chunk)
	var done int64
	for done < s.size {
		n := min(chunk, s.size-done)
		b := buf[:n]
		clear(b)
		s.fill(b, done)
		m, err := w.Write(b)
		done += int64(m)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// fill writes what lies at an offset into a piece of the state.
func (s stateImage) fill(b []byte, at int64) {
	end := at + int64(len(b))
	for _, p := range s.spots {
		lay(b, at, p.at, p.bytes)
	}
	if s.count == 0 || end <= s.validators || at >= s.validators+int64(s.count)*validatorSize {
		return
	}
	first := max(0, (at-s.validators)/validatorSize)
	for i := first; i < int64(s.count) && s.validators+i*validatorSize < end; i++ {
		v := make([]byte, validatorSize)
		binary.LittleEndian.PutUint64(v, uint64(i)+1)                  // pubkey, only to tell them apart
		binary.LittleEndian.PutUint64(v[80:], 32_000_000_000)          // effective_balance
		binary.LittleEndian.PutUint64(v[105:], uint64(math.MaxUint64)) // exit_epoch
		binary.LittleEndian.PutUint64(v[113:], uint64(math.MaxUint64)) // withdrawable_epoch
		lay(b, at, s.validators+i*validatorSize, v)
	}
}

// lay copies the part of src, which lies at from, that falls into b, which lies at at.
func lay(b []byte, at, from int64, src []byte) {
	if from+int64(len(src)) <= at || from >= at+int64(len(b)) {
		return
	}
	if from < at {
		src, from = src[at-from:], at
	}
	copy(b[from-at:], src)
}
