package collector

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

const (
	// maxOnDemand bounds how many targets of /probe are remembered.
	maxOnDemand = 64
	// maxAtOnce bounds how many are asked at the same time.
	maxAtOnce = 8
)

// onDemand remembers the targets of /probe, so that a provider's state is not read at every scrape, its wish to be left alone
// is heeded, and a node's speed can be told.
type onDemand struct {
	slots chan struct{}

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is one remembered target. Its turn is held by the one request that is asking.
type entry struct {
	turn     chan struct{}
	used     time.Time
	prober   prober
	looker   looker
	follower *progress.Follower
	config   config.Node
}

func newOnDemand() *onDemand {
	return &onDemand{slots: make(chan struct{}, maxAtOnce), entries: map[string]*entry{}}
}

// forget starts anew, for a new configuration.
func (d *onDemand) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = map[string]*entry{}
}

// get is the entry of a question, made when there is none; the one that was used the longest ago makes room.
func (d *onDemand) get(q question, build func() (*entry, error)) (*entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := q.module + " " + q.target
	if e := d.entries[key]; e != nil {
		e.used = time.Now()
		return e, nil
	}
	e, err := build()
	if err != nil {
		return nil, badRequest("%s", err)
	}
	e.turn, e.used = make(chan struct{}, 1), time.Now()
	if len(d.entries) >= maxOnDemand {
		oldest := ""
		for k, other := range d.entries {
			if oldest == "" || other.used.Before(d.entries[oldest].used) {
				oldest = k
			}
		}
		delete(d.entries, oldest)
	}
	d.entries[key] = e
	return e, nil
}

// take waits for a place among the few that may ask at once.
func take(ctx context.Context, slots chan struct{}, busy string) (release func(), err error) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, refusal{http.StatusTooManyRequests, busy}
	}
}

// probe asks a question and gives a view of nothing but its target.
func (e *Exporter) probe(ctx context.Context, s *state, q question) (*view, error) {
	release, err := take(ctx, e.probes.slots, "too many probes at once")
	if err != nil {
		return nil, err
	}
	defer release()
	target, err := e.probes.get(q, func() (*entry, error) { return e.newEntry(s, q) })
	if err != nil {
		return nil, err
	}
	release, err = take(ctx, target.turn, "an earlier probe of this target is still under way")
	if err != nil {
		return nil, err
	}
	defer release()
	if q.module == moduleNode {
		return e.lookNow(ctx, s, q, target), nil
	}
	return e.probeNow(ctx, s, q, target), nil
}

func (e *Exporter) newEntry(s *state, q question) (*entry, error) {
	if q.module == moduleProvider {
		opts := e.opts.Beacon
		opts.Timeout = s.config.Probe.Timeout.Std()
		p, err := e.opts.newProber(config.Provider{Name: q.name, URL: q.target},
			provider.ProberOptions{Client: opts, StateHeaderInterval: s.config.Probe.StateHeaderInterval.Std()})
		return &entry{prober: p}, err
	}
	c, ok := s.nodeAt(q.target)
	if !ok {
		c = config.Node{Consensus: config.Consensus{URL: q.target}}
	}
	c.Name = q.name
	l, err := e.opts.newLooker(c, s.config.Probe.Timeout.Std())
	return &entry{looker: l, config: c, follower: newFollower(c, config.Probe{NodeInterval: s.config.Probe.Interval})}, err
}

// probeNow judges a provider against those that are probed in the background.
func (e *Exporter) probeNow(ctx context.Context, s *state, q question, target *entry) *view {
	v := &view{now: e.opts.Clock(), state: s, chain: e.chain(s)}
	seen := target.prober.Probe(ctx, v.now, provider.Ask{SlotsPerEpoch: v.chain.SlotsPerEpoch})
	all := []provider.Observation{seen}
	_, others, _ := s.gather(time.Now().Round(0))
	for _, o := range others {
		if o.URL != seen.URL {
			all = append(all, o)
		}
	}
	if wanted := provider.Wanted(all, seen.Provider); seen.Err == nil && !seen.Kept && len(wanted) > 0 {
		all[0] = target.prober.Compare(ctx, seen, wanted, v.chain.SlotsPerEpoch)
	}
	v.judgement = provider.Judge(s.network, all, s.options, v.now)
	v.providers = []providerView{{name: q.name, url: seen.URL, verdict: &v.judgement.Verdicts[0]}}
	return v
}

// lookNow looks at a node.
func (e *Exporter) lookNow(ctx context.Context, s *state, q question, target *entry) *view {
	defer target.looker.CloseIdle()
	seen := target.looker.Look(ctx, e.learnt(s))
	target.follower.Observe(seen.Sample())
	v := &view{now: e.opts.Clock(), state: s, chain: e.chain(s)}
	status := target.follower.Status(v.now)
	v.nodes = []nodeView{{name: q.name, sight: &nodeSight{observation: seen, status: status}, stallAfter: status.StallAfter}}
	return v
}
