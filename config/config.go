// Package config is checkpoint.yml: its schema, defaults and checks. A mistake is reported with file, line, key and how to
// mend it, on one line.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// maxFileBytes bounds a configuration file; a thousand nodes need a tenth of it.
const maxFileBytes = 4 << 20

// Config is one checkpoint.yml with defaults filled in. Each program uses its part.
type Config struct {
	// Network is what the nodes and providers should be on.
	Network Network `yaml:"network"`
	// Providers are the checkpoint providers in order of preference; left out, the network's public ones.
	Providers []Provider `yaml:"providers"`
	// Probe says how often and how patiently is asked.
	Probe Probe `yaml:"probe"`
	// Quorum is how many providers must serve the same block root before it counts as agreed.
	Quorum int `yaml:"quorum"`
	// Nodes are the nodes to follow; left out, one on the local default ports.
	Nodes []Node `yaml:"nodes"`
	// Remediation is what may be done about alerts, and when not.
	Remediation Remediation `yaml:"remediation"`

	source source
}

// Provider is a checkpoint provider: a name for labels and the base URL a client is given.
type Provider struct {
	// Name is its name in metrics, alerts and the journal; it must be given.
	Name string `yaml:"name"`
	// URL is its base URL, as a client is given it; it must be given.
	URL string `yaml:"url"`
}

// Probe says how often and how patiently providers and nodes are asked.
type Probe struct {
	// Interval is the time between two probes of a provider by its small JSON routes.
	Interval Duration `yaml:"interval"`
	// Timeout bounds one probe of a provider, and one look at a node.
	Timeout Duration `yaml:"timeout"`
	// NodeInterval is the time between two looks at a node.
	NodeInterval Duration `yaml:"node_interval"`
	// StateHeaderInterval is the time between two reads of the first bytes of a provider's finalized state.
	StateHeaderInterval Duration `yaml:"state_header_interval"`
	// VerifyInterval is the time between two proofs of a provider's whole state. It has no effect yet: states are not proved.
	VerifyInterval Duration `yaml:"verify_interval"`
	// MaxLagEpochs is how many epochs a provider's finalized checkpoint may lag the clock.
	MaxLagEpochs uint64 `yaml:"max_lag_epochs"`
}

// Load reads a file, fills in defaults and checks it. Errors are *Error where the file is at fault.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		mend := "create it, or start without --config.file to use the defaults"
		if errors.Is(err, fs.ErrPermission) {
			mend = "make it readable for this user"
		}
		return nil, &Error{File: path, Problem: unwrapPath(err), Mend: mend}
	}
	defer f.Close()
	b, err := readAtMost(f, maxFileBytes)
	if err != nil {
		return nil, &Error{File: path, Problem: unwrapPath(err), Mend: "make it a readable file of at most 4 MiB"}
	}
	return Parse(path, b)
}

// Parse is Load for bytes already read; path is used in messages only.
func Parse(path string, b []byte) (*Config, error) {
	c := defaults()
	c.source.file = path
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	if err := decoder.Decode(&c.source.doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, c.source.syntaxError(err)
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Error{File: path, Line: second.Line, Problem: "a second document begins", Mend: "keep one, and take out the line ---"}
	case !errors.Is(err, io.EOF):
		return nil, c.source.syntaxError(err)
	}
	if len(c.source.doc.Content) > 0 && !isNull(c.source.doc.Content[0]) {
		root := c.source.doc.Content[0]
		if root.Kind != yaml.MappingNode {
			return nil, &Error{File: path, Line: root.Line, Problem: "the file is not a mapping", Mend: "write keys and values, such as network: ephemery"}
		}
		if err := c.source.checkKeys(root); err != nil {
			return nil, err
		}
		if err := root.Decode(c); err != nil {
			return nil, c.source.typeError(err)
		}
	}
	c.fill()
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// Default is the configuration of an empty file: network ephemery, its public providers, one local node, remediation that
// only observes.
func Default() *Config {
	c := defaults()
	c.fill()
	return c
}

func defaults() *Config {
	return &Config{
		Network: Network{Name: "ephemery"},
		Probe: Probe{
			Interval: Duration(time.Minute), Timeout: Duration(10 * time.Second), NodeInterval: Duration(10 * time.Second),
			StateHeaderInterval: Duration(15 * time.Minute), VerifyInterval: Duration(24 * time.Hour), MaxLagEpochs: 4,
		},
		Quorum:      2,
		Remediation: defaultRemediation(),
	}
}

// fill sets what depends on other values: lists that were left out are nil, lists that are empty on purpose are not.
func (c *Config) fill() {
	if c.Providers == nil {
		for _, p := range network.PublicProviders(c.Network.Name) {
			c.Providers = append(c.Providers, Provider(p))
		}
	}
	if c.Nodes == nil {
		c.Nodes = []Node{{
			Name: "node-1", StallAfter: Duration(defaultStallAfter),
			Consensus: Consensus{URL: "http://127.0.0.1:5052"}, Execution: Execution{URL: "http://127.0.0.1:8545"},
		}}
	}
	c.Remediation.fill()
}

// File is where the configuration was read from; empty for the defaults.
func (c *Config) File() string { return c.source.file }

// Node finds a node by its configured name.
func (c *Config) Node(name string) (Node, bool) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// ProviderNamed finds a provider by its configured name.
func (c *Config) ProviderNamed(name string) (Provider, bool) {
	for _, p := range c.Providers {
		if p.Name == name {
			return p, true
		}
	}
	return Provider{}, false
}

// ProviderOf finds the provider that a client's configured URL belongs to. A trailing slash, the case of the host and a default
// port make no difference.
func (c *Config) ProviderOf(url string) (Provider, bool) {
	want := canonicalURL(url)
	for _, p := range c.Providers {
		if canonicalURL(p.URL) == want {
			return p, true
		}
	}
	return Provider{}, false
}

// Duration is a time.Duration written as in Prometheus' files: 90s, 15m, 1h30m, 28d.
type Duration time.Duration

// Std is the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the duration in Go's notation.
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalYAML reads a duration and refuses what is negative or below one second.
func (d *Duration) UnmarshalYAML(v *yaml.Node) error {
	if v.Kind == yaml.ScalarNode && strings.HasPrefix(v.Value, "-") {
		return &valueError{line: v.Line, problem: fmt.Sprintf("%q is negative", clip(v.Value)), mend: "write 1s or more"}
	}
	parsed, err := parseDuration(v.Value)
	if err != nil || v.Kind != yaml.ScalarNode {
		return &valueError{line: v.Line, problem: fmt.Sprintf("%q is not a duration", clip(v.Value)), mend: "write it like 90s, 15m, 1h30m or 28d"}
	}
	if parsed < time.Second && parsed != 0 {
		return &valueError{line: v.Line, problem: fmt.Sprintf("%s is shorter than a second", parsed), mend: "write 1s or more"}
	}
	*d = Duration(parsed)
	return nil
}
