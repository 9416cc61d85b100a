package main

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// setupFlags are what setup was told.
type setupFlags struct {
	console.SetupRequest
	seconds uint
	undo    bool
	state   string
}

// The places of what setup reads and writes.
const (
	setupState  = "/var/lib/checkpoint-setup"
	setupPolkit = "/etc/polkit-1/rules.d/50-checkpoint.rules"
	setupUnits  = "/etc/systemd/system"
	setupToken  = "/etc/checkpoint/token"
)

// baseVar is the scripts' name for the directory with the inventory, and its default.
const (
	baseVar     = "EPHEMERY_BASE_DIR"
	baseDefault = "/opt/ephemery"
)

func (c *command) setupCommand(app *kingpin.Application) {
	s := &c.setup
	cmd := app.Command("setup", "Set this machine up: find the node's clients, choose a provider, write checkpoint.yml and the inventory, start the services, follow the sync.\n\n"+
		"Shows every difference and asks before it writes; without a terminal it takes --yes and a flag for every answer. Files are backed up, and --undo takes the latest setup back. "+
		"Exit code 1 if the node is not synced when the time is up.")
	cmd.Flag("verbose", "Also say which settings are not written, and why.").Short('v').BoolVar(&s.Verbose)
	cmd.Flag("timeout", "Follow the sync for so long; 0 does not follow it.").Short('t').PlaceHolder("SECONDS").Default("300").UintVar(&s.seconds)
	cmd.Flag("monitor", "Go on following the sync until Ctrl-C.").Short('m').BoolVar(&s.Monitor)
	cmd.Flag("reset", "Set the consensus client's database aside, so that it starts anew from its checkpoint. Asked about by itself.").Short('r').BoolVar(&s.Reset)
	cmd.Flag("force", "Ask nothing, not about a reset either, and replace a checkpoint.yml that is there.").Short('f').BoolVar(&s.Force)
	cmd.Flag("yes", "Ask nothing: take every answer from its flag, or else the usual one. A reset needs --force.").Short('y').BoolVar(&s.Yes)
	cmd.Flag("dry-run", "Show what would be written and done, and change nothing.").BoolVar(&s.DryRun)
	cmd.Flag("undo", "Take the latest setup back: files from their backups, services as they were.").BoolVar(&s.undo)
	cmd.Flag("inventory", "The Ansible inventory of the node. Default: inventory.yaml in $"+baseVar+" or "+baseDefault+", if it is there.").PlaceHolder("FILE").StringVar(&s.Inventory)
	cmd.Flag("node", "The node's name, which is that of its host in the inventory.").PlaceHolder("NAME").StringVar(&s.Node)
	cmd.Flag("network", "ephemery, mainnet, hoodi or sepolia. Default: the one that the node follows.").PlaceHolder("NAME").StringVar(&s.Network)
	cmd.Flag("client", "The consensus client, if it is not found or there are several.").PlaceHolder("NAME").StringVar(&s.Client)
	cmd.Flag("execution-client", "The execution client, or none.").PlaceHolder("NAME").StringVar(&s.ExecutionClient)
	cmd.Flag("consensus-url", "Where the consensus client's API is.").PlaceHolder("URL").StringVar(&s.ConsensusURL)
	cmd.Flag("execution-url", "Where the execution client's API is.").PlaceHolder("URL").StringVar(&s.ExecutionURL)
	cmd.Flag("unit", "The consensus client's systemd unit.").PlaceHolder("UNIT").StringVar(&s.Unit)
	cmd.Flag("execution-unit", "The execution client's systemd unit.").PlaceHolder("UNIT").StringVar(&s.ExecutionUnit)
	cmd.Flag("data-dir", "The consensus client's data directory.").PlaceHolder("DIR").StringVar(&s.DataDir)
	cmd.Flag("execution-data-dir", "The execution client's data directory.").PlaceHolder("DIR").StringVar(&s.ExecutionDataDir)
	cmd.Flag("mode", "observe: write down what would be done; act: do it.").PlaceHolder("MODE").StringVar(&s.Mode)
	cmd.Flag("services", "exporter,remediator, or checkpointd, or none.").PlaceHolder("WHICH").StringVar(&s.Services)
	cmd.Flag("source", "Where the client gets its checkpoint URL from: yaml (the inventory), env (a compose project's .env), systemd, docker or none.").PlaceHolder("KIND").StringVar(&s.Source)
	cmd.Flag("provider", "Start from this provider, if it is usable and agrees with a quorum. Default: the present one, or the best.").PlaceHolder("NAME").StringVar(&s.Provider)
	cmd.Flag("settings", "Whether settings that make a sync faster are added to the inventory: yes or no.").PlaceHolder("yes|no").StringVar(&s.Settings)
	cmd.Flag("take-out", "Take options out of the inventory that stop a client from starting, or that delete its database.").BoolVar(&s.TakeOut)
	cmd.Flag("permissions", "Whether the remediator's permissions are written or printed.").PlaceHolder("write|print").StringVar(&s.Permissions)
	cmd.Flag("state-dir", "Where backups and what was done are kept, for the one who runs this alone.").PlaceHolder("DIR").StringVar(&s.state)
	c.jsonFlag(cmd)
}

func (c *command) doSetup(ctx context.Context, t *console.Terminal) error {
	q := c.setup.SetupRequest
	at := func(path string) string { return filepath.Join(c.root, path) }
	q.Machine, q.Dial, q.Person, q.Wait = c.machine, c.dial, c.person, c.wait
	q.Store = setup.Store{Dir: cmp.Or(c.setup.state, at(setupState)), Now: c.now}
	q.Timeout = time.Duration(c.setup.seconds) * time.Second
	q.Polkit, q.DropIns, q.Token = at(setupPolkit), at(setupUnits), at(setupToken)
	var err error
	if q.Config, err = filepath.Abs(cmp.Or(c.configFile, c.defaultConfig)); err != nil {
		return err
	}
	if q.InventoryNamed = q.Inventory != ""; !q.InventoryNamed {
		q.Inventory = filepath.Join(at(cmp.Or(c.env(baseVar), baseDefault)), "inventory.yaml")
	}
	if q.Inventory, err = filepath.Abs(q.Inventory); err != nil {
		return err
	}
	if c.setup.undo {
		return t.SetupUndo(ctx, q)
	}
	return t.Setup(ctx, q)
}
