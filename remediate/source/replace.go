package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// writer replaces files.
type writer struct {
	hook func(string) error // Options.Step
}

func (w writer) step(name string) error {
	if w.hook == nil {
		return nil
	}
	return w.hook(name)
}

// errInPlace wraps the reasons for which a file must be written in place rather than replaced.
var errInPlace = errors.New("cannot be replaced by renaming")

// replace changes the content of path, which has no symbolic link in it, from old to new: by a temporary file and a rename
// where that keeps owner, mode, attributes and hard links; otherwise in place. ErrChanged: path does not hold old.
func (w writer) replace(path string, old, new []byte) error {
	info, err := unchanged(path, old)
	if err != nil {
		return err
	}
	err = w.rename(path, info, old, new)
	if errors.Is(err, errInPlace) {
		err = w.inPlace(path, info, old, new)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func unchanged(path string, old []byte) (os.FileInfo, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(data, old) {
		return nil, fmt.Errorf("write %s: %w", path, ErrChanged)
	}
	return info, nil
}

func (w writer) rename(path string, info os.FileInfo, old, new []byte) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink > 1 {
		return errInPlace
	}
	dir, prefix := filepath.Dir(path), temporaryPrefix(path)
	if err := sweep(dir, prefix); err != nil {
		return inPlaceIf(err)
	}
	if err := w.step(StepTemporary); err != nil {
		return inPlaceIf(err)
	}
	tmp, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return inPlaceIf(err)
	}
	if err := w.fill(tmp, path, info, stat, new); err != nil {
		return errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
	}
	if err := tmp.Close(); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if _, err := unchanged(path, old); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	err = w.step(StepRename)
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(inPlaceIf(err), os.Remove(tmp.Name()))
	}
	return w.syncDirectory(dir)
}

// temporaryPrefix begins the names of our temporary files beside path, and of nothing else.
func temporaryPrefix(path string) string {
	base := filepath.Base(path)
	return ".checkpoint-" + base[:min(len(base), 100)] + "-"
}

// sweep removes what a process that was killed left behind.
func sweep(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), prefix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill gives tmp the content, and everything else that path has.
func (w writer) fill(tmp *os.File, path string, info os.FileInfo, stat *syscall.Stat_t, content []byte) error {
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	if err := w.step(StepAttributes); err != nil {
		return inPlaceIf(err)
	}
	mine, err := tmp.Stat()
	if err != nil {
		return err
	}
	if own, ok := mine.Sys().(*syscall.Stat_t); !ok || own.Uid != stat.Uid || own.Gid != stat.Gid {
		if err := tmp.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return inPlaceIf(err)
		}
	}
	if err := tmp.Chmod(info.Mode()); err != nil {
		return inPlaceIf(err)
	}
	if err := copyAttributes(path, tmp); err != nil {
		return fmt.Errorf("%w: %w", errInPlace, err)
	}
	if err := w.step(StepSync); err != nil {
		return err
	}
	return tmp.Sync()
}

// inPlaceIf marks the errors that a bind mount, a directory that is not ours or a read-only directory give: the file itself
// may be writable all the same.
func inPlaceIf(err error) error {
	for _, e := range []error{syscall.EBUSY, syscall.EXDEV, syscall.EACCES, syscall.EPERM, syscall.EROFS} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", errInPlace, err)
		}
	}
	return err
}

// inPlace writes over the old content first and cuts or grows the file after it, so that a process stopped in between leaves
// the new content's beginning and the old one's end (see torn). If it fails it writes the old content back.
func (w writer) inPlace(path string, info os.FileInfo, old, new []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	now, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !os.SameFile(info, now) || now.Size() != int64(len(old)) {
		return errors.Join(ErrChanged, f.Close())
	}
	if err := w.overwrite(f, new); err != nil {
		return errors.Join(err, writeBack(f, old), f.Close())
	}
	return f.Close()
}

func (w writer) overwrite(f *os.File, content []byte) error {
	if err := w.step(StepInPlace); err != nil {
		return err
	}
	half := 0
	if w.hook != nil {
		half = len(content) / 2
		if _, err := f.WriteAt(content[:half], 0); err != nil {
			return err
		}
		if err := w.step(StepTear); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(content[half:], int64(half)); err != nil {
		return err
	}
	if err := w.step(StepTruncate); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		return err
	}
	if err := w.step(StepSync); err != nil {
		return err
	}
	return f.Sync()
}

func writeBack(f *os.File, old []byte) error {
	if _, err := f.WriteAt(old, 0); err != nil {
		return fmt.Errorf("write the old content back: %w", err)
	}
	if err := f.Truncate(int64(len(old))); err != nil {
		return fmt.Errorf("write the old content back: %w", err)
	}
	return f.Sync()
}

func (w writer) syncDirectory(dir string) error {
	if err := w.step(StepSyncDirectory); err != nil {
		return err
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
