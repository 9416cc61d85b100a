package collector

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

const oneOfEach = testNetwork + `
quorum: 1
providers: [{name: alpha, url: "https://alpha.example"}]
nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:5052"}, execution: {url: "http://127.0.0.1:8545"}}]
`

// run runs an Exporter in a bubble until the function returned is called, which waits for its end.
func run(t *testing.T, e *Exporter) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// bubble has a chain that is 100 hours old at the bubble's first moment.
func bubble(t *testing.T, test func(*testing.T, *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.now = func() time.Time { return time.Now().Add(100 * time.Hour) }
		s.provider("alpha", healthy)
		s.node("node-1", at(2))
		test(t, s)
	})
}

func TestCadence(t *testing.T) {
	for name, c := range map[string]struct {
		interval, took  time.Duration
		again, repeated bool
		random          float64
		want            time.Duration
		wantRepeated    bool
	}{
		"an interval after the beginning": {interval: time.Minute, took: 2 * time.Second, random: 0.5, want: 58 * time.Second},
		"a little less":                   {interval: time.Minute, want: 57 * time.Second},
		"a little more":                   {interval: time.Minute, random: 1, want: 63 * time.Second},
		"a failure is repeated":           {interval: time.Minute, took: 10 * time.Second, again: true, want: 15 * time.Second, wantRepeated: true},
		"sooner when all is quick":        {interval: 20 * time.Second, again: true, want: 5 * time.Second, wantRepeated: true},
		"but once":                        {interval: time.Minute, took: 10 * time.Second, again: true, repeated: true, random: 0.5, want: 50 * time.Second},
		"the repetition has gone well":    {interval: time.Minute, repeated: true, random: 0.5, want: time.Minute},
		"never without a pause":           {interval: time.Second, took: 10 * time.Second, random: 0.5, want: 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			got, repeated := cadence(c.interval, c.took, c.again, c.repeated, c.random)
			if got != c.want || repeated != c.wantRepeated {
				t.Errorf("%s, %t; want %s, %t", got, repeated, c.want, c.wantRepeated)
			}
		})
	}
}

func TestProvidersAreAskedAtTheirInterval(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		start := time.Now()
		stop := run(t, s.exporter(parseConfig(t, oneOfEach)))
		time.Sleep(time.Hour)
		stop()
		visits := s.visits("alpha")
		if len(visits) < 57 || len(visits) > 64 {
			t.Errorf("%d probes in an hour", len(visits))
		}
		if first := visits[0].Sub(start); first > maxOffset {
			t.Error("the first probe came after", first)
		}
		different := map[time.Duration]bool{}
		for i := 1; i < len(visits); i++ {
			gap := visits[i].Sub(visits[i-1])
			if gap < 57*time.Second || gap > 63*time.Second {
				t.Error("two probes are", gap, "apart")
			}
			different[gap] = true
		}
		if len(different) < 10 {
			t.Error("there is no jitter")
		}
	})
}

func TestFailedProbeIsRepeatedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.provider("alpha", failing(beacon.Connect))
		stop := run(t, s.exporter(parseConfig(t, oneOfEach)))
		time.Sleep(5 * time.Minute)
		stop()
		visits := s.visits("alpha")
		for i := 1; i < len(visits); i++ {
			gap := visits[i].Sub(visits[i-1])
			if i%2 == 1 && gap != repeatAfter {
				t.Errorf("probe %d came after %s, want %s", i, gap, repeatAfter)
			}
			if i%2 == 0 && (gap < 57*time.Second || gap > 63*time.Second) {
				t.Errorf("probe %d came after %s, want a minute", i, gap)
			}
		}
	})
}

func TestProviderThatAsksToBeLeftAloneIsNotAskedAgainSoon(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.provider("alpha", func(now time.Time) provider.Observation {
			o := failing(beacon.RateLimited)(now)
			o.RetryAt = now.Add(10 * time.Minute)
			return o
		})
		stop := run(t, s.exporter(parseConfig(t, oneOfEach)))
		time.Sleep(5 * time.Minute)
		stop()
		if n := len(s.visits("alpha")); n > 6 {
			t.Errorf("asked %d times in five minutes", n)
		}
	})
}

