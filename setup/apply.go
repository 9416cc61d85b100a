package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Our units, and those of the scripts that came before.
const (
	ExporterUnit   = "checkpoint-exporter.service"
	RemediatorUnit = "checkpoint-remediator.service"
	DaemonUnit     = "checkpointd.service"
	FallbackUnit   = "checkpoint-fallback.service"
	MonitorUnit    = "checkpoint-monitor.service"
)

// OldUnits are those of the scripts: the one restarts a healthy node every five minutes, the other has never seen anything.
func OldUnits() []string { return []string{FallbackUnit, MonitorUnit} }

// File is a file that is to be written.
type File struct {
	Path string `json:"path"`
	// Before is nil where there is none yet.
	Before []byte `json:"-"`
	After  []byte `json:"-"`
	// Mode is that of a new file.
	Mode os.FileMode `json:"-"`
	// Unit tells that systemd reads it.
	Unit bool `json:"-"`
}

// Plan is everything that setup is about to do.
type Plan struct {
	Files []File
	// Start are our units that are to run and start at boot, Stop those that are not to, ours or the scripts'.
	Start, Stop []Unit
}

// Empty tells whether nothing is to be done.
func (p Plan) Empty() bool { return len(p.Files) == 0 && len(p.Start) == 0 && len(p.Stop) == 0 }

// PlanUnits works out which units are to be started and stopped, for one of ours or both that are wanted. It fails if one is not installed.
func PlanUnits(ctx context.Context, m Machine, wanted []string, p *Plan) error {
	if len(wanted) == 0 {
		return nil
	}
	for _, name := range wanted {
		u, err := m.Unit(ctx, name)
		if err != nil {
			return err
		}
		if !u.Installed {
			return fmt.Errorf("%s is not installed: install the package first, or say --services none", name)
		}
		p.Start = append(p.Start, u)
	}
	others := OldUnits()
	if slices.Contains(wanted, DaemonUnit) {
		others = append(others, ExporterUnit, RemediatorUnit)
	} else {
		others = append(others, DaemonUnit)
	}
	for _, name := range others {
		u, err := m.Unit(ctx, name)
		if err != nil {
			return err
		}
		if u.Installed && (u.Active || u.Enabled) {
			p.Stop = append(p.Stop, u)
		}
	}
	return nil
}

// Record is what one setup did, as it is kept to be taken back.
type Record struct {
	Time  time.Time      `json:"time"`
	By    string         `json:"by"`
	Files []source.Whole `json:"files"`
	// Reload tells that one of the files is a unit's.
	Reload bool `json:"reload,omitempty"`
	// Started and Stopped are units as they were before.
	Started []Unit `json:"started,omitempty"`
	Stopped []Unit `json:"stopped,omitempty"`
	// Reset is what was set aside; nil for nothing.
	Reset *ResetRecord `json:"reset,omitempty"`

	path string
}

// ResetRecord is a database that was set aside, and the clients that were stopped for it, in the order in which they start.
type ResetRecord struct {
	Move    chaindata.Move   `json:"move"`
	Clients []config.Restart `json:"clients"`
}

// Store is the directory of what setup did, for the one who runs it alone: whoever may write there decides what is put back.
type Store struct {
	Dir string
	Now func() time.Time
}

const (
	recordPrefix = "setup-"
	recordTime   = "20060102T150405.000000000Z"
	recordDone   = ".json"
	recordUndone = ".undone"
)

func (s Store) backups() source.Backups { return source.Backups{Dir: filepath.Join(s.Dir, "backups")} }

// prepare makes the directory, and refuses one that others may write to.
func (s Store) prepare() error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(s.Dir)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && (int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0) {
		return fmt.Errorf("%s can be written by others, who could then decide what is put back: chown it to the one who runs this, and chmod 700", s.Dir)
	}
	return nil
}

// write keeps a record.
func (s Store) write(r *Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if r.path == "" {
		r.path = filepath.Join(s.Dir, recordPrefix+r.Time.UTC().Format(recordTime)+recordDone)
	}
	return renameio.WriteFile(r.path, append(text, '\n'), 0o600, renameio.WithTempDir(s.Dir))
}

// maxRecord bounds a record, in bytes.
const maxRecord = 4 << 20

