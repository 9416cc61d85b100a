package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The clients whose flags and data directories are known.
var (
	ConsensusClients = []string{"lighthouse", "teku", "prysm", "nimbus", "lodestar", "grandine"}
	ExecutionClients = []string{"geth", "nethermind", "besu", "erigon", "reth"}
)

// Node is one consensus client and its execution client.
type Node struct {
	// Name is its name in metrics, alerts and the journal; it must be given.
	Name string `yaml:"name"`
	// Consensus is its consensus client.
	Consensus Consensus `yaml:"consensus"`
	// Execution is its execution client.
	Execution Execution `yaml:"execution"`
	// Validator is the validator client that follows the node; left out when there is none, or when it is part of the consensus client.
	Validator *Validator `yaml:"validator"`
	// StallAfter is how long a head may stand still, away from the clock, before the node counts as stalled.
	StallAfter Duration `yaml:"stall_after"`
	// Restart says how to restart the consensus client; left out, it is never restarted.
	Restart *Restart `yaml:"restart"`
	// RestartExecution says how to restart the execution client; left out, it is never restarted.
	RestartExecution *Restart `yaml:"restart_execution"`
	// Source is where the client's checkpoint URL is configured; left out, it is never changed.
	Source *Source `yaml:"source"`
	// DataDir is the consensus client's data directory; empty when not told. A resync needs it.
	DataDir string `yaml:"data_dir"`
	// Reset says how the node comes onto a network's new iteration; left out, it is not brought there.
	Reset *Reset `yaml:"reset"`
}

// Consensus is how to reach a consensus client, and which one it is.
type Consensus struct {
	// URL is the base of its Beacon API; it must be given.
	URL string `yaml:"url"`
	// MetricsURL is its own Prometheus endpoint, for figures that only stand there; empty for none.
	MetricsURL string `yaml:"metrics_url"`
	// Client is one of ConsensusClients; empty when not told. Resync, reset, and a source that is a flag need it: a client that does
	// not answer cannot be asked.
	Client string `yaml:"client"`
}

// Execution is how to reach an execution client, and which one it is.
type Execution struct {
	// URL is its JSON-RPC endpoint; empty when there is none to ask.
	URL string `yaml:"url"`
	// Client is one of ExecutionClients; empty when not told.
	Client string `yaml:"client"`
	// DataDir is its data directory; empty when not told. A reset needs it.
	DataDir string `yaml:"data_dir"`
}

// Validator is a validator client. It is stopped while a reset is under way, and its slashing protection, which is of no use on another
// chain, is then set aside.
type Validator struct {
	// Restart is how to stop and start it.
	Restart *Restart `yaml:"restart"`
	// SlashingProtection is the absolute path of its slashing protection database, a file or a directory.
	SlashingProtection string `yaml:"slashing_protection"`
}

// Restart is one way to restart a client: exactly one field is set.
type Restart struct {
	// Systemd is a unit name that ends in .service.
	Systemd string `yaml:"systemd"`
	// Docker is a container's name.
	Docker string `yaml:"docker"`
	// DockerCompose is a service of a compose project.
	DockerCompose *DockerCompose `yaml:"docker_compose"`
	// Command is an absolute path and its arguments, run without a shell. It can restart, but not stop and start.
	Command []string `yaml:"command"`
}

// DockerCompose is a service of a compose project, such as consensus of eth-docker.
type DockerCompose struct {
	// Dir is the project's directory, where docker compose is run.
	Dir string `yaml:"dir"`
	// Service is the service's name.
	Service string `yaml:"service"`
	// Command is docker compose itself, an absolute path and its first arguments; left out, /usr/bin/docker compose.
	Command []string `yaml:"command"`
}

