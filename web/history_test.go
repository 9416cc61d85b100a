package web

import (
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

func TestHistoryIsBounded(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute} {
		var tr track
		at := noon
		for i := range int(3 * 24 * time.Hour / every) {
			at = noon.Add(time.Duration(i) * every)
			tr.add(point{at: at, distance: uint64(i), known: true})
			if len(tr.points) > maxPoints {
				t.Fatalf("every %s: %d points", every, len(tr.points))
			}
		}
		first, last := tr.points[0], tr.points[len(tr.points)-1]
		if age := at.Sub(first.at); age > maxAge || age < maxAge/2 {
			t.Errorf("every %s: it goes back %s", every, age)
		}
		if len(tr.points) < min(maxPoints/3, int(maxAge/every)/2) || at.Sub(last.at) > max(tr.step, every) {
			t.Errorf("every %s: %d points, the last of %s ago", every, len(tr.points), at.Sub(last.at))
		}
		for i := 1; i < len(tr.points); i++ {
			if !tr.points[i].at.After(tr.points[i-1].at) {
				t.Fatalf("every %s: out of order at %d", every, i)
			}
		}
	}
}

// TestHistoryKeepsTurns: a short silence is seen, however coarse the track has become.
func TestHistoryKeepsTurns(t *testing.T) {
	var tr track
	at := noon
	add := func(known bool) {
		at = at.Add(10 * time.Second)
		tr.add(point{at: at, known: known})
	}
	for range 8000 {
		add(true)
	}
	if tr.step < time.Minute {
		t.Fatal("it has not become coarse:", tr.step)
	}
	add(false)
	add(true)
	n := len(tr.points)
	if tr.points[n-1].known != true || tr.points[n-2].known != false || tr.points[n-3].known != true {
		t.Error("the silence is not there")
	}
	tr.add(point{at: at.Add(-time.Hour), distance: 7})
	if tr.last.distance == 7 {
		t.Error("a look of the past is kept")
	}
}

func TestHistoryFollowsConfiguration(t *testing.T) {
	h := newHistory()
	w := ordinary()
	h.keep(w.look().Nodes)
	h.keep(w.look().Nodes) // the same look once more
	if got := h.of("node-1"); len(got) != 1 || got[0].distance != 4490 || !got[0].known {
		t.Error(got)
	}
	w.change(func(s *collector.Status) {
		n := &s.Nodes.Nodes[0]
		n.LookedAt, n.DistanceSlots = new(noon.Add(time.Minute)), nil
	})
	h.keep(w.look().Nodes)
	if got := h.of("node-1"); len(got) != 2 || got[1].known {
		t.Error(got)
	}
	h.keep(collector.Nodes{Nodes: []collector.Node{{Name: "node-2"}}})
	if len(h.of("node-1")) != 0 || len(h.tracks) != 1 || h.of("node-2") != nil {
		t.Error("a node that is gone is remembered")
	}
}
