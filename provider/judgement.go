package provider

import (
	"cmp"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Options are what a judgement allows.
type Options struct {
	// MaxLagEpochs is how many epochs a finalized checkpoint may lag the clock; 0 means 4. Two to three are healthy.
	MaxLagEpochs uint64
	// Quorum is how many providers have to agree; 0 means 2.
	Quorum int
}

func (o Options) withDefaults() Options {
	if o.MaxLagEpochs == 0 {
		o.MaxLagEpochs = 4
	}
	if o.Quorum <= 0 {
		o.Quorum = 2
	}
	return o
}

// Judgement is what is thought of all providers at one time.
type Judgement struct {
	At time.Time
	// Chain is the chain that should be running, with the facts that were not known filled in from a quorum.
	Chain network.Chain
	// Learnt says, one sentence each, which facts those are.
	Learnt []string
	// Verdicts are in the order of the observations.
	Verdicts []Verdict
	Quorum   Quorum
	// Skew is how far the providers' clocks are ahead of ours, the median over those that told their time: negative when ours is ahead.
	// It is good to about a second. Nil when fewer than two told.
	Skew *time.Duration
}

// Quorum is the agreement among usable providers.
type Quorum struct {
	// Providers is how many usable providers serve Root for Epoch; the same URL under two names counts once.
	Providers int
	// Epoch is the highest of the epochs at which the most of them agree, so where all agree it is one that all have in common.
	// It is 0 when Providers is.
	Epoch uint64
	Root  network.Root
	// Threshold is how many are needed, and OK whether there are.
	Threshold int
	OK        bool
}

// Verdict is what is thought of one provider.
type Verdict struct {
	Provider, URL string
	// Usable is true when no reason holds.
	Usable bool
	// Reasons are those that hold, in the order of Reasons.
	Reasons []Finding
	// Agrees is whether it is one of a quorum at the highest epoch for which that can be said; nil when there is no quorum to compare with.
	Agrees *bool
	// Finalized is the checkpoint that it serves; nil when there is none or when it could not be asked.
	Finalized *beacon.Checkpoint
	// LagEpochs is how far Finalized was behind the clock when it was seen; nil when it cannot be said.
	LagEpochs *uint64
	// Observation is what the verdict is about.
	Observation Observation
}

// Has tells whether a reason holds.
func (v Verdict) Has(r Reason) bool {
	return slices.ContainsFunc(v.Reasons, func(f Finding) bool { return f.Reason == r })
}

// Verdict is the one about a provider; false when there is none of that name.
func (j Judgement) Verdict(provider string) (Verdict, bool) {
	for _, v := range j.Verdicts {
		if v.Provider == provider {
			return v, true
		}
	}
	return Verdict{}, false
}

// Usable counts the usable providers.
func (j Judgement) Usable() int {
	n := 0
	for _, v := range j.Verdicts {
		if v.Usable {
			n++
		}
	}
	return n
}

// Rank orders the verdicts, best first: usable ones, then those that agree before those of which it cannot be said and those that
// do not, then by lag, latency and configured order.
func Rank(j Judgement) []Verdict {
	ranked := slices.Clone(j.Verdicts)
	slices.SortStableFunc(ranked, func(a, b Verdict) int {
		return cmp.Or(
			cmp.Compare(boolRank(!a.Usable), boolRank(!b.Usable)),
			cmp.Compare(agreement(a), agreement(b)),
			cmp.Compare(lagRank(a), lagRank(b)),
			cmp.Compare(latency(a), latency(b)),
		)
	})
	return ranked
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func agreement(v Verdict) int {
	if v.Agrees == nil {
		return 1
	}
	return 2 * boolRank(!*v.Agrees)
}

func lagRank(v Verdict) uint64 {
	if v.LagEpochs == nil {
		return ^uint64(0)
	}
	return *v.LagEpochs
}

// latency puts a provider that was never reached last.
func latency(v Verdict) time.Duration {
	if d := v.Observation.Exchange.Timings.Total(); d > 0 {
		return d
	}
	return 1<<63 - 1
}
