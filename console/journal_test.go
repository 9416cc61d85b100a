package console_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// incident writes one that a restart cured.
func (d *diary) incident(id, node string) {
	d.open(id, node)
	d.note("intent", remediate.Intent{ID: id + ".1", Incident: id, Node: node, Playbook: "node_stalled", Action: "restart", Client: "consensus", Target: "systemd lighthouse.service"})
	d.note("outcome", remediate.Outcome{Intent: id + ".1", Incident: id, Result: "done", Seconds: 3})
	d.note("verified", remediate.Verified{Incident: id, OK: true, Evidence: "the head of " + node + " moves"})
	d.close(id)
}

func (d *diary) open(id, node string) {
	d.note("opened", remediate.Opened{Incident: id, Fingerprint: id, Alert: "CheckpointNodeSyncStalled", Node: node, Playbook: "node_stalled", StartsAt: d.at})
}

func (d *diary) close(id string) {
	d.note("closed", remediate.Closed{Incident: id, Reason: "resolved"})
}

func TestJournalBounds(t *testing.T) {
	d := newDiary(t, journal.Options{})
	d.at = now.Add(-48 * time.Hour)
	d.incident("aa-1", "node-1")
	d.open("aa-2", "node-2") // and goes on
	d.at = now.Add(-26 * time.Hour)
	d.open("bb-3", "node-1")
	d.at = now.Add(-20 * time.Hour)
	d.note("verified", remediate.Verified{Incident: "bb-3", OK: false, Evidence: "the head stands still"})
	d.close("bb-3")
	d.at = now.Add(-time.Hour)
	d.incident("bb-4", "node-1")
	d.note("clock", remediate.Clock{Seconds: -61})

	for name, tc := range map[string]struct {
		query console.JournalQuery
		want  []string // names of incidents, in their order
	}{
		"everything":     {console.JournalQuery{}, []string{"aa-1", "aa-2", "bb-3", "bb-4"}},
		"since":          {console.JournalQuery{Since: now.Add(-24 * time.Hour)}, []string{"aa-2", "bb-3", "bb-4"}},
		"since just now": {console.JournalQuery{Since: now.Add(-time.Minute)}, []string{"aa-2"}},
		"until":          {console.JournalQuery{Until: now.Add(-25 * time.Hour)}, []string{"aa-1", "aa-2", "bb-3"}},
		"between":        {console.JournalQuery{Since: now.Add(-19 * time.Hour), Until: now.Add(-18 * time.Hour)}, []string{"aa-2"}},
		"a node":         {console.JournalQuery{Node: "node-1", Since: now.Add(-24 * time.Hour)}, []string{"bb-3", "bb-4"}},
		"no such node":   {console.JournalQuery{Node: "node-9"}, nil},
		"a playbook":     {console.JournalQuery{Playbook: "no_peers"}, nil},
		"an incident":    {console.JournalQuery{Incident: "bb-3"}, []string{"bb-3"}},
		"a fingerprint":  {console.JournalQuery{Incident: "bb"}, []string{"bb-3", "bb-4"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.query.Path = d.path
			s := newScreen("")
			must(t, s.Journal(tc.query))
			text := s.text()
			var got []string
			for line := range strings.Lines(text) {
				if id, rest, ok := strings.Cut(line, "  "); ok && id != "" && strings.Contains(rest, "CheckpointNodeSyncStalled") {
					got = append(got, id)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("shows %v, want %v:\n%s", got, tc.want, text)
			}
			lacks(t, text, "the clock")
			if len(tc.want) == 0 {
				contains(t, text, "No incident")
			}
		})
	}

	s := newScreen("")
	must(t, s.Journal(console.JournalQuery{Path: d.path, Since: now.Add(-24 * time.Hour)}))
	contains(t, s.text(), "  2026-02-28 +01:00\n  10:00:00  CheckpointNodeSyncStalled", "Ended after 6h: nothing was done") // begun before, and shown whole
}

func TestJournalEndings(t *testing.T) {
	d := newDiary(t, journal.Options{})
	d.incident("helped-1", "node-1")
	d.open("quiet-2", "node-1")
	d.close("quiet-2")
	d.open("would-3", "node-1")
	d.note("decision", remediate.Decision{Incident: "would-3", Node: "node-1", Action: "restart", Verdict: "would_act",
		Answers: []remediate.Answer{{Guard: "mode", Why: "the mode is observe", Blocks: true}}})
	d.close("would-3")
	d.open("called-4", "node-2")
	d.note("exhausted", remediate.Exhausted{Incident: "called-4", Node: "node-2", Playbook: "node_stalled", Why: "nothing is left to try"})
	d.note("acked", remediate.Acked{Node: "node-2", By: "anna", Reason: "a cable"})
	d.open("open-5", "node-3")
	d.note("acked", remediate.Acked{Node: "node-7", By: "anna"})

	s := newScreen("")
	must(t, s.Journal(console.JournalQuery{Path: d.path}))
	text := s.text()
	contains(t, text, "it helped; its alert resolved", "nothing was done; its alert resolved", "nothing was done, as the mode is observe",
		"mode  no  the mode is observe", "acknowledged by anna: a cable\n  Ended after 0s: people were called; somebody has seen to it.",
		"Open for 1h: a step is due", "node-7  acknowledged by anna\n", "5 incidents, 1 open", "the chain is sound")

	s = newScreen("")
	s.JSON = true
	must(t, s.Journal(console.JournalQuery{Path: d.path, Node: "node-2"}))
	lines := strings.Split(strings.TrimSpace(s.text()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d records of node-2: %q", len(lines), lines)
	}
	type record struct {
		Incident, Kind, Text, Node string
		Time                       string
		Payload                    map[string]any
	}
	r := decode[record](t, lines[2])
	if r.Kind != "acked" || r.Node != "node-2" || r.Text != "acknowledged by anna: a cable" || !strings.HasSuffix(r.Time, "Z") || r.Payload["by"] != "anna" {
		t.Errorf("%+v", r)
	}
	if r := decode[record](t, lines[0]); r.Incident != "called-4" || r.Payload["playbook"] != "node_stalled" {
		t.Errorf("%+v", r)
	}
}

// What a client logs or an alert says must not reach the terminal as orders.
func TestForeignText(t *testing.T) {
	const evil = "red \x1b[31mX\x07 \u009b2J \u202eedoc \x7f tab\there\nnew line \xff"
	d := newDiary(t, journal.Options{})
	d.note("opened", remediate.Opened{Incident: "a-1", Fingerprint: "a", Alert: "A", Node: "node-1", Playbook: "p", Summary: evil})
	logs := []string{"first"}
	for range 8 {
		logs = append(logs, evil)
	}
	d.note("observed", remediate.Observed{Incident: "a-1", Evidence: remediate.Evidence{
		Logs: map[string][]string{"consensus": logs}, Findings: map[string]string{"disk_full": evil}, API: map[string]any{"consensus syncing": map[string]any{"x": evil, "n": 1.5}},
		Problems: map[string]string{"execution log": evil},
	}})
	for name, s := range map[string]*screen{"words": newScreen(""), "json": newScreen("")} {
		t.Run(name, func(t *testing.T) {
			s.JSON = name == "json"
			must(t, s.Journal(console.JournalQuery{Path: d.path}))
			text := s.text()
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e) }); i >= 0 {
				t.Errorf("%q", text[i:min(len(text), i+40)])
			}
			contains(t, text, "disk_full")
			if s.JSON {
				for line := range strings.Lines(text) {
					decode[map[string]any](t, line)
				}
				return
			}
			contains(t, text, `red \u001b[31mX\u0007 \u009b2J \u202eedoc \u007f tab here new line`, "consensus syncing: n 1.5, x red", "(4 log lines before these: --all)")
			lacks(t, text, "first")
			must(t, s.Journal(console.JournalQuery{Path: d.path, All: true}))
			contains(t, s.text(), "consensus: first")
		})
	}
}

