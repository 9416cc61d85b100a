package simulate

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"
)

// ProviderOptions are a provider's. All may be left out.
type ProviderOptions struct {
	// Client is Checkpointz when empty.
	Client Client
	// Version overrides what /eth/v1/node/version says.
	Version string
	// Address is host:port; a free port of 127.0.0.1 when empty.
	Address string
	// Certificate makes the provider speak TLS.
	Certificate *tls.Certificate
	// MinEpoch is the finalized epoch before which a provider has nothing yet to serve after a genesis.
	MinEpoch uint64
	// Faults are in force from the start.
	Faults []Fault
}

// Provider is a simulated checkpoint provider. It is an http.Handler, with or without its own listener.
type Provider struct {
	sim  *Simulation
	name string
	opts ProviderOptions
	end  *endpoint
	api  http.Handler

	// door keeps the listener in step with the faults.
	door sync.Mutex

	mu       sync.Mutex
	started  bool
	faults   faults
	frozenAt time.Time
	requests map[string]int
}

// AddProvider makes a provider and settles its URL; Start makes it answer there.
func (s *Simulation) AddProvider(name string, o ProviderOptions) (*Provider, error) {
	fail := func(err error) (*Provider, error) { return nil, fmt.Errorf("add provider %q: %w", name, err) }
	if o.Client == "" {
		o.Client = Checkpointz
	}
	if err := o.Client.check(); err != nil {
		return fail(err)
	}
	if o.Version == "" {
		o.Version = o.Client.version()
	}
	p := &Provider{sim: s, name: name, opts: o, requests: map[string]int{}}
	p.api = newAPI(o.Client, p.view)
	for _, f := range o.Faults {
		if err := p.set(f); err != nil {
			return fail(err)
		}
	}
	var err error
	if p.end, err = newEndpoint(s.opts.Sockets, o.Address, o.Certificate, p); err != nil {
		return fail(err)
	}
	if err := s.add(p, nil); err != nil {
		return fail(err)
	}
	return p, nil
}

// Name is the provider's name.
func (p *Provider) Name() string { return p.name }

// URL is the base URL, which stays the same while the provider is down.
func (p *Provider) URL() string { return p.end.url() }

// Start opens the listener, unless the provider is Down.
func (p *Provider) Start(ctx context.Context) error { return p.run(ctx, true) }

// Close closes the listener and every connection.
func (p *Provider) Close() { _ = p.run(context.Background(), false) }

func (p *Provider) run(ctx context.Context, on bool) error {
	p.mu.Lock()
	p.started = on
	p.mu.Unlock()
	return p.settle(ctx)
}

// settle opens or closes the listener as the faults want it.
func (p *Provider) settle(ctx context.Context) error {
	p.door.Lock()
	defer p.door.Unlock()
	p.mu.Lock()
	open := p.started && !p.faults.has(KindDown)
	p.mu.Unlock()
	if !open {
		p.end.shut()
		return nil
	}
	if err := p.end.open(ctx); err != nil {
		return fmt.Errorf("start provider %q: %w", p.name, err)
	}
	return nil
}

func (p *Provider) set(f Fault) error {
	if err := f.check(providerKinds); err != nil {
		return err
	}
	if f.Kind == KindWrongNetwork {
		if _, err := otherChain(p.sim.opts.Network, f.Network, p.sim.opts.Clock()); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Kind == KindFrozen && !p.faults.has(KindFrozen) {
		p.frozenAt = p.sim.opts.Clock()
	}
	p.faults = p.faults.with(f)
	return nil
}

// SetFault adds a fault, or replaces the one of the same kind and path.
func (p *Provider) SetFault(f Fault) error {
	if err := p.set(f); err != nil {
		return fmt.Errorf("provider %q: %w", p.name, err)
	}
	level.Info(p.sim.logger).Log("msg", "fault set", "provider", p.name, "reason", f.Kind)
	return p.settle(context.Background())
}

// ClearFaults removes the faults of some kinds, all when none is named.
func (p *Provider) ClearFaults(kinds ...Kind) error {
	p.mu.Lock()
	p.faults = p.faults.without(kinds...)
	p.mu.Unlock()
	level.Info(p.sim.logger).Log("msg", "faults cleared", "provider", p.name)
	return p.settle(context.Background())
}

// Faults are those in force.
func (p *Provider) Faults() []Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone([]Fault(p.faults))
}

