package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// MaxFile bounds the files that are read, in bytes.
const MaxFile = 1 << 20

// Options of the sources that are files.
type Options struct {
	// Backups is the directory for backups, made when first needed.
	Backups string
	// Now is the clock for the names of backups; time.Now if nil.
	Now func() time.Time
	// Root is a directory that stands for / where units are searched; "" is / itself.
	Root string
	// Reload makes systemd's manager read its unit files again; ReloadSystemd("") if nil.
	Reload func(ctx context.Context) error
	// Step, if set, is called with a Step… name before each step that changes the disk. An error makes that step fail. It lets a
	// test end the process at every point; writing in place is then done in two halves around StepTear.
	Step func(step string) error
}

// Steps that Options.Step sees.
const (
	StepBackup        = "source: write backup"
	StepTemporary     = "source: write temporary file"
	StepAttributes    = "source: copy owner, mode and attributes"
	StepRename        = "source: rename"
	StepSyncDirectory = "source: sync directory"
	StepInPlace       = "source: write in place"
	StepTear          = "source: write second half in place"
	StepTruncate      = "source: truncate in place"
	StepSync          = "source: sync"
	StepDirectory     = "source: make directory"
	StepCreateFile    = "source: create"
	StepRemoveFile    = "source: remove"
	StepReload        = "source: reload systemd"
)

// codec finds the URL in a file of some format, and replaces it.
type codec interface {
	// find returns the place of the URL. Its errors are *PlaceError without a file.
	find(data []byte) (place, error)
	// splice returns data with url at p, proved to differ in nothing else.
	splice(data []byte, p place, url string) ([]byte, error)
}

// place is where a URL stands, quotes included, in a file.
type place struct {
	url        string
	key        string
	line       int
	start, end int
}

// File is a Source that is one value in one file.
type File struct {
	name    string
	path    string
	codec   codec
	backups Backups
	now     func() time.Time
	write   writer
}

