package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
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
