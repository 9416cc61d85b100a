package simulate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// maxState bounds what a node takes from its provider: Prysm's cap, api/client.
const maxState = 512 << 20

// stateHead is what a node reads of a state before it trusts it.
type stateHead struct {
	genesis uint64
	gvr     network.Root
	slot    uint64
	header  uint64
}

// Why a process ends or a state is refused. Each client has its own words for these; see log.go.
var (
	errDiskFull                = errors.New("no space left on device")
	errCorrupt                 = errors.New("the database is corrupt")
	errOutsideWeakSubjectivity = errors.New("cannot sync outside of weak subjectivity period")
	errTooOld                  = errors.New("the state is of a fork that is not known")
	errOtherNetwork            = errors.New("the state is of another network; ensure the provider is a node of the right one")
	errStaleProvider           = errors.New("cannot sync outside of the weak subjectivity period")
)

// bootstrap makes a database from the provider at base, or from the genesis where the client does so, as the client would. An error ends
// the process.
func (n *Node) bootstrap(ctx context.Context, base string) (*database, error) {
	q := n.opts.Client.quirks()
	now := n.sim.opts.Clock()
	n.mu.Lock()
	right, old := newLedger(n.sim.opts.Seed, n.files), n.faults.has(KindTooOld)
	n.mu.Unlock()
	genesis := func() *database { return n.newDatabase(right, 0, now) }
	if base == "" {
		if q.needsURL {
			return nil, errors.New("syncing from genesis is insecure and no checkpoint provider is configured")
		}
		return genesis(), nil
	}
	head, err := n.download(ctx, strings.TrimSuffix(base, "/"), q)
	if err == nil && old {
		err = errTooOld
	}
	if err == nil {
		err = n.distrust(head, right, q)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case q.fallsBack:
		n.note("falling back to the genesis state", err)
		n.mu.Lock()
		n.logRefusal(n.sim.opts.Clock(), levelWarn, err)
		n.mu.Unlock()
		return genesis(), nil
	default:
		return nil, fmt.Errorf("checkpoint sync from %s: %w", base, err)
	}
	l := right
	if head.genesis != uint64(right.chain.GenesisTime.Unix()) || head.gvr != right.gvr {
		l = n.strange(head, right)
	}
	return n.newDatabase(l, head.header, n.sim.opts.Clock()), nil
}

// newDatabase is one whose head is a block already there.
func (n *Node) newDatabase(l ledger, head uint64, now time.Time) *database {
	d := &database{ledger: l, name: n.name, speed: &n.opts, backfillSpeed: n.backfillSpeed(), at: now, head: head, anchor: head}
	d.begin()
	return d
}

func (n *Node) backfillSpeed() float64 {
	switch s := n.opts.BackfillSlotsPerSecond; {
	case s < 0:
		return 0
	case s > 0:
		return s
	}
	return n.opts.Client.quirks().backfill
}

// strange is the chain that a node is led to that does not look at its network.
func (n *Node) strange(h stateHead, right ledger) ledger {
	old := newLedger(n.sim.opts.Seed, previousChain(n.sim.opts.Network, right.chain))
	if h.genesis == uint64(old.chain.GenesisTime.Unix()) && h.gvr == old.gvr {
		return old
	}
	c := network.Chain{
		Network: "unknown", GenesisTime: time.Unix(int64(h.genesis), 0), GenesisValidatorsRoot: h.gvr,
		SecondsPerSlot: right.chain.SecondsPerSlot, SlotsPerEpoch: right.chain.SlotsPerEpoch,
	}
	return newLedger(n.sim.opts.Seed, c)
}

