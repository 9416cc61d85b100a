package standalone_test

import (
	"slices"
	"testing"
)

// runs is how many trials are made of each scenario, spread evenly over an interval.
const runs = 10

// BenchmarkLatency measures, on a simulated clock, how long the loop takes from a fault to what is done about it: max-s and median-s are
// seconds of that clock; ns/op is what the simulation takes.
func BenchmarkLatency(b *testing.B) {
	for _, s := range []scenario{refused, hangs, stalled} {
		b.Run(s.name, func(b *testing.B) {
			var done []trial
			for b.Loop() {
				done = done[:0]
				for i := range runs {
					done = append(done, inTest(b, func(t *testing.T) trial { return try(t, i, float64(i)/runs, s.run) }))
				}
			}
			slices.SortFunc(done, func(x, y trial) int { return int(x.took() - y.took()) })
			slowest, median := done[len(done)-1], done[len(done)/2]
			b.ReportMetric(slowest.took().Seconds(), "max-s")
			b.ReportMetric(median.took().Seconds(), "median-s")
			b.Logf("%s: median %.0f s, max %.0f s (limit %.0f s)\nthe slowest of %d: %s",
				s.what, median.took().Seconds(), slowest.took().Seconds(), limit.Seconds(), runs, slowest)
		})
	}
}

// inTest runs f as a test, because only a test can have a bubble.
func inTest(b *testing.B, f func(*testing.T) trial) (tr trial) {
	b.Helper()
	ran := false
	anything := func(_, _ string) (bool, error) { return true, nil }
	ok := testing.RunTests(anything, []testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) {
		tr, ran = f(t), true
	}}})
	if !ok || !ran {
		b.FailNow()
	}
	return tr
}
