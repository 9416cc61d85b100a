package param_test

import (
	"math"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/internal/param"
)

func TestTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"0": time.Unix(0, 0), "1790000000.25": time.UnixMilli(1790000000250), "-1": time.Unix(-1, 0),
		"2026-09-21T14:13:20.5Z": time.UnixMilli(1790000000500),
	} {
		if got, err := param.Time(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "NaN", "Inf", "1e300", "-253402300800", "yesterday", "2026-09-21"} {
		if got, err := param.Time(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"15": 15 * time.Second, "0.5": 500 * time.Millisecond, "1m30s": 90 * time.Second, "-3": -3 * time.Second, "1d": 24 * time.Hour,
	} {
		if got, err := param.Duration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "NaN", "1e300", "5 minutes", "-5m"} {
		if got, err := param.Duration(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// FuzzParam looks for what is taken though it cannot be counted with.
func FuzzParam(f *testing.F) {
	for _, s := range []string{"0", "1e9", "-253402300799.9", "2026-09-21T14:13:20Z", "15s", "1w2d", "0x1p-1074", "9223372036"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := param.Time(text); err == nil && (at.Year() < -9999 || at.Year() > 9999) {
			t.Errorf("%q is taken for %v", text, at)
		}
		if d, err := param.Duration(text); err == nil && d == math.MinInt64 {
			t.Errorf("%q is taken for %v", text, d)
		}
	})
}
