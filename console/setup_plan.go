package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

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
