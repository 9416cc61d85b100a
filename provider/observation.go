package provider

import (
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Observation is what one look at a provider saw. It is a value that nothing changes afterwards; what it points to is not to be changed.
type Observation struct {
	// Provider is the configured name and URL the base URL without a password.
	Provider, URL string
	// At is when the look began.
	At time.Time
	// Err is why the provider could not be asked; nil when it answered what every provider has to. It wraps a *beacon.Error. The
	// fields below are empty then, but for Exchange and RetryAt.
	Err error
	// Genesis is nil only when Err is set.
	Genesis *beacon.Genesis
	// Spec holds the constants that are judged.
	Spec Constants
	// Version is the server's own word; empty when it did not tell.
	Version beacon.ClientVersion
	// Claimed is the finalized checkpoint of its head; nil when it has none to tell.
	Claimed *beacon.Checkpoint
	// Served is the finalized checkpoint that it gives out, which on checkpointz can be older than Claimed; nil when it has none.
	Served *beacon.Checkpoint
	// FinalityErr is why Served is nil; nil when Served is not, or when its finality is the genesis.
	FinalityErr error
	// Roots are the block roots of recent finalized epochs by epoch, Served's among them.
	Roots map[uint64]network.Root
	// State is the beginning of the finalized state that it served last; nil when the last reading failed or none was tried.
	State *State
	// StateErr is why the last reading failed.
	StateErr error
	// Mode is checkpointz' operating mode, asked only when it serves no state: "full" or "light".
	Mode string
	// Exchange has the timings of the JSON requests, the state's not among them, and the certificate.
	Exchange beacon.Exchange
	// RetryAt is until when the provider asked to be left alone; zero when it did not.
	RetryAt time.Time
	// Kept is true for an earlier observation that is given again because RetryAt is not yet reached: nothing was asked.
	Kept bool
}

// Constants are those of /eth/v1/config/spec that are judged; 0 for one that the provider does not tell.
type Constants struct {
	ConfigName                    string
	DepositChainID                uint64
	SecondsPerSlot, SlotsPerEpoch uint64
}

// State is the beginning of a finalized state and the circumstances of its reading.
type State struct {
	beacon.StatePrefix
	// At is when it was read.
	At time.Time
	// Served is the checkpoint that the provider gave out just before.
	Served beacon.Checkpoint
	// FirstByte is how long the provider took to begin with it.
	FirstByte time.Duration
}

func constants(s beacon.Spec) Constants {
	var c Constants
	c.ConfigName, _ = s.ConfigName()
	c.DepositChainID, _ = s.DepositChainID()
	c.SecondsPerSlot, _ = s.SecondsPerSlot()
	c.SlotsPerEpoch, _ = s.SlotsPerEpoch()
	return c
}
