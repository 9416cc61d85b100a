package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// create makes the file path, which must not be there. Whoever looks sees all of it or nothing. owner, if not nil, is whose it becomes.
func (w writer) create(path string, content []byte, mode os.FileMode, owner *syscall.Stat_t) error {
	if err := w.tryCreate(path, content, mode, owner); err != nil {
		if errors.Is(err, os.ErrExist) {
			err = ErrChanged
		}
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

func (w writer) tryCreate(path string, content []byte, mode os.FileMode, owner *syscall.Stat_t) error {
	dir, prefix := filepath.Dir(path), temporaryPrefix(path)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		if err := w.step(StepDirectory); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := w.syncDirectory(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := sweep(dir, prefix); err != nil {
		return err
	}
	if err := w.step(StepTemporary); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return err
	}
	err = w.fillNew(tmp, content, mode, owner)
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = w.step(StepCreateFile)
	}
	if err == nil {
		err = os.Link(tmp.Name(), path) // unlike a rename it fails if there is a file
	}
	if err := errors.Join(err, os.Remove(tmp.Name())); err != nil {
		return err
	}
	return w.syncDirectory(dir)
}

func (w writer) fillNew(tmp *os.File, content []byte, mode os.FileMode, owner *syscall.Stat_t) error {
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	if owner != nil {
		_ = tmp.Chown(int(owner.Uid), int(owner.Gid)) // as in Backups.write
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if err := w.step(StepSync); err != nil {
		return err
	}
	return tmp.Sync()
}

// remove takes away the file path, which must have that hash, and its directory if that is ours and empty then.
func (w writer) remove(path, hash string, directory bool) error {
	data, _, err := readFile(path)
	if err != nil {
		return err
	}
	if sum(data) != hash {
		return fmt.Errorf("remove %s: %w", path, ErrEditedByOther)
	}
	err = w.step(StepRemoveFile)
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		err = w.syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if directory {
		_ = os.Remove(filepath.Dir(path)) // not if something else is in it by now
	}
	return nil
}