func TestDeadNodeIsFlaggedWithinOneInterval(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		e := s.exporter(parseConfig(t, oneOfEach))
		h := handler(t, e)
		stop := run(t, e)
		time.Sleep(10 * time.Minute)
		expect(t, metrics(t, h, "/metrics"), map[string]string{
			`checkpoint_node_up{node="node-1"}`: "1", `checkpoint_node_distance_slots{node="node-1"}`: "2", `checkpoint_execution_up{node="node-1"}`: "1",
		})
		s.node("node-1", dead)
		time.Sleep(10*time.Second + 500*time.Millisecond) // one interval and its jitter
		got := metrics(t, h, "/metrics")
		expect(t, got, map[string]string{`checkpoint_node_up{node="node-1"}`: "0", `checkpoint_execution_up{node="node-1"}`: "0"})
		onlyFlags(t, got)
		stop()
	})
}

// onlyFlags fails on a series of node-1 that tells more than that it is down.
func onlyFlags(t *testing.T, got map[string]string) {
	t.Helper()
	for sample := range got {
		name, _, _ := strings.Cut(sample, "{")
		switch name {
		case "checkpoint_node_up", "checkpoint_node_phase", "checkpoint_node_stall_threshold_seconds", "checkpoint_node_look_duration_seconds", "checkpoint_execution_up":
		default:
			if strings.Contains(sample, `node="node-1"`) {
				t.Errorf("still there: %s %s", sample, got[sample])
			}
		}
	}
}

func TestWhatNobodyLooksAtGrowsStale(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		e := s.exporter(parseConfig(t, oneOfEach))
		h := handler(t, e)
		visitAll(t, e)
		time.Sleep(39 * time.Second)
		expect(t, metrics(t, h, "/metrics"), map[string]string{
			`checkpoint_node_up{node="node-1"}`: "1", `checkpoint_provider_usable{provider="alpha"}`: "1", `checkpoint_provider_finalized_lag_epochs{provider="alpha"}`: "2",
		})
		time.Sleep(2 * time.Second)
		got := metrics(t, h, "/metrics")
		expect(t, got, map[string]string{
			`checkpoint_node_up{node="node-1"}`: "0", `checkpoint_node_phase{node="node-1",phase="unreachable"}`: "1",
			`checkpoint_node_look_duration_seconds{node="node-1"}`: "absent", `checkpoint_provider_usable{provider="alpha"}`: "1",
		})
		onlyFlags(t, got)
		time.Sleep(3 * time.Minute)
		got = metrics(t, h, "/metrics")
		expect(t, got, map[string]string{
			`checkpoint_provider_usable{provider="alpha"}`:                             "0",
			`checkpoint_provider_unusable_reason{provider="alpha",reason="timeout"}`:   "1",
			`checkpoint_provider_finalized_epoch{provider="alpha"}`:                    "absent",
			`checkpoint_provider_finalized_lag_epochs{provider="alpha"}`:               "absent",
			`checkpoint_provider_agrees{provider="alpha"}`:                             "absent",
			`checkpoint_provider_probe_duration_seconds{phase="tls",provider="alpha"}`: "absent",
			`checkpoint_providers_usable`:                                              "0",
			`checkpoint_quorum_providers`:                                              "0",
			`checkpoint_quorum_epoch`:                                                  "absent",
		})
		if _, ok := got[`checkpoint_provider_last_success_timestamp_seconds{provider="alpha"}`]; !ok {
			t.Error("when it last answered is no value that ages")
		}
	})
}

func TestKeptObservationGrowsOld(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		e := s.exporter(parseConfig(t, oneOfEach))
		h := handler(t, e)
		seen := healthy(s.now())
		seen.At = s.now()
		s.provider("alpha", func(time.Time) provider.Observation { return seen })
		visitAll(t, e)
		seen.Kept, seen.RetryAt = true, s.now().Add(time.Hour)
		stop := run(t, e)
		time.Sleep(5 * time.Minute)
		expect(t, metrics(t, h, "/metrics"), map[string]string{
			`checkpoint_provider_usable{provider="alpha"}`:                                "0",
			`checkpoint_provider_unusable_reason{provider="alpha",reason="rate_limited"}`: "1",
			`checkpoint_provider_probes_total{provider="alpha",result="success"}`:         "1",
		})
		stop()
	})
}

