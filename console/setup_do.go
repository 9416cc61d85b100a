package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// show tells everything that is about to be done, and why.
func (r *setupRun) show() {
	for _, f := range r.plan.Files {
		r.printf("\n")
		r.diff(r.view.Diffs[f.Path])
	}
	if len(r.plan.Files) == 0 {
		r.printf("\nNo file has to change.\n")
	}
	if r.config.Left {
		r.view.Left = append(r.view.Left, r.q.Config)
		text := diff(r.q.Config, "proposed", r.config.Before, r.config.Proposed)
		r.printf("\n%s\n", clean(fmt.Sprintf("%s says something else than what was found, and stays. --force would replace it, with a backup:", r.q.Config)))
		r.diff(text)
	}
	r.showSettings()
	if hint := r.flagHint(); hint != "" {
		r.view.Notes = append(r.view.Notes, hint)
		r.printf("\n%s\n", r.paint(yellow, clean(hint)))
	}
	if len(r.plan.Start)+len(r.plan.Stop) > 0 {
		r.printf("\nServices:\n")
		var rows [][]cell
		for _, u := range r.plan.Stop {
			rows = append(rows, cells(u.Name, "stop and disable", whyStop(u.Name)))
		}
		for _, u := range r.plan.Start {
			rows = append(rows, cells(u.Name, map[bool]string{true: "restart", false: "enable and start"}[u.Active], ""))
		}
		r.table("  ", rows)
	}
	if r.reset != nil {
		m := r.reset.Move
		r.view.Reset = m.Dir
		r.printf("\nReset: the database of %s in %s (%s) is set aside, and the client starts anew from its checkpoint. These stay:\n", clean(m.Client), clean(m.Dir), bytesOf(m.Bytes))
		for _, kept := range m.Kept {
			r.printf("  %s\n", clean(kept))
		}
	}
	if len(r.view.Grants) > 0 {
		r.printf("\nTo be granted to the remediator's user (docs/security.md):\n")
		for _, g := range r.view.Grants {
			for line := range strings.Lines(g) {
				r.printf("  %s\n", clean(strings.TrimRight(line, "\n")))
			}
		}
	}
}

func whyStop(unit string) string {
	switch unit {
	case setup.FallbackUnit:
		return "of the old scripts: it restarts a healthy node every five minutes; the remediator does its work"
	case setup.MonitorUnit:
		return "of the old scripts: it looks for metrics that do not exist; the exporter does its work"
	}
	return "would do the same beside what is to run"
}

// showSettings explains each setting.
func (r *setupRun) showSettings() {
	if r.inventory == nil {
		return
	}
	var rows [][]cell
	for _, s := range r.planned.Added {
		rows = append(rows, []cell{{s.Key, plain}, {s.String(), green}, {"default: " + s.Default, dim}, {s.Why, plain}})
		r.view.Settings = append(r.view.Settings, settingView{s.Key, s.String(), s.Default, s.Why, true})
	}
	if len(rows) > 0 {
		r.printf("\nSettings that are added:\n")
		r.table("  ", rows)
	}
	rows = nil
	for _, s := range r.planned.Has {
		rows = append(rows, []cell{{s.Key, plain}, {s.Flag, plain}, {"is there already, and stays", dim}})
		r.view.Settings = append(r.view.Settings, settingView{s.Key, s.Flag, s.Default, s.Why, false})
	}
	if len(rows) > 0 {
		r.printf("\nSettings that stay:\n")
		r.table("  ", rows)
	}
	for _, h := range r.planned.Harmful {
		r.view.Harmful = append(r.view.Harmful, harmView{h.Place, h.Text, h.Why, r.q.TakeOut})
		what := "stays; --take-out takes it out"
		if r.q.TakeOut {
			what = "is taken out"
		}
		r.printf("\n%s\n", r.paint(yellow, clean(fmt.Sprintf("%s: %s %s: %s", h.Place, h.Text, what, h.Why))))
	}
	for _, n := range r.planned.Notes {
		r.view.Notes = append(r.view.Notes, n)
		r.printf("\n%s\n", r.paint(yellow, clean(n)))
	}
	if !r.q.Verbose {
		return
	}
	rows = nil
	for _, name := range []string{r.answers.Consensus.Name, r.answers.Execution.Name} {
		if name == "" {
			continue
		}
		for _, o := range setup.Omissions(name) {
			rows = append(rows, []cell{{o.Client, plain}, {o.Flag, plain}, {o.Why, dim}})
		}
	}
	if len(rows) > 0 {
		r.printf("\nNot written:\n")
		r.table("  ", rows)
	}
}

