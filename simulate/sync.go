package simulate

import (
	"encoding/binary"
	"time"
)

// database is what a node has on disk, and how its sync goes on from there. It is advanced by the clock, when it is looked at.
type database struct {
	ledger ledger
	// name and speeds decide how batches arrive.
	name  string
	speed *NodeOptions
	// backfillSpeed is in slots a second; 0 for a client that does not backfill.
	backfillSpeed float64

	// at is the time up to which all below is true.
	at   time.Time
	head uint64
	// anchor is the slot that the node began from; 0 for the genesis.
	anchor uint64
	// held tells that the head did not move up to at.
	held bool
	// following tells that the head keeps up with the clock; else the next batch arrives at due.
	following bool
	due       time.Time
	batches   uint64
	// caughtUp tells that the process has once followed since it was started.
	caughtUp bool
	// backfilling is for how long backfill has run.
	backfilling time.Duration
}

// wall is the slot whose block has arrived at a time: blocks come a third into their slot.
func (d *database) wall(t time.Time) uint64 {
	return d.ledger.slotAt(t.Add(-d.ledger.chain.SlotDuration() / 3))
}

// batchTime is how long the next batch takes, with its jitter and pause.
func (d *database) batchTime() time.Duration {
	h := d.ledger.hash("batch "+d.name, d.batches)
	unit := float64(binary.LittleEndian.Uint32(h[:])) / (1 << 32) // 0 to 1
	seconds := float64(d.speed.BatchSlots) / d.speed.SlotsPerSecond * (1 + d.speed.Jitter*(2*unit-1))
	t := time.Duration(seconds * float64(time.Second))
	if n := d.speed.PauseEvery; n > 0 && d.batches%n == n-1 {
		t += d.speed.Pause
	}
	return t
}

// begin is a start of the process.
func (d *database) begin() {
	d.held, d.following, d.caughtUp = true, true, false // looked at anew when the head next may move
}

// advance brings the database up to now, during which the head moved or not and backfill ran or not.
func (d *database) advance(now time.Time, moving, backfill bool) {
	if now.Before(d.at) {
		return
	}
	if !moving {
		d.due = d.due.Add(now.Sub(d.at))
		d.held, d.at = true, now
		return
	}
	if d.held {
		d.held = false
		if d.following && d.wall(d.at) > d.head+1 {
			d.following, d.due = false, d.at.Add(d.batchTime())
		}
		d.caughtUp = d.caughtUp || d.following
	}
	for !d.following && !d.due.After(now) {
		wall := d.wall(d.due)
		d.head = max(d.head, min(d.head+d.speed.BatchSlots, wall))
		d.batches++
		if d.head >= wall {
			d.following, d.caughtUp, d.at = true, true, d.due
			break
		}
		d.due = d.due.Add(d.batchTime())
	}
	if d.following {
		d.head = max(d.head, d.wall(now))
		if backfill {
			d.backfilling += now.Sub(d.at)
		}
	}
	d.at = now
}

// oldest is the oldest slot whose block is held, beside the genesis.
func (d *database) oldest() uint64 {
	const batch = 32
	done := uint64(d.backfilling.Seconds()*d.backfillSpeed) / batch * batch
	return d.anchor - min(d.anchor, done)
}