func TestDamagedJournal(t *testing.T) {
	d := newDiary(t, journal.Options{})
	d.incident("aa-1", "node-1")
	d.incident("bb-2", "node-2")
	must(t, d.Close())
	sound := read(t, d.path)
	write(t, d.path, strings.Replace(sound, "the head of node-2", "the tail of node-2", 1))
	for _, asJSON := range []bool{false, true} {
		s := newScreen("")
		s.JSON = asJSON
		err := s.Journal(console.JournalQuery{Path: d.path})
		var damage *journal.DamageError
		if !errors.As(err, &damage) || damage.Line != 10 {
			t.Fatalf("%v", err)
		}
		contains(t, err.Error(), d.path+":10", "the journal is damaged")
		text := s.text()
		contains(t, text, "the head of node-1 moves", "bb-2") // what comes before is shown
		lacks(t, text, "sound")
		if err := s.FollowJournal(t.Context(), console.JournalQuery{Path: d.path}); !errors.As(err, &damage) {
			t.Errorf("follow: %v", err)
		}
	}
	// A line that is being written is no damage.
	write(t, d.path, sound+`{"seq":11,"ti`)
	s := newScreen("")
	must(t, s.Journal(console.JournalQuery{Path: d.path}))
	contains(t, s.text(), "10 records read, the chain is sound")
}

