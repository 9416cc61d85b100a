package provider

import (
	"maps"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

const (
	// maxRoots is how many epochs are remembered, some seven hours of a chain with 32 slots of 12 s.
	maxRoots = 64
	// maxRetry bounds how long a provider can keep us away by its Retry-After.
	maxRetry = time.Hour
	// defaultRetry is how long a provider is left alone after a 429 that does not say how long.
	defaultRetry = time.Minute
	// stateRetry is how long after a failed reading of the state the next one is due; it doubles with each failure.
	stateRetry = 30 * time.Second
)

// memory is what a Prober knows from earlier looks at one chain of its provider.
type memory struct {
	genesis beacon.Genesis
	// roots are block roots by epoch. None are those epochs that the provider was asked for in vain.
	roots map[uint64]network.Root
	none  map[uint64]struct{}

	state    *State
	stateErr error
	mode     string
	// stateDue is when the state is to be read again.
	stateDue time.Time
	failures int
}

func newMemory(g beacon.Genesis) *memory {
	return &memory{genesis: g, roots: map[uint64]network.Root{}, none: map[uint64]struct{}{}}
}

func (m *memory) remember(c beacon.Checkpoint) {
	m.roots[c.Epoch] = c.Root
	forgetOldest(m.roots)
}

func (m *memory) inVain(epoch uint64) {
	m.none[epoch] = struct{}{}
	forgetOldest(m.none)
}

func forgetOldest[V any](m map[uint64]V) {
	for len(m) > maxRoots {
		delete(m, slices.Min(slices.Collect(maps.Keys(m))))
	}
}

// epochOf is the epoch for which a root was served earlier.
func (m *memory) epochOf(root network.Root) (uint64, bool) {
	found, ok := uint64(0), false
	for epoch, r := range m.roots {
		if r == root && (!ok || epoch > found) {
			found, ok = epoch, true
		}
	}
	return found, ok
}

// keepState notes a reading of the state; the next is due after the interval, or sooner when it failed.
func (m *memory) keepState(s *State, err error, now time.Time, interval time.Duration) {
	m.state, m.stateErr = s, err
	if err == nil {
		m.failures, m.mode, m.stateDue = 0, "", now.Add(interval)
		return
	}
	wait := stateRetry << min(m.failures, 16)
	m.failures++
	m.stateDue = now.Add(min(wait, interval))
}
