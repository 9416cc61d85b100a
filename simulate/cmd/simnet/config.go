package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log"
	"go.yaml.in/yaml/v3"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// netConfig is the file. Durations are written as Go writes them.
//
//	network: ephemery                 # or {name: devnet, age: 3h, seconds_per_slot: 2, slots_per_epoch: 8, deposit_chain_id: 1337}
//	pace: 1                           # seconds of the clock in a real one; the clock begins at the real time
//	providers:
//	  - {name: alpha}
//	  - {name: beta, client: prysm, address: "127.0.0.1:9001", faults: [{kind: stale, epochs: 50}]}
//	nodes:
//	  - name: node-1
//	    client: lighthouse
//	    source: {provider: alpha}     # or {url: …}, or {file: inventory.yaml, host: node-1, key: checkpoint_sync_url}
//	    restart_delay: 5s
//	    manual: true                  # started by POST /nodes/node-1/start alone
type netConfig struct {
	Network    networkConfig    `yaml:"network"`
	Seed       string           `yaml:"seed"`
	Pace       float64          `yaml:"pace"`
	Validators int              `yaml:"validators"`
	Providers  []providerConfig `yaml:"providers"`
	Nodes      []nodeConfig     `yaml:"nodes"`
}

type networkConfig struct {
	Name string `yaml:"name"`
	// Age is for how long the chain has run; it makes the network another one than the preset of its name.
	Age            time.Duration `yaml:"age"`
	GenesisTime    int64         `yaml:"genesis_time"`
	SecondsPerSlot uint64        `yaml:"seconds_per_slot"`
	SlotsPerEpoch  uint64        `yaml:"slots_per_epoch"`
	DepositChainID uint64        `yaml:"deposit_chain_id"`
}

// UnmarshalYAML implements yaml.Unmarshaler: a name stands for a preset.
func (n *networkConfig) UnmarshalYAML(v *yaml.Node) error {
	if v.Kind == yaml.ScalarNode {
		return v.Decode(&n.Name)
	}
	type plain networkConfig
	return v.Decode((*plain)(n))
}

type providerConfig struct {
	Name     string           `yaml:"name"`
	Client   simulate.Client  `yaml:"client"`
	Version  string           `yaml:"version"`
	Address  string           `yaml:"address"`
	MinEpoch uint64           `yaml:"min_epoch"`
	Faults   []simulate.Fault `yaml:"faults"`
}

type nodeConfig struct {
	Name                   string           `yaml:"name"`
	Client                 simulate.Client  `yaml:"client"`
	Version                string           `yaml:"version"`
	Address                string           `yaml:"address"`
	ExecutionAddress       string           `yaml:"execution_address"`
	MetricsAddress         string           `yaml:"metrics_address"`
	WithoutExecution       bool             `yaml:"without_execution"`
	Database               bool             `yaml:"database"`
	Behind                 uint64           `yaml:"behind"`
	Source                 sourceConfig     `yaml:"source"`
	SlotsPerSecond         float64          `yaml:"slots_per_second"`
	BatchSlots             uint64           `yaml:"batch_slots"`
	Jitter                 float64          `yaml:"jitter"`
	PauseEvery             uint64           `yaml:"pause_every"`
	Pause                  time.Duration    `yaml:"pause"`
	BackfillSlotsPerSecond float64          `yaml:"backfill_slots_per_second"`
	Peers                  int              `yaml:"peers"`
	StartupTime            time.Duration    `yaml:"startup_time"`
	RestartDelay           time.Duration    `yaml:"restart_delay"`
	BootstrapTimeout       time.Duration    `yaml:"bootstrap_timeout"`
	Manual                 bool             `yaml:"manual"`
	Faults                 []simulate.Fault `yaml:"faults"`
}

type sourceConfig struct {
	URL      string `yaml:"url"`
	Provider string `yaml:"provider"`
	File     string `yaml:"file"`
	Host     string `yaml:"host"`
	Key      string `yaml:"key"`
}

func load(file, preset string) (netConfig, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return netConfig{}, fmt.Errorf("read %s: %w", file, err)
	}
	c, err := parse(b)
	if err != nil {
		return netConfig{}, fmt.Errorf("parse %s: %w", file, err)
	}
	if c.Network.Name == "" {
		c.Network.Name = preset
	}
	return c, nil
}

func parse(b []byte) (netConfig, error) {
	var c netConfig
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	err := d.Decode(&c)
	return c, err
}

