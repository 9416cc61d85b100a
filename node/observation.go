// Package node looks at one node: its consensus client and, where there is one, its execution client, through their own APIs.
// A look asks each question for itself, so that a part that fails leaves the others standing, and says of each whether it was
// asked, answered or failed.
package node

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// Answer is one question's outcome. Both fields are nil when it was not asked, which is so for all that follow once the server
// could not be reached.
type Answer[T any] struct {
	Value *T
	// Err is an *beacon.Error.
	Err error
}

// OK tells whether there is a value.
func (a Answer[T]) OK() bool { return a.Value != nil }

// Observation is what one look found.
type Observation struct {
	// At is when the look began, and Took how long it lasted.
	At   time.Time
	Took time.Duration
	// Chain is the chain that the node should follow at that time. What the configuration leaves open of its clock is taken
	// from the node.
	Chain     network.Chain
	Consensus Consensus
	// Execution is nil when the node has no execution client that we were told of.
	Execution *Execution
}

// Consensus is what the consensus client told.
type Consensus struct {
	Syncing Answer[beacon.Syncing]
	// Header is that of the head; asked only when Syncing failed.
	Header Answer[beacon.Header]
	// Genesis is the last known one when this look's answer failed.
	Genesis  Answer[beacon.Genesis]
	Finality Answer[beacon.Finality]
	Peers    Answer[beacon.PeerCount]
	// Version is asked again after five minutes, or when the client could not be reached in between.
	Version Answer[beacon.ClientVersion]
	// Health is the status of /eth/v1/node/health.
	Health Answer[int]
	// Lighthouse is Lighthouse's own word on syncing; asked of no other client.
	Lighthouse Answer[beacon.LighthouseSync]
	// Backfill is from Lighthouse's database route or else from the client's metrics page, if a URL of one was given.
	Backfill Answer[beacon.Backfill]
	// Identity is how the node's chain relates to the one it should follow; Same while the node has not told its genesis.
	Identity network.Identity
}

// Up tells whether the client gave at least one valid answer of a Beacon API. A status without one may come from a proxy.
func (c Consensus) Up() bool {
	return c.Syncing.OK() || c.Header.OK() || c.Finality.OK() || c.Peers.OK() || c.Version.OK()
}

// Err is why the client is not up; nil when it is.
func (c Consensus) Err() error {
	if c.Up() {
		return nil
	}
	return c.Syncing.Err
}

// Refused tells whether the client is not up because nothing listens; see Refused.
func (c Consensus) Refused() bool { return Refused(c.Err()) }

// HeadSlot is the slot of the head; nil when unknown.
func (c Consensus) HeadSlot() *uint64 {
	switch {
	case c.Syncing.OK():
		return &c.Syncing.Value.HeadSlot
	case c.Header.OK():
		return &c.Header.Value.Slot
	}
	return nil
}

// Optimistic tells whether the head is not verified by the execution client; nil when unknown.
func (c Consensus) Optimistic() *bool {
	switch {
	case c.Syncing.OK():
		return c.Syncing.Value.IsOptimistic
	case c.Header.OK():
		return c.Header.Value.Optimistic
	}
	return nil
}

// BackfillRemaining is how many slots are still to be fetched backwards; nil when the client did not tell.
func (o Observation) BackfillRemaining() *uint64 {
	if !o.Consensus.Backfill.OK() || !o.Chain.HasClock() {
		return nil
	}
	left, ok := o.Consensus.Backfill.Value.Remaining(beacon.BackfillTarget(o.Chain.Slot(o.At), o.Chain.SlotsPerEpoch))
	if !ok {
		return nil
	}
	return &left
}

// Sample is the look as progress.Follower takes it.
func (o Observation) Sample() progress.Sample {
	c := o.Consensus
	s := progress.Sample{
		At: o.At, Reachable: c.Up(), Refused: c.Refused(), Chain: o.Chain, Identity: c.Identity,
		HeadSlot: c.HeadSlot(), Optimistic: c.Optimistic(), BackfillRemaining: o.BackfillRemaining(),
	}
	if c.Syncing.OK() {
		s.ClientSyncing, s.ClientDistance = &c.Syncing.Value.IsSyncing, c.Syncing.Value.SyncDistance
	}
	return s
}

// Refused tells whether an error means that nothing listens at the address: the connection was refused, or, as a container
// engine's port proxy has it, accepted and closed at once.
func Refused(err error) bool {
	return beacon.ReasonOf(err) == beacon.Connect &&
		(errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF))
}