// write carries the plan out, after somebody has agreed.
func (r *setupRun) write(ctx context.Context) (*setup.Record, error) {
	if r.plan.Empty() && r.reset == nil {
		r.printf("\nEverything is as it should be.\n")
		return nil, nil
	}
	if !r.plan.Empty() {
		r.printf("\n")
		if err := r.agreed(r.q.Yes, "Do that?"); err != nil {
			return nil, err
		}
	}
	record, err := r.q.Store.Apply(ctx, r.q.Machine, r.plan, r.q.Person, r.did)
	if err != nil {
		err = permitted(err, r.q.Store.Dir, true)
		if record != nil {
			err = fmt.Errorf("%w; what was done so far is taken back by checkpoint setup --undo", err)
		}
		return nil, err
	}
	r.view.Changed = true
	if r.inventory != nil && r.planned.Changed(r.request) {
		r.printf("An inventory counts when Ansible makes a client's command line of it: run your playbook.\n")
	}
	r.printf("To take all of it back: checkpoint setup --undo\n")
	return record, nil
}

// did tells of a step that was done.
func (r *setupRun) did(what string) {
	r.view.Done = append(r.view.Done, what)
	r.printf("  %s\n", clean(what))
}

// planReset looks whether the node's database can be set aside.
func (r *setupRun) planReset(ctx context.Context) error {
	running, doing, err := setup.Acting(r.config.Config.Remediation.Journal)
	if err != nil {
		return permitted(fmt.Errorf("whether the remediator is acting cannot be told: %w", err), r.config.Config.Remediation.Journal, false)
	}
	if running && len(doing) > 0 {
		return fmt.Errorf("the remediator is acting: %s; nothing was changed: wait until that is done, or checkpoint pause", strings.Join(doing, ", "))
	}
	n := r.node
	n.Consensus.Client = firstOf(n.Consensus.Client, r.answers.Consensus.Name)
	n.DataDir = firstOf(n.DataDir, r.answers.Consensus.DataDir)
	if n.Restart == nil {
		n.Restart = r.answers.Consensus.Restart()
	}
	if r.earlier(ctx) {
		return fmt.Errorf("%s is on an earlier iteration of %s: its execution client has to be brought to the new one as well, which the playbook old_iteration does (docs/remediation.md)", n.Name, r.config.Config.Network.Name)
	}
	plan, err := setup.PlanReset(n, r.Now())
	if errors.Is(err, chaindata.ErrNoDatabase) {
		r.printf("\nThere is no database to set aside: the client starts from its checkpoint anyway.\n")
		return nil
	}
	if err != nil {
		return permitted(err, n.DataDir, true)
	}
	r.reset = &plan
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// earlier tells whether the node says that it is on an earlier iteration.
func (r *setupRun) earlier(ctx context.Context) bool {
	c, err := node.New(node.Options{ConsensusURL: r.node.Consensus.URL, UserAgent: "checkpoint", Dial: r.q.Dial, Now: r.Now})
	if err != nil {
		return false
	}
	defer c.CloseIdle()
	o := c.Look(ctx, r.config.Config.NetworkSpec())
	return o.Consensus.Genesis.OK() && o.Consensus.Identity == network.Earlier
}

// resetFor is how long the remediator is paused for a reset at most.
const resetFor = 30 * time.Minute

// resetNode sets the database aside, after somebody has agreed to that by itself. A remediator does nothing meanwhile.
func (r *setupRun) resetNode(ctx context.Context, record *setup.Record) error {
	if r.reset == nil {
		return nil
	}
	r.printf("\n")
	if err := r.agreedToReset(); err != nil {
		return err
	}
	file := r.config.Config.Remediation.Guards.PauseFile
	if running, doing, err := setup.Acting(r.config.Config.Remediation.Journal); err == nil && running {
		if len(doing) > 0 {
			return fmt.Errorf("the remediator is acting by now: %s; the database was not touched", strings.Join(doing, ", "))
		}
		is, err := ReadPause(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if file != "" && (is == nil || is.over(r.Now())) {
			now := r.Now().UTC().Truncate(time.Second)
			if err := writePause(&Pause{File: file, Reason: "checkpoint setup --reset", By: clean(r.q.Person), Since: now, Until: now.Add(resetFor)}); err != nil {
				return permitted(fmt.Errorf("pause the remediator: %w", err), file, true)
			}
			defer func() {
				silent := *r.Terminal
				silent.JSON = false
				silent.Out = discard{}
				if err := silent.Resume(file); err != nil {
					r.printf("%s\n", clean("The remediator is still paused: "+err.Error()))
				}
			}()
		}
	}
	return r.reset.Do(ctx, r.q.Store, r.q.Machine, record, r.did)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// agreedToReset asks by itself: a yes to everything is no yes to this.
func (r *setupRun) agreedToReset() error {
	if r.q.Force {
		return nil
	}
	if !r.question(fmt.Sprintf("Set the database of %s aside, and let it start anew?", r.answers.Node)) {
		r.printf("The database was not touched.\n")
		return ErrNotFine
	}
	return nil
}

// SetupUndo takes the latest setup back.
func (t *Terminal) SetupUndo(ctx context.Context, q SetupRequest) error {
	record, err := q.Store.Last()
	if err != nil {
		return permitted(err, q.Store.Dir, false)
	}
	if record == nil {
		return errors.New("there is no setup to take back")
	}
	var done []string
	if !t.JSON {
		by := ""
		if record.By != "" {
			by = " by " + record.By
		}
		t.printf("%s\n", clean(fmt.Sprintf("The setup of %s%s:", t.at(record.Time), by)))
		for _, f := range record.Files {
			word := "is put back as it was"
			if f.Before == "" {
				word = "is removed"
			}
			t.printf("  %s\n", clean(f.File+" "+word))
		}
		for _, u := range record.Started {
			if !u.Active || !u.Enabled {
				t.printf("  %s\n", clean(u.Name+" no longer runs, or no longer starts at boot, as before"))
			}
		}
		for _, u := range record.Stopped {
			t.printf("  %s\n", clean(u.Name+" runs and starts at boot as before"))
		}
		if record.Reset != nil {
			t.printf("  %s\n", clean("the database in "+record.Reset.Move.Dir+" is put back; what was made since is deleted"))
		}
	}
	if q.DryRun {
		if t.JSON {
			return t.json(record)
		}
		t.printf("Nothing was changed.\n")
		return nil
	}
	if err := t.agreed(q.Yes || q.Force, "Take it back?"); err != nil {
		return err
	}
	err = q.Store.Undo(ctx, q.Machine, record, func(what string) {
		done = append(done, what)
		if !t.JSON {
			t.printf("  %s\n", clean(what))
		}
	})
	if err != nil {
		return permitted(err, q.Store.Dir, true)
	}
	if t.JSON {
		return t.json(struct {
			Undone bool     `json:"undone"`
			Done   []string `json:"done"`
		}{true, append([]string{}, done...)})
	}
	t.printf("Everything is as it was before.\n")
	return nil
}
