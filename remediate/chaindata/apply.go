package chaindata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Apply sets everything aside, or ends what an Apply that was stopped has begun. ErrChanged, *RefusedError and *PermissionError: nothing
// was done, beyond what had been done before. After any other error Look tells how far it got, and Restore puts back.
func (m Move) Apply(ctx context.Context) error {
	err := m.with(func(open []place) error { return m.apply(ctx, open) })
	if err != nil {
		return fmt.Errorf("set the database of %s aside: %w", m.Dir, err)
	}
	return nil
}

func (m Move) apply(ctx context.Context, open []place) error {
	for _, p := range open {
		c, err := p.look()
		if err != nil {
			return err
		}
		if c == Deleted || c == Restored {
			return fmt.Errorf("%s: %w: it has been moved before", p.Parent, ErrChanged)
		}
		if err := p.unchanged(m.Reset); err != nil {
			return err
		}
	}
	for _, p := range open {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.prepare(m); err != nil {
			return err
		}
	}
	for _, p := range open {
		if err := p.setAside(ctx); err != nil {
			return err
		}
	}
	return nil
}

// place is a Place with its directory open. All names are used relative to it, and those in it are single components, so that nothing
// that is renamed on the way there leads elsewhere.
type place struct {
	Place
	root *os.Root
	dir  *os.File // root itself
	step func(string) error
	name string
}

// with opens all places, checks that they are the directories that were planned, and closes them afterwards.
func (m Move) with(do func([]place) error) (err error) {
	if err := m.valid(); err != nil {
		return err
	}
	var open []place
	defer func() {
		for _, p := range open {
			err = errors.Join(err, p.dir.Close(), p.root.Close())
		}
	}()
	for _, p := range m.Places {
		root, err := os.OpenRoot(p.Parent)
		if err != nil {
			return lacking(p.Parent, err)
		}
		dir, err := root.Open(".")
		if err != nil {
			return errors.Join(lacking(p.Parent, err), root.Close())
		}
		open = append(open, place{Place: p, root: root, dir: dir, step: m.step, name: m.name()})
		s, err := statAt(dir, "")
		if err != nil {
			return err
		}
		if s.inode != p.Inode {
			return fmt.Errorf("%s: %w: it is another directory", p.Parent, ErrChanged)
		}
	}
	return do(open)
}

func (p place) aside() string { return asidePrefix + p.name }

// has tells whether a name in the place is there, and its inode.
func (p place) has(name string) (inode uint64, there bool, err error) {
	info, err := p.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, lacking(filepath.Join(p.Parent, name), err)
	}
	return statOf(info).inode, true, nil
}

// unchanged checks that every entry that has yet to be moved is what was planned, and still may be moved.
func (p place) unchanged(reset bool) error {
	if _, begun, err := p.has(p.aside()); err != nil {
		return err
	} else if !begun {
		names, err := p.list(".")
		if err != nil {
			return err
		}
		for _, name := range names {
			if p.ours(name) && !slices.ContainsFunc(p.Entries, func(e Entry) bool { return filepath.Base(e.From) == name }) {
				return fmt.Errorf("%s: %w: it has been made since", filepath.Join(p.Parent, name), ErrChanged)
			}
		}
	}
	for _, e := range p.Entries {
		name := filepath.Base(e.From)
		if _, aside, err := p.has(filepath.Join(p.aside(), name)); err != nil || aside {
			if err != nil {
				return err
			}
			continue
		}
		now := p.Place
		now.Entries = []Entry{e}
		if err := now.inspect(p.dir, reset); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w: it is gone", e.From, ErrChanged)
		} else if err != nil {
			return err
		}
		if is := now.Entries[0]; is.Inode != e.Inode || is.Mode != e.Mode || is.UID != e.UID || is.GID != e.GID {
			return fmt.Errorf("%s: %w: it is another file, or has another owner or mode", e.From, ErrChanged)
		}
	}
	return nil
}

// manifest is what stands in a directory aside for whoever finds it.
type manifest struct {
	Note string    `json:"note"`
	Time time.Time `json:"time"`
	Move Move      `json:"move"`
}

// prepare makes the directory aside, with its manifest.
func (p place) prepare(m Move) error {
	if err := p.step(StepMakeAside); err != nil {
		return err
	}
	if err := p.root.Mkdir(p.aside(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return lacking(p.Aside, err)
	}
	if info, err := p.root.Lstat(p.aside()); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: %w: somebody else's file is in the way", p.Aside, errors.Join(err, ErrChanged))
	}
	if err := p.step(StepManifest); err != nil {
		return err
	}
	text, err := json.MarshalIndent(manifest{
		Note: "Set aside so that the client starts anew. Each entry belongs where its \"from\" says; stop the client before you move it back.",
		Time: time.Now().UTC(), Move: m,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := p.write(filepath.Join(p.aside(), manifestName), append(text, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(p.Aside, manifestName), err)
	}
	return p.sync(p.aside(), ".")
}

func (p place) write(name string, text []byte) error {
	f, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// setAside moves every entry that has yet to be moved.
func (p place) setAside(ctx context.Context) error {
	for _, e := range p.Entries {
		name := filepath.Base(e.From)
		if _, aside, err := p.has(filepath.Join(p.aside(), name)); err != nil || aside {
			if err != nil {
				return err
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.step(StepAside); err != nil {
			return err
		}
		if err := p.root.Rename(name, filepath.Join(p.aside(), name)); err != nil {
			return err
		}
	}
	return p.sync(p.aside(), ".")
}

// sync makes the entries of directories last.
func (p place) sync(names ...string) error {
	for _, name := range names {
		if err := p.step(StepSync); err != nil {
			return err
		}
		d, err := p.root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("sync %s: %w", filepath.Join(p.Parent, name), err)
		}
	}
	return nil
}
