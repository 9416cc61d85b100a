package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// File is one of the files of a journal.
type File struct {
	Path string
	// First is the Seq of its first record; 0 for the running file, which tells it itself.
	First uint64
	// Rotated is when it became an archive, to the second in UTC; zero for the running file.
	Rotated time.Time
}

// name is the file's in its directory.
func (f File) name() string { return filepath.Base(f.Path) }

const stamp = "20060102T150405Z"

// archiveName is the journal's name with the Seq of the archive's first record, in digits enough for names to sort in order, and its
// time.
func archiveName(path string, f File) string {
	return fmt.Sprintf("%s.%012d-%s", path, f.First, f.Rotated.Format(stamp))
}

// nextName is that of a running file to be.
func nextName(path string) string { return path + ".new" }

// resolve is the place of the file itself: archives stand beside it, not beside a symbolic link to it.
func resolve(path string) string {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// Files are the archives of the journal at path, oldest first, and then the running file.
func Files(path string) ([]File, error) {
	path = resolve(path)
	archives, err := archivesOf(path)
	if err != nil {
		return nil, err
	}
	running, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("list files of journal: %w", err)
	}
	// In the middle of a rotation the running file has two names.
	archives = slices.DeleteFunc(archives, func(a File) bool {
		info, err := os.Stat(a.Path)
		return err == nil && os.SameFile(info, running)
	})
	return append(archives, File{Path: path}), nil
}

func archivesOf(path string) ([]File, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("list archives of journal: %w", err)
	}
	var files []File
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		seq, at, dashed := strings.Cut(rest, "-")
		if !ok || !dashed {
			continue
		}
		first, err := strconv.ParseUint(seq, 10, 64)
		rotated, timeErr := time.Parse(stamp, at)
		if err != nil || timeErr != nil || !e.Type().IsRegular() {
			continue // someone else's
		}
		files = append(files, File{Path: filepath.Join(filepath.Dir(path), e.Name()), First: first, Rotated: rotated})
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.First, b.First) })
	return files, nil
}

// ScanAll reads the journal at path through its archives and then the running file, as it is when the scan begins, and checks the chain
// across all of them. Archives that were rotated before since are left out; within the others every record is told, older ones as well,
// and carried ones beside their originals. It ends after the first error. It needs no lock: a rotation meanwhile does no harm.
func ScanAll(path string, since time.Time) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := scanAll(resolve(path), since, yield); err != nil {
			yield(Record{}, err)
		}
	}
}

func scanAll(path string, since time.Time, yield func(Record, error) bool) error {
	running, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = running.Close() }()
	info, err := running.Stat()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	// Listed after it was opened: what was rotated before that is among the archives, and what is rotated later is running itself.
	archives, err := archivesOf(path)
	if err != nil {
		return err
	}
	var at end
	for _, a := range archives {
		if a.Rotated.Before(since.Truncate(time.Second)) {
			continue
		}
		f, err := os.Open(a.Path)
		if errors.Is(err, fs.ErrNotExist) {
			at = end{} // expired since it was listed
			continue
		}
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		i, err := f.Stat()
		if err != nil {
			return errors.Join(fmt.Errorf("read journal: %w", err), f.Close())
		}
		same, more := os.SameFile(i, info), true
		if !same {
			at, more, err = scanFile(a.Path, f, at, false, yield)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if same {
			break // the scan ends with it
		}
		if !more {
			return nil
		}
	}
	_, _, err = scanFile(path, running, at, true, yield)
	return err
}

// scanFile reads one file of several from its beginning, which follows at. Only the running one may be torn.
func scanFile(name string, r io.Reader, at end, running bool, yield func(Record, error) bool) (after end, more bool, err error) {
	more = true
	after, torn, err := walk(name, r, end{seq: at.seq, hash: at.hash}, func(rec Record, _ end) bool {
		more = yield(rec, nil)
		return more
	})
	if err == nil && torn > 0 && !running {
		err = &DamageError{Path: name, Line: after.line + 1, Offset: after.size, Reason: "an archive that ends within a line"}
	}
	return after, more, err
}
