package web

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

// Chart is a node's distance over time, as SVG that is drawn here: it needs no JavaScript to be seen, follows the page's colours, and has
// its numbers in a table for those who cannot see it. Its coordinates are seconds since Start and slots, so the browser scales it to any
// width and the script finds the values in it.
type Chart struct {
	ID, Node string
	// Known is false while there is nothing to draw.
	Known bool
	// Label is what the line shows, in words.
	Label string
	// Width is in seconds and Height in slots; Start is the left edge, in seconds since 1970.
	Width, Height, Start int64
	// Now is the x of the latest look.
	Now int64
	// Lines are the points of polylines, one for each stretch without a gap.
	Lines []string
	// Fan is the polygon between the hasty and the slow estimate, and Middle the line of the median; empty without an estimate.
	Fan, Middle string
	// Gaps are the stretches in which the distance was not known.
	Gaps []Gap
	// Rows and Columns are the lines of the grid: y and x coordinates.
	Rows, Columns []int64
	// Y are the labels of the vertical axis from the top, and X those of the horizontal one; both stand at equal distances.
	Y []string
	X []Moment
	// Table are some of the values, oldest first.
	Table []Row
}

// Gap is a stretch of time in a chart.
type Gap struct{ X, Width int64 }

// Row is one value of a chart.
type Row struct {
	At       *Moment
	Distance string
}

const (
	// minSpan is the least time that a chart shows.
	minSpan = 2 * time.Minute
	// axisSteps is into how many parts each axis is divided.
	axisSteps = 4
	// maxDrawn bounds the points that are sent to a browser, and tableRows the rows of the table.
	maxDrawn  = 240
	tableRows = 12
	// gapAfter is how many times the usual time between two points makes a gap, when nobody looked.
	gapAfter = 5
)

func chartOf(id string, n collector.Node, points []point) Chart {
	c := Chart{ID: id, Node: n.Name}
	first := 0
	for first < len(points) && !points[first].known {
		first++
	}
	points = points[first:]
	if len(points) < 2 {
		return c
	}
	c.Known = true
	start, end := points[0].at, points[len(points)-1].at
	seen := max(end.Sub(start), minSpan)
	start = end.Add(-seen)
	ahead := time.Duration(0)
	if n.ETA != nil {
		// The past keeps at least half of the chart.
		ahead = min(seconds(n.ETA.P90*1.1), seen)
	}
	highest := uint64(0)
	for _, p := range points {
		if p.known {
			highest = max(highest, p.distance)
		}
	}
	c.Height = niceHeight(highest)
	c.Start, c.Now = start.Unix(), int64(seen/time.Second)
	c.Width = max(axisSteps, int64((seen+ahead)/time.Second))
	points = thin(points)
	c.draw(points, start)
	c.project(n)
	c.axes(start, end)
	c.tell(points, n.Name, end)
	return c
}

func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), 365*24*3600)) * time.Second
}

// niceHeight is the least of 40, 80, 200, 400, … that holds a value: its quarters are round. A node that is at the head has a flat line.
func niceHeight(highest uint64) int64 {
	for scale := int64(10); scale < 1<<59; scale *= 10 {
		for _, h := range []int64{4 * scale, 8 * scale, 20 * scale} {
			if uint64(h) >= highest {
				return h
			}
		}
	}
	return math.MaxInt64 / 2
}

// thin leaves out points, but neither the edges of gaps nor the last.
func thin(points []point) []point {
	every := (len(points) + maxDrawn - 1) / maxDrawn
	if every < 2 {
		return points
	}
	var kept []point
	for i, p := range points {
		edge := i == 0 || i == len(points)-1 || p.known != points[i-1].known || p.known != points[i+1].known
		if edge || i%every == 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// draw makes lines of the points, and gaps of what is between them.
func (c *Chart) draw(points []point, start time.Time) {
	x := func(p point) int64 { return int64(p.at.Sub(start) / time.Second) }
	usual := max(points[len(points)-1].at.Sub(points[0].at)/time.Duration(len(points)), time.Second)
	var line []string
	var last point
	end := func() {
		if len(line) == 1 { // a single look is drawn, too
			line = append(line, line[0])
		}
		if len(line) > 0 {
			c.Lines = append(c.Lines, strings.Join(line, " "))
		}
		line = nil
	}
	for i, p := range points {
		if i > 0 && p.known && points[i-1].known && p.at.Sub(last.at) > gapAfter*usual {
			end()
			c.Gaps = append(c.Gaps, Gap{x(last), x(p) - x(last)})
		}
		switch {
		case p.known:
			if i > 0 && !points[i-1].known {
				c.Gaps = append(c.Gaps, Gap{x(last), x(p) - x(last)})
			}
			line = append(line, fmt.Sprintf("%d,%d", x(p), c.Height-int64(p.distance)))
			last = p
		default:
			end()
			if i == len(points)-1 {
				c.Gaps = append(c.Gaps, Gap{x(last), x(p) - x(last)})
			}
		}
	}
	end()
}

// project draws where the estimate expects the line to go.
func (c *Chart) project(n collector.Node) {
	if n.ETA == nil || n.DistanceSlots == nil || c.Width <= c.Now {
		return
	}
	room, from := float64(c.Width-c.Now), float64(*n.DistanceSlots)
	at := func(eta float64) (x, y int64) {
		eta = max(eta, 1)
		reach := min(eta, room)
		return c.Now + int64(reach), c.Height - int64(from*(1-reach/eta))
	}
	y := c.Height - int64(*n.DistanceSlots)
	fastX, fastY := at(n.ETA.P10)
	slowX, slowY := at(n.ETA.P90)
	midX, midY := at(n.ETA.P50)
	c.Middle = fmt.Sprintf("%d,%d %d,%d", c.Now, y, midX, midY)
	corner := ""
	if fastX < slowX && slowY < c.Height {
		corner = fmt.Sprintf(" %d,%d", slowX, c.Height)
	}
	c.Fan = fmt.Sprintf("%d,%d %d,%d%s %d,%d", c.Now, y, fastX, fastY, corner, slowX, slowY)
}

func (c *Chart) axes(start, now time.Time) {
	for i := range int64(axisSteps + 1) {
		value := c.Height * (axisSteps - i) / axisSteps
		c.Y = append(c.Y, grouped(uint64(value)))
		if i > 0 && i < axisSteps {
			c.Rows, c.Columns = append(c.Rows, c.Height*i/axisSteps), append(c.Columns, c.Width*i/axisSteps)
		}
		at := start.Add(time.Duration(c.Width*i/axisSteps) * time.Second)
		layout := "15:04"
		if c.Width < axisSteps*60 {
			layout = "15:04:05"
		} else if time.Duration(c.Width)*time.Second > 20*time.Hour && at.UTC().YearDay() != now.UTC().YearDay() {
			layout = "2 Jan 15:04"
		}
		c.X = append(c.X, Moment{at.UTC().Format(time.RFC3339), at.UTC().Format(layout)})
	}
}

// tell puts the chart into words and numbers.
func (c *Chart) tell(points []point, name string, now time.Time) {
	words := func(p point) string {
		if !p.known {
			return "not known"
		}
		return slots(p.distance)
	}
	first, last := points[0], points[len(points)-1]
	c.Label = fmt.Sprintf("Distance of %s to the head over the last %s: first %s, now %s.", name, span(last.at.Sub(first.at).Seconds()), words(first), words(last))
	step := max(1, (len(points)-1)/(tableRows-1))
	for i := (len(points) - 1) % step; i < len(points); i += step {
		c.Table = append(c.Table, Row{moment(points[i].at, now), words(points[i])})
	}
}