// Source is where a client's checkpoint URL is configured: exactly one field is set.
type Source struct {
	// YAML is a value in a YAML file, such as an Ansible inventory.
	YAML *YAMLSource `yaml:"yaml"`
	// Env is a variable in a file of assignments, such as eth-docker's .env.
	Env *EnvSource `yaml:"env"`
	// Systemd is a flag or a variable in a systemd unit.
	Systemd *SystemdSource `yaml:"systemd"`
	// Docker is a flag or a variable of a container.
	Docker *DockerSource `yaml:"docker"`
}

// YAMLSource is a value in a YAML file, such as an Ansible inventory.
type YAMLSource struct {
	// File is an absolute path.
	File string `yaml:"file"`
	// Key is the mapping key that holds the URL. Of several hosts in the file the one named Host counts.
	Key string `yaml:"key"`
	// Host is the inventory host; empty means the node's name.
	Host string `yaml:"host"`
	// Path is the exact dotted path of the value, instead of Key and Host.
	Path string `yaml:"path"`
}

// EnvSource is a variable in a file of assignments, such as eth-docker's .env or systemd's EnvironmentFile.
type EnvSource struct {
	// File is an absolute path.
	File string `yaml:"file"`
	// Key is the variable's name, such as CHECKPOINT_SYNC_URL.
	Key string `yaml:"key"`
}

// SystemdSource is in a systemd unit or one of its drop-ins: the checkpoint flag of the node's client in ExecStart=, or a variable in
// Environment=.
type SystemdSource struct {
	// Unit is a unit name that ends in .service.
	Unit string `yaml:"unit"`
	// Environment is a variable's name; empty means the flag.
	Environment string `yaml:"environment"`
}

// DockerSource is in a container's own configuration: the checkpoint flag of the node's client among its arguments, or an environment
// variable. Changing it creates the container anew.
type DockerSource struct {
	// Container is its name.
	Container string `yaml:"container"`
	// Environment is a variable's name; empty means the flag.
	Environment string `yaml:"environment"`
}

// Reset is how a node comes onto a network's new iteration.
type Reset struct {
	// Dir is the directory of the network's files (genesis.json, config.yaml, genesis.ssz and the others of a release), which is replaced
	// as a whole.
	Dir string `yaml:"dir"`
	// URL is where the new iteration's files are, as a .tar.gz; {iteration} stands for its number. Instead of Fetch.
	URL string `yaml:"url"`
	// Fetch is a command, an absolute path and its arguments, that brings the new iteration's files into Dir by itself. Instead of URL.
	Fetch []string `yaml:"fetch"`
	// InitExecution is a command, an absolute path and its arguments, that initialises the execution client's empty database, such as geth
	// init; empty for clients that need none.
	InitExecution []string `yaml:"init_execution"`
}

const defaultStallAfter = 10 * time.Minute

// UnmarshalYAML fills a node's defaults before its own values.
func (n *Node) UnmarshalYAML(v *yaml.Node) error {
	type plain Node
	p := plain{StallAfter: Duration(defaultStallAfter)}
	if err := v.Decode(&p); err != nil {
		return err
	}
	*n = Node(p)
	return nil
}

