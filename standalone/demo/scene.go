package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// The cast. The providers stand in the order of the configuration.
const (
	dying    = "delta"
	stalling = "node-1"
	orphaned = "node-2" // its source is the dying provider
)

// role is what a provider is like, and which reason its verdict must name; none for one that is usable.
type role struct {
	name   string
	faults []simulate.Fault
	reason string
}

func cast() []role {
	return []role{
		{name: "alpha"}, {name: "beta"}, {name: "gamma"}, {name: dying},
		{"ancient", []simulate.Fault{simulate.OldIteration(simulate.PartAll)}, "old_iteration"},
		{"foreign", []simulate.Fault{simulate.WrongNetwork("hoodi")}, "wrong_network"},
		{"sleepy", []simulate.Fault{simulate.Stale(50)}, "stale"},
	}
}

// scene is the simulated network, and the files of whoever runs its nodes.
type scene struct {
	sim       *simulate.Simulation
	control   *http.Server
	served    chan error
	config    string // path of checkpoint.yml
	inventory string // path of inventory.yaml
	original  []byte // what that said at first
}

// chain is Ephemery with slots of one second, five days into an iteration: far from the reset, in which nothing is acted upon.
func chain(now time.Time) network.Network {
	n, _ := network.Preset("ephemery")
	n.SecondsPerSlot, n.SlotsPerEpoch = 1, 8
	n.Iterations.Anchor = 161
	n.Iterations.AnchorGenesis = now.Add(-n.Iterations.Interval - 5*24*time.Hour).Truncate(time.Second)
	return n
}

// newScene starts the simulated network on free ports of loopback and writes the files into dir. restart is the command that
// restarts a node, to which the address of the control endpoint and the node's name are added.
func newScene(ctx context.Context, dir string, restart []string, logger log.Logger) (_ *scene, err error) {
	s := &scene{config: filepath.Join(dir, "checkpoint.yml"), inventory: filepath.Join(dir, "inventory.yaml")}
	net := chain(time.Now())
	s.sim, err = simulate.New(simulate.Options{Network: net, Logger: log.With(logger, "component", "simulation")})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	for _, r := range cast() {
		if _, err := s.sim.AddProvider(r.name, simulate.ProviderOptions{Faults: r.faults}); err != nil {
			return nil, err
		}
	}
	if err := s.writeInventory(); err != nil {
		return nil, err
	}
	for name, o := range map[string]simulate.NodeOptions{
		stalling: {Client: simulate.Lighthouse, Database: true, Behind: 4000, SlotsPerSecond: 20},
		orphaned: {Client: simulate.Teku, Database: true},
	} {
		o.Source = simulate.YAMLSource(s.inventory, name, "checkpoint_sync_url")
		if _, err := s.sim.AddNode(name, o); err != nil {
			return nil, err
		}
	}
	if err := s.sim.Start(ctx); err != nil {
		return nil, err
	}
	address, err := s.serveControl(ctx)
	if err != nil {
		return nil, err
	}
	return s, s.writeConfig(dir, net, append(restart, address))
}

// serveControl is the door through which the restart command reaches the nodes, as a service manager would.
func (s *scene) serveControl(ctx context.Context) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for restarts: %w", err)
	}
	s.control, s.served = server.NewHTTPServer(s.sim.Control()), make(chan error, 1)
	go func() { s.served <- s.control.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

func (s *scene) close() error {
	var err error
	if s.control != nil {
		err = s.control.Close()
		if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	s.sim.Close()
	return err
}

func (s *scene) writeInventory() error {
	var b strings.Builder
	err := inventory.Execute(&b, map[string]string{"Alpha": s.sim.Provider("alpha").URL(), "Dying": s.sim.Provider(dying).URL()})
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	s.original = []byte(b.String())
	if err := os.WriteFile(s.inventory, s.original, 0o600); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	return nil
}

func (s *scene) writeConfig(dir string, n network.Network, restart []string) error {
	var b strings.Builder
	err := checkpointYML.Execute(&b, map[string]any{
		"Pause": filepath.Join(dir, "pause"), "Network": n, "Providers": s.sim.Providers(), "Nodes": s.sim.Nodes(), "Inventory": s.inventory, "Restart": restart,
	})
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := os.WriteFile(s.config, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// inventory is such as Ansible reads: several hosts, comments, an order that somebody chose.
var inventory = template.Must(template.New("inventory.yaml").Parse(`# Our Ephemery nodes. Ansible reads this; so does checkpoint_remediator.
all:
  vars:
    network: ephemery
  children:
    consensus:
      hosts:
        node-1:                     # the new machine, still syncing
          cl: lighthouse
          el: geth
          use_checkpoint_sync: true
          checkpoint_sync_url: "{{.Alpha}}"
          cl_extra_opts: --target-peers=50

        node-2:                     # validators live here
          cl: teku
          el: besu
          use_checkpoint_sync: true
          checkpoint_sync_url: {{.Dying}}  # the nearest one
          cl_extra_opts: ''
`))

var checkpointYML = template.Must(template.New("checkpoint.yml").Parse(`# What the demo runs with. Intervals are short so that the story is; rules, code and routes are the shipped ones.
network:
  name: ephemery
  seconds_per_slot: {{.Network.SecondsPerSlot}}
  slots_per_epoch: {{.Network.SlotsPerEpoch}}
  iterations: {anchor: {{.Network.Iterations.Anchor}}, anchor_genesis_time: {{.Network.Iterations.AnchorGenesis.Unix}}}
providers:
{{- range .Providers}}
  - {name: {{.Name}}, url: "{{.URL}}"}
{{- end}}
probe: {interval: 5s, timeout: 3s, node_interval: 2s, state_header_interval: 1m}
quorum: 2
nodes:
{{- range $n := .Nodes}}
  - name: {{.Name}}
    consensus: {url: "{{.URL}}"}
    execution: {url: "{{.ExecutionURL}}"}
    stall_after: 15s
    restart:
      command:
{{- range $.Restart}}
        - {{printf "%q" .}}
{{- end}}
        - {{.Name}}
    source: {yaml: {file: {{printf "%q" $.Inventory}}, key: checkpoint_sync_url}}
{{- end}}
remediation:
  mode: act
  guards:
    pause_file: {{printf "%q" .Pause}}
    cooldown: 30s
    # Two things happen at once here; usually one node is helped at a time.
    concurrent_nodes: 2
    max_share: 1
  playbooks:
    node_stalled:
      - {restart: consensus, verify: {progress: 64 slots, within: 1m, hold: 5s}}
      - {failover: best, verify: {progress: 64 slots, within: 1m, hold: 5s}}
    source_unusable:
      - {failover: best, verify: {source: usable, within: 1m, hold: 5s}}
    execution_offline: []
    no_peers: []
    backfill_stalled: []
`))
