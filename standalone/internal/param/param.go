// Package param reads the parameters of Prometheus' HTTP API.
package param

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// Time reads a Unix time in seconds, with a fraction if need be, or one in RFC 3339. Unix times end with the year 9999, as
// RFC 3339 does.
func Time(text string) (time.Time, error) {
	const limit = 253402300800
	if s, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(s) < limit {
		return time.UnixMilli(int64(math.Round(s * 1000))), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("%q is no time", text)
	}
	return t, nil
}

// Duration reads a number of seconds, or a duration as in PromQL.
func Duration(text string) (time.Duration, error) {
	const limit = float64(math.MaxInt64) / float64(time.Second)
	if s, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(s) < limit {
		return time.Duration(s * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration", text)
	}
	return time.Duration(d), nil
}
