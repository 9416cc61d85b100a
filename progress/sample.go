// Package progress follows a node from look to look: how far it is behind the clock, how fast it closes the distance, when it
// will be there, and whether it has come to a stand. It does no I/O and has no clock of its own: time arrives with the
// samples, and with the question.
//
// The distance is always ours, slot clock minus head. What a client says of itself (is_syncing, sync_distance, health) means
// something else in each client, so it is used only where the chain's clock is not known.
package progress

import (
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Sample is what one look at a node found. A nil pointer is something that the look could not learn.
type Sample struct {
	// At is when the look took place.
	At time.Time
	// Reachable tells that the consensus API answered at all.
	Reachable bool
	// Refused tells that the connection was refused: nothing listens. Clients open their API only after the state is
	// downloaded, so this, unlike a timeout, is normal while they bootstrap.
	Refused bool
	// Chain is the chain that the node should follow; its clock gives the distance.
	Chain network.Chain
	// Identity is how the node's chain relates to Chain.
	Identity network.Identity
	// HeadSlot is the slot of the node's head block.
	HeadSlot *uint64
	// Optimistic tells that the head has not been verified by the execution client.
	Optimistic *bool
	// BackfillRemaining counts the slots that are still to be fetched backwards from the checkpoint; 0 when that is done.
	BackfillRemaining *uint64
	// ClientSyncing and ClientDistance (in slots) are the client's own is_syncing and sync_distance. They decide only while
	// Chain has no clock.
	ClientSyncing  *bool
	ClientDistance *uint64
}

// Phase is the one word for where a node is.
type Phase string

// The phases, in the order of precedence in which they are decided: the first that holds is the node's.
const (
	// Unreachable: the API did not answer, or nobody has looked for Options.StaleAfter.
	Unreachable Phase = "unreachable"
	// Bootstrapping: connections have been refused for less than Options.BootstrapFor (never seen up) or Options.RestartFor
	// (seen up before); or the API answers but, for less than Options.BootstrapFor, has told no head since it came up; or
	// the chain's genesis is still to come.
	Bootstrapping Phase = "bootstrapping"
	// WrongNetwork: the node follows another network.
	WrongNetwork Phase = "wrong_network"
	// OldIteration: the node follows an earlier iteration of the network.
	OldIteration Phase = "old_iteration"
	// Stalled: behind by more than Options.SyncedWithin, and no progress for Options.StallAfter.
	Stalled Phase = "stalled"
	// Syncing: behind by more than Options.SyncedWithin.
	Syncing Phase = "syncing"
	// Optimistic: at the head, which the execution client has not verified.
	Optimistic Phase = "optimistic"
	// Backfilling: at the head, and still fetching history.
	Backfilling Phase = "backfilling"
	// Synced: at the head, with nothing outstanding that the look could see.
	Synced Phase = "synced"
)

// Phases are all phases, in the order of a node's life and then its troubles.
func Phases() []Phase {
	return []Phase{Unreachable, Bootstrapping, Syncing, Optimistic, Backfilling, Synced, Stalled, WrongNetwork, OldIteration}
}

// Status is what is known of a node at a moment. A nil pointer is unknown, and is exported as an absent series.
type Status struct {
	Phase Phase
	// Distance is how many slots the head is behind the clock.
	Distance *uint64
	// Speed is how fast the head moves, in slots a second. A synced node's is that of the chain.
	Speed *float64
	// Closing is Speed less the speed of the chain, in slots a second; negative while the node falls behind.
	Closing *float64
	// ETA is how long until the node is at the head; nil while it does not gain or is already there.
	ETA *ETA
	// Ratio is the share, 0 to 1, of the way from where this sync was first seen, but at least an epoch, to the clock's slot; 1
	// at the head.
	Ratio *float64
	// SinceProgress is for how long the node has answered without progress. Progress is a head above the highest one, where
	// a fall of more than an epoch (a restart, a new database) begins a new climb: once, until the old height is passed or
	// the climb has gone on for StallAfter, so a head that swings up and down makes none. Time in which the node did not
	// answer, or nobody looked, does not count.
	SinceProgress *time.Duration
	// StallAfter is the threshold in force.
	StallAfter time.Duration
	// Stalled tells that the phase is Stalled.
	Stalled bool
	// BackfillRemaining is the last known count of slots to backfill, and BackfillETA how long that will take.
	BackfillRemaining *uint64
	BackfillETA       *ETA
	// LastLook is the time of the latest sample and LastSeen that of the latest one with an answer; zero for never.
	LastLook, LastSeen time.Time
	// Stale tells that the latest sample is older than Options.StaleAfter.
	Stale bool
}

// ETA is a time still to go, with its uncertainty: the node needs less than P10 in one case of ten and less than P90 in nine.
type ETA struct{ P10, P50, P90 time.Duration }
