// Package journal is the remediator's memory and its audit log: JSON lines, each carrying the hash of the line before, each on
// the disk before its writer goes on. One process holds a journal at a time. A file that has become long is moved aside by Rotate;
// the chain goes on in the next one.
//
// The chain shows damage and careless edits. It is not signed: who may write the file may write another chain.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	// ErrGone is returned by Open when there are archives, but no running file that goes on from them.
	ErrGone = errors.New("it is gone or empty while its archives are there: put it back, or move them away as well, " +
		"which forgets budgets and open incidents")
)

// Options of Open. The zero value is what a program wants.
type Options struct {
	// Now is the clock of Record.Time; time.Now if nil.
	Now func() time.Time
	// Step, if set, is called with a Step… name before each step that changes the disk. An error makes that step fail as the
	// system would. It lets a test end the process at every point; a write is then done in two halves around StepTear.
	Step func(step string) error
	// Keep is how many archives are kept at least; DefaultKeep if 0.
	Keep int
	// KeepFor is for how long an archive is kept at least, however many there are; DefaultKeepFor if 0.
	KeepFor time.Duration
}

// What is kept of rotated files.
const (
	DefaultKeep    = 10
	DefaultKeepFor = 30 * 24 * time.Hour
)

// Steps that Options.Step sees.
const (
	StepSyncDirectory = "journal: sync directory"
	StepWrite         = "journal: write"
	StepTear          = "journal: write second half"
	StepSync          = "journal: sync"
	StepCut           = "journal: cut"
	StepCreate        = "journal: create next file"
	StepLink          = "journal: give the archive its name"
	StepReplace       = "journal: put the next file in place"
	StepRemove        = "journal: remove"
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
	opened string
	path   string // the same without a symbolic link
	opts   Options
	torn   Torn

	writing   sync.Mutex // held by the one that writes; taken before mu
	dirty     bool       // by writing: bytes may lie beyond end.size
	unsettled bool       // by writing: the directory may still name the file before
	closed    bool       // by writing

	mu      sync.Mutex
	file    *handle // changed with both locks held
	end     end     // changed with both locks held
	head    int64   // as end
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
// of it: a torn tail is cut off and told by Torn; any other damage is a *DamageError and leaves the file as it is. What a rotation
// that was interrupted left beside it is cleared away.
func Open(path string, opts Options) (*Journal, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Keep == 0 {
		opts.Keep = DefaultKeep
	}
	if opts.KeepFor == 0 {
		opts.KeepFor = DefaultKeepFor
	}
	j := &Journal{opened: path, path: resolve(path), opts: opts}
	f, err := j.acquire()
	if err != nil {
		return nil, err
	}
	j.file = newHandle(f)
	if err := j.start(); err != nil {
		return nil, errors.Join(err, j.file.release())
	}
	return j, nil
}

// acquire opens and locks the file that has the journal's name.
func (j *Journal) acquire() (*os.File, error) {
	const most = 10 // rotations that could be met in a row
	for range most {
		if _, err := os.Lstat(j.path); errors.Is(err, fs.ErrNotExist) {
			if err := j.refuseGone(); err != nil {
				return nil, err
			}
		}
		f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		current, err := j.lock(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if current {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
	}
	return nil, fmt.Errorf("lock journal %s: it is replaced again and again", j.path)
}

// lock tells, besides, whether f still has the journal's name: between open and lock the one who held it may have moved it away.
func (j *Journal) lock(f *os.File) (current bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("open journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("open journal %s: not a regular file", j.path)
	}
	if err := flock(f); err != nil {
		return false, fmt.Errorf("lock journal %s: %w", j.path, err)
	}
	now, err := os.Stat(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("lock journal %s: %w", j.path, err)
	}
	return err == nil && os.SameFile(info, now), nil
}

func flock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

func (j *Journal) start() error {
	heading := true
	at, torn, err := walk(j.path, io.NewSectionReader(j.file, 0, 1<<62), end{}, func(rec Record, after end) bool {
		if heading = heading && (rec.Kind == KindRotated || rec.Kind == KindCarried); heading {
			j.head = after.size
		}
		return true
	})
	if err != nil {
		return err
	}
	j.end = at
	if at.seq == 0 {
		j.end.hash = Genesis
		if err := j.refuseGone(); err != nil {
			return err
		}
	}
	if torn > 0 {
		j.torn = Torn{Line: at.line + 1, Offset: at.size, Bytes: torn}
		if err := j.cut(); err != nil {
			return fmt.Errorf("cut torn tail of journal %s: %w", j.path, err)
		}
		if err := j.sync(j.file); err != nil {
			return fmt.Errorf("cut torn tail of journal %s: %w", j.path, err)
		}
	}
	if err := j.tidy(); err != nil {
		return fmt.Errorf("clear away an interrupted rotation of journal %s: %w", j.path, err)
	}
	return j.syncDirectory()
}

// Torn tells what Open cut off.
func (j *Journal) Torn() Torn { return j.torn }

// Path is the path that was opened.
func (j *Journal) Path() string { return j.opened }

// Size is the length of what is durable in the running file, in bytes.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end.size
}

// Head is the part of Size that the last rotation wrote, in bytes; 0 in a first file. Size less Head is what another rotation could
// move aside.
func (j *Journal) Head() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
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
		most := MaxLine - 2*rest
		if e.Kind == KindCarried {
			most += rest // whatever fitted into a line fits again when it is carried over
		}
		if len(p) > most {
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
	if err := j.settle(); err != nil {
		return nil, err
	}
	buf, records, at, err := j.render(lines, j.end)
	if err != nil {
		return nil, err
	}
	if err := j.intact(); err != nil {
		return nil, err
	}
	j.dirty = true
	err = j.write(j.file, buf, j.end.size)
	if err == nil {
		err = j.sync(j.file)
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

// settle finishes what an earlier failure left; the caller holds writing.
func (j *Journal) settle() error {
	if j.closed {
		return ErrClosed
	}
	if j.dirty {
		if err := j.cut(); err != nil {
			return fmt.Errorf("cut what an earlier failure left: %w", err)
		}
	}
	if j.unsettled {
		// Until the directory is on the disk, a loss of power could bring back the file before, without what is written from now on.
		if err := j.syncDirectory(); err != nil {
			return err
		}
		j.unsettled = false
	}
	return nil
}

// render makes lines the records that follow at.
func (j *Journal) render(lines []line, at end) (buf []byte, records []Record, after end, err error) {
	records = make([]Record, 0, len(lines))
	for _, l := range lines {
		rec := Record{Seq: at.seq + 1, Time: j.opts.Now().UTC(), Kind: l.kind, Prev: at.hash, Payload: l.payload}
		text, err := encode(rec)
		if err != nil {
			return nil, nil, at, fmt.Errorf("encode record: %w", err)
		}
		at = end{size: at.size + int64(len(text)), line: at.line + 1, seq: rec.Seq, hash: hash(text)}
		buf = append(buf, text...)
		records = append(records, rec)
	}
	return buf, records, at, nil
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

func (j *Journal) write(f io.WriterAt, buf []byte, at int64) error {
	if err := j.step(StepWrite); err != nil {
		return err
	}
	half := 0
	if j.opts.Step != nil {
		half = len(buf) / 2
		if _, err := f.WriteAt(buf[:half], at); err != nil {
			return err
		}
		if err := j.step(StepTear); err != nil {
			return err
		}
	}
	_, err := f.WriteAt(buf[half:], at+int64(half))
	return err
}

func (j *Journal) sync(f interface{ Sync() error }) error {
	if err := j.step(StepSync); err != nil {
		return err
	}
	return f.Sync()
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

// Records reads what is durable now in the running file from its first record on, checking the chain again. It ends after the first
// error. Appends and rotations go on meanwhile.
func (j *Journal) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		j.mu.Lock()
		size, file, more := j.end.size, j.file, true
		file.hold()
		j.mu.Unlock()
		defer func() { _ = file.release() }()
		at, _, err := walk(j.path, io.NewSectionReader(file, 0, size), end{}, func(rec Record, _ end) bool {
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
	return j.file.retire()
}