func TestNoJournal(t *testing.T) {
	s := newScreen("")
	err := s.Journal(console.JournalQuery{Path: t.TempDir() + "/journal.jsonl"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	contains(t, err.Error(), "has not run here yet", "--file")
}

// carryAll is what the remediator carries over into the next file, here everything.
func (d *diary) rotate(carry bool) {
	d.Helper()
	var entries []journal.Entry
	for r, err := range d.Records() {
		must(d.T, err)
		if carry && r.Kind != journal.KindRotated {
			entries = append(entries, journal.Carry(r))
		}
	}
	if _, err := d.Rotate(map[string]int{"opened": 9, "intents": 9}, entries...); err != nil {
		d.Fatal(err)
	}
}

// What is carried over stands in two files, and is told once.
func TestRotatedJournal(t *testing.T) {
	d := newDiary(t, journal.Options{})
	d.at = now.Add(-40 * 24 * time.Hour)
	d.open("aa-1", "node-1")
	d.rotate(true)
	d.at = now.Add(-30 * 24 * time.Hour)
	d.note("skipped", remediate.Skipped{Incident: "aa-1", Action: "restart", Why: "no unit"})
	d.rotate(true)
	d.at = now.Add(-time.Hour)
	d.close("aa-1")

	check := func(name string, q console.JournalQuery) {
		t.Helper()
		q.Path = d.path
		s := newScreen("")
		must(t, s.Journal(q))
		text := s.text()
		for _, once := range []string{"fires for node-1", "is passed over: no unit", "closed: resolved"} {
			if n := strings.Count(text, once); n != 1 {
				t.Errorf("%s: %q stands %d times in\n%s", name, once, n, text)
			}
		}
		contains(t, text, "2026-01-20 +01:00", "2026-01-30 +01:00", "1 incident") // the times of the first writing
	}
	check("all files", console.JournalQuery{})
	check("the last file", console.JournalQuery{Since: now.Add(-2 * time.Hour)})
	files, err := journal.Files(d.path)
	must(t, err)
	must(t, os.Remove(files[0].Path))
	check("after the first has expired", console.JournalQuery{})

	s := newScreen("")
	must(t, s.Journal(console.JournalQuery{Path: d.path, All: true}))
	contains(t, s.text(), "the journal goes on from journal.jsonl.")
}

func TestFollow(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		t.Run(fmt.Sprintf("json %v", asJSON), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiary(t, journal.Options{Now: time.Now})
				s := newScreen("")
				s.JSON = asJSON
				d.open("aa-1", "node-1")
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- s.FollowJournal(ctx, console.JournalQuery{Path: d.path, Node: "node-1"}) }()
				look := func() string {
					time.Sleep(time.Second)
					synctest.Wait()
					return s.text()
				}
				if text := look(); text != "" {
					t.Errorf("tells of the past: %s", text)
				}
				d.note("intent", remediate.Intent{ID: "aa-1.1", Incident: "aa-1", Node: "node-1", Action: "restart", Client: "consensus", Target: "u"})
				contains(t, look(), "aa-1", "will restart the consensus client of node-1 (u)")
				d.rotate(true)
				if text := look(); text != "" {
					t.Errorf("tells of what was carried over: %s", text)
				}
				d.note("outcome", remediate.Outcome{Intent: "aa-1.1", Incident: "aa-1", Result: "done"})
				d.open("bb-2", "node-2")
				text := look()
				contains(t, text, "done: restart the consensus client of node-1 (u)", "node-1") // it knows the intent
				lacks(t, text, "node-2")
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}

				// With a time to begin at, what lies after it is told first.
				ctx, cancel = context.WithCancel(t.Context())
				go func() {
					done <- s.FollowJournal(ctx, console.JournalQuery{Path: d.path, Since: time.Now().Add(-time.Hour)})
				}()
				text = look()
				contains(t, text, "fires for node-1", "will restart", "fires for node-2")
				if n := strings.Count(text, "fires for node-1"); n != 1 {
					t.Errorf("told %d times: %s", n, text)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
