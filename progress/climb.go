package progress

import (
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// climb is the way of a node's head on one chain.
type climb struct {
	// known tells that a head was ever seen, told that one was since the node last came up.
	known, told bool
	head        uint64
	// bar is the height above which a head is progress, and idle the answering time since it was passed.
	bar  uint64
	idle time.Duration
	// fallen tells that the bar was lowered by a fall, fallenFrom its height before and sinceFall the time since. Until the
	// climb has proved itself no other fall lowers the bar.
	fallen     bool
	fallenFrom uint64
	sinceFall  time.Duration
	// base is where this sync began, as far as it was seen; behind and far tell whether the node was behind at the latest
	// look, by more than the head's tolerance and by more than an epoch.
	base        uint64
	behind, far bool
	pace        pace
}

// defaultEpoch is SLOTS_PER_EPOCH of the mainnet preset, for a chain that does not tell its own.
const defaultEpoch = 32

// observe takes the head told at time at.
func (c *climb) observe(at time.Time, head uint64, chain network.Chain, o Options) {
	epoch := chain.SlotsPerEpoch
	if epoch == 0 {
		epoch = defaultEpoch
	}
	distance := chain.Distance(head, at)
	behind, far := distance > o.SyncedWithin, distance > epoch
	fell := c.known && head < c.head && c.head-head > epoch
	switch {
	case !c.known, fell:
		c.base = min(head, head+distance-min(head+distance, epoch))
	case far && !c.far:
		c.base = c.head
	}
	// Following the head and catching up with it are different paces, as are those before and after a fall or a stall; their
	// samples do not mix.
	if fell || behind != c.behind || head > c.bar && c.idle >= o.StallAfter {
		c.pace.reset()
	}
	switch {
	case !c.known:
		c.bar, c.idle = head, 0
	case head > c.bar:
		c.bar, c.idle = head, 0
		if head > c.fallenFrom || c.sinceFall >= o.StallAfter {
			c.fallen = false
		}
	case c.bar-head > epoch && !c.fallen:
		c.fallen, c.fallenFrom, c.sinceFall = true, c.bar, 0
		c.bar = head
	}
	c.known, c.told, c.head, c.behind, c.far = true, true, head, behind, far
	c.pace.observe(at, head)
}

// ratio is the share of the way from base to the clock's slot.
func (c *climb) ratio(distance uint64, behind bool) float64 {
	if !behind {
		return 1
	}
	if c.head <= c.base {
		return 0
	}
	done := float64(c.head - c.base)
	return done / (done + float64(distance))
}

// backfill is the way of a node's history back from its checkpoint.
type backfill struct {
	known bool
	// left is the last count, and start the highest one of this run.
	left, start uint64
	pace        pace
}

func (b *backfill) observe(s Sample) {
	if s.BackfillRemaining == nil || s.Identity != network.Same {
		return
	}
	left := *s.BackfillRemaining
	if !b.known || left > b.left {
		b.start = left
		b.pace.reset()
	}
	b.known, b.left = true, left
	b.pace.observe(s.At, b.start-left)
}

// status is what remains, if the latest look told it, and how long that will take.
func (b *backfill) status(last Sample, now time.Time) (*uint64, *ETA) {
	if last.BackfillRemaining == nil {
		return nil, nil
	}
	left := b.left
	if left == 0 {
		return &left, nil
	}
	return &left, b.pace.estimate(now).eta(left, 0)
}
