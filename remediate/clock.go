package remediate

import (
	"fmt"
	"time"
)

const (
	// clockStep is by how much the wall clock may differ from the monotonic one between two rounds: NTP slews by at most half a
	// millisecond a second (adjtimex(2)), and a round with an effect lasts minutes.
	clockStep = 5 * time.Second
	// clockSettle is for how long nothing is done after a step: slots, lags and ages were measured with another clock, and a machine that
	// was suspended has yet to catch up.
	clockSettle = 2 * time.Minute
)

// clock is the wall clock, watched. Times in the journal, calendars and slots follow the wall; how long something lasted is always
// measured with the monotonic clock, which stands still while a machine is suspended.
type clock struct {
	wall  func() time.Time
	began time.Time // has a monotonic reading

	last     time.Time
	lastMono time.Duration
	until    time.Duration // monotonic
	step     time.Duration
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall, began: time.Now()}
	c.last, c.lastMono = c.now(), 0
	return c
}

func (c *clock) now() time.Time { return c.wall().Round(0) }

// watch tells by how much the wall clock has stepped since the last time; 0 if it has not.
func (c *clock) watch() time.Duration {
	wall, mono, step := c.look()
	c.last, c.lastMono = wall, mono
	if step != 0 {
		c.step, c.until = step, mono+clockSettle
	}
	return step
}

// look tells the same, and keeps it for the next time.
func (c *clock) look() (wall time.Time, mono, step time.Duration) {
	wall, mono = c.now(), time.Since(c.began)
	step = wall.Sub(c.last) - (mono - c.lastMono)
	if step.Abs() < clockStep {
		step = 0
	}
	return wall, mono, step
}

func (c *clock) answer() Answer {
	a := Answer{Guard: "clock", Why: "the clock is steady"}
	if _, _, step := c.look(); step != 0 {
		a.Blocks, a.Why = true, fmt.Sprintf("the clock stepped by %s just now", step.Round(time.Second))
		return a
	}
	if left := c.until - time.Since(c.began); left > 0 {
		a.Blocks, a.Why = true, fmt.Sprintf("the clock stepped by %s; nothing is done for %s more", c.step.Round(time.Second), left.Round(time.Second))
	}
	return a
}
