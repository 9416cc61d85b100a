package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// settle gets all answers.
func (r *setupRun) settle(ctx context.Context) error {
	saysConsensus, saysExecution, _ := setup.InventoryRequest{File: r.q.Inventory, Text: r.inventory, Host: r.q.Node, Exact: r.exact}.Read()
	a := setup.Answers{Node: cmp.Or(r.q.Node, "node-1")}
	var err error
	if a.Consensus, err = r.client(setup.Consensus, r.q.Client, saysConsensus, "--client", config.ConsensusClients); err != nil {
		return err
	}
	if a.Execution, err = r.client(setup.Execution, r.q.ExecutionClient, saysExecution, "--execution-client", config.ExecutionClients); err != nil {
		return err
	}
	override(&a.Consensus, r.q.ConsensusURL, r.q.Unit, r.q.DataDir)
	override(&a.Execution, r.q.ExecutionURL, r.q.ExecutionUnit, r.q.ExecutionDataDir)
	a.Consensus.API = cmp.Or(a.Consensus.API, "http://127.0.0.1:5052")
	if v := r.found.Of(setup.Validator, ""); len(v) > 0 {
		a.Validator = &v[0]
	}
	present, _ := config.Load(r.q.Config) // what is wrong with it is told when it is merged
	usual := setup.NetworkOf(ctx, a.Consensus.API, r.q.Dial, r.Now())
	if present != nil {
		usual = present.Network.Name
	}
	if a.Network, err = r.pick("Which network?", "--network", cmp.Or(r.q.Network, ""), network.Presets(), cmp.Or(usual, "ephemery")); err != nil {
		return err
	}
	mode := config.Observe
	if present != nil {
		mode = present.Remediation.Mode
	}
	if a.Mode, err = r.pick("What is the remediator to do? (observe: write down what it would do; act: do it)", "--mode", r.q.Mode, []string{config.Observe, config.Act}, mode); err != nil {
		return err
	}
	services := r.usualServices(ctx)
	if r.q.Services, err = r.pick("Which services are to run?", "--services", r.q.Services, []string{bothServices, daemonService, noService}, services); err != nil {
		return err
	}
	usualSource := "none"
	options := []string{"none"}
	env := environmentFile(a.Consensus)
	if a.Consensus.Container != "" && a.Consensus.Flagged {
		options, usualSource = append(options, "docker"), "docker"
	}
	if a.Consensus.Unit != "" && a.Consensus.Flagged {
		options, usualSource = append(options, "systemd"), "systemd"
	}
	if env != "" {
		options, usualSource = append(options, "env"), "env"
	}
	if r.inventory != nil {
		options, usualSource = append(options, "yaml"), "yaml"
	}
	slices.Reverse(options)
	if r.q.Source, err = r.pick("Where does the client get its checkpoint URL from?", "--source", r.q.Source, options, usualSource); err != nil {
		return err
	}
	switch r.q.Source {
	case "yaml":
		y := &config.YAMLSource{File: r.q.Inventory, Key: setup.KeyURL}
		a.Source = &config.Source{YAML: y}
	case "env":
		a.Source = &config.Source{Env: &config.EnvSource{File: env, Key: environmentKey}}
	case "systemd":
		a.Source = &config.Source{Systemd: &config.SystemdSource{Unit: a.Consensus.Unit}}
	case "docker":
		a.Source = &config.Source{Docker: &config.DockerSource{Container: a.Consensus.Container}}
	}
	if r.inventory != nil {
		if r.q.Settings, err = r.pick("Write the settings that make a sync faster to the inventory?", "--settings", r.q.Settings, []string{"yes", "no"}, "yes"); err != nil {
			return err
		}
	}
	if _, err := setup.ReadFile(r.q.Token); err == nil || errors.Is(err, fs.ErrPermission) {
		a.Token = r.q.Token
	}
	r.answers = a
	r.view.Node, r.view.Network = a.Node, a.Network
	return nil
}

// environmentKey is eth-docker's variable for the checkpoint URL.
const environmentKey = "CHECKPOINT_SYNC_URL"

// environmentFile is the .env of a client's compose project, if it holds the checkpoint URL; "" otherwise.
func environmentFile(c setup.Client) string {
	if c.Compose == nil {
		return ""
	}
	file := filepath.Join(c.Compose.Dir, ".env")
	text, err := setup.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), environmentKey+"=") {
			return file
		}
	}
	return ""
}

// The choices of --services.
const (
	bothServices  = "exporter,remediator"
	daemonService = "checkpointd"
	noService     = "none"
)

// usualServices are those that are installed.
func (r *setupRun) usualServices(ctx context.Context) string {
	if !r.found.Systemd {
		return noService
	}
	installed := func(name string) bool {
		u, err := r.q.Machine.Unit(ctx, name)
		return err == nil && u.Installed
	}
	running := func(name string) bool {
		u, err := r.q.Machine.Unit(ctx, name)
		return err == nil && u.Active
	}
	switch {
	case running(setup.DaemonUnit) || installed(setup.DaemonUnit) && !installed(setup.RemediatorUnit):
		return daemonService
	case installed(setup.ExporterUnit) && installed(setup.RemediatorUnit):
		return bothServices
	}
	return noService
}

// units are the units of a choice of services.
func units(services string) ([]string, error) {
	switch services {
	case bothServices, "remediator,exporter":
		return []string{setup.ExporterUnit, setup.RemediatorUnit}, nil
	case daemonService:
		return []string{setup.DaemonUnit}, nil
	case noService:
		return nil, nil
	}
	return nil, &UsageError{fmt.Sprintf("%q is no choice of services", services), "write " + strings.Join([]string{bothServices, daemonService, noService}, ", or ")}
}

// client is the node's client of a layer: the one that was found, or the one that was named.
func (r *setupRun) client(layer setup.Layer, named, says, flag string, known []string) (setup.Client, error) {
	if named == "none" && layer == setup.Execution {
		return setup.Client{Layer: layer}, nil
	}
	all := r.found.Of(layer, "")
	name := named
	if name == "" && slices.Contains(known, says) {
		name = says
	}
	if name != "" {
		if !slices.Contains(known, name) {
			return setup.Client{}, &UsageError{fmt.Sprintf("%s is not a client that is known: %q", layer, name), "write one of " + strings.Join(known, ", ")}
		}
		if of := r.found.Of(layer, name); len(of) > 0 {
			return of[0], nil
		}
		return setup.Client{Name: name, Layer: layer}, nil
	}
	switch {
	case len(all) == 0:
		options := append([]string{"none"}, known...)
		name, err := r.pick(fmt.Sprintf("Which %s client does the node have?", layer), flag, "", options, "none")
		if name == "none" {
			name = ""
		}
		return setup.Client{Name: name, Layer: layer}, err
	case len(all) == 1 || all[1].Name == "" || !all[1].Running:
		return all[0], nil
	}
	var names []string
	for _, c := range all {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	name, err := r.pick(fmt.Sprintf("There are several %s clients; which one is the node's?", layer), flag, "", names, names[0])
	if err != nil {
		return setup.Client{}, err
	}
	return r.found.Of(layer, name)[0], nil
}

func override(c *setup.Client, url, unit, dir string) {
	c.API = cmp.Or(url, c.API)
	c.DataDir = cmp.Or(dir, c.DataDir)
	if unit != "" {
		c.Unit, c.Container, c.Compose = unit, "", nil
	}
}
