package progress

import (
	"math"
	"time"
)

const (
	// windowBatches and windowMin make the window over which a speed is taken: the last 20 batches, and at least 15 minutes.
	// A slow sync needs the batches (at 0.2 slots/s one of 32 slots takes 160 s), a fast one the minutes, which hold its
	// pauses.
	windowBatches = 20
	windowMin     = 15 * time.Minute
	// minBatches is the fewest intervals between batches from which a speed and its scatter are taken.
	minBatches = 3
	// maxMarks bounds the memory of a fast sync that is looked at often.
	maxMarks = 512
	// maxSpread is the standard deviation of the logarithm of an ETA above which it says nothing: P90 would be more than
	// forty times P10.
	maxSpread = 1.5
	// maxETA is the longest ETA that is worth telling.
	maxETA = 10 * 365 * 24 * time.Hour
	// z90 is the 0.9 quantile of the standard normal distribution.
	z90 = 1.2815515655446004
)

// mark is a moment at which a count was seen to have risen.
type mark struct {
	at    time.Time
	count uint64
}

// pace measures how fast a count rises that rises in batches with pauses between them.
type pace struct {
	begun bool
	first mark
	// marks are the latest rises, the oldest first.
	marks []mark
}

func (p *pace) reset() { *p = pace{marks: p.marks[:0]} }

// observe takes the count at time at; a count that is not above the last one is no rise.
func (p *pace) observe(at time.Time, count uint64) {
	if !p.begun {
		p.begun, p.first = true, mark{at, count}
		return
	}
	if count <= p.latest().count || !at.After(p.latest().at) {
		return
	}
	if len(p.marks) == maxMarks {
		p.marks = p.marks[:copy(p.marks, p.marks[maxMarks/2:])]
	}
	p.marks = append(p.marks, mark{at, count})
}

func (p *pace) latest() mark {
	if len(p.marks) == 0 {
		return p.first
	}
	return p.marks[len(p.marks)-1]
}

// estimate is a speed and its scatter at a moment.
type estimate struct {
	known bool
	// rate is in counts a second.
	rate float64
	// batches is the number of intervals it rests on, 0 when there are too few for an ETA; size is a batch's mean count.
	batches, size float64
	// scatter is the standard deviation of a batch's time around its share of the mean, relative to the mean.
	scatter float64
	// ahead is the count that the batch under way has presumably gained already.
	ahead float64
}

// estimate is the mean speed from rise to rise, over the window. The time since the last rise counts as far as it is longer
// than a mean interval, so that a pause lowers the speed and a stand ends it, while the moment within a batch does not matter.
func (p *pace) estimate(now time.Time) estimate {
	if !p.begun {
		return estimate{}
	}
	open := max(now.Sub(p.latest().at), 0)
	lo, span := p.window(open)
	n := float64(len(p.marks) - 1 - lo)
	if n < minBatches {
		watched := now.Sub(p.first.at)
		switch {
		case watched < windowMin:
			return estimate{}
		case open >= windowMin && n < 1:
			return estimate{known: true}
		case n < 1:
			return estimate{known: true, rate: float64(p.latest().count-p.first.count) / watched.Seconds()}
		}
	}
	count := float64(p.latest().count - p.marks[lo].count)
	mean := span.Seconds() / n
	excess := max(open.Seconds()-mean, 0)
	e := estimate{known: true, rate: count / (span.Seconds() + excess)}
	if n < minBatches {
		return e
	}
	e.batches, e.size = n, count/n
	var squares float64
	for i := lo + 1; i < len(p.marks); i++ {
		took := p.marks[i].at.Sub(p.marks[i-1].at).Seconds()
		share := float64(p.marks[i].count-p.marks[i-1].count) * span.Seconds() / count
		squares += (took - share) * (took - share)
	}
	e.scatter = math.Sqrt(squares/(n-1)) / mean
	e.ahead = e.rate * min(open.Seconds(), mean)
	return e
}

// window is the oldest mark to use, given the time since the last one, and the time from it to the last.
func (p *pace) window(open time.Duration) (lo int, span time.Duration) {
	last := len(p.marks) - 1
	if last < 0 {
		return -1, 0
	}
	lo = last
	for lo > 0 {
		n := time.Duration(last - lo + 1)
		wider := p.latest().at.Sub(p.marks[lo-1].at)
		if limit := max(windowMin, windowBatches*(wider/n)); open+wider > limit {
			break
		}
		lo, span = lo-1, wider
	}
	return lo, span
}

// eta is how long a count of left takes while it grows by growth a second.
//
// The median is (left − ahead) / (rate − growth). Its scatter has two sources, the batches to come (n of them) and the ones
// that the speed was taken from (N): the relative standard deviation of the time per count is scatter·√(1/n + 1/N), which the
// moving goal multiplies by rate/(rate − growth). The logarithm of the ETA is taken as normal, with Student's t for few batches
// (the first term of its Cornish-Fisher expansion). TestETAError and BenchmarkETA tell how far this is off.
func (e estimate) eta(left uint64, growth float64) *ETA {
	gain := e.rate - growth
	if e.batches == 0 || gain <= 0 {
		return nil
	}
	median := max(float64(left)-e.ahead, 0) / gain
	coming := max((max(float64(left)-e.ahead, 0)+median*growth)/e.size, 1)
	spread := e.scatter * math.Sqrt(1/coming+1/e.batches) * e.rate / gain
	if !(spread <= maxSpread) {
		return nil
	}
	t90 := z90 + (z90*z90*z90+z90)/(4*(e.batches-1))
	factor := math.Exp(t90 * spread)
	if !(median*factor <= maxETA.Seconds()) {
		return nil
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	return &ETA{P10: seconds(median / factor), P50: seconds(median), P90: seconds(median * factor)}
}
