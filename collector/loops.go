package collector

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// jitter is the share by which an interval is longer or shorter at random, so that many exporters do not ask in step.
	jitter = 0.05
	// maxOffset bounds the random wait before the first visit.
	maxOffset = 3 * time.Second
	// repeatAfter is how soon after a failed probe the provider is asked once more.
	repeatAfter = 15 * time.Second
)

// target is what a loop visits.
type target interface {
	own() *loop
	// interval is the configured time between two visits.
	interval(*state) time.Duration
	// visit looks, and tells whether looking again soon may give something better.
	visit(context.Context, *Exporter) (again bool)
}

// loop is the part of a target that belongs to its goroutine.
type loop struct {
	// cancel ends it; nil before it is started. Exporter.mu guards it.
	cancel context.CancelFunc
	prompt chan struct{}
}

func (l *loop) own() *loop { return l }

func newLoop() *loop { return &loop{prompt: make(chan struct{}, 1)} }

// stop ends the loop. It does not wait: what a removed target still sees, nobody reads.
func (l *loop) stop() {
	if l.cancel != nil {
		l.cancel()
	}
}

// poke makes the loop look at its interval anew.
func (l *loop) poke() {
	select {
	case l.prompt <- struct{}{}:
	default:
	}
}

// start visits a target until the Exporter or the target's loop ends. The caller holds e.mu.
func (e *Exporter) start(t target) {
	ctx, cancel := context.WithCancel(e.running)
	t.own().cancel = cancel
	e.loops.Go(func() {
		defer cancel()
		e.follow(ctx, t)
	})
}

// follow is a target's loop.
func (e *Exporter) follow(ctx context.Context, t target) {
	interval := func() time.Duration { return t.interval(e.state.Load()) }
	wait := time.Duration(rand.Float64() * float64(min(maxOffset, interval()/4)))
	repeated := false
	for sleep(ctx, t.own(), wait, interval) {
		began := time.Now()
		again := t.visit(ctx, e)
		wait, repeated = cadence(interval(), time.Since(began), again, repeated, rand.Float64())
	}
}

// cadence is how long to wait for the next visit after one that took some time: until one interval, more or less, after its
// beginning; or a short while once, when it may do better the next time. Random is from 0 to 1.
func cadence(interval, took time.Duration, again, repeated bool, random float64) (time.Duration, bool) {
	if again && !repeated {
		return min(repeatAfter, interval/4), true
	}
	next := time.Duration(float64(interval) * (1 - jitter + 2*jitter*random))
	return max(next-took, interval/4), false
}

// sleep waits, and less than it was told when a reload shortens the interval. It is false when the loop has ended.
func sleep(ctx context.Context, l *loop, wait time.Duration, interval func() time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	until := time.Now().Add(wait)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return ctx.Err() == nil
		case <-l.prompt:
			timer.Reset(min(time.Until(until), time.Duration(rand.Float64()*float64(interval()))+1))
		}
	}
}