// Requests counts the requests by path, those that were refused for a fault included.
func (p *Provider) Requests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests)
}

// maxPaths bounds what is counted, so that a scanner does not fill the memory.
const maxPaths = 10000

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if _, ok := p.requests[r.URL.Path]; ok || len(p.requests) < maxPaths {
		p.requests[r.URL.Path]++
	}
	fs := p.faults
	p.mu.Unlock()
	if fs.has(KindDown) {
		drop(w)
		return
	}
	fs.upset(w, r, dialect{p.opts.Client}, p.api)
}

// view is what the provider serves now, with the faults of its chain.
func (p *Provider) view() view {
	p.mu.Lock()
	fs, frozenAt := p.faults, p.frozenAt
	p.mu.Unlock()
	s, now := p.sim, p.sim.opts.Clock()
	right := s.rightChain(now)
	v := view{
		client: p.opts.Client, version: p.opts.Version, now: now, validators: s.opts.Validators,
		genesis: right, spec: right, chain: right, peers: 1, light: fs.has(KindLightMode), advanced: fs.has(KindAdvancedState),
	}
	if f, ok := fs.get(KindWrongNetwork); ok {
		if c, err := otherChain(s.opts.Network, f.Network, now); err == nil {
			other := newLedger(s.opts.Seed, c)
			v.genesis, v.spec, v.chain = other, other, other
		}
	}
	if f, ok := fs.get(KindOldIteration); ok {
		old := newLedger(s.opts.Seed, previousChain(s.opts.Network, right.chain))
		switch f.Part {
		case PartGenesis:
			v.genesis = old
		case PartFinality:
			v.chain = old
		default:
			v.genesis, v.spec, v.chain = old, old, old
		}
	}
	if fs.has(KindOtherRoot) {
		v.chain.fork = "other"
	}
	v.chain.unaligned = fs.has(KindUnaligned)

	until := now
	if fs.has(KindFrozen) {
		until = frozenAt
	}
	v.head = v.chain.slotAt(until)
	epoch := s.finalAt(v.chain, until)
	if f, ok := fs.get(KindStale); ok {
		behind := f.Epochs
		if behind == 0 {
			behind = 10
		}
		slots := behind * v.chain.chain.SlotsPerEpoch
		v.head -= min(v.head, slots)
		epoch -= min(epoch, behind)
	}
	v.final = v.chain.finality(epoch)
	final := v.final.finalized.epoch
	v.known = final > 0 && final >= p.opts.MinEpoch && !fs.has(KindNoFinality)
	if !v.known {
		v.final = finality{}
	}
	v.head = v.chain.blockAt(v.head)
	if at := v.chain.chain.Slot(now); p.opts.Client != Checkpointz && at > v.head {
		v.distance = at - v.head
	}
	return v
}

// finalAt is the epoch that decides what is final on a chain at a time: the network's, but not after it stopped finalizing.
func (s *Simulation) finalAt(l ledger, t time.Time) uint64 {
	s.mu.Lock()
	halted := s.haltedAt
	s.mu.Unlock()
	if !halted.IsZero() && halted.Before(t) {
		t = halted
	}
	return l.chain.EpochOf(l.slotAt(t))
}

// rightChain is the ledger of the chain that should be running.
func (s *Simulation) rightChain(now time.Time) ledger {
	return newLedger(s.opts.Seed, s.opts.Network.ChainAt(now))
}
