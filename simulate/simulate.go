package simulate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Options are a simulation's. All may be left out.
type Options struct {
	// Network is what providers and nodes belong to; Ephemery when it has no clock. Wrap a single chain as
	// network.Network{Chain: c}.
	Network network.Network
	// Clock is the time of the chain; time.Now when nil.
	Clock func() time.Time
	// Pace is how many seconds of the clock pass in a real one; 1 when 0. It shortens the waits of processes: NodeOptions.StartupTime
	// and RestartDelay.
	Pace float64
	// Seed makes two simulations differ in every root.
	Seed string
	// Sockets is Loopback when nil.
	Sockets Sockets
	// Validators in the states that are served, 139 bytes each beside 2.74 MB; 64 when 0.
	Validators int
	// Logger gets one line an event; nil discards them.
	Logger log.Logger
}

// FastClock begins at a time and runs pace times as fast as the real one.
func FastClock(from time.Time, pace float64) func() time.Time {
	began := time.Now()
	return func() time.Time { return from.Add(time.Duration(float64(time.Since(began)) * pace)) }
}

// Simulation is a network of providers and nodes.
type Simulation struct {
	opts   Options
	logger log.Logger

	mu        sync.Mutex
	providers []*Provider
	nodes     []*Node
	// haltedAt is when the network stopped finalizing; zero while it finalizes.
	haltedAt time.Time
}

// New makes a simulation without providers or nodes.
func New(o Options) (*Simulation, error) {
	if o.Network.Iterations == nil && !o.Network.HasClock() {
		if o.Network.Network != "" {
			return nil, fmt.Errorf("simulate %s: the chain needs a genesis time, seconds per slot and slots per epoch", o.Network.Network)
		}
		o.Network, _ = network.Preset("ephemery")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Pace == 0 {
		o.Pace = 1
	}
	if o.Pace < 0 {
		return nil, errors.New("simulate: the pace must be positive")
	}
	if o.Sockets == nil {
		o.Sockets = Loopback{}
	}
	if o.Validators == 0 {
		o.Validators = 64
	}
	if o.Validators < 0 {
		return nil, errors.New("simulate: the number of validators must be positive")
	}
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	return &Simulation{opts: o, logger: o.Logger}, nil
}

// Chain is the chain that should be running now.
func (s *Simulation) Chain() network.Chain { return s.opts.Network.ChainAt(s.opts.Clock()) }

// Provider is the provider of a name, or nil.
func (s *Simulation) Provider(name string) *Provider {
	for _, p := range s.Providers() {
		if p.name == name {
			return p
		}
	}
	return nil
}

// Node is the node of a name, or nil.
func (s *Simulation) Node(name string) *Node {
	for _, n := range s.Nodes() {
		if n.name == name {
			return n
		}
	}
	return nil
}

// Providers are all providers in the order they were added.
func (s *Simulation) Providers() []*Provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Provider(nil), s.providers...)
}

// Nodes are all nodes in the order they were added.
func (s *Simulation) Nodes() []*Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Node(nil), s.nodes...)
}

// Start starts every provider and then every node that is not Manual. Its context bounds the starting alone; Close ends what was started.
func (s *Simulation) Start(ctx context.Context) error {
	for _, p := range s.Providers() {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	for _, n := range s.Nodes() {
		if n.opts.Manual {
			continue
		}
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every node and provider and waits for their goroutines.
func (s *Simulation) Close() {
	for _, n := range s.Nodes() {
		n.Close()
	}
	for _, p := range s.Providers() {
		p.Close()
	}
}

// HaltFinality stops the whole network from finalizing, as too few attesting validators do.
func (s *Simulation) HaltFinality() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.haltedAt.IsZero() {
		s.haltedAt = s.opts.Clock()
	}
}

// ResumeFinality lets it finalize again.
func (s *Simulation) ResumeFinality() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.haltedAt = time.Time{}
}

// add keeps names unique among providers, and among nodes.
func (s *Simulation) add(p *Provider, n *Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p != nil {
		for _, other := range s.providers {
			if other.name == p.name {
				return fmt.Errorf("provider %q is there already", p.name)
			}
		}
		s.providers = append(s.providers, p)
	}
	if n != nil {
		for _, other := range s.nodes {
			if other.name == n.name {
				return fmt.Errorf("node %q is there already", n.name)
			}
		}
		s.nodes = append(s.nodes, n)
	}
	return nil
}

// wait is how long a wait of the chain's time takes in real time.
func (s *Simulation) wait(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.opts.Pace)
}
