package receiver

import (
	"errors"
	"io"
	"sync/atomic"
)

// DefaultMaxInFlight is how many messages may be decoded and kept at the same time.
const DefaultMaxInFlight = 1024

// maxHeldBytes bounds the bodies in memory, in bytes; as values they take about three times that.
const maxHeldBytes = 8 * MaxBody

// errNoRoom is for a burst: the sender has to come again.
var errNoRoom = errors.New("too many messages at once")

// room is a bounded amount of something.
type room struct{ free atomic.Int64 }

func newRoom(n int64) *room {
	r := new(room)
	r.free.Store(n)
	return r
}

// take takes all of n or nothing.
func (r *room) take(n int64) bool {
	if r.free.Add(-n) >= 0 {
		return true
	}
	r.free.Add(n)
	return false
}

func (r *room) give(n int64) { r.free.Add(n) }

// metered reads a body and takes room for what has arrived, so that one that trickles in holds no more than that.
type metered struct {
	body  io.Reader
	room  *room
	taken int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.body.Read(p)
	if n == 0 {
		return 0, err
	}
	if !m.room.take(int64(n)) {
		return 0, errNoRoom
	}
	m.taken += int64(n)
	return n, err
}

func (m *metered) close() { m.room.give(m.taken) }
