package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Answers are what is to be set up.
type Answers struct {
	// Network is a preset's name; "" where the configuration that is there says more.
	Network string
	// Node is the node's name, and Host the name of the inventory host where that is another; "" for the same.
	Node, Host string
	// Consensus and Execution are the node's clients; a layer without one has no name and no API. Validator is nil if there is none.
	Consensus, Execution Client
	Validator            *Client
	// Mode is config.Observe or config.Act.
	Mode string
	// Source is where the client's checkpoint URL is changed: nil for nowhere.
	Source *config.Source
	// Token is the file of the webhook's token; "" for none.
	Token string
}

// Restart is how a client is restarted; nil if that is not known.
func (c Client) Restart() *config.Restart {
	switch {
	case c.Unit != "":
		return &config.Restart{Systemd: c.Unit}
	case c.Compose != nil:
		return &config.Restart{DockerCompose: &config.DockerCompose{Dir: c.Compose.Dir, Service: c.Compose.Service}}
	case c.Container != "":
		return &config.Restart{Docker: c.Container}
	}
	return nil
}

// block is a top-level key of checkpoint.yml and its text.
type block struct{ key, text string }

func (a Answers) blocks() []block {
	var nodes, remediation strings.Builder
	fmt.Fprintf(&nodes, "nodes:\n  - name: %s\n", plain(a.Node))
	consensus := []string{"url: " + plain(a.Consensus.API)}
	if a.Consensus.Metrics != "" {
		consensus = append(consensus, "metrics_url: "+plain(a.Consensus.Metrics))
	}
	if a.Consensus.Name != "" {
		consensus = append(consensus, "client: "+a.Consensus.Name)
	}
	fmt.Fprintf(&nodes, "    consensus: {%s}\n", strings.Join(consensus, ", "))
	var execution []string
	if a.Execution.API != "" {
		execution = append(execution, "url: "+plain(a.Execution.API))
	}
	if a.Execution.Name != "" {
		execution = append(execution, "client: "+a.Execution.Name)
	}
	if a.Execution.DataDir != "" {
		execution = append(execution, "data_dir: "+plain(a.Execution.DataDir))
	}
	if len(execution) > 0 {
		fmt.Fprintf(&nodes, "    execution: {%s}\n", strings.Join(execution, ", "))
	}
	if r := a.Consensus.Restart(); r != nil {
		fmt.Fprintf(&nodes, "    restart: %s\n", restartText(*r))
	}
	if r := a.Execution.Restart(); r != nil {
		fmt.Fprintf(&nodes, "    restart_execution: %s\n", restartText(*r))
	}
	if a.Validator != nil {
		if r := a.Validator.Restart(); r != nil {
			fmt.Fprintf(&nodes, "    validator: {restart: %s}\n", restartText(*r))
		}
	}
	if a.Source != nil {
		fmt.Fprintf(&nodes, "    source: %s\n", sourceText(*a.Source))
	}
	if a.Consensus.DataDir != "" {
		fmt.Fprintf(&nodes, "    data_dir: %s\n", plain(a.Consensus.DataDir))
	}
	fmt.Fprintf(&remediation, "remediation:\n  mode: %s\n", a.Mode)
	if a.Token != "" {
		fmt.Fprintf(&remediation, "  webhook: {bearer_token_file: %s}\n", plain(a.Token))
	}
	return []block{{"network", "network: " + plain(a.Network) + "\n"}, {"nodes", nodes.String()}, {"remediation", remediation.String()}}
}

func restartText(r config.Restart) string {
	switch {
	case r.Systemd != "":
		return "{systemd: " + plain(r.Systemd) + "}"
	case r.DockerCompose != nil:
		return fmt.Sprintf("{docker_compose: {dir: %s, service: %s}}", plain(r.DockerCompose.Dir), plain(r.DockerCompose.Service))
	}
	return "{docker: " + plain(r.Docker) + "}"
}

func sourceText(s config.Source) string {
	switch {
	case s.YAML != nil:
		host := ""
		if s.YAML.Host != "" {
			host = ", host: " + plain(s.YAML.Host)
		}
		return fmt.Sprintf("{yaml: {file: %s, key: %s%s}}", plain(s.YAML.File), plain(s.YAML.Key), host)
	case s.Env != nil:
		return fmt.Sprintf("{env: {file: %s, key: %s}}", plain(s.Env.File), plain(s.Env.Key))
	case s.Systemd != nil:
		return fmt.Sprintf("{systemd: {unit: %s}}", plain(s.Systemd.Unit))
	}
	return fmt.Sprintf("{docker: {container: %s}}", plain(s.Docker.Container))
}

