package collector

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// prober is what is needed of a provider.Prober.
type prober interface {
	URL() string
	Probe(ctx context.Context, now time.Time, a provider.Ask) provider.Observation
	Compare(ctx context.Context, seen provider.Observation, wanted []uint64, slotsPerEpoch uint64) provider.Observation
}

func (o Options) realProber(c config.Provider, po provider.ProberOptions) (prober, error) {
	return provider.NewProber(c.Name, c.URL, po)
}

// answered is the result label of a probe that was answered, whatever the verdict.
const answered = "success"

// results are the results that a probe can have: answered, or the reason why it was not.
func results() []string {
	all := []string{answered}
	for _, r := range provider.Reasons() {
		if r == provider.WrongNetwork {
			break // from here on reasons are verdicts on an answer
		}
		all = append(all, string(r))
	}
	return all
}

// providerSight is what the latest probe of a provider saw. It is not changed once published.
type providerSight struct {
	observation provider.Observation
	// at is when it was seen, by the wall clock.
	at time.Time
	// answered is when the provider answered last; zero for never.
	answered time.Time
	probes   map[string]uint64
}

// providerTarget is a provider that is probed again and again.
type providerTarget struct {
	*loop
	config config.Provider
	probe  config.Probe
	prober prober
	sight  atomic.Pointer[providerSight]
}

func (e *Exporter) providerTarget(c config.Provider, p config.Probe, old *state) (*providerTarget, error) {
	if old != nil {
		for _, t := range old.providers {
			if t.config == c && t.probe.Timeout == p.Timeout && t.probe.StateHeaderInterval == p.StateHeaderInterval {
				return t, nil
			}
		}
	}
	opts := e.opts.Beacon
	opts.Timeout = p.Timeout.Std()
	prober, err := e.opts.newProber(c, provider.ProberOptions{Client: opts, StateHeaderInterval: p.StateHeaderInterval.Std()})
	if err != nil {
		return nil, err
	}
	return &providerTarget{loop: newLoop(), config: c, probe: p, prober: prober}, nil
}

func (t *providerTarget) interval(s *state) time.Duration { return s.config.Probe.Interval.Std() }

func (t *providerTarget) visit(ctx context.Context, e *Exporter) (again bool) {
	s := e.state.Load()
	timed, cancel := context.WithTimeout(ctx, t.probe.Timeout.Std())
	defer cancel()
	now, per := e.opts.Clock(), e.chain(s).SlotsPerEpoch
	seen := t.prober.Probe(timed, now, provider.Ask{SlotsPerEpoch: per})
	if seen.Err == nil && !seen.Kept {
		if wanted := provider.Wanted(append(s.observations(t), seen), t.config.Name); len(wanted) > 0 {
			seen = t.prober.Compare(timed, seen, wanted, per)
		}
	}
	if ctx.Err() != nil {
		return false // a probe that was called off says nothing
	}
	t.keep(seen)
	e.judge()
	line := []any{"msg", "provider probed", "provider", t.config.Name, "took", seen.Exchange.Timings.Total()}
	if seen.Err != nil {
		line = append(line, "err", seen.Err)
	}
	level.Debug(e.logger).Log(line...)
	return seen.Err != nil && !seen.Kept && seen.RetryAt.IsZero()
}

// keep publishes what was seen. A time without its monotonic part keeps its meaning when the machine sleeps.
func (t *providerTarget) keep(seen provider.Observation) {
	next := &providerSight{observation: seen, at: time.Now().Round(0), probes: map[string]uint64{}}
	if last := t.sight.Load(); last != nil {
		next.answered = last.answered
		maps.Copy(next.probes, last.probes)
		if seen.Kept {
			next.at = last.at
		}
	}
	switch {
	case seen.Kept:
	case seen.Err != nil:
		next.probes[string(beacon.ReasonOf(seen.Err))]++
	default:
		next.probes[answered]++
		next.answered = next.at
	}
	t.sight.Store(next)
}

// observations are the latest ones of all providers but one.
func (s *state) observations(but *providerTarget) []provider.Observation {
	var all []provider.Observation
	for _, t := range s.providers {
		if sight := t.sight.Load(); t != but && sight != nil {
			all = append(all, sight.observation)
		}
	}
	return all
}
