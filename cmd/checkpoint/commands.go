package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/version"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
)

// command is one command line.
type command struct {
	world
	configFile           string
	configNamed          bool
	noColor, json        bool
	exporter, remediator string

	since, until             string
	node, playbook, incident string
	follow, all              bool
	journalFile              string

	what, at          string
	list, dryRun, yes bool

	reason string
	length model.Duration

	checked string

	setup setupFlags
}

const help = `What an operator asks and tells the remediator, at a terminal or from a script.

On a new machine, begin with:
  checkpoint setup --dry-run      what it would set up, and why

At night, begin with:
  checkpoint status               what is wrong now
  checkpoint journal              what was seen, what was done, whether it helped
  checkpoint pause --reason WHY   do nothing more until checkpoint resume

Exit codes: 0 all is well, 1 it is not or it could not be done, 2 the command makes no sense. Times are local, and in JSON UTC. Nothing needs a terminal.`

// app describes the command line. It writes into c.
func (c *command) app() *kingpin.Application {
	app := kingpin.New("checkpoint", help)
	app.UsageWriter(c.out)
	app.ErrorWriter(c.err)
	app.Terminate(func(code int) { panic(exited{code}) })
	app.HelpFlag.Short('h')
	app.Version(version.Print("checkpoint"))
	app.Flag("config.file", "Path of checkpoint.yml; without it, and without a file at the default path, the defaults are used.").
		Default(c.defaultConfig).IsSetByUser(&c.configNamed).StringVar(&c.configFile)
	app.Flag("no-color", "No colours; nor are there any where NO_COLOR is set or the output is no terminal.").BoolVar(&c.noColor)

	status := app.Command("status", "Show how nodes and providers are, what is being remediated, and whether it is paused.\n\n"+
		"Asks the exporter and the remediator, or checkpointd. Exit code 1 if anything is not as it should be, and then says what.")
	c.jsonFlag(status)
	c.exporterFlag(status)
	c.remediatorFlag(status)

	journal := app.Command("journal", "Show what was seen, which guard said what, what was done, by what evidence it worked, and how it ended.\n\n"+
		"A block for each incident of the last 7 days, in the order of their beginnings; an incident of which anything lies in the time asked for is shown whole. "+
		"The journal is read from its file, archives included, while the remediator runs or not. Its hash chain is checked on the way; exit code 1 if it is broken.")
	journal.Flag("since", "Begin here: 2h, 7d, 2026-03-01, '2026-03-01 02:10', RFC 3339. Default: 7d, or now with --follow.").PlaceHolder("TIME").StringVar(&c.since)
	journal.Flag("until", "End here.").PlaceHolder("TIME").StringVar(&c.until)
	journal.Flag("node", "Only this node's.").PlaceHolder("NODE").HintAction(c.nodeNames).StringVar(&c.node)
	journal.Flag("playbook", "Only this playbook's.").PlaceHolder("PLAYBOOK").HintAction(c.playbookNames).StringVar(&c.playbook)
	journal.Flag("incident", "Only this incident, by its name or its alert's fingerprint.").PlaceHolder("ID").StringVar(&c.incident)
	journal.Flag("follow", "Show what is written from now on, until Ctrl-C.").Short('f').BoolVar(&c.follow)
	journal.Flag("all", "From the beginning, with every guard's word each time, all log lines, starts, rotations and steps of the clock.").BoolVar(&c.all)
	c.journalFlag(journal)
	c.jsonFlag(journal)

	restore := app.Command("restore", "Put a file back as it was before the remediator changed it, or data that it set aside.\n\n"+
		"Shows the difference and asks first. What is there now is kept as another backup. Nothing is restarted. Without an argument, lists what there is.")
	restore.Arg("what", "A backup, by its name in the list or its path; a file, for the latest backup of it; or the name of what was set aside.").StringVar(&c.what)
	restore.Flag("list", "List what can be put back.").BoolVar(&c.list)
	restore.Flag("at", "Put the file back as it was at this time.").PlaceHolder("TIME").StringVar(&c.at)
	restore.Flag("dry-run", "Show the difference and change nothing.").BoolVar(&c.dryRun)
	restore.Flag("yes", "Do not ask.").Short('y').BoolVar(&c.yes)
	c.journalFlag(restore)
	c.jsonFlag(restore)

	pause := app.Command("pause", "Stop everything that the remediator does, now or later, until checkpoint resume.\n\n"+
		"Alerts are still taken and kept. What is being done is finished first.")
	pause.Flag("reason", "Why; whoever reads it at night is to know.").PlaceHolder("TEXT").StringVar(&c.reason)
	pause.Flag("for", "End the pause by itself after this time, such as 2h.").PlaceHolder("TIME").SetValue(&c.length)
	c.remediatorFlag(pause)
	c.jsonFlag(pause)

	resume := app.Command("resume", "End the pause, and tell who had paused, since when and why.")
	c.jsonFlag(resume)

	ack := app.Command("ack", "Tell the remediator that you have seen to a node that it called people for.\n\n"+
		"Its calls are taken back, and its past actions no longer count for budget and cooldown. An alert that goes on firing begins a new incident.")
	ack.Arg("node", "The node.").Required().HintAction(c.nodeNames).StringVar(&c.node)
	ack.Arg("playbook", "The playbook; left out: all.").HintAction(c.playbookNames).StringVar(&c.playbook)
	ack.Flag("reason", "What was the matter, for the journal.").PlaceHolder("TEXT").StringVar(&c.reason)
	c.remediatorFlag(ack)
	c.jsonFlag(ack)

	providers := app.Command("providers", "Ask the configured providers now, and say which can be trusted and why the others cannot.\n\n"+
		"Asks from this machine, not the exporter. Exit code 1 if no quorum of them agrees.")
	c.jsonFlag(providers)

	c.setupCommand(app)

	cfg := app.Command("config", "Look at the configuration.")
	check := cfg.Command("check", "Say whether a checkpoint.yml is right, and if not, where it is wrong and how to mend it.")
	check.Arg("file", "The file; left out: that of --config.file.").StringVar(&c.checked)
	c.jsonFlag(check)
	return app
}

