package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// JournalQuery is what of a journal is wanted.
type JournalQuery struct {
	// Path is the journal's.
	Path string
	// Since and Until bound the time; a zero one does not.
	Since, Until time.Time
	// Node, Playbook and Incident are whose records are wanted; empty for everybody's. An incident may be named by its alert's fingerprint,
	// with which its name begins.
	Node, Playbook, Incident string
	// All shows what is otherwise left out: what every guard said each time, all log lines, starts, rotations, steps of the clock.
	All bool
}

func (q JournalQuery) wants(l remediate.Line) bool {
	fingerprint, _, _ := strings.Cut(l.Incident, "-")
	switch {
	case q.Node != "" && l.Node != q.Node,
		q.Playbook != "" && l.Playbook != q.Playbook,
		q.Incident != "" && l.Incident != q.Incident && fingerprint != q.Incident:
		return false
	}
	return q.All || l.Incident != "" || l.Node != ""
}

func (q JournalQuery) within(from, to time.Time) bool {
	return !to.Before(q.Since) && (q.Until.IsZero() || !from.After(q.Until))
}

// record is how a machine gets one.
type record struct {
	Seq      uint64          `json:"seq"`
	Time     time.Time       `json:"time"`
	Kind     string          `json:"kind"`
	Incident string          `json:"incident,omitempty"`
	Node     string          `json:"node,omitempty"`
	Playbook string          `json:"playbook,omitempty"`
	Text     string          `json:"text"`
	Payload  json.RawMessage `json:"payload,omitempty"`
}

func (t *Terminal) record(l remediate.Line) error {
	return t.json(record{l.Seq, l.Time.UTC(), l.Kind, l.Incident, l.Node, l.Playbook, l.Text, l.Payload})
}

// Journal tells a journal: a block for each incident of which anything lies in the time that is asked for, whole and in the order of their
// beginnings; in JSON a line for each record that lies in it. The journal's chain is checked on the way. It returns ErrNotFine when it is broken.
func (t *Terminal) Journal(q JournalQuery) error {
	teller := remediate.NewTeller()
	blocks := newBlocks(q)
	records := 0
	damage, err := t.tell(teller, q.Path, journal.ScanAll(q.Path, q.Since), func(l remediate.Line) error {
		records++
		if !q.wants(l) {
			return nil
		}
		if t.JSON {
			if q.within(l.Time, l.Time) {
				return t.record(l)
			}
			return nil
		}
		blocks.add(l)
		return nil
	})
	if err != nil {
		return err
	}
	if !t.JSON {
		n, open := t.blocks(blocks, teller)
		if n == 0 {
			t.printf("No incident%s.\n", t.bounds(q))
		} else {
			t.printf("%s%s, %d open.\n", count(n, "incident", "incidents"), t.bounds(q), open)
		}
		if damage == nil {
			t.printf("%s\n", t.paint(dim, fmt.Sprintf("%s: %s read, the chain is sound.", q.Path, count(records, "record", "records"))))
		}
	}
	return damage
}

func (t *Terminal) bounds(q JournalQuery) string {
	text := ""
	if q.Node != "" {
		text += " of " + q.Node
	}
	if !q.Since.IsZero() {
		text += " since " + t.at(q.Since)
	}
	if !q.Until.IsZero() {
		text += " until " + t.at(q.Until)
	}
	return text
}

// tell puts records into words for do. A broken chain is returned as damage: what was told before it holds.
func (t *Terminal) tell(teller *remediate.Teller, path string, records iter.Seq2[journal.Record, error], do func(remediate.Line) error) (damage, err error) {
	for r, err := range records {
		if broken, ok := errors.AsType[*journal.DamageError](err); ok {
			return &DamagedError{broken}, nil
		}
		if err != nil {
			return nil, readable(err, path)
		}
		line, fresh, err := teller.Tell(r)
		if err != nil {
			return nil, err
		}
		if fresh {
			if err := do(line); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// DamagedError says that a journal is not the chain that was written. What was told of it before the place that it names holds.
type DamagedError struct{ Damage *journal.DamageError }

func (e *DamagedError) Error() string {
	return "the journal is damaged, and what comes after that place is not to be trusted: " + e.Damage.Error()
}

// Unwrap returns the damage.
func (e *DamagedError) Unwrap() error { return e.Damage }

// readable says what to do about a journal that cannot be read.
func readable(err error, path string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the remediator has not run here yet, or it keeps its journal elsewhere: see remediation.journal in checkpoint.yml, or name it with --file", err)
	}
	return permitted(err, path, false)
}

// FollowJournal tells what is written to a journal from now on, and before that what lies after q.Since, if that is set. It ends with ctx.
func (t *Terminal) FollowJournal(ctx context.Context, q JournalQuery) error {
	teller := remediate.NewTeller()
	last := uint64(0)
	show := func(l remediate.Line) error {
		switch {
		case !q.wants(l):
			return nil
		case t.JSON:
			return t.record(l)
		}
		t.event(l, q.All)
		return nil
	}
	damage, err := t.tell(teller, q.Path, counted(journal.ScanAll(q.Path, time.Time{}), &last), func(l remediate.Line) error {
		if q.Since.IsZero() || !q.within(l.Time, l.Time) {
			return nil
		}
		return show(l)
	})
	if damage != nil || err != nil {
		return errors.Join(damage, err)
	}
	damage, err = t.tell(teller, q.Path, journal.Follow(ctx, q.Path, last), show)
	return errors.Join(damage, err)
}

// counted notes the Seq of the last record.
func counted(records iter.Seq2[journal.Record, error], last *uint64) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		for r, err := range records {
			if err == nil {
				*last = r.Seq
			}
			if !yield(r, err) {
				return
			}
		}
	}
}
