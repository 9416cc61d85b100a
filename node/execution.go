package node

import (
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Execution is what the execution client told.
type Execution struct {
	ChainID Answer[uint64]
	Syncing Answer[beacon.ExecutionSyncing]
	// Head is the latest block.
	Head    Answer[beacon.Block]
	Peers   Answer[uint64]
	Version Answer[beacon.ClientVersion]
	// ChainIDMatch tells whether ChainID is that of the chain which the node should follow; nil when either is unknown.
	ChainIDMatch *bool
	// Identity is what the chain id says of the chain; Same while it is unknown.
	Identity network.Identity
}

// Up tells whether the client gave at least one valid answer.
func (e *Execution) Up() bool {
	return e.ChainID.OK() || e.Syncing.OK() || e.Head.OK() || e.Peers.OK() || e.Version.OK()
}

// Err is why the client is not up; nil when it is.
func (e *Execution) Err() error {
	if e.Up() {
		return nil
	}
	return e.ChainID.Err
}

// HeadAge is how old the latest block was at time t; nil when unknown. A block that is ahead of our clock is of age 0.
func (e *Execution) HeadAge(t time.Time) *time.Duration {
	if !e.Head.OK() {
		return nil
	}
	return new(max(t.Sub(e.Head.Value.Time), 0))
}

// proofAge is how old the latest block may be for eth_syncing's false to be believed: an epoch of mainnet, which outlasts the
// empty slots of a quiet network.
const proofAge = 32 * 12 * time.Second

// SyncingAt tells whether the client was syncing at time t; nil when that cannot be told.
//
// A client that only builds indexes has all blocks and is not syncing, although geth keeps answering with an object
// (internal/ethapi/api.go). False alone is no proof: geth says it until its consensus client has sent the first forkchoice, so
// it is believed only with a recent head that is not the genesis block. A stage list without a gap, as reth gives while it
// takes in single blocks, is believed on the same terms.
func (e *Execution) SyncingAt(t time.Time) *bool {
	if !e.Syncing.OK() {
		return nil
	}
	s := *e.Syncing.Value
	switch {
	case s.Indexing:
		return new(false)
	case s.Syncing && (s.Stages == nil || s.Current < s.Highest):
		return new(true)
	case e.Head.OK() && e.Head.Value.Number > 0 && t.Sub(e.Head.Value.Time) <= proofAge:
		return new(false)
	case s.Syncing:
		return new(true)
	}
	return nil
}
