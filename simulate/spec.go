package simulate

import (
	"embed"
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// fork is one upgrade of the consensus layer.
type fork struct {
	name    string
	version network.Version
	epoch   uint64
}

var forkNames = []string{"phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"}

// forksOf are a network's upgrades: eth-clients/{mainnet,hoodi,sepolia} metadata/config.yaml, ephemery-genesis cl-config.yaml. Any
// other chain has the versions of the recorded development chains.
func forksOf(c network.Chain) []fork {
	first, step := network.Version{0x20, 0, 0, 0x89}, func(v *network.Version, i int) { v[3] = byte(0x8f + i) }
	epochs := make([]uint64, len(forkNames))
	switch c.Network {
	case "ephemery":
		first, step = network.Version{0x10, 0, 0x10, 0x1b}, func(v *network.Version, i int) { v[0] = byte(0x10 * (i + 1)) }
	case "mainnet":
		first, step = network.Version{}, func(v *network.Version, i int) { v[0] = byte(i) }
		epochs = []uint64{0, 74240, 144896, 194048, 269568, 364032, 411392}
	case "hoodi":
		first, step = network.Version{0x10, 0, 0x09, 0x10}, func(v *network.Version, i int) { v[0] = byte(0x10 * (i + 1)) }
		epochs = []uint64{0, 0, 0, 0, 0, 2048, 50688}
	case "sepolia":
		first, step = network.Version{0x90, 0, 0, 0x69}, func(v *network.Version, i int) { v[3] = byte(0x69 + i) }
		epochs = []uint64{0, 50, 100, 56832, 132608, 222464, 272640}
	}
	out := make([]fork, len(forkNames))
	for i, name := range forkNames {
		v := first
		if i > 0 {
			step(&v, i)
		}
		out[i] = fork{name, v, epochs[i]}
	}
	return out
}

// forkAt is the index of the fork in force at an epoch.
func forkAt(forks []fork, epoch uint64) int {
	at := 0
	for i, f := range forks {
		if f.epoch <= epoch {
			at = i
		}
	}
	return at
}

//go:embed spec/*.json
var specs embed.FS

// configSpec is what /eth/v1/config/spec tells: the recorded keys of the client, with this chain's values.
func configSpec(client Client, c network.Chain) (map[string]any, error) {
	file := "spec/prysm.json"
	switch client {
	case Checkpointz, Lodestar:
		file = "spec/" + string(client) + ".json"
	}
	b, err := specs.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	name := c.Network
	if name == "ephemery" {
		name = "testnet"
	}
	out["CONFIG_NAME"] = name
	out["SECONDS_PER_SLOT"] = dec(c.SecondsPerSlot)
	out["SLOTS_PER_EPOCH"] = dec(c.SlotsPerEpoch)
	out["DEPOSIT_CHAIN_ID"] = dec(c.DepositChainID)
	if client == Checkpointz {
		return out, nil
	}
	out["DEPOSIT_NETWORK_ID"] = out["DEPOSIT_CHAIN_ID"]
	out["MIN_GENESIS_TIME"] = dec(uint64(c.GenesisTime.Unix()))
	for i, f := range forksOf(c) {
		key := strings.ToUpper(f.name)
		if client == Lodestar && i > 3 {
			if f.name != "deneb" {
				continue
			}
			key = "EIP4844" // its name for Deneb at v1.5.1
		}
		if i == 0 {
			out["GENESIS_FORK_VERSION"] = f.version.String()
			continue
		}
		out[key+"_FORK_VERSION"], out[key+"_FORK_EPOCH"] = f.version.String(), dec(f.epoch)
	}
	if client != Lodestar {
		out["SLOT_DURATION_MS"] = dec(c.SecondsPerSlot * 1000)
	}
	return out, nil
}

// forkSchedule is what /eth/v1/config/fork_schedule tells. Checkpointz leaves the genesis fork out, does not order, gives Capella and
// its followers wrong predecessors, and mentions a fork of the far future.
func forkSchedule(client Client, c network.Chain) []any {
	forks := forksOf(c)
	entry := func(previous, current network.Version, epoch uint64) any {
		return map[string]any{"previous_version": previous.String(), "current_version": current.String(), "epoch": dec(epoch)}
	}
	var out []any
	if client == Checkpointz {
		previous := network.Version{}
		for _, i := range []int{5, 6, 4, 3, 2, 1} {
			out = append(out, entry(previous, forks[i].version, forks[i].epoch))
			previous = forks[i].version
		}
		return append(out, entry(previous, network.Version{0xff, 0xff, 0xff, 0xff}, math.MaxUint64))
	}
	for i, f := range forks {
		out = append(out, entry(forks[max(i-1, 0)].version, f.version, f.epoch))
	}
	return out
}

// dec is a number as the Beacon API writes it: a decimal string.
func dec(n uint64) string { return strconv.FormatUint(n, 10) }

// merged is a with b's entries over it.
func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
