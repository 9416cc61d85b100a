package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// followEvery is how often Follow looks for more.
const followEvery = 250 * time.Millisecond

// Follow reads the journal at path from the first record with a Seq above after that is still there, and then what is appended, through
// rotations, until ctx ends. It ends after an error. It needs no lock. A record whose writing failed on a full disk after it could be
// seen is followed by the one that took its Seq.
func Follow(ctx context.Context, path string, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		f := follower{path: resolve(path), at: end{seq: after}, yield: yield}
		defer f.close()
		if err := f.run(ctx); err != nil && !errors.Is(err, errEnough) {
			yield(Record{}, err)
		}
	}
}

// errEnough ends a follower whose consumer wants no more.
var errEnough = errors.New("enough")

type follower struct {
	path  string
	yield func(Record, error) bool

	file *os.File
	name string
	// at is the end of what was told; before is that of one look earlier, where a record that was withdrawn meanwhile cannot have been.
	at, before end
}

func (f *follower) run(ctx context.Context) error {
	if err := f.begin(); err != nil {
		return err
	}
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		if err := f.look(); err != nil {
			return err
		}
		moved, err := f.next()
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin opens the file that holds the first record wanted, or else the oldest.
func (f *follower) begin() error {
	for {
		running, first, err := openFile(f.path)
		if err != nil {
			return err
		}
		if first != 0 && first <= f.at.seq+1 {
			return f.skipTo(running, f.path)
		}
		// Listed after it was opened: what was rotated before that is among the archives.
		archives, err := archivesOf(f.path)
		if err != nil || len(archives) == 0 {
			return errors.Join(err, f.skipTo(running, f.path))
		}
		_ = running.Close()
		from := archives[0]
		for _, a := range archives {
			if a.First <= f.at.seq+1 {
				from = a
			}
		}
		file, _, err := openFile(from.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has expired since it was listed
		}
		if err != nil {
			return err
		}
		return f.skipTo(file, from.Path)
	}
}

// openFile tells, besides, the Seq of the file's first record; 0 for none.
func openFile(path string) (file *os.File, first uint64, err error) {
	file, err = os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("follow journal: %w", err)
	}
	_, _, err = walk(path, io.NewSectionReader(file, 0, 1<<62), end{}, func(rec Record, _ end) bool { first = rec.Seq; return false })
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, first, nil
}

// use goes on in a file, from its beginning, which follows at.
func (f *follower) use(file *os.File, path string, at end) {
	f.close()
	f.file, f.name = file, path
	f.at = end{seq: at.seq, hash: at.hash}
	f.before = f.at
}

// skipTo uses a file from the first record wanted on. Of those before it only the end is of interest.
func (f *follower) skipTo(file *os.File, path string) error {
	wanted := f.at.seq
	f.use(file, path, end{})
	at, _, err := walk(path, io.NewSectionReader(file, 0, 1<<62), f.at, func(rec Record, _ end) bool { return rec.Seq < wanted })
	if at.seq <= wanted {
		f.at, f.before = at, at
	}
	return err
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
}

// look tells what has come.
func (f *follower) look() error {
	from := f.at
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("follow journal: %w", err)
	}
	if info.Size() < from.size {
		from = f.before
	}
	at, err := f.walk(from)
	if _, damaged := errors.AsType[*DamageError](err); damaged {
		switch {
		case at != from:
			err = nil // read while it was rewritten, perhaps; the next look shows
		case from != f.before:
			from = f.before
			at, err = f.walk(from)
		}
	}
	f.at, f.before = at, from
	return err
}

func (f *follower) walk(from end) (end, error) {
	enough := false
	at, _, err := walk(f.name, io.NewSectionReader(f.file, from.size, 1<<62), from, func(rec Record, _ end) bool {
		enough = !f.yield(rec, nil)
		return !enough
	})
	if enough {
		err = errEnough
	}
	return at, err
}

// next goes on to the file after, if the one that is read was rotated and is read to its end.
func (f *follower) next() (moved bool, err error) {
	mine, err := f.file.Stat()
	if err != nil {
		return false, fmt.Errorf("follow journal: %w", err)
	}
	files, err := Files(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // moved away by hand; it may come back
	}
	if err != nil {
		return false, err
	}
	info, err := os.Stat(files[len(files)-1].Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && os.SameFile(info, mine) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("follow journal: %w", err)
	}
	if err := f.look(); err != nil { // what came between the last look and the rotation
		return false, err
	}
	return f.goOn()
}

// goOn uses the file after the one that was read to its end.
func (f *follower) goOn() (moved bool, err error) {
	running, first, err := openFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if first == f.at.seq+1 {
		f.use(running, f.path, f.at)
		return true, nil
	}
	archives, err := archivesOf(f.path) // after running was opened, as in begin
	if err != nil {
		return false, errors.Join(err, running.Close())
	}
	for _, a := range archives {
		if a.First <= f.at.seq {
			continue
		}
		file, first, err := openFile(a.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // expired
		}
		if err != nil {
			return false, errors.Join(err, running.Close())
		}
		_ = running.Close()
		after := f.at
		if first != f.at.seq+1 {
			after = end{} // what was between has expired before it was read
		}
		f.use(file, a.Path, after)
		return true, nil
	}
	f.use(running, f.path, end{}) // so has everything between, or another journal was begun
	return true, nil
}
