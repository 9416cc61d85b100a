package collector

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// simulation is a network and the Exporter that watches it, both by a clock that is well away from a reset.
func simulation(t *testing.T) (*simulate.Simulation, func() time.Time) {
	t.Helper()
	preset, _ := network.Preset("ephemery")
	began := time.Now()
	start := preset.ChainAt(began).GenesisTime.Add(10 * 24 * time.Hour)
	clock := func() time.Time { return start.Add(time.Since(began)) }
	sim, err := simulate.New(simulate.Options{Network: preset, Clock: clock, Seed: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim, clock
}

func watch(t *testing.T, sim *simulate.Simulation, clock func() time.Time, yaml string) *Exporter {
	t.Helper()
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	yaml += "providers:\n"
	for _, p := range sim.Providers() {
		yaml += fmt.Sprintf("- {name: %s, url: %q}\n", p.Name(), p.URL())
	}
	yaml += "nodes:" + map[bool]string{true: " []"}[len(sim.Nodes()) == 0] + "\n"
	for _, n := range sim.Nodes() {
		yaml += fmt.Sprintf("- {name: %s, consensus: {url: %q, metrics_url: %q}, execution: {url: %q}}\n", n.Name(), n.URL(), n.MetricsURL(), n.ExecutionURL())
	}
	e, err := New(parseConfig(t, yaml), log.NewNopLogger(), Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEveryFaultHasItsReason shows every provider fault as the reason that /metrics gives, among good providers and each other.
// Time-outs, which take their time, have a test of their own.
func TestEveryFaultHasItsReason(t *testing.T) {
	faults := map[string]simulate.Fault{
		"connect":                   simulate.Down(),
		"http_status":               simulate.Status(http.StatusInternalServerError),
		"http_status-json":          simulate.JSONError(),
		"http_status-redirect":      simulate.Redirect("http://127.0.0.1:1"),
		"rate_limited":              simulate.RateLimited(time.Minute),
		"malformed-html":            simulate.HTML(),
		"malformed-gzip":            simulate.GzipBomb(1 << 20),
		"too_large":                 simulate.Huge(1 << 30),
		"wrong_network":             simulate.WrongNetwork("hoodi"),
		"old_iteration":             simulate.OldIteration(simulate.PartAll),
		"old_iteration-genesis":     simulate.OldIteration(simulate.PartGenesis),
		"no_state":                  simulate.LightMode(),
		"stale":                     simulate.Stale(10),
		"outside_weak_subjectivity": simulate.Stale(1000),
		"unaligned":                 simulate.Unaligned(),
		"disagrees":                 simulate.OtherRoot(),
	}
	sim, clock := simulation(t)
	for _, name := range []string{"alpha", "beta", "gamma"} {
		if _, err := sim.AddProvider(name, simulate.ProviderOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range faults {
		if _, err := sim.AddProvider(name, simulate.ProviderOptions{Faults: []simulate.Fault{f}}); err != nil {
			t.Fatal(err)
		}
	}
	e := watch(t, sim, clock, "")
	visitAll(t, e)
	got := metrics(t, handler(t, e), "/metrics")
	for _, name := range []string{"alpha", "beta", "gamma"} {
		expect(t, got, map[string]string{fmt.Sprintf(`checkpoint_provider_usable{provider=%q}`, name): "1", fmt.Sprintf(`checkpoint_provider_agrees{provider=%q}`, name): "1"})
	}
	for name := range faults {
		reason, _, _ := strings.Cut(name, "-")
		expect(t, got, map[string]string{
			fmt.Sprintf(`checkpoint_provider_usable{provider=%q}`, name):                            "0",
			fmt.Sprintf(`checkpoint_provider_unusable_reason{provider=%q,reason=%q}`, name, reason): "1",
		})
	}
	expect(t, got, map[string]string{`checkpoint_providers_usable`: "3", `checkpoint_quorum_providers`: "3", `checkpoint_network_quiet`: "0"})
	if t.Failed() {
		_, api := get(t, handler(t, e), "/api/v1/providers")
		t.Log(api)
	}
}

// TestNodeDiesAndComesBack lets the loops run in real time against a node over HTTP.
func TestNodeDiesAndComesBack(t *testing.T) {
	sim, clock := simulation(t)
	n, err := sim.AddNode("node-1", simulate.NodeOptions{Client: simulate.Lighthouse, Database: true, BackfillSlotsPerSecond: 1e9})
	if err != nil {
		t.Fatal(err)
	}
	e := watch(t, sim, clock, "probe: {node_interval: 1s}\n")
	h := handler(t, e)
	stop := run(t, e)
	defer stop()
	until(t, h, `checkpoint_node_up{node="node-1"}`, "1")
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_execution_up{node="node-1"}`: "1", `checkpoint_execution_chain_id_match{node="node-1"}`: "1"})

	n.StopExecution()
	until(t, h, `checkpoint_execution_up{node="node-1"}`, "0")
	n.Stop()
	until(t, h, `checkpoint_node_up{node="node-1"}`, "0")
	onlyFlags(t, metrics(t, h, "/metrics"))
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, h, `checkpoint_node_up{node="node-1"}`, "1")
	until(t, h, `checkpoint_execution_up{node="node-1"}`, "1")
}

// until waits for a sample to have a value.
func until(t *testing.T, h http.Handler, sample, value string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for metrics(t, h, "/metrics")[sample] != value {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s never became %s", sample, value)
		}
	}
}
