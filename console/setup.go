package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// SetupRequest is what a setup was asked to do. Every answer that is "" is asked for, or has its default where there is nobody to ask.
type SetupRequest struct {
	Machine setup.Machine
	Store   setup.Store
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Wait is for following a sync; nil means by the clock.
	Wait func(ctx context.Context, d time.Duration) error
	// Person is who does it.
	Person string

	// Config is the path of checkpoint.yml, Inventory that of the inventory; InventoryNamed tells that the latter has to be there.
	Config, Inventory string
	InventoryNamed    bool
	// Polkit, DropIns and Token are the paths of the rule, of the directory of units, and of the webhook's token.
	Polkit, DropIns, Token string

	Node, Client, ExecutionClient, Network, Mode, Services, Source, Provider, Permissions, Settings string
	ConsensusURL, ExecutionURL, Unit, ExecutionUnit, DataDir, ExecutionDataDir                      string

	Yes, Force, DryRun, Verbose, Monitor, Reset, TakeOut bool
	// Timeout is how long the node's sync is followed; 0 not at all.
	Timeout time.Duration
}

// setupView is a setup for machines.
type setupView struct {
	Found    setup.Found       `json:"found"`
	Node     string            `json:"node"`
	Network  string            `json:"network"`
	Provider *config.Provider  `json:"provider,omitempty"`
	Quorum   *collector.Quorum `json:"quorum,omitempty"`
	Diffs    map[string]string `json:"diffs"`
	Left     []string          `json:"left,omitempty"`
	Settings []settingView     `json:"settings"`
	Harmful  []harmView        `json:"harmful,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
	Start    []setup.Unit      `json:"start,omitempty"`
	Stop     []setup.Unit      `json:"stop,omitempty"`
	Grants   []string          `json:"permissions,omitempty"`
	Reset    string            `json:"reset,omitempty"`
	Done     []string          `json:"done,omitempty"`
	Changed  bool              `json:"changed"`
	Synced   *bool             `json:"synced,omitempty"`
}

type settingView struct {
	Key     string `json:"key"`
	Option  string `json:"option"`
	Default string `json:"default"`
	Why     string `json:"why"`
	Added   bool   `json:"added"`
}

type harmView struct {
	Place    string `json:"place"`
	Option   string `json:"option"`
	Why      string `json:"why"`
	TakenOut bool   `json:"taken_out"`
}

// setupRun is one setup under way.
type setupRun struct {
	*Terminal
	q SetupRequest
	// terminal is the real one, to which JSON goes.
	terminal *Terminal
	view     setupView

	found     setup.Found
	answers   setup.Answers
	inventory []byte
	request   setup.InventoryRequest
	exact     bool
	planned   setup.InventoryPlan
	config    setup.Configuration
	plan      setup.Plan
	node      config.Node
	reset     *setup.Reset
}

// Setup looks at the machine, proposes, asks, writes, starts the services and follows the sync.
func (t *Terminal) Setup(ctx context.Context, q SetupRequest) error {
	q.Yes = q.Yes || q.Force
	r := &setupRun{Terminal: t, terminal: t, q: q, view: setupView{Diffs: map[string]string{}, Settings: []settingView{}}}
	if t.JSON {
		silent := *t
		silent.Out, silent.JSON, silent.Asks = io.Discard, false, false
		r.Terminal = &silent
	}
	err := r.do(ctx)
	if t.JSON && (err == nil || errors.Is(err, ErrNotFine)) {
		err = errors.Join(t.json(r.view), err)
	}
	return err
}

func (r *setupRun) do(ctx context.Context) error {
	if !r.q.DryRun && !r.q.Yes && !r.Asks {
		return &UsageError{"there is nobody to ask", "say --yes, or look with --dry-run"}
	}
	if r.q.Reset && !r.q.Force && !r.Asks && !r.q.DryRun {
		return &UsageError{"a reset has to be agreed to by itself", "say --force, or run it at a terminal"}
	}
	if err := r.readInventory(); err != nil {
		return err
	}
	r.look(ctx)
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.propose(); err != nil {
		return err
	}
	if err := r.chooseProvider(ctx); err != nil {
		return err
	}
	if err := r.planAll(ctx); err != nil {
		return err
	}
	r.show()
	if r.q.DryRun {
		r.printf("\nNothing was changed.\n")
		return nil
	}
	record, err := r.write(ctx)
	if err != nil {
		return err
	}
	if err := r.resetNode(ctx, record); err != nil {
		return err
	}
	return r.follow(ctx, record)
}

// readInventory reads the inventory, and decides which of its hosts is meant.
func (r *setupRun) readInventory() error {
	if r.q.Inventory == "" {
		return nil
	}
	text, err := setup.ReadFile(r.q.Inventory)
	if errors.Is(err, fs.ErrNotExist) && !r.q.InventoryNamed {
		r.q.Inventory = ""
		return nil
	}
	if err != nil {
		return permitted(fmt.Errorf("read the inventory: %w", err), r.q.Inventory, false)
	}
	r.inventory = text
	hosts, err := source.NewInventory(r.q.Inventory, "", false, text).Hosts()
	if err != nil {
		return err
	}
	switch {
	case r.q.Node != "":
		r.exact = slices.Contains(hosts, r.q.Node)
		if !r.exact && len(hosts) > 1 {
			return &UsageError{fmt.Sprintf("%s has no host %q", r.q.Inventory, r.q.Node), "name one of " + strings.Join(hosts, ", ")}
		}
	case len(hosts) == 1:
		r.q.Node = hosts[0]
	case len(hosts) > 1:
		if r.q.Node, err = r.pick("Which host of "+r.q.Inventory+" is this machine?", "--node", "", hosts); err != nil {
			return err
		}
		r.exact = true
	}
	return nil
}

// look finds what runs.
func (r *setupRun) look(ctx context.Context) {
	r.found = setup.Finder{Machine: r.q.Machine, Dial: r.q.Dial}.Find(ctx)
	r.view.Found = r.found
	rows := make([][]cell, 0, len(r.found.Clients))
	for _, c := range r.found.Clients {
		state := cell{"does not run", dim}
		switch {
		case c.Answers:
			state = cell{"answers", green}
		case c.Running:
			state = cell{"runs, does not answer", yellow}
		}
		rows = append(rows, []cell{{c.Name, bold}, {string(c.Layer), plain}, {cmp.Or(c.Version, "-"), plain}, {c.As(), plain}, {cmp.Or(c.API, "-"), plain}, {cmp.Or(c.DataDir, "-"), plain}, state})
	}
	if len(rows) == 0 {
		r.printf("No client was found on this machine.\n")
	} else {
		r.headed([]string{"FOUND", "LAYER", "VERSION", "RUNS AS", "API", "DATA", "STATE"}, rows)
	}
	for _, p := range r.found.Problems {
		r.printf("%s\n", r.paint(yellow, clean("Could not look everywhere: "+p)))
	}
}

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
	if a.Consensus.Container != "" && a.Consensus.Flagged {
		options, usualSource = append(options, "docker"), "docker"
	}
	if a.Consensus.Unit != "" && a.Consensus.Flagged {
		options, usualSource = append(options, "systemd"), "systemd"
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

// propose works out checkpoint.yml.
func (r *setupRun) propose() error {
	c, err := r.answers.Propose(r.q.Config, r.q.Force)
	if err != nil {
		return permitted(err, r.q.Config, false)
	}
	r.config = c
	n, ok := c.Config.Node(r.answers.Node)
	if !ok && len(c.Config.Nodes) > 0 {
		n = c.Config.Nodes[0]
	}
	r.node = n
	return nil
}

// chooseProvider asks all providers and works out the inventory.
func (r *setupRun) chooseProvider(ctx context.Context) error {
	if r.inventory == nil {
		return nil
	}
	r.request = setup.InventoryRequest{
		File: r.q.Inventory, Text: r.inventory, Host: r.q.Node, Exact: r.exact, Network: r.config.Config.Network.Name,
		Consensus: r.answers.Consensus.Name, Execution: r.answers.Execution.Name,
		ConsensusVersion: setup.ParseVersion(r.answers.Consensus.Version), ExecutionVersion: setup.ParseVersion(r.answers.Execution.Version),
		Settings: r.q.Settings == "yes", TakeOut: r.q.TakeOut,
	}
	_, _, present := r.request.Read()
	r.printf("\n%s\n", r.paint(dim, fmt.Sprintf("Asking %s…", count(len(r.config.Config.Providers), "provider", "providers"))))
	choice, err := setup.Choose(ctx, r.config.Config, present, r.q.Provider, r.q.Dial, r.Now)
	view := viewOf(choice.Judgement, r.config.Config.Network.Name)
	r.view.Quorum = &view.Quorum
	if len(view.Providers) > 0 {
		r.providers(view.Providers)
	}
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	why := "the best of those that agree"
	switch {
	case choice.Kept:
		why = "it stands there already, and it is well"
	case r.q.Provider != "":
		why = "as asked for"
	}
	r.printf("Checkpoint provider: %s, %s: %s\n", clean(choice.Provider.Name), clean(choice.Provider.URL), why)
	r.view.Provider = &choice.Provider
	r.request.URL = choice.Provider.URL
	if r.planned, err = r.request.Plan(); err != nil {
		return err
	}
	return r.offerToTakeOut()
}

// offerToTakeOut asks whether harmful options are to go, if there are any.
func (r *setupRun) offerToTakeOut() error {
	if len(r.planned.Harmful) == 0 || r.q.TakeOut || !r.Asks || r.q.Yes {
		return nil
	}
	for _, h := range r.planned.Harmful {
		r.printf("%s\n", r.paint(yellow, clean(fmt.Sprintf("%s: %s: %s", h.Place, h.Text, h.Why))))
	}
	if !r.question("Take that out?") {
		return nil
	}
	r.request.TakeOut = true
	planned, err := r.request.Plan()
	if err == nil {
		r.planned, r.q.TakeOut = planned, true
	}
	return err
}

// planAll gathers everything that is to be done.
func (r *setupRun) planAll(ctx context.Context) error {
	const forAll = 0o644 // the exporter runs as a user of its own
	if r.config.After != nil {
		r.plan.Files = append(r.plan.Files, setup.File{Path: r.q.Config, Before: r.config.Before, After: r.config.After, Mode: forAll})
	}
	if r.inventory != nil && r.planned.Changed(r.request) {
		r.plan.Files = append(r.plan.Files, setup.File{Path: r.q.Inventory, Before: r.inventory, After: r.planned.After, Mode: forAll})
	}
	wanted, err := units(r.q.Services)
	if err != nil {
		return err
	}
	if err := setup.PlanUnits(ctx, r.q.Machine, wanted, &r.plan); err != nil {
		return err
	}
	if err := r.permissions(wanted); err != nil {
		return err
	}
	if r.q.Reset {
		if err := r.planReset(ctx); err != nil {
			return err
		}
	}
	r.view.Start, r.view.Stop = r.plan.Start, r.plan.Stop
	for _, f := range r.plan.Files {
		from := f.Path
		if f.Before == nil {
			from = "/dev/null"
		}
		r.view.Diffs[f.Path] = diff(from, f.Path, f.Before, f.After)
	}
	return nil
}

// permissions works out what has to be granted, and adds it to what is written where that is wanted.
func (r *setupRun) permissions(wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	p := setup.PermissionsOf(r.config.Config)
	files := map[string][]byte{}
	if text := p.Polkit(); text != nil {
		files[r.q.Polkit] = text
	}
	if text := p.DropIn(); text != nil {
		for _, unit := range wanted {
			if unit != setup.ExporterUnit {
				files[filepath.Join(r.q.DropIns, unit+".d", "50-setup.conf")] = text
			}
		}
	}
	present := map[string][]byte{}
	for path, text := range files {
		before, err := setup.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrPermission) && r.q.Permissions != "write": // what is in there is for polkit to read
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return permitted(err, path, false)
		case before != nil && string(before) == string(text):
			delete(files, path)
		}
		present[path] = before
	}
	if len(files) > 0 {
		var err error
		if r.q.Permissions, err = r.pick("The remediator's user needs permissions (docs/security.md). Write them, or print them for you to grant?", "--permissions", r.q.Permissions,
			[]string{"print", "write"}, "print"); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if _, err := os.Stat(filepath.Dir(filepath.Dir(path))); err != nil && r.q.Permissions == "write" {
			r.view.Grants = append(r.view.Grants, fmt.Sprintf("# %s is not written: there is no %s. Is polkit installed?", path, filepath.Dir(filepath.Dir(path))))
			continue
		}
		if r.q.Permissions == "write" {
			r.plan.Files = append(r.plan.Files, setup.File{Path: path, Before: present[path], After: files[path], Mode: 0o644, Unit: path != r.q.Polkit})
			continue
		}
		r.view.Grants = append(r.view.Grants, "# "+path+"\n"+string(files[path]))
	}
	r.view.Grants = append(r.view.Grants, p.Commands...)
	return nil
}

// flagHint tells of a client that has the URL on its command line, and so never reads the inventory by itself.
func (r *setupRun) flagHint() string {
	c := r.answers.Consensus
	if r.answers.Source == nil || r.answers.Source.YAML == nil || !c.Flagged || c.Source == r.request.URL {
		return ""
	}
	return fmt.Sprintf("%s has %s %s on its command line. It reads that, not the inventory: apply the inventory to it as you do usually, or say --source.",
		c.As(), client.CheckpointFlags(c.Name)[0], c.Source)
}
