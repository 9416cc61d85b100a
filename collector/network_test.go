package collector

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

const twoProviders = `
providers: [{name: alpha, url: "https://alpha.example"}, {name: beta, url: "https://beta.example"}]
nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:5052"}}]
`

// info is checkpoint_network_info as it is written.
func info(root, chainID string) string {
	return fmt.Sprintf(`checkpoint_network_info{deposit_chain_id=%q,genesis_validators_root=%q,network="devnet"}`, chainID, root)
}

// settled is a scene whose clock stands 100 hours after the genesis until it is set.
func settled(t *testing.T) (*scene, *time.Time) {
	s := newScene(t)
	now := chain.GenesisTime.Add(100 * time.Hour)
	s.now = func() time.Time { return now }
	s.provider("alpha", healthy)
	s.provider("beta", healthy)
	s.node("node-1", at(2))
	return s, &now
}

func TestReset(t *testing.T) {
	s, now := settled(t)
	e := s.exporter(parseConfig(t, resetting+twoProviders))
	h := handler(t, e)
	visitAll(t, e)
	expect(t, metrics(t, h, "/metrics"), map[string]string{
		`checkpoint_network_iteration`: "1", `checkpoint_network_quiet`: "0", `checkpoint_providers_usable`: "2", info(rootOf(1).String(), "4242"): "1",
	})
	// Ten minutes before the execution genesis of the next iteration the quiet window begins, and that genesis changes what is
	// right before anybody has been asked again.
	*now = chain.GenesisTime.Add(28*24*time.Hour - 15*time.Minute)
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_network_iteration`: "1", `checkpoint_network_quiet`: "1"})
	*now = chain.GenesisTime.Add(28*24*time.Hour + 15*time.Minute)
	expect(t, metrics(t, h, "/metrics"), map[string]string{
		`checkpoint_network_iteration`: "2", `checkpoint_network_quiet`: "1", `checkpoint_network_slot`: "75", info("", "4243"): "1",
		`checkpoint_providers_usable`: "0", `checkpoint_provider_unusable_reason{provider="alpha",reason="old_iteration"}`: "1",
	})
	// Nor is what was learnt of the iteration before carried over.
	s.provider("alpha", failing(beacon.Connect))
	s.provider("beta", failing(beacon.Connect))
	visitAll(t, e)
	expect(t, metrics(t, h, "/metrics"), map[string]string{info("", "4243"): "1"})
}

func TestNetworkThatDoesNotReset(t *testing.T) {
	s, _ := settled(t)
	e := s.exporter(parseConfig(t, testNetwork+twoProviders))
	visitAll(t, e)
	expect(t, metrics(t, handler(t, e), "/metrics"), map[string]string{
		`checkpoint_network_iteration`: "absent", `checkpoint_network_reset_timestamp_seconds`: "absent", `checkpoint_network_quiet`: "0", `checkpoint_network_slot`: "30000",
		`checkpoint_network_weak_subjectivity_epochs`: "256",
	})
}

// TestClockSkew: two clocks are needed to tell that the third is ours.
func TestClockSkew(t *testing.T) {
	s, _ := settled(t)
	e := s.exporter(parseConfig(t, testNetwork+twoProviders))
	h := handler(t, e)
	visitAll(t, e)
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_clock_skew_seconds`: "-0.5"})
	s.provider("beta", failing(beacon.Connect))
	visitAll(t, e)
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_clock_skew_seconds`: "absent"})
}

// TestLearntFactsStay: what a quorum has told of a chain that the configuration only names is not forgotten when the providers fall silent.
func TestLearntFactsStay(t *testing.T) {
	s, _ := settled(t)
	e := s.exporter(parseConfig(t, "network: {name: devnet}\n"+twoProviders))
	h := handler(t, e)
	expect(t, metrics(t, h, "/metrics"), map[string]string{info("", ""): "1", `checkpoint_network_slot`: "absent"})
	known := map[string]string{info(rootOf(1).String(), "4242"): "1", `checkpoint_network_slot`: "30000", `checkpoint_network_epoch`: "937"}
	visitAll(t, e)
	expect(t, metrics(t, h, "/metrics"), known)
	s.provider("alpha", failing(beacon.Connect))
	s.provider("beta", failing(beacon.Connect))
	for range 3 {
		visitAll(t, e)
	}
	expect(t, metrics(t, h, "/metrics"), known)
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_node_distance_slots{node="node-1"}`: "2", `checkpoint_providers_usable`: "0"})
	if err := e.Reload(parseConfig(t, "network: {name: devnet}\nquorum: 1\n"+twoProviders)); err != nil {
		t.Fatal(err)
	}
	expect(t, metrics(t, h, "/metrics"), known)
	if err := e.Reload(parseConfig(t, "network: {name: elsewhere}\n"+twoProviders)); err != nil {
		t.Fatal(err)
	}
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_network_slot`: "absent"})
}

func TestNoLagIsStricterThanAnyChain(t *testing.T) {
	s, _ := settled(t)
	e := s.exporter(parseConfig(t, testNetwork+"probe: {max_lag_epochs: 0}\n"+twoProviders))
	visitAll(t, e)
	expect(t, metrics(t, handler(t, e), "/metrics"), map[string]string{
		`checkpoint_provider_lag_threshold_epochs`: "1", `checkpoint_provider_unusable_reason{provider="alpha",reason="stale"}`: "1",
	})
}

// TestProbeAgainstTheBackground: the target of /probe is compared with what the loops have seen.
func TestProbeAgainstTheBackground(t *testing.T) {
	s, _ := settled(t)
	s.provider("other.example", func(now time.Time) provider.Observation {
		o := healthy(now)
		served := beacon.Checkpoint{Epoch: o.Served.Epoch, Root: rootOf(99)}
		o.Served, o.Claimed, o.Roots = &served, &served, map[uint64]network.Root{served.Epoch: served.Root}
		o.State.Served = served
		return o
	})
	e := s.exporter(parseConfig(t, testNetwork+twoProviders))
	e.opts.AllowAny = true
	h := handler(t, e)
	visitAll(t, e)
	expect(t, metrics(t, h, "/probe?target=https://other.example"), map[string]string{
		`checkpoint_provider_unusable_reason{provider="other.example",reason="disagrees"}`: "1", `checkpoint_provider_agrees{provider="other.example"}`: "0",
	})
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_providers_usable`: "2", `checkpoint_providers_configured`: "2"})
}

