package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Network is a preset by name, or any chain by its facts. Facts left out of a mapping are learnt from the quorum.
type Network struct {
	// Name is that of a preset, of which what is left out is then taken, or any other. A preset's name alone can stand in the place of the
	// mapping.
	Name string `yaml:"name"`
	// GenesisTime is when the chain begins, in seconds since the Unix epoch.
	GenesisTime int64 `yaml:"genesis_time"`
	// GenesisValidatorsRoot is 0x and 64 hexadecimal digits.
	GenesisValidatorsRoot string `yaml:"genesis_validators_root"`
	// SecondsPerSlot is the length of a slot.
	SecondsPerSlot uint64 `yaml:"seconds_per_slot"`
	// SlotsPerEpoch is the length of an epoch.
	SlotsPerEpoch uint64 `yaml:"slots_per_epoch"`
	// DepositChainID is the chain id of the execution layer.
	DepositChainID uint64 `yaml:"deposit_chain_id"`
	// MinGenesisActiveValidators is the number of validators from which the weak subjectivity period is reckoned.
	MinGenesisActiveValidators uint64 `yaml:"min_genesis_active_validators"`
	// WeakSubjectivityPeriodEpoch is for how many epochs a finalized checkpoint can be trusted, if it is not to be reckoned.
	WeakSubjectivityPeriodEpoch uint64 `yaml:"weak_subjectivity_epochs"`
	// Iterations describes how the network resets; left out for one that does not.
	Iterations *Iterations `yaml:"iterations"`

	mapping bool
}

// Iterations describes a network that resets at fixed intervals, counted from a known iteration.
type Iterations struct {
	// Anchor is the number of the known iteration.
	Anchor uint64 `yaml:"anchor"`
	// AnchorGenesisTime is the execution genesis timestamp of the known iteration, in seconds since the Unix epoch.
	AnchorGenesisTime int64 `yaml:"anchor_genesis_time"`
	// Interval is the time between two resets.
	Interval Duration `yaml:"interval"`
	// Delay is the time from the execution genesis to the consensus genesis.
	Delay Duration `yaml:"delay"`
	// BaseChainID plus the iteration's number is the chain id.
	BaseChainID uint64 `yaml:"base_chain_id"`
}

// UnmarshalYAML reads a name or a mapping.
func (n *Network) UnmarshalYAML(v *yaml.Node) error {
	if v.Kind == yaml.ScalarNode {
		*n = Network{Name: v.Value}
		return nil
	}
	type plain Network
	p := plain{}
	if err := v.Decode(&p); err != nil {
		return err
	}
	*n = Network(p)
	n.mapping = true
	return nil
}

// Network is the network that the configuration describes. A mapping that carries a preset's name starts from that preset,
// so that a changed interval or anchor needs no more than itself.
func (c *Config) NetworkSpec() network.Network {
	w := c.Network
	n, preset := network.Preset(w.Name)
	if !w.mapping && preset {
		return n
	}
	n.Network = w.Name
	if w.GenesisTime > 0 {
		n.GenesisTime = time.Unix(w.GenesisTime, 0)
	}
	if r, err := network.ParseRoot(w.GenesisValidatorsRoot); err == nil {
		n.GenesisValidatorsRoot = r
	}
	set(&n.SecondsPerSlot, w.SecondsPerSlot)
	set(&n.SlotsPerEpoch, w.SlotsPerEpoch)
	set(&n.DepositChainID, w.DepositChainID)
	if w.MinGenesisActiveValidators > 0 {
		n.WeakSubjectivityEpochs = network.WeakSubjectivityPeriod(w.MinGenesisActiveValidators * 32_000_000_000)
	}
	set(&n.WeakSubjectivityEpochs, w.WeakSubjectivityPeriodEpoch)
	// The least that the formula can give, so that a chain of unknown size is trusted for the shortest time.
	if n.WeakSubjectivityEpochs == 0 {
		n.WeakSubjectivityEpochs = network.WeakSubjectivityPeriod(0)
	}
	if it := w.Iterations; it != nil {
		if n.Iterations == nil {
			n.Iterations = &network.Iterations{}
		}
		set(&n.Iterations.Anchor, it.Anchor)
		set(&n.Iterations.BaseChainID, it.BaseChainID)
		if it.AnchorGenesisTime > 0 {
			n.Iterations.AnchorGenesis = time.Unix(it.AnchorGenesisTime, 0)
		}
		set(&n.Iterations.Interval, it.Interval.Std())
		set(&n.Iterations.Delay, it.Delay.Std())
	}
	return n
}

func set[T ~uint64 | ~int64](dst *T, v T) {
	if v > 0 {
		*dst = v
	}
}

func (c *Config) checkNetwork() error {
	w := c.Network
	_, preset := network.Preset(w.Name)
	switch {
	case w.Name == "":
		return c.Problem("it has no name", "add name:", "network", "name")
	case !w.mapping && !preset:
		return c.Problem(fmt.Sprintf("%q is not a network that is known by name", clip(w.Name)),
			"write one of "+strings.Join(network.Presets(), ", ")+", or a mapping with name, genesis_time, seconds_per_slot, …", "network")
	}
	if w.GenesisValidatorsRoot != "" {
		if _, err := network.ParseRoot(w.GenesisValidatorsRoot); err != nil {
			return c.Problem(err.Error(), "write 0x and 64 hexadecimal digits", "network", "genesis_validators_root")
		}
	}
	if w.SecondsPerSlot > 3600 {
		return c.Problem("a slot longer than an hour", "write the seconds of one slot, such as 12", "network", "seconds_per_slot")
	}
	if w.SlotsPerEpoch > 1<<16 {
		return c.Problem("an epoch of more than 65536 slots", "write the slots of one epoch, such as 32", "network", "slots_per_epoch")
	}
	if i := c.NetworkSpec().Iterations; i != nil {
		switch {
		case i.Interval < time.Minute:
			return c.Problem("no interval", "add the time between two resets, such as 672h", "network", "iterations", "interval")
		case i.AnchorGenesis.IsZero():
			return c.Problem("no anchor_genesis_time", "add the execution genesis timestamp of the anchor iteration", "network", "iterations", "anchor_genesis_time")
		case i.Delay >= i.Interval:
			return c.Problem("the delay is not shorter than the interval", "write GENESIS_DELAY, such as 10m", "network", "iterations", "delay")
		}
	}
	if len(c.Providers) == 0 && !slices.Contains(network.Presets(), w.Name) && !c.has("providers") {
		return c.Problem("no providers", "list the providers of this network; only presets have public ones", "providers")
	}
	return nil
}
