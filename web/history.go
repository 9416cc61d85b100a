package web

import (
	"sync"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

const (
	// maxAge is how far the chart goes back.
	maxAge = 24 * time.Hour
	// maxPoints bounds what is kept of a node: 24 bytes a point, two minutes between them when a whole day is kept.
	maxPoints = 720
)

// point is a node's distance at a moment; known is false for a look at which it could not be told.
type point struct {
	at       time.Time
	distance uint64
	known    bool
}

// track is what is kept of one node: the younger it is, the finer. When it is full every second point is dropped, until it spans maxAge;
// then the oldest are.
type track struct {
	points []point
	// last is the latest look, which may be nearer to the last point than step.
	last point
	step time.Duration
}

func (t *track) add(p point) {
	if !p.at.After(t.last.at) {
		return
	}
	// A node that falls silent, or answers again, is not smoothed away.
	turned := p.known != t.last.known
	if turned && len(t.points) > 0 && t.points[len(t.points)-1] != t.last {
		t.points = append(t.points, t.last)
	}
	t.last = p
	if n := len(t.points); turned || n == 0 || p.at.Sub(t.points[n-1].at) >= t.step {
		t.points = append(t.points, p)
	}
	t.bound(p.at)
}

// bound keeps the track within maxPoints and maxAge.
func (t *track) bound(now time.Time) {
	old := 0
	for old < len(t.points) && now.Sub(t.points[old].at) > maxAge {
		old++
	}
	t.points = append(t.points[:0], t.points[old:]...)
	if len(t.points) <= maxPoints {
		return
	}
	if t.step *= 2; t.step == 0 {
		t.step = now.Sub(t.points[0].at) / maxPoints * 2
	}
	kept := t.points[:0]
	for i, p := range t.points {
		if i%2 == 0 {
			kept = append(kept, p)
		}
	}
	t.points = kept
}

// history is the distance of every node over the last day, in memory alone.
type history struct {
	mu     sync.Mutex
	tracks map[string]*track
}

func newHistory() *history { return &history{tracks: map[string]*track{}} }

// keep takes note of the nodes, and forgets those that are gone.
func (h *history) keep(seen collector.Nodes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := make(map[string]*track, len(seen.Nodes))
	for _, n := range seen.Nodes {
		t := h.tracks[n.Name]
		if t == nil {
			t = &track{}
		}
		left[n.Name] = t
		if n.LookedAt == nil {
			continue
		}
		p := point{at: *n.LookedAt}
		if n.DistanceSlots != nil {
			p.distance, p.known = *n.DistanceSlots, true
		}
		t.add(p)
	}
	h.tracks = left
}

// of is what is known of a node, oldest first.
func (h *history) of(node string) []point {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tracks[node]
	if t == nil || len(t.points) == 0 {
		return nil
	}
	all := append([]point(nil), t.points...)
	if last := all[len(all)-1]; t.last.at.After(last.at) {
		all = append(all, t.last)
	}
	return all
}