// Last is the latest setup that was not taken back; nil for none.
func (s Store) Last() (*Record, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(entries) {
		if !strings.HasPrefix(e.Name(), recordPrefix) || !strings.HasSuffix(e.Name(), recordDone) || !e.Type().IsRegular() {
			continue
		}
		if err := s.prepare(); err != nil {
			return nil, err
		}
		path := filepath.Join(s.Dir, e.Name())
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Size() > maxRecord {
			return nil, fmt.Errorf("%s is larger than %d bytes", path, maxRecord)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r := &Record{path: path}
		if err := json.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return r, nil
	}
	return nil, nil
}

// Apply carries a plan out. What is done is written down before, so that it can be taken back from wherever it got to; say is told of each step.
func (s Store) Apply(ctx context.Context, m Machine, p Plan, by string, say func(string)) (*Record, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	now := s.Now()
	r := &Record{Time: now.UTC(), By: by, Started: p.Start, Stopped: p.Stop}
	for _, f := range p.Files {
		w, err := s.backups().PlanWhole(f.Path, f.Before, f.After, now)
		if err != nil {
			return nil, err
		}
		r.Files = append(r.Files, w)
		r.Reload = r.Reload || f.Unit
	}
	if err := s.write(r); err != nil {
		return nil, err
	}
	for i, f := range p.Files {
		if err := s.backups().Write(r.Files[i], f.After, f.Mode); err != nil {
			return r, err
		}
		if f.Before == nil {
			say("made " + f.Path)
		} else {
			say("changed " + f.Path)
		}
	}
	if r.Reload {
		if err := m.Reload(ctx); err != nil {
			return r, err
		}
	}
	for _, u := range p.Stop {
		if err := halt(ctx, m, u, say); err != nil {
			return r, err
		}
	}
	for _, u := range p.Start {
		if err := launch(ctx, m, u, say); err != nil {
			return r, err
		}
	}
	return r, nil
}

// halt stops and disables a unit.
func halt(ctx context.Context, m Machine, u Unit, say func(string)) error {
	if u.Active {
		a, err := m.Actuator(config.Restart{Systemd: u.Name})
		if err != nil {
			return err
		}
		if _, err := a.Stop(ctx); err != nil {
			return err
		}
		say("stopped " + u.Name)
	}
	if u.Enabled {
		if err := m.Disable(ctx, u.Name); err != nil {
			return err
		}
		say("disabled " + u.Name + ": it no longer starts at boot")
	}
	return nil
}

// launch enables and starts a unit; one that runs is restarted, so that it reads what was written.
func launch(ctx context.Context, m Machine, u Unit, say func(string)) error {
	if !u.Enabled {
		if err := m.Enable(ctx, u.Name); err != nil {
			return err
		}
		say("enabled " + u.Name + ": it starts at boot")
	}
	a, err := m.Actuator(config.Restart{Systemd: u.Name})
	if err != nil {
		return err
	}
	if u.Active {
		if _, err := a.Restart(ctx); err != nil {
			return err
		}
		say("restarted " + u.Name)
		return nil
	}
	if _, err := a.Start(ctx); err != nil {
		return err
	}
	say("started " + u.Name)
	return nil
}

// Undo takes a setup back: what was set aside, the files that are still as they were left, and the units. It goes on after a failure, and tells of all of
// them; then it can be repeated.
func (s Store) Undo(ctx context.Context, m Machine, r *Record, say func(string)) error {
	var errs []error
	if r.Reset != nil {
		if err := r.Reset.undo(ctx, m); err != nil {
			return err // nothing else is of use before the node has its database again
		}
		say("put the database in " + r.Reset.Move.Dir + " back")
		r.Reset = nil
		if err := s.write(r); err != nil {
			return err
		}
	}
	for _, u := range slices.Backward(r.Started) {
		now, err := m.Unit(ctx, u.Name)
		if err == nil {
			err = halt(ctx, m, Unit{Name: u.Name, Active: now.Active && !u.Active, Enabled: now.Enabled && !u.Enabled}, say)
		}
		errs = append(errs, err)
	}
	for _, w := range slices.Backward(r.Files) {
		c, err := s.backups().LookWhole(w)
		if err == nil && c == source.NotApplied {
			continue
		}
		if err == nil {
			err = s.backups().RestoreWhole(ctx, w, s.Now())
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case w.Before == "":
			say("removed " + w.File)
		default:
			say("put " + w.File + " back as it was")
		}
	}
	if r.Reload {
		errs = append(errs, m.Reload(ctx))
	}
	for _, u := range r.Stopped {
		errs = append(errs, revive(ctx, m, u, say))
	}
	for _, u := range r.Started {
		if u.Active {
			errs = append(errs, revive(ctx, m, u, say))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.Rename(r.path, strings.TrimSuffix(r.path, recordDone)+recordUndone)
}

// revive brings a unit back to how it stood.
func revive(ctx context.Context, m Machine, was Unit, say func(string)) error {
	now, err := m.Unit(ctx, was.Name)
	if err != nil {
		return err
	}
	if was.Enabled && !now.Enabled {
		if err := m.Enable(ctx, was.Name); err != nil {
			return err
		}
		say("enabled " + was.Name)
	}
	if !was.Active {
		return nil
	}
	a, err := m.Actuator(config.Restart{Systemd: was.Name})
	if err != nil {
		return err
	}
	if now.Active {
		_, err = a.Restart(ctx)
		if err == nil {
			say("restarted " + was.Name)
		}
		return err
	}
	if _, err = a.Start(ctx); err == nil {
		say("started " + was.Name)
	}
	return err
}
