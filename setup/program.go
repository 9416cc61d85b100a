package setup

import (
	"path"
	"slices"
	"strings"
)

// Layer is what a client is there for.
type Layer string

// The layers.
const (
	Consensus Layer = "consensus"
	Execution Layer = "execution"
	Validator Layer = "validator"
)

// program is how a client is told by its command line.
type program struct {
	client string
	layer  Layer
	// names are those of its executable or of the file that an interpreter runs.
	names []string
	// needs are flags of which it has one: its name alone could be anything's.
	needs []string
	// validator are commands that make it a validator client.
	validator []string
	// data, port and metrics are the flags of its data directory, of the port of its API, and of that of its metrics; ports their defaults,
	// which metrics has only with the flag in metered.
	data, port, metrics []string
	apiPort             string
	metered             []string
	metricsPort         string
}

// The clients' flags are those of their own command line references, as remediate/client has them.
var programs = []program{
	{client: "lighthouse", layer: Consensus, names: []string{"lighthouse"}, validator: []string{"vc", "validator_client", "validator"},
		data: []string{"--datadir", "-d"}, port: []string{"--http-port"}, apiPort: "5052", metered: []string{"--metrics"}, metrics: []string{"--metrics-port"}, metricsPort: "5054"},
	{client: "teku", layer: Consensus, names: []string{"teku"}, validator: []string{"validator-client", "vc"},
		data: []string{"--data-path", "--data-base-path"}, port: []string{"--rest-api-port"}, apiPort: "5051", metered: []string{"--metrics-enabled"}, metrics: []string{"--metrics-port"}, metricsPort: "8008"},
	{client: "prysm", layer: Validator, names: []string{"validator"}, needs: []string{"--beacon-rpc-provider", "--beacon-rest-api-provider", "--wallet-dir"}, data: []string{"--datadir"}},
	{client: "prysm", layer: Consensus, names: []string{"beacon-chain", "prysm.sh"}, validator: []string{"validator"},
		data: []string{"--datadir"}, port: []string{"--http-port", "--grpc-gateway-port"}, apiPort: "3500", metrics: []string{"--monitoring-port"}, metricsPort: "8080"},
	{client: "nimbus", layer: Validator, names: []string{"nimbus_validator_client"}, data: []string{"--data-dir"}},
	{client: "nimbus", layer: Consensus, names: []string{"nimbus_beacon_node"},
		data: []string{"--data-dir", "-d"}, port: []string{"--rest-port"}, apiPort: "5052", metered: []string{"--metrics"}, metrics: []string{"--metrics-port"}, metricsPort: "8008"},
	{client: "lodestar", layer: Consensus, names: []string{"lodestar"}, validator: []string{"validator"},
		data: []string{"--dataDir", "--data-dir"}, port: []string{"--rest.port"}, apiPort: "9596", metered: []string{"--metrics"}, metrics: []string{"--metrics.port"}, metricsPort: "8008"},
	{client: "grandine", layer: Consensus, names: []string{"grandine"},
		data: []string{"--data-dir"}, port: []string{"--http-port"}, apiPort: "5052", metered: []string{"--metrics"}, metrics: []string{"--metrics-port"}, metricsPort: "5054"},
	{client: "geth", layer: Execution, names: []string{"geth"}, data: []string{"--datadir"}, port: []string{"--http.port"}, apiPort: "8545"},
	{client: "nethermind", layer: Execution, names: []string{"nethermind", "Nethermind.Runner", "nethermind.dll", "Nethermind.Runner.dll"},
		data: []string{"--datadir", "--data-dir", "-dd"}, port: []string{"--JsonRpc.Port"}, apiPort: "8545"},
	{client: "besu", layer: Execution, names: []string{"besu"}, data: []string{"--data-path"}, port: []string{"--rpc-http-port"}, apiPort: "8545"},
	{client: "erigon", layer: Execution, names: []string{"erigon"}, data: []string{"--datadir"}, port: []string{"--http.port"}, apiPort: "8545"},
	{client: "reth", layer: Execution, names: []string{"reth", "op-reth"}, data: []string{"--datadir"}, port: []string{"--http.port"}, apiPort: "8545"},
}

// wrappers run another program that their arguments name. How far down it may stand is bounded, so that no argument is taken for it.
const deepest = 4

// images are the last parts of the names of images whose entry point tells nothing of the client in them.
var images = map[string]string{"client-go": "geth", "beacon-chain": "prysm", "nimbus-eth2": "nimbus", "op-reth": "reth"}

// recognise tells which client a command line runs; nil for none. image is a container's, or "".
func recognise(args []string, image string) (*program, Layer) {
	for i, a := range args[:min(len(args), deepest)] {
		base := path.Base(a)
		for p := range programs {
			if !slices.Contains(programs[p].names, base) || len(programs[p].needs) > 0 && !hasAny(args, programs[p].needs) {
				continue
			}
			return &programs[p], programs[p].layerOf(args[i+1:])
		}
	}
	if image == "" {
		return nil, ""
	}
	name := path.Base(image)
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	if known := images[name]; known != "" {
		name = known
	}
	name = strings.TrimPrefix(name, "ephemery-")
	for p := range programs {
		if programs[p].client == name && programs[p].layer != Validator {
			return &programs[p], programs[p].layerOf(args)
		}
	}
	return nil, ""
}

// hasAny tells whether one of the flags is among the arguments.
func hasAny(args, flags []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		name, _, _ := strings.Cut(a, "=")
		return slices.Contains(flags, name)
	})
}

// engines are programs whose arguments are of a container: neither directories nor ports in them are this machine's.
var engines = []string{"docker", "podman", "nerdctl", "docker-compose"}

// unwrap is the command line that a shell is told to run, and the command line itself where it is no shell's.
func unwrap(args []string) []string {
	if len(args) < 3 || args[1] != "-c" || !slices.Contains([]string{"sh", "bash", "dash"}, path.Base(args[0])) {
		return args
	}
	words, err := Words(args[2])
	if err != nil {
		return args
	}
	out := make([]string, 0, len(words))
	for _, w := range words {
		if len(out) > 0 || w.Text != "exec" {
			out = append(out, w.Text)
		}
	}
	return out
}

// layerOf is that of the program with these arguments. The command is the first word that is no flag.
func (p program) layerOf(args []string) Layer {
	for _, a := range args {
		if slices.Contains(p.validator, a) {
			return Validator
		}
		if !strings.HasPrefix(a, "-") {
			break
		}
	}
	return p.layer
}

// flagValue is the value of one of a client's flags among its arguments.
func flagValue(args []string, flags []string) (string, bool) {
	for _, f := range flags {
		for i, a := range args {
			switch {
			case strings.EqualFold(a, f) && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
				return args[i+1], true
			case len(a) > len(f) && strings.EqualFold(a[:len(f)], f) && (a[len(f)] == '=' || a[len(f)] == ':'):
				return a[len(f)+1:], true
			}
		}
	}
	return "", false
}

// metricsAt is the port of the client's metrics; "" if it has none to show.
func (p program) metricsAt(args []string) string {
	if p.metricsPort == "" {
		return ""
	}
	on := len(p.metered) == 0
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		on = on || slices.Contains(p.metered, name) && value != "false"
	}
	if !on {
		return ""
	}
	if port, ok := flagValue(args, p.metrics); ok {
		return port
	}
	return p.metricsPort
}
