package console

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// When reads a time as people write it: a length of time before now (90s, 2h, 7d), RFC 3339, or, in the zone, 2006-01-02, 2006-01-02 15:04,
// the same with seconds, or 15:04 of today.
func When(s string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := model.ParseDuration(s); err == nil {
		return now.Add(-time.Duration(d)), nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	for _, layout := range []string{dayFormat, dayFormat + " 15:04", dayFormat + " " + clockFormat, dayFormat + "T15:04", dayFormat + "T" + clockFormat, timeFormat} {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil {
			return at, nil
		}
	}
	if at, err := time.Parse("15:04", s); err == nil {
		today := now.In(zone)
		return time.Date(today.Year(), today.Month(), today.Day(), at.Hour(), at.Minute(), 0, 0, zone), nil
	}
	return time.Time{}, &UsageError{fmt.Sprintf("%q is not a time", s), "write it like 2h, 7d, 2026-03-01, 2026-03-01 02:10 or 2026-03-01T02:10:00Z"}
}
