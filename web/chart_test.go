package web

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

// falling is a node that comes nearer by a slot a second, looked at every ten.
func falling(n int, from uint64) []point {
	var all []point
	for i := range n {
		all = append(all, point{noon.Add(time.Duration(i) * 10 * time.Second), from - uint64(i)*10, true})
	}
	return all
}

// within checks that a line stays inside the chart.
func within(t *testing.T, c Chart, points string) {
	t.Helper()
	for p := range strings.FieldsSeq(points) {
		xs, ys, _ := strings.Cut(p, ",")
		x, errX := strconv.ParseInt(xs, 10, 64)
		y, errY := strconv.ParseInt(ys, 10, 64)
		if errX != nil || errY != nil || x < 0 || x > c.Width || y < 0 || y > c.Height {
			t.Errorf("%s is outside of %d × %d", p, c.Width, c.Height)
		}
	}
}

func TestChart(t *testing.T) {
	silent := falling(60, 5000)
	for i := 20; i < 30; i++ {
		silent[i].known = false
	}
	asleep := falling(60, 5000)
	for i := 30; i < 60; i++ {
		asleep[i].at = asleep[i].at.Add(time.Hour)
	}
	down := falling(60, 5000)
	for i := 50; i < 60; i++ {
		down[i].known = false
	}
	eta := func(p10, p50, p90 float64) *collector.ETA { return &collector.ETA{P10: p10, P50: p50, P90: p90} }
	for name, c := range map[string]struct {
		points      []point
		eta         *collector.ETA
		lines, gaps int
		fan         bool
	}{
		"nothing":             {points: nil},
		"one look":            {points: falling(1, 100)},
		"never known":         {points: []point{{at: noon}, {at: noon.Add(time.Minute)}}},
		"two looks":           {points: falling(2, 100), lines: 1},
		"an hour":             {points: falling(360, 10000), lines: 1},
		"with an estimate":    {points: falling(360, 10000), eta: eta(900, 1000, 1500), lines: 1, fan: true},
		"an estimate of days": {points: falling(360, 10000), eta: eta(1e5, 2e5, 1e300), lines: 1, fan: true},
		"an estimate of now":  {points: falling(360, 10000), eta: eta(0, 0, 0), lines: 1},
		"an answer missing":   {points: silent, lines: 2, gaps: 1},
		"nobody looked":       {points: asleep, lines: 2, gaps: 1},
		"down now":            {points: down, lines: 1, gaps: 1},
		"far away":            {points: []point{{noon, math.MaxInt64 / 8, true}, {noon.Add(time.Minute), 1, true}}, lines: 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := collector.Node{Name: "node-1", ETA: c.eta}
			if len(c.points) > 0 {
				n.DistanceSlots = &c.points[len(c.points)-1].distance
			}
			got := chartOf("chart-0", n, c.points)
			if got.Known != (c.lines > 0) || len(got.Lines) != c.lines || len(got.Gaps) != c.gaps || (got.Fan != "") != c.fan || (got.Middle != "") != c.fan {
				t.Errorf("%+v", got)
			}
			for _, line := range got.Lines {
				within(t, got, line)
			}
			within(t, got, got.Fan)
			within(t, got, got.Middle)
			for _, g := range got.Gaps {
				if g.X < 0 || g.Width <= 0 || g.X+g.Width > got.Width {
					t.Errorf("the gap %+v is outside", g)
				}
			}
			if !got.Known {
				return
			}
			if 2*got.Now < got.Width-1 {
				t.Errorf("the past has %d of %d", got.Now, got.Width)
			}
			if len(got.Table) < 2 || len(got.Table) > tableRows+1 || len(got.X) != axisSteps+1 || len(got.Y) != axisSteps+1 || got.Y[axisSteps] != "0" {
				t.Errorf("%d rows, axes %v %v", len(got.Table), got.X, got.Y)
			}
		})
	}
}

func TestChartIsThin(t *testing.T) {
	points := falling(maxPoints, 100000)
	points[333].known = false
	c := chartOf("chart-0", collector.Node{Name: "node-1"}, points)
	drawn := 0
	for _, l := range c.Lines {
		drawn += len(strings.Fields(l))
	}
	if drawn > maxDrawn+4 || len(c.Gaps) != 1 {
		t.Errorf("%d points are drawn, with %d gaps", drawn, len(c.Gaps))
	}
	if want := "Distance of node-1 to the head over the last 2 h: first 100,000 slots, now 92,810 slots."; c.Label != strings.Replace(want, "2 h", span(7190), 1) {
		t.Error(c.Label)
	}
}

func TestNiceHeight(t *testing.T) {
	for highest, want := range map[uint64]int64{0: 40, 40: 40, 41: 80, 81: 200, 201: 400, 12000: 20000, math.MaxUint64: math.MaxInt64 / 2} {
		if got := niceHeight(highest); got != want || got%axisSteps != 0 && want < math.MaxInt64/2 {
			t.Errorf("niceHeight(%d) is %d", highest, got)
		}
	}
}
