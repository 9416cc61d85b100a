package provider

import (
	"slices"
	"time"
)

// dateGrain is what a Date header leaves out: it counts whole seconds (RFC 9110, section 5.6.7).
const dateGrain = time.Second

// skew is the median of what the Date headers tell of the providers' clocks, compared with ours. What is given again because a provider
// asked to be left alone, was true when it was seen, and the same URL under two names has one clock.
func skew(observations []Observation) *time.Duration {
	var ahead []time.Duration
	asked := map[string]bool{}
	for _, o := range observations {
		x := o.Exchange
		if x.ServerDate.IsZero() || asked[o.URL] {
			continue
		}
		asked[o.URL] = true
		ahead = append(ahead, x.ServerDate.Add(dateGrain/2).Sub(x.DateSeen))
	}
	n := len(ahead)
	if n < 2 {
		return nil
	}
	slices.Sort(ahead)
	return new(ahead[(n-1)/2]/2 + ahead[n/2]/2)
}
