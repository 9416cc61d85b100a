package node

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// perServer is how many questions a server gets at a time: enough to be quick, too few to burden it.
const perServer = 2

// questions runs questions, perServer at a time, and waits for the answers.
func questions(ask ...func()) {
	var g errgroup.Group
	g.SetLimit(perServer)
	for _, q := range ask {
		g.Go(func() error { q(); return nil })
	}
	_ = g.Wait() // questions keep their errors themselves
}

// lookConsensus asks for the head first: when the server cannot be reached, that answers everything.
func (c *Client) lookConsensus(ctx context.Context, n network.Network, o *Observation) {
	a := &o.Consensus
	ask(ctx, &a.Syncing, c.consensus.Syncing)
	if unreachable(a.Syncing.Err) {
		c.forgetConsensus()
		return
	}
	c.mu.Lock()
	genesis, spec, version := c.genesis, c.spec, c.version
	c.mu.Unlock()
	a.Version.Value = version.get(o.At)

	list := []func(){
		func() { ask(ctx, &a.Genesis, c.consensus.Genesis) },
		func() {
			ask(ctx, &a.Finality, func(ctx context.Context) (beacon.Finality, error) {
				return c.consensus.FinalityCheckpoints(ctx, "head")
			})
		},
		func() { ask(ctx, &a.Peers, c.consensus.PeerCount) },
		func() { ask(ctx, &a.Health, c.consensus.Health) },
	}
	if !a.Version.OK() {
		version.at = o.At
		list = append(list, func() { ask(ctx, &a.Version, c.consensus.Version) })
	}
	if !a.Syncing.OK() {
		list = append(list, func() {
			ask(ctx, &a.Header, func(ctx context.Context) (beacon.Header, error) { return c.consensus.Header(ctx, "head") })
		})
	}
	if spec == nil && (o.Chain.SecondsPerSlot == 0 || o.Chain.SlotsPerEpoch == 0) {
		list = append(list, func() {
			if s, err := c.consensus.Spec(ctx); err == nil {
				spec = s
			}
		})
	}
	questions(list...)
	c.askBackfill(ctx, a)

	if !a.Up() {
		c.forgetConsensus()
		return
	}
	switch {
	case a.Genesis.OK():
		genesis = a.Genesis.Value
	case genesis != nil:
		a.Genesis.Value = genesis
	}
	version.value = a.Version.Value
	c.mu.Lock()
	c.genesis, c.spec, c.version = genesis, spec, version
	c.mu.Unlock()
	complete(&o.Chain, genesis, spec)
	if genesis != nil {
		a.Identity = identify(n, o.Chain, *genesis, o.At)
	}
}

func (c *Client) forgetConsensus() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.genesis, c.spec, c.version = nil, nil, memo{}
}

// askBackfill asks where the client in question tells of its backfill.
func (c *Client) askBackfill(ctx context.Context, a *Consensus) {
	switch {
	case a.Version.OK() && a.Version.Value.Client == "Lighthouse":
		questions(
			func() { ask(ctx, &a.Lighthouse, c.consensus.LighthouseSync) },
			func() {
				ask(ctx, &a.Backfill, func(ctx context.Context) (beacon.Backfill, error) {
					db, err := c.consensus.LighthouseDatabase(ctx)
					return db.Backfill(), err
				})
			},
		)
	case c.metrics != nil:
		ask(ctx, &a.Backfill, c.metrics.Backfill)
	}
}

// complete fills in what a configuration leaves open of a chain's clock.
func complete(chain *network.Chain, genesis *beacon.Genesis, spec beacon.Spec) {
	if chain.GenesisTime.IsZero() && genesis != nil && genesis.Time < 1<<40 {
		chain.GenesisTime = time.Unix(int64(genesis.Time), 0)
	}
	if v, ok := spec.SecondsPerSlot(); ok && chain.SecondsPerSlot == 0 {
		chain.SecondsPerSlot = v
	}
	if v, ok := spec.SlotsPerEpoch(); ok && chain.SlotsPerEpoch == 0 {
		chain.SlotsPerEpoch = v
	}
}

// identify compares what the node says of its genesis with the chain it should follow. The validators root alone does not
// tell: the same keys give the same root at another genesis time.
func identify(n network.Network, chain network.Chain, g beacon.Genesis, at time.Time) network.Identity {
	id := n.Identify(g.Time, at)
	if id == network.Same && !chain.GenesisValidatorsRoot.IsZero() && g.ValidatorsRoot != chain.GenesisValidatorsRoot {
		return network.Other
	}
	return id
}

// lookExecution asks for the chain id first, for the same reason.
func (c *Client) lookExecution(ctx context.Context, at time.Time, n network.Network, e *Execution) {
	ask(ctx, &e.ChainID, c.execution.ChainID)
	if unreachable(e.ChainID.Err) {
		c.mu.Lock()
		c.executionVersion = memo{}
		c.mu.Unlock()
		return
	}
	c.mu.Lock()
	version := c.executionVersion
	c.mu.Unlock()
	e.Version.Value = version.get(at)
	list := []func(){
		func() { ask(ctx, &e.Syncing, c.execution.Syncing) },
		func() { ask(ctx, &e.Head, c.execution.LatestBlock) },
		func() { ask(ctx, &e.Peers, c.execution.PeerCount) },
	}
	if !e.Version.OK() {
		version.at = at
		list = append(list, func() { ask(ctx, &e.Version, c.execution.Version) })
	}
	questions(list...)
	version.value = e.Version.Value
	c.mu.Lock()
	c.executionVersion = version
	c.mu.Unlock()
	if e.ChainID.OK() {
		e.Identity = n.IdentifyChainID(*e.ChainID.Value, at)
	}
}