func newFile(name, path string, c codec, opts Options) (*File, error) {
	if path == "" {
		return nil, errors.New("no file is named")
	}
	if opts.Backups == "" {
		return nil, fmt.Errorf("%s: no directory for backups is named", path)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &File{
		name: name, path: abs, codec: c, now: opts.Now,
		backups: Backups{Dir: opts.Backups, steps: writer{hook: opts.Step}},
		write:   writer{hook: opts.Step},
	}, nil
}

func (f *File) String() string { return f.name }

// Read returns the URL in the file.
func (f *File) Read(ctx context.Context) (string, error) {
	_, _, p, err := f.load(ctx)
	return p.url, err
}

// load reads the file and finds the URL in it. real is the file's path without symbolic links.
func (f *File) load(ctx context.Context) (real string, data []byte, p place, err error) {
	real, data, err = f.content(ctx)
	if err != nil {
		return "", nil, place{}, err
	}
	if p, err = f.codec.find(data); err != nil {
		return "", nil, place{}, f.at(err)
	}
	return real, data, p, nil
}

func (f *File) content(ctx context.Context) (real string, data []byte, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	if real, err = filepath.EvalSymlinks(f.path); err != nil {
		return "", nil, fmt.Errorf("read checkpoint source %s: %w", f.path, err)
	}
	if data, _, err = readFile(real); err != nil {
		return "", nil, err
	}
	return real, data, nil
}

func (f *File) at(err error) error {
	if e, ok := errors.AsType[*PlaceError](err); ok && e.File == "" {
		e.File = f.path
	}
	return err
}

// Plan works out the change of the URL, and leaves the disk alone.
func (f *File) Plan(ctx context.Context, url string) (Change, error) {
	if err := CheckURL(url); err != nil {
		return Change{}, err
	}
	real, data, p, err := f.load(ctx)
	if err != nil {
		return Change{}, err
	}
	if p.url == url {
		return Change{}, fmt.Errorf("%s:%d: %w", f.path, p.line, ErrUnchanged)
	}
	if err := notURL(f.path, p); err != nil {
		return Change{}, err
	}
	after, err := f.codec.splice(data, p, url)
	if err != nil {
		return Change{}, f.at(err)
	}
	c := Change{Source: f.name, File: real, Key: p.key, Line: p.line, From: p.url, To: url, Before: sum(data), After: sum(after), Diff: diff(f.path, data, after)}
	if c.Backup, err = f.backups.place(real, c.Before, f.now()); err != nil {
		return Change{}, err
	}
	return c, nil
}

// Apply backs the file up, replaces it, and reads it back.
func (f *File) Apply(ctx context.Context, c Change) error {
	real, data, err := f.content(ctx)
	if err != nil {
		return err
	}
	if real != c.File || sum(data) != c.Before {
		return fmt.Errorf("change %s: %w", f.path, ErrChanged)
	}
	p, err := f.codec.find(data)
	if err != nil {
		return f.at(err)
	}
	after, err := f.codec.splice(data, p, c.To)
	if err != nil {
		return f.at(err)
	}
	if p.key != c.Key || p.url != c.From || sum(after) != c.After {
		return fmt.Errorf("change %s: the plan was made with another configuration: %w", f.path, ErrChanged)
	}
	if err := f.backups.save(c.Backup, real, c.Before); err != nil {
		return err
	}
	if err := f.write.replace(real, data, after); err != nil {
		return err
	}
	got, err := f.Read(ctx)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if got != c.To {
		return fmt.Errorf("read back %s: %q is there, not %q: %w", f.path, got, c.To, ErrEditedByOther)
	}
	return nil
}

// Look compares the file with what it was before the change and what it is to be after it.
func (f *File) Look(ctx context.Context, c Change) (Condition, error) {
	cond, _, err := f.look(ctx, c)
	return cond, err
}

func (f *File) look(ctx context.Context, c Change) (Condition, []byte, error) {
	real, data, err := f.content(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return Edited, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	switch {
	case real != c.File:
		return Edited, data, nil
	case sum(data) == c.Before:
		return NotApplied, data, nil
	case sum(data) == c.After:
		return Applied, data, nil
	}
	if f.half(data, c) {
		return Half, data, nil
	}
	return Edited, data, nil
}

// half tells whether data is the change written in place only partly: the new content's first bytes, then the old's.
func (f *File) half(data []byte, c Change) bool {
	before, err := f.backups.load(c.Backup, c.Before)
	if err != nil {
		return false
	}
	p, err := f.codec.find(before)
	if err != nil {
		return false
	}
	after, err := f.codec.splice(before, p, c.To)
	if err != nil || sum(after) != c.After {
		return false
	}
	return torn(data, before, after) || torn(data, after, before)
}

// torn tells whether data is what is found when new is being written over old.
func torn(data, old, new []byte) bool {
	k := 0
	for k < len(data) && k < len(new) && data[k] == new[k] {
		k++
	}
	if len(data) != max(len(old), k) {
		return false
	}
	return k >= len(old) || bytes.Equal(data[k:], old[k:])
}

// Restore puts the content of before the change back, from the backup.
func (f *File) Restore(ctx context.Context, c Change) error {
	cond, data, err := f.look(ctx, c)
	if err != nil {
		return err
	}
	switch cond {
	case NotApplied:
		return nil
	case Edited:
		return fmt.Errorf("restore %s: %w", f.path, ErrEditedByOther)
	}
	before, err := f.backups.load(c.Backup, c.Before)
	if err != nil {
		return fmt.Errorf("restore %s: %w", f.path, err)
	}
	if err := f.write.replace(c.File, data, before); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	_, now, err := f.content(ctx)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if sum(now) != c.Before {
		return fmt.Errorf("read back %s: %w", f.path, ErrEditedByOther)
	}
	return nil
}

// readFile reads a regular file of at most MaxFile bytes.
func readFile(path string) ([]byte, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us
	if err != nil {
		return nil, nil, fmt.Errorf("read checkpoint source: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read checkpoint source: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &PlaceError{File: path, Reason: "not a regular file"}
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read checkpoint source: %w", err)
	}
	if len(data) > MaxFile {
		return nil, nil, &PlaceError{File: path, Reason: fmt.Sprintf("larger than %d bytes", MaxFile)}
	}
	return data, info, nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// diff is a unified diff without context of two texts that differ in one line.
func diff(path string, before, after []byte) string {
	a, b := strings.SplitAfter(string(before), "\n"), strings.SplitAfter(string(after), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("--- %s\n+++ %s\n@@ -%d +%d @@\n-%s\n+%s\n", path, path, i+1, i+1, shown(a[i]), shown(b[i]))
		}
	}
	return ""
}

func shown(line string) string {
	const most = 2 * maxURL
	line = strings.TrimRight(line, "\r\n")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}
