package web

import (
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// TestEveryWordIsPlain: a reason or a phase that is added has to be explained here, too.
func TestEveryWordIsPlain(t *testing.T) {
	for _, r := range provider.Reasons() {
		if w := reasonWords(string(r)); !strings.HasSuffix(w, ".") || strings.Contains(w, "_") {
			t.Errorf("%s is explained as %q", r, w)
		}
	}
	for _, p := range progress.Phases() {
		b := phaseBadge(string(p))
		if b.Tone == idle || b.Means == "" || b.Tone.Sign() == "" {
			t.Errorf("%s is explained as %+v", p, b)
		}
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0 s", 89: "89 s", 90: "2 min", 600: "10 min", 5399: "90 min", 5400: "1 h 30 min", 7200: "2 h", 172799: "47 h 59 min", 172800: "2 d",
		180000: "2 d 2 h", 40 * 86400: "40 d", 1e300: "37037 d", -1: "?",
	} {
		if got := span(seconds); got != want {
			t.Errorf("span(%g) is %q, want %q", seconds, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1<<64 - 1: "18,446,744,073,709,551,615"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) is %q", n, got)
		}
	}
	for v, want := range map[float64]string{0: "0 slots/s", -0.001: "0 slots/s", 0.083: "0.08 slots/s", 4.12: "4.1 slots/s", 123.4: "123 slots/s"} {
		if got := pace(v); got != want {
			t.Errorf("pace(%g) is %q", v, got)
		}
	}
	if got := strings.Join(humps("CheckpointNodeDown"), "|"); got != "Checkpoint|Node|Down" || len(humps("")) != 1 {
		t.Error(got)
	}
	if slots(1) != "1 slot" || slots(2000) != "2,000 slots" || sentence("é") != "É." || sentence("") != "" || sentence("\xff") != "\xff." {
		t.Error(slots(1), slots(2000), sentence("é"), sentence("\xff"))
	}
}