var harmless = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._@-]*$`)

// words that YAML takes for something else than text.
var special = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)

// plain is a text in YAML without quotes where it may be.
func plain(s string) string {
	if harmless.MatchString(s) && !special.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// Configuration is what is to become of checkpoint.yml.
type Configuration struct {
	// Proposed is the file that would be written where there is none.
	Proposed []byte
	// Before is what is there, nil for nothing; After what it becomes, nil if it stays.
	Before, After []byte
	// Added are the top-level keys that were added to what is there.
	Added []string
	// Left tells that what is there says something else than what is proposed, and stays.
	Left bool
	// Config is the configuration in force afterwards.
	Config *config.Config
}

// heading begins a checkpoint.yml of ours.
const heading = "# Written by `checkpoint setup`. docs/configuration.md has every key; `checkpoint config check` says whether it is right.\n"

// Propose works out checkpoint.yml. Where there is one already, what it lacks is added at its end and the rest stays as it is. Where that says something
// else than what was found, or is wrong, it stays as well, unless it is to be replaced.
func (a Answers) Propose(path string, replace bool) (Configuration, error) {
	c, err := a.merge(path)
	if c.Before == nil || !replace || err == nil && !c.Left {
		return c, err
	}
	c.Left, c.Added = false, nil
	c.Proposed = carry(c.Before, c.Proposed, a.Network)
	if c.Config, err = config.Parse(path, c.Proposed); err != nil {
		return c, fmt.Errorf("the proposal is not right: %w", err)
	}
	c.After = c.Proposed
	return c, nil
}

// carry takes over the description of a chain that is no preset, and of its providers, from the file that is replaced.
func carry(before, proposed []byte, name string) []byte {
	if _, preset := network.Preset(name); preset {
		return proposed
	}
	var n yaml.Node
	if err := yaml.Unmarshal(before, &n); err != nil || len(n.Content) != 1 || n.Content[0].Kind != yaml.MappingNode || n.Content[0].Style&yaml.FlowStyle != 0 {
		return proposed
	}
	lines := strings.SplitAfter(string(before), "\n")
	kept := ""
	pairs := n.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i].Value != "network" && pairs[i].Value != "providers" {
			continue
		}
		end := len(lines)
		if i+2 < len(pairs) {
			end = pairs[i+2].Line - 1
		}
		kept += strings.TrimRight(strings.Join(lines[pairs[i].Line-1:end], ""), "\n") + "\n"
	}
	if kept == "" {
		return proposed
	}
	own := "network: " + plain(name) + "\n"
	return []byte(strings.Replace(string(proposed), own, kept, 1))
}

func (a Answers) merge(path string) (Configuration, error) {
	var c Configuration
	var err error
	if c.Before, err = readConfig(path); err != nil {
		return c, err
	}
	text := heading
	for _, b := range a.blocks() {
		text += b.text
	}
	c.Proposed = []byte(text)
	if c.Before == nil {
		if c.Config, err = config.Parse(path, c.Proposed); err != nil {
			return c, fmt.Errorf("the proposal is not right: %w", err)
		}
		c.After = c.Proposed
		return c, nil
	}
	present, err := config.Parse(path, c.Before)
	if err != nil {
		return c, fmt.Errorf("%w; or replace the file as a whole: --force", err)
	}
	c.Config = present
	keys, err := topLevel(c.Before)
	if err != nil {
		return c, err
	}
	merged := a.changed(path, c.Before, present)
	differs := !bytes.Equal(merged, c.Before)
	if n := len(merged); n > 0 && merged[n-1] != '\n' {
		merged = append(merged, '\n')
	}
	for _, b := range a.blocks() {
		if keys[b.key] || b.key == "network" && len(keys) > 0 {
			continue
		}
		merged = append(merged, b.text...)
		c.Added = append(c.Added, b.key)
	}
	if len(c.Added) > 0 || differs {
		if got, err := config.Parse(path, merged); err == nil {
			c.After, c.Config = merged, got
		} else {
			c.Added = nil
		}
	}
	if n, ok := c.Config.Node(a.Node); !ok || !a.described(n, c.Config) {
		c.Left = true
	}
	return c, nil
}

// described tells whether a configured node is what was found.
func (a Answers) described(n config.Node, c *config.Config) bool {
	return n.Consensus.URL == a.Consensus.API && n.Execution.URL == a.Execution.API && (n.Restart == nil) == (a.Consensus.Restart() == nil) &&
		n.DataDir == a.Consensus.DataDir && c.Remediation.Mode == a.Mode && c.Network.Name == a.Network && (n.Source == nil) == (a.Source == nil)
}

// changed is a file with another mode, and another network, in the place of those that stand there as single values.
func (a Answers) changed(path string, text []byte, c *config.Config) []byte {
	_, preset := network.Preset(c.Network.Name)
	for _, v := range []struct {
		within, key, is, want string
		may                   bool
	}{{"", "network", c.Network.Name, a.Network, preset}, {"remediation", "mode", c.Remediation.Mode, a.Mode, true}} {
		if v.is == v.want || !v.may {
			continue
		}
		inv := source.NewInventory(path, v.within, v.within != "", text)
		if err := inv.Set(v.key, v.want); err == nil { // otherwise it stays, and the difference is shown
			text = inv.Text()
		}
	}
	return slices.Clone(text)
}

// topLevel are the keys of a file's mapping.
func topLevel(text []byte) (map[string]bool, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	if len(n.Content) == 1 && n.Content[0].Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content[0].Content); i += 2 {
			keys[n.Content[0].Content[i].Value] = true
		}
	}
	return keys, nil
}

func readConfig(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%s: want an absolute path", path)
	}
	text, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// ReadFile reads a regular file of at most source.MaxFile bytes. An empty one is not nil.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > source.MaxFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, source.MaxFile)
	}
	text, err := os.ReadFile(path)
	if text == nil {
		text = []byte{}
	}
	return text, err
}
