package simulate

import (
	"time"
)

// NodeStatus is what a node knows about itself, whatever its API says.
type NodeStatus struct {
	State     State  `json:"state"`
	Chain     string `json:"chain"`
	Head      uint64 `json:"head_slot"`
	Distance  uint64 `json:"distance_slots"`
	Finalized uint64 `json:"finalized_epoch"`
	// Anchor is the slot that the node synced from; 0 for the genesis.
	Anchor uint64 `json:"anchor_slot"`
	// OldestBlock is how far the backfill has come down; 0 when it is complete.
	OldestBlock uint64 `json:"oldest_block_slot"`
	Synced      bool   `json:"synced"`
	Peers       int    `json:"peers"`
	Database    bool   `json:"database"`
	// Iteration is that of the clients' network files; 0 for a network that does not reset.
	Iteration uint64 `json:"iteration"`
	// LastError is why the process last exited, in the client's manner.
	LastError string  `json:"last_error,omitempty"`
	Starts    []Start `json:"starts"`
	// ExecutionStarts are the times at which the execution client was started.
	ExecutionStarts []time.Time `json:"execution_starts"`
}

// peersNow is how many there are: none for a node left on a chain that has ended; n.mu is held.
func (n *Node) peersNow(now time.Time) int {
	switch {
	case n.faults.has(KindNoPeers), n.faults.has(KindOldIteration):
		return 0
	case n.faults.has(KindWrongNetwork):
		return n.opts.Peers
	case n.db == nil, n.db.ledger.gvr != n.sim.rightChain(now).gvr:
		return 0
	}
	return n.opts.Peers
}

// advance lives through the time up to now under the present state and faults; n.mu is held. Whoever changes either calls it first.
func (n *Node) advance(now time.Time) {
	if n.db == nil {
		return
	}
	peers := n.peersNow(n.db.at) > 0
	execution := n.exec == nil || n.execOpen() && !n.faults.has(KindEngineAuth)
	moving := n.state == StateRunning && peers && execution && !n.faults.has(KindStall)
	n.db.advance(now, moving, !n.faults.has(KindBackfillStall))
	if n.state == StateRunning && execution && n.verifies() {
		n.execHead = n.db.head
	}
}

// verifies tells whether the execution client imports what the consensus client hands it; n.mu is held.
func (n *Node) verifies() bool {
	for _, k := range []Kind{KindExecutionSyncing, KindOptimistic, KindInvalidPayload, KindExecutionNoPeers, KindExecutionHealing, KindExecutionWrongNetwork} {
		if n.faults.has(k) {
			return false
		}
	}
	c := n.db.ledger.chain
	return n.exec == nil || c.DepositChainID == 0 || n.execChain.DepositChainID == c.DepositChainID
}

// finalized is the slot of the node's finalized block; n.mu is held.
func (n *Node) finalized(d *database) uint64 {
	return d.ledger.blockAt(d.ledger.chain.EpochStart(n.finality(d).finalized.epoch))
}

// finality is what follows from the head, and at least the checkpoint that the node began from.
func (n *Node) finality(d *database) finality {
	c := d.ledger.chain
	f := d.ledger.finality(min(c.EpochOf(d.head), n.sim.finalAt(d.ledger, d.at)))
	if begun := c.EpochOf(d.anchor); f.finalized.epoch < begun {
		at := d.ledger.checkpoint(begun)
		return finality{at, at, at}
	}
	return f
}

