package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Eyes look at nodes and providers at the moment of deciding. They share nothing with the exporter: neither an alert's age
// nor a cached gauge is trusted.
type Eyes interface {
	// Look asks a configured node everything.
	Look(ctx context.Context, node string) node.Observation
	// Phase is where the node stands after the looks so far.
	Phase(node string, now time.Time) progress.Phase
	// Judge asks all providers, or returns the last judgement when it is at most maxAge old. With a maxAge of 0 the beginning of
	// each state is read, too.
	Judge(ctx context.Context, maxAge time.Duration) provider.Judgement
	// Close lets connections go.
	Close()
}

// eyes are the real ones, by HTTP.
type eyes struct {
	network   network.Network
	nodes     map[string]*node.Client
	followers map[string]*progress.Follower
	panel     *provider.Panel

	mu     sync.Mutex
	judged provider.Judgement
}

// judgedFor is how long a judgement may serve checks that are repeated every few seconds. An effect always gets its own.
const judgedFor = 20 * time.Second

// userAgent tells servers who asks.
const userAgent = "checkpoint_remediator"

// NewEyes makes eyes for the nodes and providers of a configuration. Of o they take how servers are reached; UserAgent and Timeout are
// their own.
func NewEyes(c *config.Config, o beacon.Options) (Eyes, error) {
	o.UserAgent, o.Timeout = userAgent, c.Probe.Timeout.Std()
	e := &eyes{network: c.NetworkSpec(), nodes: map[string]*node.Client{}, followers: map[string]*progress.Follower{}}
	for _, n := range c.Nodes {
		asked, err := node.New(node.Options{
			ConsensusURL: n.Consensus.URL, MetricsURL: n.Consensus.MetricsURL, ExecutionURL: n.Execution.URL,
			Timeout: o.Timeout, UserAgent: o.UserAgent, TLS: o.TLS, Dial: o.Dial,
		})
		if err != nil {
			return nil, fmt.Errorf("node %q: %w", n.Name, err)
		}
		e.nodes[n.Name] = asked
		e.followers[n.Name] = progress.New(progress.Options{StallAfter: n.StallAfter.Std()})
	}
	var probers []*provider.Prober
	for _, p := range c.Providers {
		prober, err := provider.NewProber(p.Name, p.URL, provider.ProberOptions{
			Client: o, StateHeaderInterval: c.Probe.StateHeaderInterval.Std(),
		})
		if err != nil {
			return nil, fmt.Errorf("provider %q: %w", p.Name, err)
		}
		probers = append(probers, prober)
	}
	e.panel = provider.NewPanel(e.network, probers, provider.Options{MaxLagEpochs: c.Probe.MaxLagEpochs, Quorum: c.Quorum}, time.Now)
	return e, nil
}

// Look is called by the engine's one goroutine only.
func (e *eyes) Look(ctx context.Context, name string) node.Observation {
	o := e.nodes[name].Look(ctx, e.network)
	e.followers[name].Observe(o.Sample())
	return o
}

func (e *eyes) Phase(name string, now time.Time) progress.Phase {
	return e.followers[name].Status(now).Phase
}

func (e *eyes) Judge(ctx context.Context, maxAge time.Duration) provider.Judgement {
	e.mu.Lock()
	defer e.mu.Unlock()
	if maxAge > 0 && !e.judged.At.IsZero() && time.Since(e.judged.At) < maxAge {
		return e.judged
	}
	// The provider builds the whole state for whoever reads its beginning, so that is left to the look before an effect.
	e.judged = e.panel.ProbeAll(ctx, maxAge == 0)
	return e.judged
}

func (e *eyes) Close() {
	for _, n := range e.nodes {
		n.CloseIdle()
	}
}

// slotDuration is twelve seconds while the chain has yet to be learnt.
func slotDuration(c *config.Config, now time.Time) time.Duration {
	if d := c.NetworkSpec().ChainAt(now).SlotDuration(); d > 0 {
		return d
	}
	return 12 * time.Second
}

// unasked are the reasons of a provider that could not be reached at all.
var unasked = map[provider.Reason]bool{provider.DNS: true, provider.Connect: true, provider.TLS: true, provider.Timeout: true}

// networkAnswers tell what a judgement says of our own network and of the chain.
func networkAnswers(c *config.Config, j provider.Judgement) []Answer {
	if len(c.Providers) == 0 {
		return nil
	}
	unreachable, fresh := 0, false
	var lag *uint64
	for _, v := range j.Verdicts {
		for _, f := range v.Reasons {
			if unasked[f.Reason] {
				unreachable++
				break
			}
		}
		if v.LagEpochs == nil || v.Has(provider.WrongNetwork) || v.Has(provider.OldIteration) {
			continue
		}
		if lag == nil || *v.LagEpochs < *lag {
			lag = v.LagEpochs
		}
		fresh = fresh || *v.LagEpochs <= c.Probe.MaxLagEpochs
	}
	own := Answer{Guard: "own_network", Why: fmt.Sprintf("%d of %d providers can be reached", len(j.Verdicts)-unreachable, len(j.Verdicts))}
	if unreachable == len(j.Verdicts) {
		own.Blocks, own.Why = true, "no provider can be reached, so our own network is at fault"
	}
	finality := Answer{Guard: "finality", Why: "the network finalizes"}
	switch {
	case own.Blocks:
		finality.Blocks, finality.Why = true, "nobody tells whether the network finalizes"
	case lag == nil:
		finality.Blocks, finality.Why = true, "no provider of this network tells a finalized checkpoint"
	case !fresh:
		finality.Blocks, finality.Why = true, fmt.Sprintf("the newest finalized checkpoint is %d epochs behind the clock: the network does not finalize", *lag)
	}
	skew := Answer{Guard: "clock_skew", Why: "too few providers tell the time"}
	if j.Skew != nil {
		skew.Blocks, skew.Why = j.Skew.Abs() > maxSkew, fmt.Sprintf("our clock is %s behind that of the providers", j.Skew.Round(time.Second))
	}
	return []Answer{own, finality, skew}
}

// maxSkew is half a slot of mainnet: with a clock that is further off, every distance and lag is another one than it seems.
const maxSkew = 6 * time.Second

// smallDatabase is the size, in bytes, below which a database cannot hold anything whose loss or interruption hurts: it opens
// and migrates within seconds. Clients create theirs before they have downloaded a state.
const smallDatabase = 64 << 20

// databaseBytes is how large a consensus client's chain database is; known is false when the directory cannot be read.
func databaseBytes(dir, which string) (n int64, known bool) {
	if dir == "" {
		return 0, false
	}
	for _, sub := range client.ConsensusDatabases(which) {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if path == filepath.Join(dir, sub) && errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			}
			if info, err := d.Info(); err == nil && !d.IsDir() {
				n += info.Size()
			}
			if n >= smallDatabase {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			return 0, false
		}
	}
	return n, true
}
