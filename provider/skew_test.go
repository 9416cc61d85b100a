package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// dated is a provider whose answer said a time that is ahead of ours.
func dated(name string, ahead time.Duration) provider.Observation {
	o := seen(name, 1, 100)
	o.Exchange.DateSeen = now
	o.Exchange.ServerDate = now.Add(ahead - 500*time.Millisecond)
	return o
}

func TestSkew(t *testing.T) {
	silent, failed, twin := seen("silent", 1, 100), down("failed", provider.HTTPStatus), dated("twin", -time.Hour)
	failed.Exchange = dated("failed", 4*time.Second).Exchange
	twin.URL = "http://a"
	for name, c := range map[string]struct {
		seen []provider.Observation
		want *time.Duration
	}{
		"nobody":                     {nil, nil},
		"one is no median":           {[]provider.Observation{dated("a", time.Second), silent}, nil},
		"one under two names":        {[]provider.Observation{dated("a", time.Second), twin}, nil},
		"two":                        {[]provider.Observation{dated("a", time.Second), dated("b", 3*time.Second)}, new(2 * time.Second)},
		"a liar among three":         {[]provider.Observation{dated("a", 0), dated("b", time.Hour), dated("c", -time.Second)}, new(time.Duration)},
		"ours is ahead":              {[]provider.Observation{dated("a", -30*time.Second), dated("b", -30*time.Second), silent}, new(-30 * time.Second)},
		"a failure has its date too": {[]provider.Observation{dated("a", 2*time.Second), failed}, new(3 * time.Second)},
		"far apart":                  {[]provider.Observation{dated("a", -1<<62), dated("b", 1<<62)}, new(time.Duration)},
	} {
		t.Run(name, func(t *testing.T) {
			got := provider.Judge(testnet, c.seen, provider.Options{}, now).Skew
			if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestSkewOverHTTP: the Date is compared with our clock at half the round trip, and not that of an answer out of a cache.
func TestSkewOverHTTP(t *testing.T) {
	const ahead = 90 * time.Second
	say := func(age string) *fake {
		f := newFake(t, 100)
		handler := f.Config.Handler
		f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			if age != "" {
				w.Header().Set("Age", age)
			}
			handler.ServeHTTP(w, r)
		})
		return f
	}
	judge := func(fakes ...*fake) *time.Duration {
		var all []provider.Observation
		for i, f := range fakes {
			p, err := provider.NewProber(string(rune('a'+i)), f.URL, provider.ProberOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p.Probe(t.Context(), now, provider.Ask{}))
		}
		return provider.Judge(testnet, all, provider.Options{}, now).Skew
	}
	if got := judge(say(""), say("")); got == nil || (*got-ahead).Abs() > 10*time.Second {
		t.Errorf("got %v, want about %s", got, ahead)
	}
	if got := judge(say(""), say("12")); got != nil {
		t.Errorf("got %v from one clock and a cache", got)
	}
}