func (c *Config) checkNode(n Node, at ...any) error {
	key := func(k ...any) []any { return append(slices.Clone(at), k...) }
	if err := c.checkURL(n.Consensus.URL, key("consensus", "url")...); err != nil {
		return err
	}
	if n.Consensus.MetricsURL != "" {
		if err := c.checkURL(n.Consensus.MetricsURL, key("consensus", "metrics_url")...); err != nil {
			return err
		}
	}
	if n.Execution.URL != "" {
		if err := c.checkURL(n.Execution.URL, key("execution", "url")...); err != nil {
			return err
		}
	}
	if err := c.checkClient(n.Consensus.Client, ConsensusClients, key("consensus", "client")...); err != nil {
		return err
	}
	if err := c.checkClient(n.Execution.Client, ExecutionClients, key("execution", "client")...); err != nil {
		return err
	}
	if n.StallAfter <= 0 {
		return c.Problem("zero", "write how long a head may stand still, such as 10m", key("stall_after")...)
	}
	if err := c.checkRestart(n.Restart, key("restart")...); err != nil {
		return err
	}
	if err := c.checkRestart(n.RestartExecution, key("restart_execution")...); err != nil {
		return err
	}
	if v := n.Validator; v != nil {
		if err := c.checkRestart(v.Restart, key("validator", "restart")...); err != nil {
			return err
		}
		if err := c.checkOptionalPath(v.SlashingProtection, key("validator", "slashing_protection")...); err != nil {
			return err
		}
	}
	if err := c.checkOptionalPath(n.DataDir, key("data_dir")...); err != nil {
		return err
	}
	if err := c.checkOptionalPath(n.Execution.DataDir, key("execution", "data_dir")...); err != nil {
		return err
	}
	if err := c.checkSource(n, key("source")...); err != nil {
		return err
	}
	return c.checkReset(n, at...)
}

func (c *Config) checkClient(name string, known []string, at ...any) error {
	if name != "" && !slices.Contains(known, name) {
		return c.Problem(fmt.Sprintf("%q is not a client that is known", clip(name)), "write one of "+strings.Join(known, ", "), at...)
	}
	return nil
}

func (c *Config) checkOptionalPath(p string, at ...any) error {
	if p == "" {
		return nil
	}
	return c.checkPath(p, at...)
}

