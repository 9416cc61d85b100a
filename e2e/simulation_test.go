//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// The two nodes of the simulation. The first one's source stands in an inventory, the second one is a unit of the machine.
const (
	sourced = "node-1"
	stalled = "node-2"
	unit    = "lighthouse.service"
)

// simulation is a simulated network with three good providers and the two nodes, at the pace of the real thing.
type simulation struct {
	*simulate.Simulation
	chain     network.Chain
	control   string // base URL of the simulation's control
	providers []*simulate.Provider
}

func startSimulation(tb testing.TB) *simulation {
	tb.Helper()
	root, err := network.ParseRoot("0x" + strings.Repeat("e2", 32))
	if err != nil {
		tb.Fatal(err)
	}
	s := &simulation{chain: network.Chain{
		Network: "devnet",
		// Old enough that a node may be far behind, and not on a slot's boundary.
		GenesisTime:           time.Now().Add(-100*time.Hour - 5*time.Second).Truncate(time.Second),
		GenesisValidatorsRoot: root, DepositChainID: 39438999, SecondsPerSlot: 12, SlotsPerEpoch: 32, WeakSubjectivityEpochs: 633,
	}}
	if s.Simulation, err = simulate.New(simulate.Options{Network: network.Network{Chain: s.chain}}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	for _, name := range []string{"alpha", "beta", "gamma"} {
		provider, err := s.AddProvider(name, simulate.ProviderOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		s.providers = append(s.providers, provider)
	}
	for name, options := range map[string]simulate.NodeOptions{
		sourced: {Client: simulate.Lighthouse, Database: true},
		// At this speed it does not get there while the test runs, so there is a sync to stall and one to watch afterwards.
		stalled: {Client: simulate.Lighthouse, Database: true, Behind: 20000, SlotsPerSecond: 4},
	} {
		if _, err := s.AddNode(name, options); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		tb.Fatal(err)
	}
	control := httptest.NewServer(s.Control())
	tb.Cleanup(control.Close)
	s.control = control.URL
	return s
}

// unitText is a unit whose every start is one of the simulated node's process.
func (s *simulation) unitText() string {
	return fmt.Sprintf(`[Service]
Type=exec
ExecStartPre=/usr/bin/curl --silent --show-error --fail --request POST %s/nodes/%s/restart
ExecStart=/bin/sleep infinity
`, s.control, stalled)
}

// config is a checkpoint.yml for the simulation, as it stands in the machine. What it leaves out has the shipped defaults, the intervals
// of the probes and the guards among them.
func (s *simulation) config(alertmanagers ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `network:
  name: %s
  genesis_time: %d
  genesis_validators_root: "%s"
  seconds_per_slot: %d
  slots_per_epoch: %d
  deposit_chain_id: %d
providers:
`, s.chain.Network, s.chain.GenesisTime.Unix(), s.chain.GenesisValidatorsRoot, s.chain.SecondsPerSlot, s.chain.SlotsPerEpoch, s.chain.DepositChainID)
	for _, provider := range s.providers {
		fmt.Fprintf(&text, "  - {name: %s, url: %q}\n", provider.Name(), provider.URL())
	}
	fmt.Fprintf(&text, `nodes:
  - name: %s
    consensus: {url: %q}
    execution: {url: %q}
    source: {yaml: {file: %s, key: checkpoint_sync_url}}
  - name: %s
    consensus: {url: %q}
    execution: {url: %q}
    stall_after: 1m
    restart: {systemd: %s}
remediation:
  mode: act
  webhook: {bearer_token_file: /etc/checkpoint/token}
  alertmanagers: [%s]
`, sourced, s.Node(sourced).URL(), s.Node(sourced).ExecutionURL(), inventoryInside,
		stalled, s.Node(stalled).URL(), s.Node(stalled).ExecutionURL(), unit, strings.Join(alertmanagers, ", "))
	return text.String()
}

const (
	inventoryInside = "/opt/ephemery/inventory.yaml"
	stateInside     = "/var/lib/checkpoint"
)

// furnish puts into a machine what the programs need there: units, configuration, token, inventory, and the unit of the stalled node.
func (s *simulation) furnish(tb testing.TB, m *machine, config string, programs ...string) {
	tb.Helper()
	installUnits(tb, m, unit, programs...)
	m.write("/etc/checkpoint/checkpoint.yml", config, 0o644)
	m.write("/etc/checkpoint/token", token+"\n", 0o640)
	m.mustRun("chgrp", "checkpoint", "/etc/checkpoint/token")
	m.write(inventoryInside, inventory(s.providers[0].URL()), 0o640)
	m.mustRun("chown", "-R", "checkpoint:checkpoint", filepath.Dir(inventoryInside))
	m.write("/etc/systemd/system/"+unit, s.unitText(), 0o644)
	m.startUnit(unit)
}

// token is what Alertmanager shows the remediator.
const token = "e2e-token"
