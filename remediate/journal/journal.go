// Package journal is the remediator's memory and its audit log: JSON lines, each carrying the hash of the line before, each on
// the disk before its writer goes on. One process holds a journal at a time.
//
// The chain shows damage and careless edits. It is not signed: who may write the file may write another chain.
package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrLocked is returned by Open while another process, or this one, holds the journal.
	ErrLocked = errors.New("another process holds it")
	// ErrClosed is returned by appends after Close.
	ErrClosed = errors.New("journal is closed")
	// ErrTooLarge is returned for an entry that would not fit in MaxLine. Nothing was written.
	ErrTooLarge = errors.New("record is too large")
)

// Options of Open. The zero value is what a program wants.
type Options struct {
	// Now is the clock of Record.Time; time.Now if nil.
	Now func() time.Time
	// Step, if set, is called with a Step… name before each step that changes the disk. An error makes that step fail as the
	// system would. It lets a test end the process at every point; the write is then done in two halves around StepTear.
	Step func(step string) error
}

// Steps that Options.Step sees.
const (
	StepSyncDirectory = "journal: sync directory"
	StepWrite         = "journal: write"
	StepTear          = "journal: write second half"
	StepSync          = "journal: sync"
	StepCut           = "journal: cut"
)

// Torn is what Open cut off: the rest of a write that was under way when the process or the machine stopped, and that nobody
// had been told was kept.
type Torn struct {
	Line   int
	Offset int64
	Bytes  int64 // 0: the journal ended cleanly
}

// Entry is a record to be.
type Entry struct {
	// Kind is 1 to MaxKind bytes.
	Kind string
	// Payload is encoded as JSON; nil for none.
	Payload any
}

// Journal is an open journal. Its methods may be called concurrently.
type Journal struct {
	path string
	opts Options
	torn Torn
	file *os.File

	writing sync.Mutex // held by the one that writes; taken before mu
	dirty   bool       // by writing: bytes may lie beyond end.size
	closed  bool       // by writing

	mu      sync.Mutex
	end     end
	pending *batch
}

// batch is what several appenders have made durable by one fsync.
type batch struct {
	lines   []line
	done    bool // by writing
	err     error
	records []Record
}

type line struct {
	kind    string
	payload []byte
}

// Open opens the journal at path, or creates it with mode 0640 in an existing directory, and locks it until Close. It reads the whole
// of it: a torn tail is cut off and told by Torn; any other damage is a *DamageError and leaves the file as it is.
func Open(path string, opts Options) (*Journal, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{path: path, opts: opts, file: f}
	if err := j.start(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *Journal) start() error {
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open journal %s: not a regular file", j.path)
	}
	if err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return fmt.Errorf("lock journal %s: %w", j.path, err)
	}
	// Between open and lock the file may have been moved away by the one who held it.
	if now, err := os.Stat(j.path); err != nil || !os.SameFile(info, now) {
		return fmt.Errorf("lock journal %s: it was replaced meanwhile", j.path)
	}
	at, torn, err := walk(j.path, io.NewSectionReader(j.file, 0, 1<<62), func(Record) bool { return true })
	if err != nil {
		return err
	}
	j.end = at
	if torn > 0 {
		j.torn = Torn{Line: at.line + 1, Offset: at.size, Bytes: torn}
		if err := j.cut(); err != nil {
			return fmt.Errorf("cut torn tail of journal %s: %w", j.path, err)
		}
		if err := j.sync(); err != nil {
			return fmt.Errorf("cut torn tail of journal %s: %w", j.path, err)
		}
	}
	return j.syncDirectory()
}

// Torn tells what Open cut off.
func (j *Journal) Torn() Torn { return j.torn }

// Path is the path that was opened.
func (j *Journal) Path() string { return j.path }

// Size is the length of what is durable, in bytes.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end.size
}

// Append writes one record and returns it when it is on the disk. After an error nothing of it is, as far as the system lets
// us know, and the next Append tries afresh: space that comes back is used.
func (j *Journal) Append(kind string, payload any) (Record, error) {
	records, err := j.AppendAll(Entry{Kind: kind, Payload: payload})
	if err != nil {
		return Record{}, err
	}
	return records[0], nil
}

// AppendAll writes records in order, with one fsync for all of them. A crash before it returns may leave the first few.
func (j *Journal) AppendAll(entries ...Entry) ([]Record, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	lines, err := prepare(entries)
	if err != nil {
		return nil, fmt.Errorf("append to journal %s: %w", j.path, err)
	}
	b, from := j.join(lines)
	j.writing.Lock()
	defer j.writing.Unlock()
	if !b.done {
		j.mu.Lock()
		j.pending = nil
		j.mu.Unlock()
		b.records, b.err = j.commit(b.lines)
		b.done = true
	}
	if b.err != nil {
		return nil, fmt.Errorf("append to journal %s: %w", j.path, b.err)
	}
	return b.records[from : from+len(entries) : from+len(entries)], nil
}

