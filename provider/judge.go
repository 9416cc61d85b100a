package provider

import (
	"fmt"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Judge says which providers are usable, and why the others are not. It looks at nothing but its arguments.
//
// Facts of the chain that n leaves open are learnt first, from those observations that contradict none of the known ones: a fact
// is taken when at least a quorum of them tells it and more than tell any other. Then each provider is judged by itself, and
// last against the others: a provider disagrees when at least a quorum of the others, and no fewer than tell what it tells,
// serve another root for an epoch. So a lone dissenter is out, and when two equal camps face each other both are.
func Judge(n network.Network, observations []Observation, o Options, now time.Time) Judgement {
	o = o.withDefaults()
	j := Judgement{At: now, Quorum: Quorum{Threshold: o.Quorum}, Skew: skew(observations)}
	j.Chain, j.Learnt = learn(n, observations, o, now)
	court := court{network: n, chain: j.Chain, options: o, now: now}
	votes, usable := ballot{}, ballot{}
	for _, seen := range observations {
		v := court.alone(seen)
		if v.votes() {
			votes.add(seen)
		}
		j.Verdicts = append(j.Verdicts, v)
	}
	for i := range j.Verdicts {
		v := &j.Verdicts[i]
		contested := v.votes() && court.among(v, votes)
		slices.SortStableFunc(v.Reasons, func(a, b Finding) int {
			return slices.Index(Reasons(), a.Reason) - slices.Index(Reasons(), b.Reason)
		})
		v.Usable = len(v.Reasons) == 0
		if v.Usable && !contested {
			usable.add(v.Observation)
		}
	}
	j.Quorum.Epoch, j.Quorum.Root, j.Quorum.Providers = usable.best()
	j.Quorum.OK = j.Quorum.Providers >= o.Quorum
	return j
}

// court is what a provider is judged by.
type court struct {
	network network.Network
	chain   network.Chain
	options Options
	now     time.Time
}

// alone judges a provider by what it alone told.
func (c court) alone(seen Observation) Verdict {
	v := Verdict{Provider: seen.Provider, URL: seen.URL, Observation: seen}
	if seen.Err != nil {
		v.add(beacon.ReasonOf(seen.Err), sentence(seen.Err))
		return v
	}
	if c.identify(&v, seen) {
		return v
	}
	c.finality(&v, seen)
	c.state(&v, seen)
	return v
}

// votes tells whether its roots are evidence: those of this chain are, whatever else is wrong with it.
func (v *Verdict) votes() bool {
	return v.Observation.Err == nil && !v.Has(WrongNetwork) && !v.Has(OldIteration)
}

// add records a finding; of several with one reason the first counts.
func (v *Verdict) add(r Reason, text string) {
	if !v.Has(r) {
		v.Reasons = append(v.Reasons, Finding{Reason: r, Text: text})
	}
}

func (v *Verdict) addf(r Reason, format string, args ...any) { v.add(r, fmt.Sprintf(format, args...)) }