// view is what the node says now, with its client's quirks.
func (n *Node) view() view {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.sim.opts.Clock()
	n.advance(now)
	v := view{
		client: n.opts.Client, version: n.opts.Version, now: now, validators: n.sim.opts.Validators, known: true,
		peers: n.peersNow(now), elOffline: n.exec != nil && (!n.execOpen() || n.faults.has(KindEngineAuth)),
		optimistic: n.db != nil && !n.verifies(),
	}
	caughtUp, backfill := false, false
	if n.db != nil {
		v.chain, v.head, v.final = n.db.ledger, n.db.head, n.finality(n.db)
		v.anchor, v.oldest = n.db.anchor, n.db.oldest()
		caughtUp = n.db.caughtUp
		backfill = n.db.backfillSpeed > 0 && v.oldest > 0
	}
	if l, ok := n.elsewhere(now); ok {
		v.optimistic = n.faults.has(KindOptimistic) || n.faults.has(KindExecutionSyncing)
		v.chain, v.head, v.anchor, v.oldest = l, l.slotAt(now), 0, 0
		v.final = l.finality(l.chain.EpochOf(v.head))
		caughtUp, backfill = true, false
	}
	v.genesis, v.spec = v.chain, v.chain
	v.head = v.chain.blockAt(v.head)
	if wall := v.chain.chain.Slot(now); wall > v.head {
		v.distance = wall - v.head
	}
	v.quirks(caughtUp, backfill)
	return v
}

// elsewhere is the chain that a fault has put the node on; n.mu is held.
func (n *Node) elsewhere(now time.Time) (ledger, bool) {
	if f, ok := n.faults.get(KindWrongNetwork); ok {
		if c, err := otherChain(n.sim.opts.Network, f.Network, now); err == nil {
			return newLedger(n.sim.opts.Seed, c), true
		}
	}
	if n.faults.has(KindOldIteration) {
		return newLedger(n.sim.opts.Seed, previousChain(n.sim.opts.Network, n.sim.opts.Network.ChainAt(now))), true
	}
	return ledger{}, false
}

// quirks turns the truth into what the client calls syncing and sync_distance.
func (v *view) quirks(caughtUp, backfill bool) {
	const tolerance = 8 // slots that clients forgive before they call themselves syncing
	behind := v.distance > tolerance
	switch v.client {
	case Lighthouse:
		// No useful peers are "Stalled", and that is syncing, even at distance 0.
		switch {
		case v.peers == 0:
			v.lighthouse = lighthouseStalled
		case behind && v.distance > 2*v.chain.chain.SlotsPerEpoch:
			v.lighthouse, v.from, v.to = lighthouseFinalized, v.head, v.head+v.distance
		case behind:
			v.lighthouse, v.from, v.to = lighthouseHead, v.head, v.head+v.distance
		case backfill:
			v.lighthouse, v.from, v.to = lighthouseBackfilling, v.anchor-v.oldest, v.oldest
		default:
			v.lighthouse = lighthouseSynced
		}
		v.syncing = v.peers == 0 || behind
	case Teku:
		// Its distance is that to the best peer's head, so that without peers it looks synced.
		if v.peers == 0 || v.distance <= 1 {
			v.distance = 0
		}
		v.syncing = v.distance != 0
	case Prysm:
		// Once synced it does not call itself syncing again, and it does not notice that its execution client is gone.
		v.syncing = !caughtUp
		v.elOffline = false
	case Nimbus:
		v.syncing = behind
	case Lodestar:
		v.syncing = v.peers == 0 || behind
	case Grandine:
		// Back-sync counts as syncing; the distance is 0 once it was synced.
		v.syncing = !caughtUp || backfill
		if caughtUp {
			v.distance = 0
		}
	}
}

// Status tells the truth about the node.
func (n *Node) Status() NodeStatus {
	v := n.view()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := NodeStatus{
		State: n.state, Peers: v.peers, Iteration: n.files.Iteration, Database: n.db != nil && !n.wiped, LastError: n.lastError,
		Starts: append([]Start{}, n.starts...), ExecutionStarts: append([]time.Time{}, n.execStarts...),
	}
	if v.chain.chain.HasClock() {
		s.Chain, s.Head, s.Anchor, s.OldestBlock, s.Finalized = v.chain.chain.Network, v.head, v.anchor, v.oldest, v.final.finalized.epoch
		s.Distance = v.chain.chain.Distance(v.head, v.now)
		s.Synced = n.state == StateRunning && s.Distance <= 2
	}
	return s
}
