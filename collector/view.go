package collector

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// staleIntervals is after how many intervals without news what was seen is worth nothing. A loop never lets that happen; a machine
// that slept does.
const staleIntervals = 3

// judged is a judgement and what it was made from.
type judged struct {
	state     *state
	sights    []*providerSight
	judgement provider.Judgement
	// network is the configured one with what was ever learnt of its current iteration: facts do not change when those who told
	// them fall silent.
	network network.Network
}

// view is everything that is told at one moment. What it points to is not changed.
type view struct {
	now   time.Time
	state *state
	// chain is the one that should be running, with what was learnt of it.
	chain     network.Chain
	judgement provider.Judgement
	// complete tells that every provider has been asked, so that counts over all of them mean something.
	complete  bool
	providers []providerView
	nodes     []nodeView
}

// providerView is a provider in a view. Sight and verdict are nil before the first probe has ended.
type providerView struct {
	name, url string
	sight     *providerSight
	verdict   *provider.Verdict
}

// nodeView is a node in a view. Sight is nil before the first look has ended.
type nodeView struct {
	name       string
	sight      *nodeSight
	stallAfter time.Duration
	// stale tells that what was seen is worth nothing any more.
	stale bool
}

// look is what is known now.
func (e *Exporter) look() *view {
	s, wall := e.state.Load(), time.Now().Round(0)
	v := &view{now: e.opts.Clock(), state: s}
	sights, observations, stale := s.gather(wall)
	v.judgement = e.judgement(s, sights, observations, stale, v.now)
	v.chain = e.learnt(s).ChainAt(v.now)
	v.complete = !slices.Contains(sights, nil)
	for i, t := range s.providers {
		p := providerView{name: t.config.Name, url: t.prober.URL(), sight: sights[i]}
		if verdict, ok := v.judgement.Verdict(p.name); ok {
			p.verdict = &verdict
		}
		v.providers = append(v.providers, p)
	}
	for _, t := range s.nodes {
		n := nodeView{name: t.config.Name, sight: t.sight.Load(), stallAfter: t.config.StallAfter.Std()}
		n.stale = n.sight != nil && wall.Sub(n.sight.at) > staleIntervals*t.interval(s)+t.probe.Timeout.Std()
		v.nodes = append(v.nodes, n)
	}
	return v
}

// judgement is the latest one, or a new one when time alone has changed what is to be thought.
func (e *Exporter) judgement(s *state, sights []*providerSight, observations []provider.Observation, stale bool, now time.Time) provider.Judgement {
	last := e.judged.Load()
	if !stale && last != nil && last.state == s && slices.Equal(last.sights, sights) &&
		last.judgement.Chain.Iteration == s.network.ChainAt(now).Iteration {
		return last.judgement
	}
	return provider.Judge(s.network, observations, s.options, now)
}

// gather is what was seen of all providers, nil for those not asked yet, and what of that can be judged; stale tells that some of
// it is too old.
func (s *state) gather(wall time.Time) (sights []*providerSight, observations []provider.Observation, stale bool) {
	for _, t := range s.providers {
		sight := t.sight.Load()
		sights = append(sights, sight)
		if sight == nil {
			continue
		}
		seen, old := s.fresh(t, sight, wall)
		observations = append(observations, seen)
		stale = stale || old
	}
	return sights, observations, stale
}

// fresh is what was seen of a provider, or a failure in its place when that is too long ago.
func (s *state) fresh(t *providerTarget, sight *providerSight, wall time.Time) (provider.Observation, bool) {
	seen := sight.observation
	age := wall.Sub(sight.at)
	if seen.Err != nil || age <= staleIntervals*t.interval(s)+t.probe.Timeout.Std() {
		return seen, false
	}
	err := &beacon.Error{Reason: provider.Timeout, Route: "probe", Message: fmt.Sprintf("the last one ended %s ago", age.Round(time.Second))}
	if seen.Kept {
		err.Reason = provider.RateLimited
		err.Message = "the provider asks to be left alone until " + seen.RetryAt.UTC().Format(time.RFC3339)
	}
	return provider.Observation{
		Provider: seen.Provider, URL: seen.URL, At: seen.At, RetryAt: seen.RetryAt, Kept: seen.Kept,
		Err: fmt.Errorf("probe provider %q: %w", seen.Provider, err),
	}, true
}

// judge judges anew after something was seen, and logs what has changed.
func (e *Exporter) judge() {
	e.judging.Lock()
	defer e.judging.Unlock()
	s, now := e.state.Load(), e.opts.Clock()
	sights, observations, _ := s.gather(time.Now().Round(0))
	next := &judged{state: s, sights: sights, judgement: provider.Judge(s.network, observations, s.options, now)}
	next.network = learn(s.network, next.judgement.Chain, now)
	last := e.judged.Load()
	if last != nil && reflect.DeepEqual(last.state.network, s.network) {
		next.network = learn(next.network, last.network.ChainAt(last.judgement.At), now)
	}
	e.judged.Store(next)
	e.logVerdicts(last, next)
}

func (e *Exporter) logVerdicts(last, next *judged) {
	if last == nil {
		last = &judged{}
	}
	for _, v := range next.judgement.Verdicts {
		was, known := last.judgement.Verdict(v.Provider)
		if known && words(was.Reasons) == words(v.Reasons) {
			continue
		}
		if v.Usable {
			level.Info(e.logger).Log("msg", "provider is usable", "provider", v.Provider)
			continue
		}
		level.Warn(e.logger).Log("msg", "provider is not usable", "provider", v.Provider, "reason", words(v.Reasons), "err", sentences(v.Reasons))
	}
	for _, fact := range next.judgement.Learnt {
		if !slices.Contains(last.judgement.Learnt, fact) {
			level.Info(e.logger).Log("msg", "learnt from the providers", "fact", fact)
		}
	}
}

func words(findings []provider.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, string(f.Reason))
	}
	return strings.Join(all, ",")
}

func sentences(findings []provider.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Text)
	}
	return strings.Join(all, "; ")
}

// learnt is the configured network with what has been learnt of it.
func (e *Exporter) learnt(s *state) network.Network {
	j := e.judged.Load()
	if j != nil && j.state == s && j.judgement.Chain.Iteration == s.network.ChainAt(e.opts.Clock()).Iteration {
		return j.network
	}
	return s.network
}

// chain is the one that should be running.
func (e *Exporter) chain(s *state) network.Chain { return e.learnt(s).ChainAt(e.opts.Clock()) }

// learn fills in what a configuration leaves open of a network. What was learnt of one iteration says nothing about the next.
func learn(n network.Network, learnt network.Chain, now time.Time) network.Network {
	if n.ChainAt(now).Iteration != learnt.Iteration {
		return n
	}
	c := &n.Chain
	if c.GenesisTime.IsZero() {
		c.GenesisTime = learnt.GenesisTime
	}
	if c.GenesisValidatorsRoot.IsZero() {
		c.GenesisValidatorsRoot = learnt.GenesisValidatorsRoot
	}
	for _, fact := range []struct {
		known *uint64
		word  uint64
	}{
		{&c.DepositChainID, learnt.DepositChainID}, {&c.SecondsPerSlot, learnt.SecondsPerSlot}, {&c.SlotsPerEpoch, learnt.SlotsPerEpoch},
		{&c.WeakSubjectivityEpochs, learnt.WeakSubjectivityEpochs},
	} {
		if *fact.known == 0 {
			*fact.known = fact.word
		}
	}
	return n
}
