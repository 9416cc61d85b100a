package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// MaxLine bounds one line of a journal, its newline included, in bytes.
const MaxLine = 1 << 20

// MaxKind bounds the kind of a record, in bytes.
const MaxKind = 64

// Genesis is the Prev of the first record of all.
var Genesis = strings.Repeat("0", 2*sha256.Size)

// Record is one line of the journal.
type Record struct {
	// Seq counts from 1 without gaps, through all files of a journal.
	Seq uint64 `json:"seq"`
	// Time is when the record was written, in UTC. It follows the wall clock, so it may step back.
	Time time.Time `json:"time"`
	// Kind tells what the payload is; the writer gives it its meaning.
	Kind string `json:"kind"`
	// Prev is the SHA-256 of the line before, its newline included, in lower-case hex; Genesis for the first one. The line before a
	// file's first one is the last line of the archive before. `sed -n 7p journal.jsonl | sha256sum` prints the Prev of line 8.
	Prev string `json:"prev"`
	// Payload is what was appended, as JSON; empty if it was nil.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Decode puts the payload into v.
func (r Record) Decode(v any) error {
	if err := json.Unmarshal(r.Payload, v); err != nil {
		return fmt.Errorf("decode journal record %d (%s): %w", r.Seq, r.Kind, err)
	}
	return nil
}

// DamageError says where a journal stopped being the chain that was written. Nothing before Line is in doubt.
type DamageError struct {
	Path   string
	Line   int
	Offset int64 // of the first byte of Line
	Reason string
}

// Error names file and line, what is wrong, and the two ways to go on.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s:%d: %s; it was edited or damaged: keep a copy, then cut the file to its first %d bytes (truncate --size=%d) to go on from line %d, "+
		"or move it and its archives away, which forgets budgets and open incidents", e.Path, e.Line, e.Reason, e.Offset, e.Offset, e.Line-1)
}

// Scan reads one file of a journal in r, called name in errors, from its first record, and checks the chain as it goes. It ends after
// the first error, which is a *DamageError or r's own. A torn last line is being written, or never was acknowledged: it is
// left out. Scan needs no lock, so a running remediator's journal can be read with it.
func Scan(name string, r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if _, _, err := walk(name, r, end{}, func(rec Record, _ end) bool { return yield(rec, nil) }); err != nil {
			yield(Record{}, err)
		}
	}
}

// end is the place after a chain's last record, where the next one goes. The zero value is before the first record of a file of
// which nothing is known.
type end struct {
	size int64 // of the part of the file before it
	line int   // lines of the file before it
	seq  uint64
	hash string // "": not known
}

// walk visits the records of r, which begins at the given end of what is before, until visit says no. It returns the end of the sound
// part and the length of a torn tail.
func walk(name string, r io.Reader, at end, visit func(rec Record, after end) bool) (_ end, torn int64, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var buf []byte
	for {
		line, length, err := readLine(in, buf[:0])
		buf = line
		switch {
		case errors.Is(err, io.EOF):
			return at, length, nil
		case err != nil:
			return at, 0, fmt.Errorf("read journal %s: %w", name, err)
		}
		rec, reason := parse(line, length, at)
		if reason != "" {
			if last(in) && bytes.IndexByte(line, 0) >= 0 {
				return at, length, nil // a block that did not reach the disk before power was lost reads as zeros
			}
			return at, 0, &DamageError{Path: name, Line: at.line + 1, Offset: at.size, Reason: reason}
		}
		at = end{size: at.size + length, line: at.line + 1, seq: rec.Seq, hash: hash(line)}
		if !visit(rec, at) {
			return at, 0, nil
		}
	}
}

// readLine returns the next line with its newline, at most MaxLine of it, and its whole length. io.EOF comes with the length
// of what has no newline.
func readLine(in *bufio.Reader, buf []byte) (line []byte, length int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		length += int64(len(part))
		if room := MaxLine - len(buf); len(part) > room {
			part = part[:room]
		}
		buf = append(buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, length, err
		}
	}
}

func last(in *bufio.Reader) bool {
	_, err := in.Peek(1)
	return errors.Is(err, io.EOF)
}

// parse returns the record of a line that follows at, or why it does not.
func parse(line []byte, length int64, at end) (rec Record, reason string) {
	if length > MaxLine {
		return rec, fmt.Sprintf("a line of %d bytes, longer than the %d that are ever written", length, MaxLine)
	}
	if err := json.Unmarshal(line, &rec); err != nil {
		return rec, fmt.Sprintf("not a record: %v", err)
	}
	if at.hash == "" {
		at.hash = Genesis
		if rec.Kind == KindRotated && rec.Seq > 1 {
			at.seq, at.hash = rec.Seq-1, rec.Prev // whether it goes on from the archive before shows where both are read
		}
	}
	switch {
	case rec.Seq != at.seq+1:
		return rec, fmt.Sprintf("record %d where %d was to come", rec.Seq, at.seq+1)
	case rec.Prev != at.hash:
		return rec, fmt.Sprintf("record %d does not carry the hash of the line before", rec.Seq)
	case rec.Kind == "":
		return rec, fmt.Sprintf("record %d has no kind", rec.Seq)
	}
	return rec, ""
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// encode is JSON on one line, with its newline, and URLs left readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