// addFlags adds the providers and nodes that flags describe.
func (c *netConfig) addFlags(providers, nodes []string, source string) error {
	for _, s := range providers {
		name, rest, _ := strings.Cut(s, "=")
		client, faults, _ := strings.Cut(rest, ",")
		p := providerConfig{Name: name, Client: simulate.Client(client)}
		for word := range strings.SplitSeq(faults, ",") {
			if word == "" {
				continue
			}
			if !strings.Contains(word, "=") {
				word = "kind=" + word
			}
			q, err := url.ParseQuery(word)
			if err != nil {
				return fmt.Errorf("provider %s: %w", s, err)
			}
			f, err := simulate.ParseFault(q)
			if err != nil {
				return fmt.Errorf("provider %s: %w", s, err)
			}
			p.Faults = append(p.Faults, f)
		}
		c.Providers = append(c.Providers, p)
	}
	for _, s := range nodes {
		name, rest, _ := strings.Cut(s, "=")
		words := strings.Split(rest, ",")
		n := nodeConfig{Name: name, Client: simulate.Client(words[0])}
		for _, word := range words[1:] {
			switch word {
			case "database":
				n.Database = true
			case "manual":
				n.Manual = true
			default:
				return fmt.Errorf("node %s: unknown word %q; one of database manual", s, word)
			}
		}
		n.Source.URL = source
		if slices.ContainsFunc(c.Providers, func(p providerConfig) bool { return p.Name == source }) {
			n.Source = sourceConfig{Provider: source}
		}
		c.Nodes = append(c.Nodes, n)
	}
	return nil
}

// chain is the network at a time.
func (n networkConfig) chain(now time.Time) (network.Network, error) {
	p, ok := network.Preset(n.Name)
	if ok && n.Age == 0 && n.GenesisTime == 0 {
		return p, nil
	}
	if n.Age == 0 && n.GenesisTime == 0 {
		return network.Network{}, fmt.Errorf("network %q is no preset, one of %v; give its age or genesis_time", n.Name, network.Presets())
	}
	c := network.Chain{
		Network: n.Name, GenesisTime: time.Unix(n.GenesisTime, 0), SecondsPerSlot: n.SecondsPerSlot, SlotsPerEpoch: n.SlotsPerEpoch,
		DepositChainID: n.DepositChainID,
	}
	if n.Age > 0 {
		c.GenesisTime = now.Add(-n.Age).Truncate(time.Second)
	}
	return network.Network{Chain: c}, nil
}

// build makes the simulation, whose clock begins now.
func (c netConfig) build(logger log.Logger, now time.Time) (*simulate.Simulation, error) {
	net, err := c.Network.chain(now)
	if err != nil {
		return nil, err
	}
	o := simulate.Options{Network: net, Seed: c.Seed, Pace: c.Pace, Validators: c.Validators, Logger: logger}
	if c.Pace > 0 && c.Pace != 1 {
		o.Clock = simulate.FastClock(now, c.Pace)
	}
	sim, err := simulate.New(o)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Providers {
		_, err := sim.AddProvider(p.Name, simulate.ProviderOptions{
			Client: p.Client, Version: p.Version, Address: p.Address, MinEpoch: p.MinEpoch, Faults: p.Faults,
		})
		if err != nil {
			return nil, err
		}
	}
	for _, n := range c.Nodes {
		source, err := n.Source.read(sim)
		if err != nil {
			return nil, fmt.Errorf("node %q: %w", n.Name, err)
		}
		_, err = sim.AddNode(n.Name, simulate.NodeOptions{
			Client: n.Client, Version: n.Version, Address: n.Address, ExecutionAddress: n.ExecutionAddress, MetricsAddress: n.MetricsAddress,
			WithoutExecution: n.WithoutExecution, Database: n.Database, Behind: n.Behind, Source: source, SlotsPerSecond: n.SlotsPerSecond,
			BatchSlots: n.BatchSlots, Jitter: n.Jitter, PauseEvery: n.PauseEvery, Pause: n.Pause,
			BackfillSlotsPerSecond: n.BackfillSlotsPerSecond, Peers: n.Peers, StartupTime: n.StartupTime, RestartDelay: n.RestartDelay,
			BootstrapTimeout: n.BootstrapTimeout, Manual: n.Manual, Faults: n.Faults,
		})
		if err != nil {
			return nil, err
		}
	}
	return sim, nil
}

func (s sourceConfig) read(sim *simulate.Simulation) (func() (string, error), error) {
	switch {
	case s.Provider != "":
		p := sim.Provider(s.Provider)
		if p == nil {
			return nil, fmt.Errorf("its source is no provider: %q", s.Provider)
		}
		return simulate.FixedSource(p.URL()), nil
	case s.File != "":
		if s.Key == "" {
			return nil, errors.New("its source needs a key")
		}
		return simulate.YAMLSource(s.File, s.Host, s.Key), nil
	case s.URL != "":
		return simulate.FixedSource(s.URL), nil
	}
	return nil, nil
}