func (c *command) jsonFlag(cmd *kingpin.CmdClause) {
	cmd.Flag("json", "Write JSON, for machines.").BoolVar(&c.json)
}

func (c *command) exporterFlag(cmd *kingpin.CmdClause) {
	cmd.Flag("exporter.url", "Where the exporter is.").Default("http://127.0.0.1:10177").StringVar(&c.exporter)
}

func (c *command) remediatorFlag(cmd *kingpin.CmdClause) {
	cmd.Flag("remediator.url", "Where the remediator is.").Default("http://127.0.0.1:10178").StringVar(&c.remediator)
}

func (c *command) journalFlag(cmd *kingpin.CmdClause) {
	cmd.Flag("file", "The journal, if it is not that of the configuration.").PlaceHolder("JOURNAL").StringVar(&c.journalFile)
}

// nodeNames and playbookNames are for the shell's completion, which has nowhere to complain to.
func (c *command) nodeNames() []string {
	var names []string
	if cfg, err := c.load(); err == nil {
		for _, n := range cfg.Nodes {
			names = append(names, n.Name)
		}
	}
	return names
}

func (c *command) playbookNames() []string {
	var names []string
	if cfg, err := c.load(); err == nil {
		for name := range cfg.Remediation.Playbooks {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// load reads the configuration, or gives the defaults where there is none and none was asked for.
func (c *command) load() (*config.Config, error) {
	file := cmp.Or(c.configFile, c.defaultConfig)
	loaded, err := config.Load(file)
	if err != nil && !c.configNamed {
		if _, statErr := os.Stat(file); errors.Is(statErr, fs.ErrNotExist) {
			return config.Default(), nil
		}
	}
	return loaded, err
}

// do carries out a command, by its full name.
func (c *command) do(ctx context.Context, name string) error {
	t := &console.Terminal{
		In: c.in, Out: c.out, Asks: c.asks, JSON: c.json, Now: c.now, Zone: c.zone,
		Color: c.colors && !c.noColor && c.env("NO_COLOR") == "" && c.env("TERM") != "dumb",
	}
	if name == "config check" {
		if c.checked != "" {
			return t.CheckConfig(config.Load(c.checked))
		}
		return t.CheckConfig(c.load())
	}
	if name == "setup" {
		return c.doSetup(ctx, t)
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	switch name {
	case "status":
		return c.status(ctx, t, cfg)
	case "journal":
		return c.journal(ctx, t, cfg)
	case "restore":
		return c.restore(ctx, t, cfg)
	case "pause":
		remediator, err := c.remote("the remediator", c.remediator, cfg)
		if err != nil {
			return err
		}
		return t.Pause(ctx, console.PauseRequest{
			File: cfg.Remediation.Guards.PauseFile, Reason: c.reason, By: c.person, For: time.Duration(c.length),
		}, remediator)
	case "resume":
		return t.Resume(cfg.Remediation.Guards.PauseFile)
	case "ack":
		remediator, err := c.remote("the remediator", c.remediator, cfg)
		if err != nil {
			return err
		}
		return t.Ack(ctx, remediate.Acked{Node: c.node, Playbook: c.playbook, By: c.person, Reason: c.reason}, remediator)
	case "providers":
		return t.Providers(ctx, cfg, c.dial)
	}
	return &console.UsageError{Problem: "no such command: " + name, Mend: "see checkpoint --help"}
}

// remote is one of our programs. Only the remediator asks for a token.
func (c *command) remote(name, url string, cfg *config.Config) (*console.Remote, error) {
	return console.NewRemote(name, url, cfg.Remediation.Webhook.BearerTokenFile, c.dial)
}

func (c *command) status(ctx context.Context, t *console.Terminal, cfg *config.Config) error {
	exporter, err := console.NewRemote("the exporter", c.exporter, "", c.dial)
	if err != nil {
		return err
	}
	remediator, err := c.remote("the remediator", c.remediator, cfg)
	if err != nil {
		return err
	}
	return t.Status(ctx, exporter, remediator, cfg.Remediation.Guards.PauseFile)
}

// usualSince is how far back the journal is shown.
const usualSince = "7d"

func (c *command) journal(ctx context.Context, t *console.Terminal, cfg *config.Config) error {
	q := console.JournalQuery{Path: cmp.Or(c.journalFile, cfg.Remediation.Journal), Node: c.node, Playbook: c.playbook, Incident: c.incident, All: c.all}
	since := c.since
	if since == "" && !c.follow && !c.all && c.incident == "" {
		since = usualSince
	}
	var err error
	if q.Since, err = c.when(since); err != nil {
		return err
	}
	if q.Until, err = c.when(c.until); err != nil {
		return err
	}
	if !c.follow {
		return t.Journal(q)
	}
	if c.until != "" {
		return &console.UsageError{Problem: "--follow and --until", Mend: "give one of them"}
	}
	return t.FollowJournal(ctx, q)
}

func (c *command) when(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return console.When(s, c.now(), c.zone)
}

func (c *command) restore(ctx context.Context, t *console.Terminal, cfg *config.Config) error {
	file := cmp.Or(c.journalFile, cfg.Remediation.Journal)
	at, err := c.when(c.at)
	if err != nil {
		return err
	}
	q := console.RestoreRequest{
		Backups: filepath.Join(filepath.Dir(file), "backups"), Journal: file, What: c.what, At: at, DryRun: c.dryRun, Yes: c.yes, Config: cfg, State: stateOf,
	}
	switch {
	case c.list && c.what != "":
		return &console.UsageError{Problem: "--list and something to put back", Mend: "give one of them"}
	case c.what != "":
		return t.Restore(ctx, q)
	case c.at != "":
		return &console.UsageError{Problem: "--at without a file", Mend: "say which file is to be put back"}
	}
	return t.Backups(q)
}

// stateOf looks whether a client runs.
func stateOf(ctx context.Context, r config.Restart) (actuator.State, error) {
	a, err := remediate.Machine{}.Actuator(r)
	if err != nil {
		return actuator.State{}, err
	}
	return a.State(ctx)
}
