package chaindata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Look tells how far the move has got, whoever began it.
func (m Move) Look() (Condition, error) {
	var all []Condition
	err := m.with(func(open []place) error {
		for _, p := range open {
			c, err := p.look()
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look at the database of %s: %w", m.Dir, err)
	}
	return sum(all), nil
}

// sum is what several places amount to. Once one is deleted there is no way back.
func sum(all []Condition) Condition {
	for _, c := range []Condition{NotApplied, Applied} {
		if !slices.ContainsFunc(all, func(x Condition) bool { return x != c }) {
			return c
		}
	}
	switch {
	case slices.Contains(all, Deleted):
		return Deleted
	case slices.Contains(all, Half), slices.Contains(all, Applied):
		return Half
	}
	return Restored
}

func (p place) look() (Condition, error) {
	for prefix, c := range map[string]Condition{deletedPrefix: Deleted, restoredPrefix: Restored} {
		if _, there, err := p.has(prefix + p.name); err != nil || there {
			return c, err
		}
	}
	_, begun, err := p.has(p.aside())
	if err != nil {
		return "", err
	}
	aside, back := 0, 0
	for _, e := range p.Entries {
		name := filepath.Base(e.From)
		if begun {
			_, there, err := p.has(filepath.Join(p.aside(), name))
			if err != nil {
				return "", err
			}
			if there {
				aside++
			}
		}
		inode, there, err := p.has(name)
		if err != nil {
			return "", err
		}
		if there && inode == e.Inode {
			back++
		}
	}
	switch {
	case begun && aside == len(p.Entries):
		return Applied, nil
	case begun:
		return Half, nil
	case back == 0:
		return Deleted, nil
	}
	return NotApplied, nil
}

// Restore puts everything back, and removes what the client has made anew meanwhile; slashing protection made anew is kept. It may be
// repeated, and does nothing if there is nothing to put back. ErrDeleted: it is too late.
func (m Move) Restore(ctx context.Context) error {
	err := m.with(func(open []place) error {
		for _, p := range open {
			if c, err := p.look(); err != nil || c == Deleted {
				return errors.Join(err, deletedIf(c))
			}
		}
		for _, p := range open {
			if err := p.restore(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put the database of %s back: %w", m.Dir, err)
	}
	return nil
}

func deletedIf(c Condition) error {
	if c == Deleted {
		return ErrDeleted
	}
	return nil
}

func (p place) restore(ctx context.Context) error {
	_, begun, err := p.has(p.aside())
	if err != nil {
		return err
	}
	if begun {
		if err := p.putBack(ctx); err != nil {
			return err
		}
		if err := p.settle(restoredPrefix + p.name); err != nil {
			return err
		}
	}
	return p.clean(restoredPrefix + p.name)
}

// putBack moves every entry that is aside to where it was. What is there in its place, or of its kind beside it, is the client's new
// database, and gives way.
func (p place) putBack(ctx context.Context) error {
	stays := map[string]bool{}
	any := false
	for _, e := range p.Entries {
		name := filepath.Base(e.From)
		_, aside, err := p.has(filepath.Join(p.aside(), name))
		if err != nil {
			return err
		}
		stays[name], any = !aside, any || aside
	}
	names, err := p.list(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		// What has not been moved is the old database still. Where nothing has been, no client has run.
		if !any || !p.ours(name) || stays[name] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.giveWay(name); err != nil {
			return err
		}
	}
	for _, e := range p.Entries {
		name := filepath.Base(e.From)
		if _, aside, err := p.has(filepath.Join(p.aside(), name)); err != nil || !aside {
			if err != nil {
				return err
			}
			continue
		}
		if _, there, err := p.has(name); err != nil || there {
			return errors.Join(err, fmt.Errorf("%s: something is there again: stop the client first", e.From))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.step(StepBack); err != nil {
			return err
		}
		if err := p.root.Rename(filepath.Join(p.aside(), name), name); err != nil {
			return err
		}
	}
	if err := p.sync(p.aside(), "."); err != nil {
		return err
	}
	names, err = p.list(p.aside())
	for _, name := range names {
		if name != manifestName && name != newName && name != slashingName {
			err = errors.Join(err, &RefusedError{Path: filepath.Join(p.Aside, name), Reason: "somebody else's file", Mend: "take it out"})
		}
	}
	return err
}

// giveWay sets aside what the client has made anew.
func (p place) giveWay(name string) error {
	into := newName
	if p.slashing(name) {
		into = slashingName
	}
	into = filepath.Join(p.aside(), into)
	if err := p.step(StepNew); err != nil {
		return err
	}
	if err := p.root.Mkdir(into, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// An earlier attempt may have put one there already, and the client made another.
	to := filepath.Join(into, name)
	for n := 1; ; n++ {
		if _, there, err := p.has(to); err != nil {
			return err
		} else if !there {
			break
		}
		to = filepath.Join(into, name+"."+strconv.Itoa(n))
	}
	if err := p.root.Rename(name, to); err != nil {
		return err
	}
	return p.sync(into)
}

func (p place) list(name string) ([]string, error) {
	d, err := p.root.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, d.Close())
}

// settle gives the directory aside the name of what is to be removed: from here on there is no way back.
func (p place) settle(name string) error {
	if err := p.step(StepSettle); err != nil {
		return err
	}
	if err := p.root.Rename(p.aside(), name); err != nil {
		return err
	}
	return p.sync(".")
}

// clean removes what settle left, except slashing protection. Nothing that is a mount is gone into.
func (p place) clean(name string) error {
	if _, there, err := p.has(name); err != nil || !there {
		return err
	}
	top, err := statAt(p.dir, "")
	if err != nil {
		return err
	}
	names, err := p.list(name)
	if err != nil {
		return lacking(filepath.Join(p.Parent, name), err)
	}
	keep := false
	for _, n := range names {
		if name == restoredPrefix+p.name && n == slashingName {
			keep = true
			continue
		}
		if err := p.step(StepRemove); err != nil {
			return err
		}
		if err := p.remove(name, n, top); err != nil {
			return err
		}
	}
	if keep {
		return nil
	}
	if err := p.step(StepRemove); err != nil {
		return err
	}
	if err := p.root.Remove(name); err != nil {
		return err
	}
	return p.sync(".")
}

// remove deletes a file or directory in one of our directories.
func (p place) remove(in, name string, top stat) error {
	d, err := p.root.Open(in)
	if err != nil {
		return err
	}
	s, err := statAt(d, name)
	if err == nil {
		err = noMounts(d, filepath.Join(p.Parent, in, name), s, top, 0)
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	if err := p.root.RemoveAll(filepath.Join(in, name)); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return &PermissionError{Path: filepath.Join(p.Parent, in, name), Grant: grant(filepath.Join(p.Parent, in), s)}
		}
		return err
	}
	return nil
}

// noMounts refuses a directory below which another file system is mounted: what is in there is not ours to delete.
func noMounts(dir *os.File, name string, s, top stat, depth int) error {
	if s.elsewhere(top) {
		return &RefusedError{Path: name, Reason: "it is a file system of its own, or a mount point", Mend: "unmount it"}
	}
	if !s.directory() {
		return nil
	}
	if depth > 2*maxDepth {
		return &RefusedError{Path: name, Reason: "directories are nested too deeply for a database"}
	}
	sub, err := openDirectory(dir, filepath.Base(name))
	if err != nil {
		return lacking(name, err)
	}
	names, err := sub.Readdirnames(-1)
	for _, n := range names {
		inner, e := statAt(sub, n)
		if e == nil {
			e = noMounts(sub, filepath.Join(name, n), inner, top, depth+1)
		}
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			break
		}
	}
	return errors.Join(err, sub.Close())
}

// Delete deletes what is aside, for good; never anything else. It may be repeated. ErrNotApplied: nothing was done.
func (m Move) Delete(ctx context.Context) error {
	err := m.with(func(open []place) error {
		var all []Condition
		for _, p := range open {
			c, err := p.look()
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		if c := sum(all); c != Applied && c != Deleted || slices.Contains(all, Half) || slices.Contains(all, NotApplied) {
			return ErrNotApplied
		}
		for i, p := range open {
			if err := ctx.Err(); err != nil {
				return err
			}
			if all[i] == Applied {
				if err := p.settle(deletedPrefix + p.name); err != nil {
					return err
				}
			}
		}
		for _, p := range open {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.clean(deletedPrefix + p.name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete the old database of %s: %w", m.Dir, err)
	}
	return nil
}