// download asks what the client asks, in its order.
func (n *Node) download(ctx context.Context, base string, q quirks) (stateHead, error) {
	timeout := q.timeout
	if n.opts.BootstrapTimeout > 0 {
		timeout = n.opts.BootstrapTimeout
	}
	get := func(path string, read func(io.Reader) error) error {
		ctx := ctx
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		if err := n.fetch(ctx, base+path, read); err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		return nil
	}
	state := func(id string) (h stateHead, err error) {
		err = get("/eth/v2/debug/beacon/states/"+id, func(r io.Reader) error {
			h, err = readState(r)
			return err
		})
		return h, err
	}
	block := func(id string) (slot uint64, err error) {
		err = get("/eth/v2/beacon/blocks/"+id, func(r io.Reader) error {
			slot, err = readBlock(r)
			return err
		})
		return slot, err
	}
	if q.genesisState {
		if _, err := state("genesis"); err != nil {
			return stateHead{}, err
		}
	}
	if q.blockFirst {
		slot, err := block("finalized")
		if err != nil {
			return stateHead{}, err
		}
		return state(dec(slot))
	}
	h, err := state("finalized")
	if err != nil || !q.block {
		return h, err
	}
	slot, err := block(dec(h.header))
	if err == nil && slot != h.header {
		err = fmt.Errorf("the block is of slot %d and the state's header of slot %d", slot, h.header)
	}
	return h, err
}

func (n *Node) fetch(ctx context.Context, url string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", mediaSSZ)
	req.Header.Set("User-Agent", string(n.opts.Client))
	res, err := n.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("HTTP status %d: %s", res.StatusCode, strings.TrimSpace(string(body)))
	}
	limited := &io.LimitedReader{R: res.Body, N: maxState}
	if err := read(limited); err != nil {
		return err
	}
	if limited.N == 0 {
		return errors.New("the body is too large")
	}
	return nil
}

// readState reads a state to its end, and keeps its beginning. A body that is no state, or ends early, is an error.
func readState(r io.Reader) (stateHead, error) {
	b := make([]byte, balancesAt+4)
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return stateHead{}, fmt.Errorf("failed to decode SSZ state: %d bytes are too few", n)
	}
	if err != nil {
		return stateHead{}, err
	}
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
	rest, err := io.Copy(io.Discard, r)
	if err != nil {
		return stateHead{}, err
	}
	size, fixed := int64(n)+rest, u32(historicalRootsAt)
	if fixed < phase0Size || u32(validatorsAt) < fixed || u32(balancesAt) < u32(validatorsAt) || size < u32(balancesAt) {
		return stateHead{}, fmt.Errorf("failed to decode SSZ state of %d bytes: offset out of bounds", size)
	}
	return stateHead{
		genesis: binary.LittleEndian.Uint64(b), gvr: network.Root(b[8:40]),
		slot: binary.LittleEndian.Uint64(b[40:]), header: binary.LittleEndian.Uint64(b[64:]),
	}, nil
}

// readBlock reads the slot of a signed block.
func readBlock(r io.Reader) (uint64, error) {
	b, err := io.ReadAll(io.LimitReader(r, 16<<20))
	if err != nil {
		return 0, err
	}
	if len(b) < 184 || binary.LittleEndian.Uint32(b) != 100 {
		return 0, fmt.Errorf("failed to decode SSZ block of %d bytes", len(b))
	}
	return binary.LittleEndian.Uint64(b[100:]), nil
}

// distrust is why the client refuses a state that it could read.
func (n *Node) distrust(h stateHead, right ledger, q quirks) error {
	c := right.chain
	c.GenesisTime = time.Unix(int64(h.genesis), 0) // a client that believes any state takes its clock from it too
	now := c.Slot(n.sim.opts.Clock())
	switch {
	case !q.believes && (h.genesis != uint64(right.chain.GenesisTime.Unix()) || h.gvr != right.gvr):
		return errOtherNetwork
	case h.header > h.slot || h.slot > now:
		return fmt.Errorf("the state of slot %d is from the future", h.slot)
	case q.aligned && h.slot%c.SlotsPerEpoch != 0:
		return errors.New("the state's slot must fall on an epoch boundary")
	case q.freshness && c.WeakSubjectivityEpochs > 0 && c.EpochOf(now) > c.EpochOf(h.slot)+c.WeakSubjectivityEpochs:
		return errStaleProvider
	}
	return nil
}
