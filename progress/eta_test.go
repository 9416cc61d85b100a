package progress_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// A simulated sync: batches of 32 slots that each take 32/rate seconds, more or less by up to 60 %, looked at every ten
// seconds until the head is reached. One batch in pauseEvery is followed by a minute's pause.
type simulation struct {
	rate       float64
	pauseEvery int
}

const (
	batch    = 32
	jitter   = 0.6
	interval = 10 * time.Second
	looks    = 600 // about so many looks make up a sync
	seeds    = 20
)

var speeds = []float64{0.2, 0.67, 4, 20}

// outcome is what an estimator did over all seeds.
type outcome struct {
	// median is the median of |estimate/truth − 1|, silent the share of looks without an estimate, and covered the share of
	// estimates whose P10 and P90 enclose the truth.
	median, silent, covered float64
}

// estimator gets the samples so far, oldest first, and answers in seconds; ok is false for no answer.
type estimator func(heads []look) (p10, p50, p90 float64, ok bool)

type look struct {
	at       float64
	head     uint64
	distance float64
}

func (s simulation) run(est func() estimator) outcome {
	const slot = 12.0
	var errs []float64
	var asked, silent, covered int
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, uint64(s.rate*1000)))
		pause := 0.0
		if s.pauseEvery > 0 {
			pause = 60 / float64(s.pauseEvery)
		}
		net := batch/(batch/s.rate+pause) - 1/slot
		// The distance to go is such that the sync takes about looks×interval.
		behind := net * looks * interval.Seconds()
		start := 1_000_000.0
		head, at := uint64(start), 0.0
		next := at
		var series []look
		step := func() {
			next += batch / s.rate * (1 - jitter + 2*jitter*rng.Float64())
			if s.pauseEvery > 0 && rng.IntN(s.pauseEvery) == 0 {
				next += 60
			}
		}
		step()
		arrived := math.NaN()
		for math.IsNaN(arrived) {
			for next <= at && math.IsNaN(arrived) {
				clock := start + behind + next/slot
				if head += batch; float64(head) >= clock {
					head, arrived = uint64(clock), next
				}
				step()
			}
			series = append(series, look{at, head, math.Floor(start+behind+at/slot) - float64(head)})
			at += interval.Seconds()
		}
		e := est()
		for i := range series {
			left := arrived - series[i].at
			if left <= 0 {
				break
			}
			asked++
			p10, p50, p90, ok := e(series[:i+1])
			if !ok {
				silent++
				continue
			}
			errs = append(errs, math.Abs(p50/left-1))
			if p10 <= left && left <= p90 {
				covered++
			}
		}
	}
	slices.Sort(errs)
	return outcome{errs[len(errs)/2], float64(silent) / float64(asked), float64(covered) / float64(len(errs))}
}

// ours is the Follower.
func ours() estimator {
	genesis := time.Unix(1_700_000_000, 0)
	chain := network.Chain{GenesisTime: genesis, SecondsPerSlot: 12, SlotsPerEpoch: 32}
	f := progress.New(progress.Options{})
	return func(s []look) (float64, float64, float64, bool) {
		l := s[len(s)-1]
		// The clock is placed so that the distance is the simulation's.
		at := genesis.Add(time.Duration((float64(s[0].head)+s[0].distance)*12)*time.Second + time.Duration(l.at*1e9))
		f.Observe(progress.Sample{At: at, Reachable: true, Chain: chain, HeadSlot: &l.head})
		eta := f.Status(at).ETA
		if eta == nil {
			return 0, 0, 0, false
		}
		return eta.P10.Seconds(), eta.P50.Seconds(), eta.P90.Seconds(), true
	}
}

// deriv is Prometheus' deriv(distance[window]): least squares over the window.
func deriv(window float64) func() estimator {
	return func() estimator {
		return func(s []look) (float64, float64, float64, bool) {
			now := s[len(s)-1]
			var n, x, y, xx, xy float64
			for i := len(s) - 1; i >= 0 && now.at-s[i].at < window; i-- {
				dx, dy := s[i].at-now.at, s[i].distance
				n, x, y, xx, xy = n+1, x+dx, y+dy, xx+dx*dx, xy+dx*dy
			}
			slope := (n*xy - x*y) / (n*xx - x*x)
			if !(slope < 0) {
				return 0, 0, 0, false
			}
			t := -now.distance / slope
			return t, t, t, true
		}
	}
}

func BenchmarkETA(b *testing.B) {
	for _, rate := range speeds {
		for _, pauseEvery := range []int{0, 20} {
			b.Run(fmt.Sprintf("slots_per_s=%g/pause_every=%d", rate, pauseEvery), func(b *testing.B) {
				s := simulation{rate, pauseEvery}
				var o outcome
				for b.Loop() {
					o = s.run(ours)
				}
				b.ReportMetric(100*o.median, "%error")
				b.ReportMetric(100*o.silent, "%silent")
				b.ReportMetric(100*o.covered, "%in_P10-P90")
				b.ReportMetric(100*s.run(deriv(300)).median, "%error_deriv5m")
				b.ReportMetric(100*s.run(deriv(900)).median, "%error_deriv15m")
			})
		}
	}
}

// The bounds are about a half above what is measured; the simulation is the same every time. deriv(distance[15m]), the best that
// a recording rule does, is measured beside it and must not be better.
func TestETAError(t *testing.T) {
	for _, tc := range []struct {
		rate   float64
		median float64
	}{{0.2, 0.25}, {0.67, 0.12}, {4, 0.05}, {20, 0.02}} {
		t.Run(fmt.Sprint(tc.rate), func(t *testing.T) {
			s := simulation{rate: tc.rate}
			o := s.run(ours)
			if o.median > tc.median {
				t.Errorf("median error %.1f %%, want at most %.1f %%", 100*o.median, 100*tc.median)
			}
			if rule := s.run(deriv(900)); o.median > rule.median {
				t.Errorf("median error %.1f %%, that of deriv over 15 minutes is %.1f %%", 100*o.median, 100*rule.median)
			}
			if o.silent > 0.15 {
				t.Errorf("no answer at %.0f %% of the looks", 100*o.silent)
			}
			if o.covered < 0.7 || o.covered > 0.95 {
				t.Errorf("P10 to P90 hold the truth in %.0f %% of the cases, want about 80 %%", 100*o.covered)
			}
		})
	}
}
