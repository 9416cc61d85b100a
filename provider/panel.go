package provider

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// panelConcurrency is how many providers are asked at once.
const panelConcurrency = 4

// Panel asks a set of providers all at once, for those who are about to act on the answer.
type Panel struct {
	network network.Network
	probers []*Prober
	options Options
	clock   func() time.Time
}

// NewPanel makes a panel of probers, in configured order. The clock is time.Now, or that of a test.
func NewPanel(n network.Network, probers []*Prober, o Options, clock func() time.Time) *Panel {
	return &Panel{network: n, probers: probers, options: o, clock: clock}
}

// ProbeAll looks at all providers, at most four at a time, asks those that are ahead for the epochs that the others serve, and judges
// what was seen. Force reads every state's beginning. The context bounds all of it; what it cuts short is judged as a timeout.
func (p *Panel) ProbeAll(ctx context.Context, force bool) Judgement {
	seen := make([]Observation, len(p.probers))
	per := p.network.ChainAt(p.clock()).SlotsPerEpoch
	p.each(func(i int) {
		seen[i] = p.probers[i].Probe(ctx, p.clock(), Ask{Force: force, SlotsPerEpoch: per})
	})
	wanted := make([][]uint64, len(seen))
	for i := range seen {
		wanted[i] = Wanted(seen, p.probers[i].Name())
	}
	p.each(func(i int) {
		seen[i] = p.probers[i].Compare(ctx, seen[i], wanted[i], per)
	})
	return Judge(p.network, seen, p.options, p.clock())
}

func (p *Panel) each(do func(i int)) {
	var group errgroup.Group
	group.SetLimit(panelConcurrency)
	for i := range p.probers {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait()
}