var (
	// unitName is a plain service unit, not a template without instance and not a path.
	unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]+)?\.service$`)
	// containerName is what the Docker Engine takes as a name (moby daemon/names); service names of compose are a subset.
	containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	variableName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (c *Config) checkRestart(r *Restart, at ...any) error {
	if r == nil {
		return nil
	}
	key := func(k ...any) []any { return append(slices.Clone(at), k...) }
	if !exactlyOne(r.Systemd != "", r.Docker != "", r.DockerCompose != nil, len(r.Command) > 0) {
		return c.Problem("a restart is done in exactly one way", "write systemd: UNIT.service, docker: CONTAINER, docker_compose: {…} or command: [/path, arg]", at...)
	}
	switch {
	case r.Systemd != "":
		return c.checkUnit(r.Systemd, key("systemd")...)
	case r.Docker != "":
		return c.checkContainer(r.Docker, key("docker")...)
	case r.DockerCompose != nil:
		d := r.DockerCompose
		if err := c.checkPath(d.Dir, key("docker_compose", "dir")...); err != nil {
			return err
		}
		if err := c.checkContainer(d.Service, key("docker_compose", "service")...); err != nil {
			return err
		}
		if len(d.Command) > 0 {
			return c.checkCommand(d.Command, key("docker_compose", "command")...)
		}
		return nil
	}
	return c.checkCommand(r.Command, key("command")...)
}

func (c *Config) checkUnit(unit string, at ...any) error {
	if !unitName.MatchString(unit) {
		return c.Problem(fmt.Sprintf("%q is not a service unit", clip(unit)), "write its whole name, such as lighthouse.service", at...)
	}
	return nil
}

func (c *Config) checkContainer(name string, at ...any) error {
	if !containerName.MatchString(name) {
		return c.Problem(fmt.Sprintf("%q is not a name of Docker's", clip(name)), "write it as docker ps or the compose file shows it", at...)
	}
	return nil
}

func (c *Config) checkVariable(name string, at ...any) error {
	if !variableName.MatchString(name) {
		return c.Problem(fmt.Sprintf("%q is not the name of a variable", clip(name)), "write it like CHECKPOINT_SYNC_URL", at...)
	}
	return nil
}

func (c *Config) checkCommand(argv []string, at ...any) error {
	if !filepath.IsAbs(argv[0]) || filepath.Clean(argv[0]) != argv[0] {
		return c.Problem(fmt.Sprintf("%q is not an absolute path", clip(argv[0])), "write the program's whole path; there is no shell and no PATH", at...)
	}
	if slices.ContainsFunc(argv, func(a string) bool { return strings.ContainsRune(a, 0) }) {
		return c.Problem("a zero byte in an argument", "take it out", at...)
	}
	return nil
}

func (c *Config) checkSource(n Node, at ...any) error {
	s := n.Source
	if s == nil {
		return nil
	}
	key := func(k ...any) []any { return append(slices.Clone(at), k...) }
	if !exactlyOne(s.YAML != nil, s.Env != nil, s.Systemd != nil, s.Docker != nil) {
		return c.Problem("a source is in exactly one place", "write yaml: {file: …, key: …}, env: {file: …, key: …}, systemd: {unit: …} or docker: {container: …}", at...)
	}
	flag := func(environment string, at ...any) error {
		if environment != "" {
			return c.checkVariable(environment, append(slices.Clone(at), "environment")...)
		}
		if n.Consensus.Client == "" {
			return c.Problem("which flag holds the URL depends on the client", "write consensus: {client: lighthouse} or another, or environment: VARIABLE here", at...)
		}
		return nil
	}
	switch {
	case s.Env != nil:
		if err := c.checkPath(s.Env.File, key("env", "file")...); err != nil {
			return err
		}
		return c.checkVariable(s.Env.Key, key("env", "key")...)
	case s.Systemd != nil:
		if err := c.checkUnit(s.Systemd.Unit, key("systemd", "unit")...); err != nil {
			return err
		}
		return flag(s.Systemd.Environment, key("systemd")...)
	case s.Docker != nil:
		if err := c.checkContainer(s.Docker.Container, key("docker", "container")...); err != nil {
			return err
		}
		return flag(s.Docker.Environment, key("docker")...)
	}
	y := s.YAML
	if err := c.checkPath(y.File, key("yaml", "file")...); err != nil {
		return err
	}
	if (y.Key != "") == (y.Path != "") {
		return c.Problem("it does not say which value", "write key: or path:, not both", key("yaml")...)
	}
	if y.Path != "" && y.Host != "" {
		return c.Problem("a path needs no host", "leave one of them out", key("yaml", "host")...)
	}
	return nil
}

func (c *Config) checkReset(n Node, at ...any) error {
	r := n.Reset
	if r == nil {
		return nil
	}
	key := func(k ...any) []any { return append(slices.Clone(at), k...) }
	if err := c.checkPath(r.Dir, key("reset", "dir")...); err != nil {
		return err
	}
	if !exactlyOne(r.URL != "", len(r.Fetch) > 0) {
		return c.Problem("the new iteration's files come in exactly one way", "write url: or fetch: [/path, arg]", key("reset")...)
	}
	if r.URL != "" {
		if err := c.checkURL(strings.ReplaceAll(r.URL, "{iteration}", "1"), key("reset", "url")...); err != nil {
			return err
		}
	} else if err := c.checkCommand(r.Fetch, key("reset", "fetch")...); err != nil {
		return err
	}
	if len(r.InitExecution) > 0 {
		if err := c.checkCommand(r.InitExecution, key("reset", "init_execution")...); err != nil {
			return err
		}
	}
	switch {
	case n.Consensus.Client == "":
		return c.Problem("what a reset deletes and keeps depends on the client", "write which one it is, such as lighthouse", key("consensus", "client")...)
	case n.DataDir == "":
		return c.Problem("a reset needs the consensus client's data directory", "write its absolute path", key("data_dir")...)
	case n.Execution.Client == "":
		return c.Problem("what a reset deletes and keeps depends on the client", "write which one it is, such as geth", key("execution", "client")...)
	case n.Execution.DataDir == "":
		return c.Problem("a reset needs the execution client's data directory", "write its absolute path", key("execution", "data_dir")...)
	}
	return nil
}

func exactlyOne(set ...bool) bool {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n == 1
}
