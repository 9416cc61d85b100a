package collector

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// TestDeathsAreSeenInTime is what failing over within two minutes is built upon: with the shipped intervals, on a network in memory whose
// clock is the bubble's, it takes at most one interval and its jitter, and for one that hangs the time-out, until it is seen.
func TestDeathsAreSeenInTime(t *testing.T) {
	for name, c := range map[string]struct {
		kill   func(p *simulate.Provider, n *simulate.Node) error
		sample string
		within time.Duration
	}{
		"a provider refuses connections": {func(p *simulate.Provider, _ *simulate.Node) error { return p.SetFault(simulate.Down()) },
			`checkpoint_provider_usable{provider="alpha"}`, 64 * time.Second},
		"a provider hangs": {func(p *simulate.Provider, _ *simulate.Node) error { return p.SetFault(simulate.Hang()) },
			`checkpoint_provider_usable{provider="alpha"}`, 74 * time.Second},
		"a node refuses connections": {func(_ *simulate.Provider, n *simulate.Node) error { return n.SetFault(simulate.APIClosed()) },
			`checkpoint_node_up{node="node-1"}`, 11 * time.Second},
		"a node hangs": {func(_ *simulate.Provider, n *simulate.Node) error { return n.SetFault(simulate.APIHang()) },
			`checkpoint_node_up{node="node-1"}`, 16 * time.Second},
		"an execution client dies": {func(_ *simulate.Provider, n *simulate.Node) error { return n.SetFault(simulate.ExecutionDown()) },
			`checkpoint_execution_up{node="node-1"}`, 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p, n, closeAll := inMemory(t)
				h := handler(t, e)
				stop := run(t, e)
				defer closeAll()
				defer stop()
				time.Sleep(10 * time.Minute)
				expect(t, metrics(t, h, "/metrics"), map[string]string{c.sample: "1"})
				if err := c.kill(p, n); err != nil {
					t.Fatal(err)
				}
				t.Logf("seen after %s", after(t, h, c.sample, "0", c.within))
			})
		})
	}
}

// after is how long it takes until a sample has a value.
func after(t *testing.T, h http.Handler, sample, value string, most time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for metrics(t, h, "/metrics")[sample] != value {
		if time.Since(began) > most {
			t.Fatalf("%s is not %s after %s", sample, value, most)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}

// inMemory is an Exporter with the shipped intervals that watches two providers and a node, and the first of each.
func inMemory(t *testing.T) (*Exporter, *simulate.Provider, *simulate.Node, func()) {
	t.Helper()
	genesis := time.Now().Add(-10 * 24 * time.Hour)
	wires := simulate.NewMemory()
	sim, err := simulate.New(simulate.Options{Sockets: wires, Clock: time.Now, Network: network.Network{Chain: network.Chain{
		Network: "devnet", GenesisTime: genesis, SecondsPerSlot: 12, SlotsPerEpoch: 32, DepositChainID: 4242,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	yaml := fmt.Sprintf("network: {name: devnet, genesis_time: %d, seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 4242}\nproviders:\n", genesis.Unix())
	for _, name := range []string{"alpha", "beta"} {
		p, err := sim.AddProvider(name, simulate.ProviderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		yaml += fmt.Sprintf("- {name: %s, url: %q}\n", name, p.URL())
	}
	n, err := sim.AddNode("node-1", simulate.NodeOptions{Database: true})
	if err != nil {
		t.Fatal(err)
	}
	yaml += fmt.Sprintf("nodes: [{name: node-1, consensus: {url: %q}, execution: {url: %q}}]\n", n.URL(), n.ExecutionURL())
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := New(parseConfig(t, yaml), log.NewNopLogger(), Options{Beacon: beacon.Options{Dial: wires.DialContext}})
	if err != nil {
		t.Fatal(err)
	}
	return e, sim.Provider("alpha"), n, sim.Close
}