// TestWhatAReloadBeginsAnew says which changes cost a target its history.
func TestWhatAReloadBeginsAnew(t *testing.T) {
	s, _ := settled(t)
	e := s.exporter(parseConfig(t, testNetwork+twoProviders))
	made := map[string]int{}
	real := e.opts
	e.opts.newProber = func(c config.Provider, o provider.ProberOptions) (prober, error) {
		made["provider"]++
		return real.newProber(c, o)
	}
	e.opts.newLooker = func(c config.Node, d time.Duration) (looker, error) {
		made["node"]++
		return real.newLooker(c, d)
	}
	for _, c := range []struct {
		change          string
		providers, node int
	}{
		{"", 0, 0},
		{"quorum: 1", 0, 0},
		{"probe: {interval: 30s, max_lag_epochs: 9}", 0, 0},
		{"probe: {state_header_interval: 5m}", 2, 0},
		{"probe: {timeout: 5s}", 2, 1},
		{"probe: {node_interval: 5s}", 2, 1},
	} {
		clear(made)
		if err := e.Reload(parseConfig(t, testNetwork+c.change+twoProviders)); err != nil {
			t.Fatal(err)
		}
		if made["provider"] != c.providers || made["node"] != c.node {
			t.Errorf("%q makes %v anew, want %d and %d", c.change, made, c.providers, c.node)
		}
	}
	// The targets of /probe are made with the configuration as well.
	clear(made)
	s.provider("alpha.example", healthy)
	h := handler(t, e)
	metrics(t, h, "/probe?target=https://alpha.example")
	metrics(t, h, "/probe?target=https://alpha.example")
	if made["provider"] != 1 {
		t.Error("a target of /probe is not remembered:", made)
	}
	if err := e.Reload(parseConfig(t, testNetwork+"probe: {node_interval: 5s}"+twoProviders)); err != nil {
		t.Fatal(err)
	}
	metrics(t, h, "/probe?target=https://alpha.example")
	if made["provider"] != 2 {
		t.Error("a target of /probe outlives the configuration:", made)
	}
}

func TestNewRefusesURLs(t *testing.T) {
	for name, c := range map[string]*config.Config{
		"a provider's":     {Providers: []config.Provider{{Name: "p", URL: "ftp://example"}}},
		"a node's":         {Nodes: []config.Node{{Name: "n", Consensus: config.Consensus{URL: "nowhere"}}}},
		"an execution URL": {Nodes: []config.Node{{Name: "n", Consensus: config.Consensus{URL: "http://127.0.0.1:1"}, Execution: config.Execution{URL: "::"}}}},
	} {
		if _, err := New(c, nil, Options{}); err == nil || errors.Unwrap(err) == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLookTimeout(t *testing.T) {
	for _, c := range []struct{ timeout, interval, want time.Duration }{
		{10 * time.Second, 10 * time.Second, 5 * time.Second},
		{10 * time.Second, 30 * time.Second, 10 * time.Second},
		{10 * time.Second, time.Second, 5 * time.Second},
		{2 * time.Second, time.Second, 2 * time.Second},
	} {
		p := config.Probe{Timeout: config.Duration(c.timeout), NodeInterval: config.Duration(c.interval)}
		if got := lookTimeout(p); got != c.want {
			t.Errorf("%s every %s: %s, want %s", c.timeout, c.interval, got, c.want)
		}
	}
}
