package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// ProberOptions are how a provider is looked at.
type ProberOptions struct {
	// Client are the options of its HTTP client. Its Timeout, 10 s when 0, bounds the small answers all together, and then the state's
	// beginning.
	Client beacon.Options
	// StateHeaderInterval is how often the beginning of the state is read; 0 means 15 minutes.
	StateHeaderInterval time.Duration
}

// Prober looks at one provider, and remembers what it saw. It is safe for concurrent use; looks follow one another.
type Prober struct {
	name     string
	client   *beacon.Client
	interval time.Duration
	// timeout bounds what a provider has to answer, all of it together.
	timeout time.Duration

	// turn is held by the look that is under way; what follows is guarded by it.
	turn    chan struct{}
	memory  *memory
	last    Observation
	retryAt time.Time
}

// NewProber makes a prober for a provider's name and base URL.
func NewProber(name, url string, o ProberOptions) (*Prober, error) {
	client, err := beacon.NewClient(url, o.Client)
	if err != nil {
		return nil, fmt.Errorf("provider %q: %w", name, err)
	}
	if o.StateHeaderInterval <= 0 {
		o.StateHeaderInterval = 15 * time.Minute
	}
	if o.Client.Timeout <= 0 {
		o.Client.Timeout = 10 * time.Second
	}
	return &Prober{name: name, client: client, interval: o.StateHeaderInterval, timeout: o.Client.Timeout, turn: make(chan struct{}, 1)}, nil
}

// Name is the provider's name.
func (p *Prober) Name() string { return p.name }

// URL is the base URL without a password.
func (p *Prober) URL() string { return p.client.String() }

// Ask is what a look is to find out beyond the usual.
type Ask struct {
	// Force reads the state's beginning although it is not due.
	Force bool
	// Wanted are finalized epochs whose block root is to be told; see the function Wanted. Two at most are asked for.
	Wanted []uint64
	// SlotsPerEpoch is the chain's; 0 means the provider's own word.
	SlotsPerEpoch uint64
}

// Probe looks at the provider: a handful of small JSON answers, and the state's beginning when it is due. It sends nothing while the
// provider has asked to be left alone, and gives the last observation again instead, marked as Kept. It always gives an
// observation; one that failed, or that the end of its context cut short, has Err set. The time now is that of the caller's clock.
func (p *Prober) Probe(ctx context.Context, now time.Time, a Ask) Observation {
	if err := p.enter(ctx); err != nil {
		return Observation{Provider: p.name, URL: p.URL(), At: now, Err: fmt.Errorf("probe provider %q: %w", p.name, err)}
	}
	defer p.leave()
	if p.paused(now) {
		kept := p.last
		kept.Kept = true
		return kept
	}
	defer p.client.CloseIdle()
	seen := p.look(ctx, now, a)
	if !errors.Is(ctx.Err(), context.Canceled) || p.last.At.IsZero() {
		// What was called off says nothing about the provider.
		p.last = seen
	}
	return seen
}

// Compare asks for the block roots of epochs after a Probe, and gives that probe's observation with what was learnt.
func (p *Prober) Compare(ctx context.Context, seen Observation, wanted []uint64, slotsPerEpoch uint64) Observation {
	if seen.Err != nil || seen.Kept || len(wanted) == 0 {
		return seen
	}
	if p.enter(ctx) != nil {
		return seen
	}
	defer p.leave()
	if p.memory == nil || p.memory.genesis != *seen.Genesis {
		return seen
	}
	defer p.client.CloseIdle()
	p.compare(ctx, seen.At, wanted, slotsPerEpoch, seen.Spec)
	seen.Roots = maps.Clone(p.memory.roots)
	if p.last.At.Equal(seen.At) {
		p.last = seen
	}
	return seen
}

// enter waits for the look's turn.
func (p *Prober) enter(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &beacon.Error{Reason: Timeout, Route: "probe", Message: "an earlier probe is still under way", Err: ctx.Err()}
	}
}

func (p *Prober) leave() { <-p.turn }

