package netfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func (s *Staged) step(name string) error {
	if s.Step == nil {
		return nil
	}
	return s.Step(name)
}

// inode is the number of a file in a directory, not following a link.
func inode(dir *os.Root, name string) (n uint64, there bool, err error) {
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino, true, nil
	}
	return 0, true, nil
}

// where tells which of the two directories stands under each name: "new", "old", "other", or "" for nothing.
func (s *Staged) where(parent *os.Root) (present, staging, away string, err error) {
	of := func(name string) string {
		n, there, e := inode(parent, name)
		err = errors.Join(err, e)
		switch {
		case !there:
			return ""
		case n == s.New:
			return "new"
		case n == s.Old:
			return "old"
		}
		return "other"
	}
	return of(s.base()), of(s.staging()), of(s.away()), err
}

// with opens the parent directory.
func (s *Staged) with(what string, do func(parent *os.Root) error) error {
	if !filepath.IsAbs(s.Dir) || filepath.Dir(s.Staging) != filepath.Dir(s.Dir) || !strings.HasPrefix(s.staging(), ".checkpoint-network-") || s.New == 0 {
		return fmt.Errorf("%s of %s: it was never staged", what, s.Dir)
	}
	parent, err := os.OpenRoot(filepath.Dir(s.Dir))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", what, s.Dir, err)
	}
	if err := errors.Join(do(parent), parent.Close()); err != nil {
		return fmt.Errorf("%s of %s: %w", what, s.Dir, err)
	}
	return nil
}

// Look tells how far Apply has got, whoever began it.
func (s *Staged) Look() (c Condition, err error) {
	err = s.with("look at the network files", func(parent *os.Root) error {
		present, staging, away, err := s.where(parent)
		switch {
		case err != nil:
			return err
		case present == "new":
			c = Applied
		case present == "old", present == "" && s.Old == 0:
			c = NotApplied
		case present == "" && (away == "old" || staging == "old"):
			c = Half
		default:
			c = Edited
		}
		return nil
	})
	return c, err
}

// Apply puts the new files in the place of the old ones, in one step where the kernel can exchange two directories. It may be repeated.
// ErrChanged: nothing was done.
func (s *Staged) Apply(ctx context.Context) error {
	return s.with("replace the network files", func(parent *os.Root) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		present, staging, away, err := s.where(parent)
		switch {
		case err != nil:
			return err
		case present == "new":
			return nil
		case staging != "new":
			return fmt.Errorf("%w: the new files are no longer in %s", ErrChanged, s.Staging)
		case s.Old == 0 && present == "", present == "" && away == "old":
			return s.moveIn(parent)
		case present != "old":
			return ErrChanged
		}
		if !s.apart {
			if err := s.step(StepExchange); err != nil {
				return err
			}
			switch err := exchange(parent, s.staging(), s.base()); {
			case err == nil:
				return s.sync(parent)
			case !errors.Is(err, errors.ErrUnsupported):
				return permission(s.Dir, err)
			}
		}
		if err := s.step(StepOldAway); err != nil {
			return err
		}
		if err := parent.Rename(s.base(), s.away()); err != nil {
			return permission(s.Dir, err)
		}
		return s.moveIn(parent)
	})
}

// moveIn moves the new files to where there are none.
func (s *Staged) moveIn(parent *os.Root) error {
	if err := s.step(StepNewIn); err != nil {
		return err
	}
	if err := parent.Rename(s.staging(), s.base()); err != nil {
		return permission(s.Dir, err)
	}
	return s.sync(parent)
}

// Restore puts the old files back and removes the new ones, or removes them where they were never put in place. It may be repeated.
// ErrEdited: somebody else has replaced the directory, and nothing was done.
func (s *Staged) Restore(ctx context.Context) error {
	return s.with("put back the network files", func(parent *os.Root) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		present, staging, away, err := s.where(parent)
		if err != nil {
			return err
		}
		if present == "other" {
			return ErrEdited
		}
		if present == "new" {
			if s.Old != 0 && staging != "old" && away != "old" {
				return fmt.Errorf("the old files are gone: %w", fs.ErrNotExist)
			}
			if err := s.scrapped(parent, s.base()); err != nil {
				return err
			}
		}
		for name, is := range map[string]string{s.staging(): staging, s.away(): away} {
			switch is {
			case "old":
				if err := s.step(StepBack); err != nil {
					return err
				}
				if err := parent.Rename(name, s.base()); err != nil {
					return permission(s.Dir, err)
				}
				if err := s.sync(parent); err != nil {
					return err
				}
			case "new":
				if err := s.discard(parent, name); err != nil {
					return err
				}
			}
		}
		return s.removeScrap(parent)
	})
}

// Settle deletes the old files, for good. It may be repeated. ErrNotApplied: nothing was done.
func (s *Staged) Settle(ctx context.Context) error {
	return s.with("delete the old network files", func(parent *os.Root) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		present, staging, away, err := s.where(parent)
		if err != nil {
			return err
		}
		if present != "new" {
			return ErrNotApplied
		}
		for name, is := range map[string]string{s.staging(): staging, s.away(): away} {
			if is == "old" {
				if err := s.discard(parent, name); err != nil {
					return err
				}
			}
		}
		return s.removeScrap(parent)
	})
}

// scrapped gives a directory the name of what may be removed at any time.
func (s *Staged) scrapped(parent *os.Root, name string) error {
	if err := s.removeScrap(parent); err != nil {
		return err
	}
	if err := s.step(StepRemove); err != nil {
		return err
	}
	if err := parent.Rename(name, s.scrap()); err != nil {
		return permission(s.Dir, err)
	}
	return s.sync(parent)
}

// discard removes a directory.
func (s *Staged) discard(parent *os.Root, name string) error {
	if err := s.scrapped(parent, name); err != nil {
		return err
	}
	return s.removeScrap(parent)
}

func (s *Staged) removeScrap(parent *os.Root) error {
	if _, there, err := inode(parent, s.scrap()); err != nil || !there {
		return err
	}
	if err := s.step(StepRemove); err != nil {
		return err
	}
	if err := parent.RemoveAll(s.scrap()); err != nil {
		return permission(s.Dir, err)
	}
	return nil
}

// sync makes renames in the parent directory last.
func (s *Staged) sync(parent *os.Root) error {
	if err := s.step(StepSync); err != nil {
		return err
	}
	d, err := parent.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
