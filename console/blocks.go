package console

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// block is an incident, or one record that belongs to none.
type block struct {
	lines []remediate.Line
	// closed is how it ended; empty while it goes on.
	closed string
	// did counts what was done, helped and called tell what came of it, and would whether something would have been done.
	did                   int
	would, helped, called bool
}

func (b *block) first() remediate.Line { return b.lines[0] }
func (b *block) last() remediate.Line  { return b.lines[len(b.lines)-1] }

// blocks gathers them.
type blocks struct {
	query JournalQuery
	all   []*block
	open  map[string]*block
}

func newBlocks(q JournalQuery) *blocks { return &blocks{query: q, open: map[string]*block{}} }

func (bs *blocks) add(l remediate.Line) {
	if l.Incident == "" {
		if ack, ok := l.Record.(*remediate.Acked); ok && bs.acknowledge(l, ack) {
			return
		}
		bs.all = append(bs.all, &block{lines: []remediate.Line{l}})
		return
	}
	b := bs.open[l.Incident]
	if b == nil {
		b = &block{}
		bs.open[l.Incident] = b
		bs.all = append(bs.all, b)
	}
	b.note(l)
}

// acknowledge adds a person's word to the incidents that it ends; false if it ends none.
func (bs *blocks) acknowledge(l remediate.Line, ack *remediate.Acked) bool {
	found := false
	for _, b := range bs.all {
		of := b.first()
		if b.called && b.closed == "" && of.Incident != "" && of.Node == ack.Node && (ack.Playbook == "" || of.Playbook == ack.Playbook) {
			b.lines = append(b.lines, l)
			b.closed = "acknowledged"
			found = true
		}
	}
	return found
}

func (b *block) note(l remediate.Line) {
	b.lines = append(b.lines, l)
	switch p := l.Record.(type) {
	case *remediate.Decision:
		b.would = b.would || p.Verdict == "would_act"
	case *remediate.Outcome:
		if p.Result == "done" || p.Result == "unknown" {
			b.did++
		}
	case *remediate.Verified:
		b.helped = p.OK && !p.More
	case *remediate.Exhausted:
		b.called = true
	case *remediate.Closed:
		b.closed = p.Reason
	}
}

// endings are the reasons of a closed record in words.
var endings = map[string]string{
	"resolved": "its alert resolved", "absent": "no Alertmanager knows its alert any more", "expired": "its alert was not heard of for too long",
	"unconfigured": "its node or playbook is no longer configured", "acknowledged": "somebody has seen to it",
}

// standings are the stages of an open incident in words.
var standings = map[string]string{
	"open": "a step is due, if the guards let it", "acting": "something is being done", "verifying": "it is being looked whether it helped",
	"settled": "it helped; its alert has yet to resolve", "exhausted": "people are needed",
}

// ending is how a block ends, in one sentence.
func (b *block) ending(now time.Time, stage string) (text string, s style) {
	from := b.first().Time
	if b.closed == "" {
		s = yellow
		if stage == "exhausted" {
			s = red
		}
		return fmt.Sprintf("Open for %s: %s.", span(now.Sub(from)), cmp.Or(standings[stage], "it is not known where it stands")), s
	}
	done := "nothing was done"
	s = plain
	switch {
	case b.called:
		done, s = "people were called", yellow
	case b.helped:
		done, s = "it helped", green
	case b.did > 0:
		done = "it was not seen to help"
	case b.would:
		done = "nothing was done, as the mode is observe"
	}
	return fmt.Sprintf("Ended after %s: %s; %s.", span(b.last().Time.Sub(from)), done, cmp.Or(endings[b.closed], b.closed)), s
}

// blocks writes what lies in the time asked for, and counts incidents and the open ones of them.
func (t *Terminal) blocks(bs *blocks, teller *remediate.Teller) (incidents, open int) {
	now := t.Now()
	slices.SortStableFunc(bs.all, func(a, b *block) int {
		return cmp.Or(a.first().Time.Compare(b.first().Time), cmp.Compare(a.first().Seq, b.first().Seq))
	})
	for _, b := range bs.all {
		from, to := b.first().Time, b.last().Time
		goesOn := b.first().Incident != "" && b.closed == ""
		if goesOn && now.After(to) {
			to = now
		}
		if !bs.query.within(from, to) {
			continue
		}
		if b.first().Incident == "" {
			t.event(b.first(), bs.query.All)
			t.printf("\n")
			continue
		}
		incidents++
		if goesOn {
			open++
		}
		t.block(b, teller.Stage(b.first().Incident), bs.query.All)
		t.printf("\n")
	}
	return incidents, open
}

func (t *Terminal) block(b *block, stage string, all bool) {
	l := b.first()
	title := fmt.Sprintf("%s  %s  %s", l.Incident, l.Node, l.Playbook)
	if p, ok := l.Record.(*remediate.Opened); ok {
		title += "  " + p.Alert
	}
	t.printf("%s\n", t.paint(bold, clean(title)))
	day := ""
	for _, l := range b.lines {
		at := l.Time.In(t.Zone)
		if d := at.Format(dayFormat + " " + zoneFormat); d != day {
			day = d
			t.printf("  %s\n", t.paint(dim, d))
		}
		t.line("  "+at.Format(clockFormat), l, all)
	}
	text, s := b.ending(t.Now(), stage)
	t.printf("  %s\n", t.paint(s, clean(text)))
}

// event is a record by itself, on a line that says whose it is.
func (t *Terminal) event(l remediate.Line, all bool) {
	head := t.at(l.Time)
	for _, word := range []string{l.Incident, l.Node} {
		if word != "" {
			head += "  " + word
		}
	}
	t.line(clean(head), l, all)
}

// shownLogs is how many of the last log lines are shown.
const shownLogs = 5

// line is a record after its heading, and below it what it holds beside.
func (t *Terminal) line(head string, l remediate.Line, all bool) {
	t.printf("%s  %s\n", head, t.paint(mood(l), clean(t.local(l.Text))))
	const indent = "            "
	for _, e := range l.Evidence {
		t.printf("%s%s\n", indent, t.paint(dim, clean(e)))
	}
	logs := l.Logs
	if cut := len(logs) - shownLogs; cut > 0 && !all {
		t.printf("%s%s\n", indent, t.paint(dim, fmt.Sprintf("(%s before these: --all)", count(cut, "log line", "log lines"))))
		logs = logs[cut:]
	}
	for _, e := range logs {
		t.printf("%s%s\n", indent, t.paint(dim, clean(e)))
	}
	// What speaks against an action stands in the sentence already.
	if d, ok := l.Record.(*remediate.Decision); ok && (all || d.Verdict == "act" || d.Verdict == "would_act") {
		t.answers(indent, d.Answers)
	}
}

func (t *Terminal) answers(indent string, answers []remediate.Answer) {
	rows := make([][]cell, 0, len(answers))
	for _, a := range answers {
		word := cell{"ok", green}
		if a.Blocks {
			word = cell{"no", red}
		}
		rows = append(rows, []cell{{a.Guard, dim}, word, {t.local(a.Why), dim}})
	}
	t.table(indent, rows)
}

func mood(l remediate.Line) style {
	switch p := l.Record.(type) {
	case *remediate.Intent:
		return bold
	case *remediate.Outcome:
		if p.Result != "done" {
			return yellow
		}
	case *remediate.Verified:
		if p.OK {
			return green
		}
		return yellow
	case *remediate.Exhausted:
		return red
	}
	return plain
}
