package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Whole is a planned writing of a whole file. It survives a round trip through JSON.
type Whole struct {
	// File is the file itself, symbolic links resolved.
	File string `json:"file"`
	// Before and After are the SHA-256 of the content, in lower-case hex. Before is "" where there is no file yet.
	Before string `json:"before"`
	After  string `json:"after"`
	// Backup is where Write keeps what was there, or a mark that there was nothing.
	Backup string `json:"backup"`
}

// PlanWhole works out the writing of a file, and leaves the disk alone. before is nil where there is no file yet.
func (b Backups) PlanWhole(file string, before, after []byte, now time.Time) (Whole, error) {
	w := Whole{File: file, After: sum(after)}
	var err error
	if before == nil {
		if w.File, err = realParent(file); err != nil {
			return Whole{}, err
		}
		w.Backup, err = b.placeCreated(w.File, w.After, now)
		return w, err
	}
	if w.File, err = filepath.EvalSymlinks(file); err != nil {
		return Whole{}, fmt.Errorf("look at %s: %w", file, err)
	}
	w.Before = sum(before)
	w.Backup, err = b.place(w.File, w.Before, now)
	return w, err
}

// realParent is the path of a file that is not there, without symbolic links as far as it is.
func realParent(file string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(file))
	if errors.Is(err, os.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", filepath.Dir(file), err)
	}
	return filepath.Join(dir, filepath.Base(file)), nil
}

// Write carries a plan out: backup, then replacement, with owner, mode and attributes kept. A new file gets mode. ErrChanged: the file is not as
// it was planned from, and nothing was done.
func (b Backups) Write(w Whole, after []byte, mode os.FileMode) error {
	if sum(after) != w.After {
		return fmt.Errorf("write %s: the content is not the planned one: %w", w.File, ErrChanged)
	}
	if w.Before == "" {
		if err := b.mark(w.Backup, w.File); err != nil {
			return err
		}
		return b.steps.create(w.File, after, mode, nil)
	}
	before, _, err := readFile(w.File)
	if err != nil {
		return err
	}
	if sum(before) != w.Before {
		return fmt.Errorf("write %s: %w", w.File, ErrChanged)
	}
	if err := b.save(w.Backup, w.File, w.Before); err != nil {
		return err
	}
	return b.steps.replace(w.File, before, after)
}

// LookWhole tells how far a writing has got.
func (b Backups) LookWhole(w Whole) (Condition, error) {
	data, _, err := readFile(w.File)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if w.Before == "" {
			return NotApplied, nil
		}
		return Edited, nil
	case err != nil:
		return "", err
	case sum(data) == w.After:
		return Applied, nil
	case sum(data) == w.Before:
		return NotApplied, nil
	}
	return Edited, nil
}

// RestoreWhole puts back what was there before. ErrEditedByOther: somebody has changed the file since, and it is left alone.
func (b Backups) RestoreWhole(ctx context.Context, w Whole, now time.Time) error {
	switch c, err := b.LookWhole(w); {
	case err != nil:
		return err
	case c == NotApplied:
		return nil
	case c == Edited:
		return fmt.Errorf("restore %s: %w", w.File, ErrEditedByOther)
	}
	_, err := b.Restore(ctx, w.Backup, now)
	return err
}