// look is one visit: what every provider has to answer first, in the order in which a failure says the most.
func (p *Prober) look(ctx context.Context, now time.Time, a Ask) Observation {
	seen := Observation{Provider: p.name, URL: p.URL(), At: now}
	timed, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	recorded, record := beacon.Record(timed)
	err := p.answers(recorded, &seen)
	seen.Exchange = record.Exchange()
	if err != nil {
		p.heed(err, now)
		seen = Observation{
			Provider: seen.Provider, URL: seen.URL, At: now, Exchange: seen.Exchange, Err: fmt.Errorf("probe provider %q: %w", p.name, err),
		}
	} else {
		p.compare(timed, now, a.Wanted, a.SlotsPerEpoch, seen.Spec)
		if seen.Served != nil && (a.Force || !now.Before(p.memory.stateDue)) && !p.paused(now) {
			p.readState(ctx, now, *seen.Served, seen.Version.Client)
		}
		seen.State, seen.StateErr, seen.Mode = p.memory.state, p.memory.stateErr, p.memory.mode
		seen.Roots = maps.Clone(p.memory.roots)
	}
	if p.paused(now) {
		seen.RetryAt = p.retryAt
	}
	return seen
}

// answers asks for what every provider has to tell.
func (p *Prober) answers(ctx context.Context, seen *Observation) error {
	genesis, err := p.client.Genesis(ctx)
	if err != nil {
		return fmt.Errorf("read genesis: %w", err)
	}
	seen.Genesis = &genesis
	if p.memory == nil || p.memory.genesis != genesis {
		// Epochs of another chain mean other blocks.
		p.memory = newMemory(genesis)
	}
	spec, err := p.client.Spec(ctx)
	if p.heed(err, seen.At); err != nil && (!withheld(err) || p.paused(seen.At)) {
		return fmt.Errorf("read spec: %w", err)
	}
	seen.Spec = constants(spec)
	if err := p.finality(ctx, seen); err != nil {
		return err
	}
	if !p.paused(seen.At) {
		seen.Version, err = p.client.Version(ctx)
		p.heed(err, seen.At)
	}
	return nil
}

// compare asks for the roots of epochs that are not remembered. A failure is no fault: the slot may hold no block, and checkpointz keeps
// only so many.
func (p *Prober) compare(ctx context.Context, now time.Time, wanted []uint64, slotsPerEpoch uint64, own Constants) {
	if slotsPerEpoch == 0 {
		slotsPerEpoch = own.SlotsPerEpoch
	}
	if slotsPerEpoch == 0 {
		return
	}
	asked := 0
	for _, epoch := range wanted {
		_, known := p.memory.roots[epoch]
		_, vain := p.memory.none[epoch]
		if known || vain || asked == maxWanted || p.paused(now) || epoch > 1<<40 {
			continue
		}
		asked++
		root, err := p.client.BlockRootAt(ctx, epoch*slotsPerEpoch)
		switch {
		case err == nil:
			p.memory.remember(beacon.Checkpoint{Epoch: epoch, Root: root})
		case withheld(err):
			p.memory.inVain(epoch)
		default:
			p.heed(err, now)
		}
	}
}

func (p *Prober) readState(ctx context.Context, now time.Time, served beacon.Checkpoint, client string) {
	stateCtx, record := beacon.Record(ctx)
	prefix, err := p.client.StatePrefix(stateCtx, "finalized")
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if err != nil {
		p.heed(err, now)
		p.memory.keepState(nil, fmt.Errorf("probe provider %q: read state: %w", p.name, err), now, p.interval)
		if client == "Checkpointz" && withheld(err) && !p.paused(now) {
			if status, err := p.client.CheckpointzStatus(ctx); err == nil {
				p.memory.mode = status.OperatingMode
			}
		}
		return
	}
	p.memory.keepState(&State{StatePrefix: prefix, At: now, Served: served, FirstByte: record.Exchange().Timings.FirstByte}, nil, now, p.interval)
}

// paused tells whether the provider has asked to be left alone.
func (p *Prober) paused(now time.Time) bool { return now.Before(p.retryAt) }

// heed leaves a provider alone that asks for it.
func (p *Prober) heed(err error, now time.Time) {
	var e *beacon.Error
	if !errors.As(err, &e) {
		return
	}
	wait := e.RetryAfter
	if wait == 0 && e.Reason == RateLimited {
		wait = defaultRetry
	}
	if wait > 0 {
		p.retryAt = now.Add(min(wait, maxRetry))
	}
}

// settle tells whether a checkpoint is one of the chain's own; epoch 0 is the genesis, which any node calls finalized.
func settle(c beacon.Checkpoint) *beacon.Checkpoint {
	if c.Epoch == 0 || c.Root == (network.Root{}) {
		return nil
	}
	return &c
}