func TestReady(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.node("node-1", dead)
		e := s.exporter(parseConfig(t, oneOfEach))
		err := e.Ready()
		if err == nil || !strings.Contains(err.Error(), "provider alpha") || !strings.Contains(err.Error(), "node node-1") {
			t.Error("before anybody was asked:", err)
		}
		got := metrics(t, handler(t, e), "/metrics")
		expect(t, got, map[string]string{
			`checkpoint_providers_configured`: "1", `checkpoint_providers_usable`: "absent", `checkpoint_quorum_providers`: "absent",
			`checkpoint_node_up{node="node-1"}`: "absent", `checkpoint_provider_usable{provider="alpha"}`: "absent",
		})
		stop := run(t, e)
		time.Sleep(maxOffset)
		if err := e.Ready(); err != nil {
			t.Error("a node that is down has been asked as well:", err)
		}
		if err := e.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		stop()
	})
}

func TestReload(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.provider("beta", healthy)
		s.provider("gone", healthy)
		e := s.exporter(parseConfig(t, testNetwork+`
providers: [{name: alpha, url: "https://alpha.example"}, {name: gone, url: "https://gone.example"}]
nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:5052"}}]
`))
		stop := run(t, e)
		time.Sleep(10 * time.Minute)
		before := len(s.visits("alpha"))
		err := e.Reload(parseConfig(t, testNetwork+`
probe: {interval: 10s}
providers: [{name: alpha, url: "https://alpha.example"}, {name: beta, url: "https://beta.example"}]
nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:5052"}, stall_after: 5m, restart: {systemd: cl.service}}]
`))
		if err != nil {
			t.Fatal(err)
		}
		gone := len(s.visits("gone"))
		time.Sleep(10 * time.Second)
		if len(s.visits("alpha")) == before {
			t.Error("the shorter interval is not in force")
		}
		if err := e.Ready(); err != nil {
			t.Error("a reload makes it unready:", err)
		}
		got := metrics(t, handler(t, e), "/metrics")
		expect(t, got, map[string]string{
			`checkpoint_provider_usable{provider="beta"}`: "1", `checkpoint_provider_usable{provider="gone"}`: "absent",
			`checkpoint_provider_probes_total{provider="gone",result="success"}`: "absent",
			`checkpoint_quorum_providers`:                                        "2", `checkpoint_node_stall_threshold_seconds{node="node-1"}`: "300",
		})
		time.Sleep(10 * time.Minute)
		if n := len(s.visits("gone")); n != gone {
			t.Error("a provider that was removed is asked", n-gone, "times")
		}
		// A reload with an error changes nothing.
		broken := errors.New("no such thing")
		e.opts.newProber = func(_ config.Provider, _ provider.ProberOptions) (prober, error) { return nil, broken }
		if err := e.Reload(parseConfig(t, testNetwork+`providers: [{name: new, url: "https://new.example"}]`)); !errors.Is(err, broken) {
			t.Error(err)
		}
		expect(t, metrics(t, handler(t, e), "/metrics"), map[string]string{`checkpoint_provider_usable{provider="beta"}`: "1"})
		stop()
		// The bubble would not end if this started a loop.
		if err := e.Reload(parseConfig(t, oneOfEach)); err != nil {
			t.Error("reload at the end:", err)
		}
	})
}

func TestProbeThatIsCalledOffSaysNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.provider("alpha", func(time.Time) provider.Observation {
			return provider.Observation{Err: context.DeadlineExceeded} // only when its context ends
		})
		e := s.exporter(parseConfig(t, oneOfEach))
		stop := run(t, e)
		time.Sleep(maxOffset + time.Second)
		stop()
		if e.state.Load().providers[0].sight.Load() != nil {
			t.Error("the end of the program is held against a provider")
		}
	})
}

func TestNodeStalls(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		frozen := at(100)(s.now())
		s.node("node-1", func(time.Time) node.Observation { return frozen })
		e := s.exporter(parseConfig(t, oneOfEach))
		h := handler(t, e)
		stop := run(t, e)
		time.Sleep(11 * time.Minute)
		got := metrics(t, h, "/metrics")
		expect(t, got, map[string]string{
			`checkpoint_node_phase{node="node-1",phase="stalled"}`: "1", `checkpoint_node_up{node="node-1"}`: "1", `checkpoint_node_stall_threshold_seconds{node="node-1"}`: "600",
			`checkpoint_node_sync_eta_seconds{node="node-1",quantile="0.5"}`: "absent",
		})
		if got[`checkpoint_node_distance_slots{node="node-1"}`] < "150" || len(got[`checkpoint_node_distance_slots{node="node-1"}`]) != 3 {
			t.Error("the distance does not grow:", got[`checkpoint_node_distance_slots{node="node-1"}`])
		}
		stop()
	})
}
