package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// RestoreRequest is what is to be put back.
type RestoreRequest struct {
	// Backups is the directory of backups, and Journal the journal beside it.
	Backups, Journal string
	// What is a backup (its path, or what its hash begins with), a file, or the name of an intent that set something aside.
	What string
	// At is the time as of which a file is wanted; zero: as it was before the latest change.
	At time.Time
	// DryRun shows what would be done; Yes asks nobody.
	DryRun, Yes bool
	// Config is for what was set aside: whose it is, and whether remediation is paused.
	Config *config.Config
	// State tells whether a client runs.
	State func(context.Context, config.Restart) (actuator.State, error)
}

// Backups lists what can be put back.
func (t *Terminal) Backups(q RestoreRequest) error {
	h := t.history(q.Journal)
	all, err := h.backups(q.Backups)
	if err != nil {
		return err
	}
	asides := h.asides()
	if t.JSON {
		if err := t.json(struct {
			Backups []Kept  `json:"backups"`
			Aside   []Aside `json:"aside"`
		}{append([]Kept{}, all...), append([]Aside{}, asides...)}); err != nil {
			return err
		}
		return h.problem
	}
	if len(all) == 0 {
		t.printf("There is no backup in %s: no file was changed.\n", clean(q.Backups))
	} else {
		rows := make([][]cell, 0, len(all))
		for _, k := range all {
			size := bytesOf(uint64(k.Size))
			if k.Created {
				size = "no file"
			}
			rows = append(rows, []cell{{k.ID, bold}, {k.File, plain}, {t.at(k.Time), plain}, {size, plain}, {k.before(), dim}})
		}
		t.headed([]string{"BACKUP", "FILE", "AS IT WAS BEFORE", "SIZE", "WHAT CHANGED IT"}, rows)
		t.printf("\nTo put one back: checkpoint restore BACKUP, or checkpoint restore FILE for the latest. Nothing is changed before you have seen the difference.\n")
	}
	if len(asides) > 0 {
		t.printf("\n")
		t.asides(asides)
	}
	return h.problem
}

// before is what a backup was taken for, in words: the latest change of those that found this content.
func (k Kept) before() string {
	if len(k.Uses) == 0 {
		return "not in the journal"
	}
	u := k.Uses[len(k.Uses)-1]
	return fmt.Sprintf("%s of %s to %s (%s)", u.Action, u.Node, u.To, u.Intent)
}

// Restore puts a file back as it was, or what was set aside, after it has shown what that changes and somebody has agreed.
func (t *Terminal) Restore(ctx context.Context, q RestoreRequest) error {
	h := t.history(q.Journal)
	if i := slices.IndexFunc(h.kept, func(in remediate.Intent) bool { return in.ID == q.What && len(in.Moves) > 0 }); i >= 0 {
		return t.putBack(ctx, q, h.kept[i])
	}
	all, err := h.backups(q.Backups)
	if err != nil {
		return err
	}
	k, err := choose(all, q.What, q.At, t)
	if err != nil {
		return err
	}
	for _, in := range h.pending {
		if in.Change != nil && in.Change.File == k.File {
			return fmt.Errorf("%s is being changed right now (%s): pause with checkpoint pause, and try again when that is done", k.File, in.ID)
		}
	}
	text, err := k.difference()
	if err != nil {
		return err
	}
	if text == "" {
		return t.restored(k, source.Restored{File: k.File}, false)
	}
	if !t.JSON {
		t.diff(text)
	}
	if q.DryRun {
		if t.JSON {
			return t.json(restoredView{File: k.File, Backup: k.Path, Diff: text})
		}
		t.printf("Nothing was changed.\n")
		return nil
	}
	if err := t.agreed(q.Yes, fmt.Sprintf("Put %s back as it was before %s?", k.File, t.at(k.Time))); err != nil {
		return err
	}
	done, err := source.Backups{Dir: q.Backups}.Restore(ctx, k.Path, t.Now())
	switch {
	case errors.Is(err, source.ErrUnchanged):
		return t.restored(k, source.Restored{File: k.File}, false)
	case errors.Is(err, source.ErrEditedByOther) && k.Created:
		return fmt.Errorf("%w: the remediator made this file, and somebody has edited it since; remove it by hand if it is not wanted", err)
	case err != nil:
		return permitted(err, k.File, true)
	}
	return t.restored(k, done, true)
}

// difference is what putting the backup back changes; empty for nothing.
func (k Kept) difference() (string, error) {
	present, err := readRegular(k.File)
	gone := errors.Is(err, os.ErrNotExist)
	if err != nil && !gone {
		return "", permitted(err, k.File, false)
	}
	if k.Created {
		if gone {
			return "", nil
		}
		return diff(k.File, "/dev/null", present, nil), nil
	}
	kept, err := readRegular(k.Path)
	if err != nil {
		return "", permitted(err, k.Path, false)
	}
	from := k.File
	if gone {
		from = "/dev/null"
	}
	text := diff(from, k.File, present, kept)
	if text == "" && gone {
		text = fmt.Sprintf("--- /dev/null\n+++ %s\n", k.File)
	}
	return text, nil
}

func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, source.MaxFile+1))
	if err == nil && len(data) > source.MaxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, source.MaxFile)
	}
	return data, err
}

// agreed asks whether to go on. Without a person to ask it takes a yes that was given beforehand.
func (t *Terminal) agreed(yes bool, question string) error {
	switch {
	case yes:
		return nil
	case !t.Asks || t.JSON:
		return &UsageError{"there is nobody to ask", "say --yes, or look with --dry-run"}
	case !t.question(question):
		t.printf("Nothing was changed.\n")
		return ErrNotFine
	}
	return nil
}

// restoredView is a restore for machines.
type restoredView struct {
	File     string `json:"file"`
	Backup   string `json:"backup"`
	Restored bool   `json:"restored"`
	Diff     string `json:"diff,omitempty"`
	// Kept is the backup of what was there before.
	Kept   string `json:"kept,omitempty"`
	Reload bool   `json:"reload,omitempty"`
}

func (t *Terminal) restored(k Kept, done source.Restored, changed bool) error {
	if t.JSON {
		return t.json(restoredView{File: k.File, Backup: k.Path, Restored: changed, Diff: done.Diff, Kept: done.Kept, Reload: done.Reload})
	}
	if !changed {
		t.printf("%s is as in that backup already.\n", clean(k.File))
		return nil
	}
	t.printf("%s is as it was before %s.\n", clean(k.File), t.at(k.Time))
	if done.Kept != "" {
		name := done.Kept[strings.LastIndexByte(done.Kept, '-')+1:]
		t.printf("What was there is kept: checkpoint restore %s\n", name[:min(len(name), idLength)])
	}
	if done.Reload {
		t.printf("systemd has to read it: systemctl daemon-reload\n")
	}
	t.printf("A client reads its checkpoint URL when it starts without a database; nothing was restarted.\n")
	return nil
}
