package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Kinds of records that Rotate writes at the beginning of a file.
const (
	// KindRotated is the first record of every file but the first; its payload is a Rotated.
	KindRotated = "rotated"
	// KindCarried is a record of an earlier file that still counts; its payload is a Carried.
	KindCarried = "carried"
)

// Rotated is the payload of a KindRotated record.
type Rotated struct {
	// Archive is the name of the file before, in the same directory.
	Archive string `json:"archive"`
	// Counters are the writer's own: what it counts through all files.
	Counters json.RawMessage `json:"counters,omitempty"`
}

// Carried is the payload of a KindCarried record: a record as it was first written.
type Carried struct {
	Seq     uint64          `json:"seq"`
	Time    time.Time       `json:"time"`
	Kind    string          `json:"kind"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Carry is the entry that carries a record over into the next file, as it was first written however often it was carried before.
func Carry(r Record) Entry {
	if r.Kind == KindCarried {
		return Entry{Kind: KindCarried, Payload: r.Payload}
	}
	return Entry{Kind: KindCarried, Payload: Carried{Seq: r.Seq, Time: r.Time, Kind: r.Kind, Payload: r.Payload}}
}

// Original is the record that a KindCarried record carries, with the Seq and Time of its first writing and without Prev; any other
// record is its own original.
func (r Record) Original() (Record, error) {
	if r.Kind != KindCarried {
		return r, nil
	}
	var c Carried
	if err := r.Decode(&c); err != nil {
		return Record{}, err
	}
	if c.Kind == "" || c.Kind == KindCarried {
		return Record{}, fmt.Errorf("journal record %d carries a record of kind %q", r.Seq, c.Kind)
	}
	return Record{Seq: c.Seq, Time: c.Time, Kind: c.Kind, Payload: c.Payload}, nil
}

// Rotate makes the running file an archive and begins another: with a KindRotated record that holds counters (encoded as JSON; nil for
// none), and with what is to be carried over, such as the entries that Carry makes. The chain goes on. The caller sees to it that nothing
// that belongs to carry is appended meanwhile.
//
// It returns the archive's path; "" when the running file is empty. An error without a path leaves the journal as it was. An error with
// a path is of what comes after: then the journal is rotated, and what failed is tried again by itself.
func (j *Journal) Rotate(counters any, carry ...Entry) (archive string, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.settle(); err != nil {
		return "", fmt.Errorf("rotate journal %s: %w", j.path, err)
	}
	if j.end.seq == 0 {
		return "", nil
	}
	file := File{First: j.end.seq - uint64(j.end.line) + 1, Rotated: j.opts.Now().UTC().Truncate(time.Second)}
	file.Path = archiveName(j.path, file)
	next, at, err := j.prepareNext(file, counters, carry)
	if err == nil {
		err = j.replace(next, file.Path, at)
	}
	if err != nil {
		return "", fmt.Errorf("rotate journal %s: %w", j.path, err)
	}
	if err := errors.Join(j.settle(), j.expire()); err != nil {
		return file.Path, fmt.Errorf("after the rotation of journal %s: %w", j.path, err)
	}
	return file.Path, nil
}

// prepareNext writes the next file beside the running one and locks it.
func (j *Journal) prepareNext(archive File, counters any, carry []Entry) (*os.File, end, error) {
	if err := j.intact(); err != nil {
		return nil, end{}, err
	}
	if err := j.tidy(); err != nil {
		return nil, end{}, err
	}
	first := Rotated{Archive: archive.name()}
	if counters != nil {
		text, err := json.Marshal(counters)
		if err != nil {
			return nil, end{}, fmt.Errorf("encode counters: %w", err)
		}
		first.Counters = text
	}
	lines, err := prepare(append([]Entry{{Kind: KindRotated, Payload: first}}, carry...))
	if err != nil {
		return nil, end{}, err
	}
	buf, _, at, err := j.render(lines, end{seq: j.end.seq, hash: j.end.hash})
	if err != nil {
		return nil, end{}, err
	}
	f, err := j.createNext()
	if err != nil {
		return nil, end{}, err
	}
	err = j.write(f, buf, 0)
	if err == nil {
		err = j.sync(f)
	}
	if err != nil {
		return nil, end{}, errors.Join(err, f.Close(), j.remove(nextName(j.path)))
	}
	return f, at, nil
}

// createNext makes an empty file with the running one's mode and owner. It is locked before it has the journal's name, so that there
// is no moment in which another process could lock that.
func (j *Journal) createNext() (*os.File, error) {
	info, err := j.file.Stat()
	if err != nil {
		return nil, err
	}
	if err := j.step(StepCreate); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(nextName(j.path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = errors.Join(flock(f), f.Chmod(info.Mode().Perm()))
	if s, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		// Only root may give a file away. Whoever else writes here owned the running file, or could write to it all the same.
		_ = f.Chown(int(s.Uid), int(s.Gid))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), j.remove(nextName(j.path)))
	}
	return f, nil
}

// replace gives the running file its second name and puts the next one in its place. The journal's own name is never without a file.
func (j *Journal) replace(next *os.File, archive string, at end) error {
	err := j.step(StepLink)
	if err == nil {
		err = os.Link(j.path, archive)
	}
	if err == nil {
		err = j.syncDirectory()
	}
	if err == nil {
		err = j.step(StepReplace)
	}
	if err == nil {
		err = os.Rename(nextName(j.path), j.path)
	}
	if err != nil {
		return errors.Join(err, next.Close(), j.tidy())
	}
	old := j.file
	j.mu.Lock()
	j.file, j.end, j.head = newHandle(next), at, at.size
	j.mu.Unlock()
	j.unsettled = true
	return old.retire()
}

// tidy removes what an interrupted rotation left: the next file, and a second name of the running one.
func (j *Journal) tidy() error {
	if _, err := os.Lstat(nextName(j.path)); err == nil {
		if err := j.remove(nextName(j.path)); err != nil {
			return err
		}
	}
	running, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	archives, err := archivesOf(j.path)
	if err != nil {
		return err
	}
	for _, a := range archives {
		info, err := os.Stat(a.Path)
		if err == nil && os.SameFile(info, running) {
			if err := j.remove(a.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// expire removes the oldest archives that need not be kept.
func (j *Journal) expire() error {
	archives, err := archivesOf(j.path)
	if err != nil {
		return err
	}
	for _, a := range archives[:max(0, len(archives)-j.opts.Keep)] {
		if j.opts.Now().Sub(a.Rotated) <= j.opts.KeepFor {
			break // those after it are younger
		}
		if err := j.remove(a.Path); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) remove(path string) error {
	if err := j.step(StepRemove); err != nil {
		return err
	}
	return os.Remove(path)
}

// refuseGone returns ErrGone if there are archives, which a running file would have to go on from.
func (j *Journal) refuseGone() error {
	archives, err := archivesOf(j.path)
	if err != nil {
		return fmt.Errorf("open journal %s: %w", j.path, err)
	}
	if len(archives) > 0 {
		return fmt.Errorf("open journal %s: %w", j.path, ErrGone)
	}
	return nil
}

// handle is an open file that ends with its last user: a rotation or Close must not take it from those who read.
type handle struct {
	*os.File
	users atomic.Int32
}

func newHandle(f *os.File) *handle {
	h := &handle{File: f}
	h.hold()
	return h
}

func (h *handle) hold() { h.users.Add(1) }

func (h *handle) release() error {
	if h.users.Add(-1) > 0 {
		return nil
	}
	return h.Close()
}

// retire is the release of the one who writes: the lock goes with it, whoever still reads.
func (h *handle) retire() error {
	return errors.Join(syscall.Flock(int(h.Fd()), syscall.LOCK_UN), h.release())
}