func prepare(entries []Entry) ([]line, error) {
	lines := make([]line, len(entries))
	for i, e := range entries {
		if e.Kind == "" || len(e.Kind) > MaxKind {
			return nil, fmt.Errorf("kind %.80q: want 1 to %d bytes", e.Kind, MaxKind)
		}
		lines[i].kind = e.Kind
		if e.Payload == nil {
			continue
		}
		p, err := encode(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("encode payload of %q: %w", e.Kind, err)
		}
		const rest = 256 + 6*MaxKind // all other fields, a kind of escaped bytes included
		if len(p) > MaxLine-rest {
			return nil, fmt.Errorf("payload of %q has %d bytes: %w", e.Kind, len(p), ErrTooLarge)
		}
		lines[i].payload = p
	}
	return lines, nil
}

// join adds lines to the batch that the next writer will take.
func (j *Journal) join(lines []line) (b *batch, from int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending == nil {
		j.pending = new(batch)
	}
	b, from = j.pending, len(j.pending.lines)
	b.lines = append(b.lines, lines...)
	return b, from
}

// commit writes and syncs lines; the caller holds writing.
func (j *Journal) commit(lines []line) ([]Record, error) {
	if j.closed {
		return nil, ErrClosed
	}
	if j.dirty {
		if err := j.cut(); err != nil {
			return nil, fmt.Errorf("cut what an earlier failure left: %w", err)
		}
	}
	at := j.end
	records := make([]Record, 0, len(lines))
	var buf []byte
	for _, l := range lines {
		rec := Record{Seq: at.seq + 1, Time: j.opts.Now().UTC(), Kind: l.kind, Prev: at.hash, Payload: l.payload}
		text, err := encode(rec)
		if err != nil {
			return nil, fmt.Errorf("encode record: %w", err)
		}
		at = end{size: at.size + int64(len(text)), line: at.line + 1, seq: rec.Seq, hash: hash(text)}
		buf = append(buf, text...)
		records = append(records, rec)
	}
	if err := j.intact(); err != nil {
		return nil, err
	}
	j.dirty = true
	err := j.write(buf)
	if err == nil {
		err = j.sync()
	}
	if err != nil {
		return nil, errors.Join(err, j.cut())
	}
	j.dirty = false
	j.mu.Lock()
	j.end = at
	j.mu.Unlock()
	return records, nil
}

// intact makes sure that what is about to be written lands in the file that others will read: not one that was rotated away
// (logrotate), and not beyond a hole (copytruncate).
func (j *Journal) intact() error {
	mine, err := j.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(j.path)
	if err != nil {
		return fmt.Errorf("it was moved away while open: %w", err)
	}
	if !os.SameFile(mine, there) {
		return errors.New("another file was put in its place while open: put it back, or restart")
	}
	if mine.Size() != j.end.size {
		return &DamageError{Path: j.path, Line: j.end.line + 1, Offset: j.end.size,
			Reason: fmt.Sprintf("it has %d bytes where %d were written", mine.Size(), j.end.size)}
	}
	return nil
}

func (j *Journal) write(buf []byte) error {
	if err := j.step(StepWrite); err != nil {
		return err
	}
	at, half := j.end.size, 0
	if j.opts.Step != nil {
		half = len(buf) / 2
		if _, err := j.file.WriteAt(buf[:half], at); err != nil {
			return err
		}
		if err := j.step(StepTear); err != nil {
			return err
		}
	}
	_, err := j.file.WriteAt(buf[half:], at+int64(half))
	return err
}

func (j *Journal) sync() error {
	if err := j.step(StepSync); err != nil {
		return err
	}
	return j.file.Sync()
}

// cut takes away what lies beyond the last durable record.
func (j *Journal) cut() error {
	if err := j.step(StepCut); err != nil {
		return err
	}
	if err := j.file.Truncate(j.end.size); err != nil {
		return err
	}
	j.dirty = false
	return nil
}

func (j *Journal) syncDirectory() error {
	if err := j.step(StepSyncDirectory); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(j.path))
	if err != nil {
		return fmt.Errorf("sync directory of journal: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory of journal: %w", err)
	}
	return nil
}

func (j *Journal) step(name string) error {
	if j.opts.Step == nil {
		return nil
	}
	return j.opts.Step(name)
}

// Records reads what is durable now from the first record on, checking the chain again. It ends after the first error.
// Appends go on meanwhile.
func (j *Journal) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		size, more := j.Size(), true
		at, _, err := walk(j.path, io.NewSectionReader(j.file, 0, size), func(rec Record) bool {
			more = yield(rec, nil)
			return more
		})
		if err == nil && more && at.size != size {
			err = &DamageError{Path: j.path, Line: at.line + 1, Offset: at.size, Reason: "the rest was cut off while the journal was open"}
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// Close waits for the write under way, and lets go of the lock.
func (j *Journal) Close() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	return j.file.Close()
}
