package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// shelf is a file that a remediator has changed, its backups and its journal.
type shelf struct {
	*diary
	file    string
	backups string
	changes int
}

const original = "# ours\na:\n  url: http://one.example\nb:\n  url: http://other.example\n"

func newShelf(t *testing.T) *shelf {
	t.Helper()
	d := newDiary(t, journal.Options{})
	s := &shelf{diary: d, file: filepath.Join(t.TempDir(), "inventory.yaml"), backups: filepath.Join(filepath.Dir(d.path), "backups")}
	write(t, s.file, original)
	return s
}

// change is a failover at a time.
func (s *shelf) change(at time.Time, url string) source.Change {
	s.Helper()
	s.at = at
	src, err := source.NewYAML(source.YAML{File: s.file, Path: "a.url"}, "node-1", source.Options{Backups: s.backups, Now: func() time.Time { return at }})
	must(s.T, err)
	c, err := src.Plan(s.Context(), url)
	must(s.T, err)
	s.changes++
	id := fmt.Sprintf("aa-1.%d", s.changes)
	s.note("intent", remediate.Intent{ID: id, Incident: "aa-1", Node: "node-1", Action: "failover", From: c.From, To: c.To, Target: "f", Change: &c})
	must(s.T, src.Apply(s.Context(), c))
	s.note("outcome", remediate.Outcome{Intent: id, Incident: "aa-1", Result: "done"})
	return c
}

func (s *shelf) request(what string) console.RestoreRequest {
	return console.RestoreRequest{Backups: s.backups, Journal: s.path, What: what, Config: config.Default()}
}

func TestListBackups(t *testing.T) {
	s := newShelf(t)
	empty := newScreen("")
	must(t, empty.Backups(s.request("")))
	contains(t, empty.text(), "There is no backup in "+s.backups)

	c := s.change(now.Add(-time.Hour), "http://two.example")
	list := newScreen("")
	must(t, list.Backups(s.request("")))
	text := list.text()
	contains(t, text, c.Before[:8], s.file, "2026-03-01 11:00:00 +01:00", fmt.Sprint(len(original), " B"), "failover of node-1 to http://two.example (aa-1.1)")

	list.JSON = true
	must(t, list.Backups(s.request("")))
	v := decode[struct {
		Backups []console.Kept
		Aside   []console.Aside
	}](t, list.text())
	if len(v.Backups) != 1 || v.Backups[0].Path != c.Backup || v.Backups[0].File != s.file || len(v.Backups[0].Uses) != 1 || v.Backups[0].Uses[0].Intent != "aa-1.1" || v.Aside == nil {
		t.Errorf("%+v", v)
	}

	// Without a journal, and with one that is damaged, backups can be restored all the same.
	must(t, s.Close())
	sound := read(t, s.path)
	must(t, os.Remove(s.path))
	list.JSON = false
	must(t, list.Backups(s.request("")))
	contains(t, list.text(), "not in the journal")
	write(t, s.path, strings.Replace(sound, "done", "gone", 1)+"x\n")
	err := list.Backups(s.request(""))
	var damage *journal.DamageError
	if !errors.As(err, &damage) {
		t.Error(err)
	}
	contains(t, list.text(), c.Before[:8])
	r := s.request(s.file)
	r.Yes = true
	must(t, list.Restore(t.Context(), r))
	if read(t, s.file) != original {
		t.Error(read(t, s.file))
	}
}

// swung is a shelf of a file that was changed three times.
func swung(t *testing.T) (s *shelf, first source.Change, two, three string) {
	s = newShelf(t)
	first = s.change(now.Add(-3*time.Hour), "http://two.example")
	two = read(t, s.file)
	s.change(now.Add(-2*time.Hour), "http://one.example") // and so back to the original, which is kept once
	s.change(now.Add(-time.Hour), "http://three.example")
	return s, first, two, read(t, s.file)
}

func TestRestore(t *testing.T) {
	file := func(s *shelf, _ source.Change) string { return s.file }
	link := func(s *shelf, _ source.Change) string {
		must(s.T, os.Symlink(s.file, s.file+".link"))
		return s.file + ".link"
	}
	one := func(string) string { return original }
	for name, tc := range map[string]struct {
		what func(s *shelf, first source.Change) string
		at   string
		want func(two string) string
	}{
		"the latest":              {file, "", one},
		"by a link":               {link, "", one},
		"by its path":             {func(_ *shelf, c source.Change) string { return c.Backup }, "", one},
		"by its name":             {func(_ *shelf, c source.Change) string { return c.Before[:8] }, "", one},
		"by a shorter name":       {func(_ *shelf, c source.Change) string { return strings.ToUpper(c.Before[:4]) }, "", one},
		"before all":              {file, "08:00", one},
		"as of between":           {file, "09:30", func(two string) string { return two }},
		"as of between once more": {file, "10:30", one}, // the journal knows that it was there again
		"as of now":               {file, "11:30", func(string) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			s, first, two, three := swung(t)
			want := tc.want(two)
			scr := newScreen("yes\n")
			r := s.request(tc.what(s, first))
			if tc.at != "" {
				at, err := console.When(tc.at, now, berlin)
				must(t, err)
				r.At = at
			}
			err := scr.Restore(t.Context(), r)
			if want == "" {
				if err == nil || !strings.Contains(err.Error(), "was not changed by the remediator after 2026-03-01 11:30:00 +01:00") {
					t.Error(err)
				}
				return
			}
			must(t, err)
			if got := read(t, s.file); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			text := scr.text()
			contains(t, text, "-  url: http://three.example", "@@ -3 +3 @@", "Put "+s.file+" back", "[y/N]", "is as it was before", "What was there is kept: checkpoint restore ")
			lacks(t, text, "other.example")

			// What was there is kept, and comes back in the same way.
			name := regexp.MustCompile(`checkpoint restore (\w{8})\n`).FindStringSubmatch(text)[1]
			r = s.request(name)
			r.Yes = true
			must(t, scr.Restore(t.Context(), r))
			if got := read(t, s.file); got != three {
				t.Errorf("taken back: %q", got)
			}
			r.What = s.file // the latest that is not what is there now: to and fro
			for _, back := range []string{original, three, original} {
				must(t, scr.Restore(t.Context(), r))
				if got := read(t, s.file); got != back {
					t.Errorf("to and fro: %q", got)
				}
			}
		})
	}
}

func TestRestoreAsks(t *testing.T) {
	s := newShelf(t)
	change := s.change(now.Add(-time.Hour), "http://two.example")
	changed := read(t, s.file)
	for name, tc := range map[string]struct {
		in          string
		yes, dryRun bool
		json        bool
		err         error
		misused     bool
		restored    bool
	}{
		"yes":              {in: "y\n", restored: true},
		"no":               {in: "n\n", err: console.ErrNotFine},
		"nothing":          {in: "\n", err: console.ErrNotFine},
		"something":        {in: "yesterday it was better\n", err: console.ErrNotFine},
		"end of input":     {in: "y", restored: true},
		"nobody":           {misused: true},
		"beforehand":       {yes: true, restored: true},
		"dry":              {dryRun: true},
		"dry, beforehand":  {dryRun: true, yes: true},
		"json":             {json: true, in: "y\n", misused: true},
		"json, beforehand": {json: true, yes: true, restored: true},
		"json, dry":        {json: true, dryRun: true},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, s.file, changed)
			scr := newScreen(tc.in)
			scr.JSON = tc.json
			r := s.request(s.file)
			r.Yes, r.DryRun = tc.yes, tc.dryRun
			err := scr.Restore(t.Context(), r)
			var usage *console.UsageError
			if errors.As(err, &usage) != tc.misused || !tc.misused && !errors.Is(err, tc.err) {
				t.Errorf("%v, want %v (misused: %v)", err, tc.err, tc.misused)
			}
			if restored := read(t, s.file) == original; restored != tc.restored || !restored && read(t, s.file) != changed {
				t.Errorf("restored %v: %q", restored, read(t, s.file))
			}
			if tc.json && err == nil {
				v := decode[map[string]any](t, scr.text())
				if v["restored"] != tc.restored || v["file"] != s.file || !strings.Contains(v["diff"].(string), "+  url: http://one.example") {
					t.Error(v)
				}
			}
		})
	}

	scr := newScreen("")
	write(t, s.file, original)
	must(t, scr.Restore(t.Context(), s.request(change.Backup)))
	contains(t, scr.text(), "is as in that backup already")

	// A file that is gone comes back; one with more lines shows what goes.
	must(t, os.Remove(s.file))
	r := s.request(change.Before[:8])
	r.Yes = true
	must(t, scr.Restore(t.Context(), r))
	contains(t, scr.text(), "--- /dev/null", "+# ours")
	write(t, s.file, original+"c: 1")
	must(t, scr.Restore(t.Context(), r))
	contains(t, scr.text(), "@@ -6 +5,0 @@\n-c: 1\n\\ No newline at end of file")
	if read(t, s.file) != original {
		t.Error(read(t, s.file))
	}

	for name, want := range map[string]string{"zzzzzzzz": "there is no backup", filepath.Join(t.TempDir(), "other"): "there is no backup of", "123": "there is no backup"} {
		if err := scr.Restore(t.Context(), s.request(name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that is just being changed is left alone.
func TestRestoreMeanwhile(t *testing.T) {
	s := newShelf(t)
	c := s.change(now.Add(-time.Hour), "http://two.example")
	s.note("intent", remediate.Intent{ID: "aa-1.9", Incident: "aa-1", Node: "node-1", Action: "failover", Change: &c})
	r := s.request(s.file)
	r.Yes = true
	if err := newScreen("").Restore(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is being changed right now (aa-1.9)") {
		t.Error(err)
	}
	if read(t, s.file) == original {
		t.Error("restored")
	}
}

// A file that the remediator made was not there before.
func TestRestoreOfNothing(t *testing.T) {
	s := newShelf(t)
	made := filepath.Join(t.TempDir(), "made.conf")
	write(t, made, "url\n")
	backup := filepath.Join(s.backups, strings.ReplaceAll(made, "/", "%2F"), "20260301T100000.000000000Z-created-"+hash("url\n"))
	write(t, backup, "")
	list := newScreen("")
	must(t, list.Backups(s.request("")))
	contains(t, list.text(), "no file")
	r := s.request(made)
	r.Yes = true
	write(t, made, "url\nmore\n")
	if err := list.Restore(t.Context(), r); !errors.Is(err, source.ErrEditedByOther) {
		t.Error(err)
	}
	contains(t, list.text(), "+++ /dev/null")
	write(t, made, "url\n")
	must(t, list.Restore(t.Context(), r))
	if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	r.What = backup
	must(t, list.Restore(t.Context(), r))
	contains(t, list.text(), "is as in that backup already")
	r.What = made // and back again
	must(t, list.Restore(t.Context(), r))
	if read(t, made) != "url\n" {
		t.Error(read(t, made))
	}
}

func TestAside(t *testing.T) {
	d := newDiary(t, journal.Options{})
	dir := t.TempDir()
	for name, text := range map[string]string{"beacon/chain_db/CURRENT": "old", "beacon/freezer_db/CURRENT": "old", "validators/key": "secret"} {
		write(t, filepath.Join(dir, name), text)
	}
	move, err := chaindata.Plan(chaindata.Options{Dir: dir, Client: "lighthouse", Tag: "aa-1.1", MinFree: 1})
	must(t, err)
	d.open("aa-1", "node-1")
	d.note("intent", remediate.Intent{ID: "aa-1.1", Incident: "aa-1", Node: "node-1", Action: "resync", Target: dir, Moves: []chaindata.Move{move}, Keeps: true,
		Before: map[string]actuator.State{"consensus": {Active: actuator.Active}}})
	must(t, move.Apply(t.Context()))
	write(t, filepath.Join(dir, "beacon/chain_db/CURRENT"), "new")
	d.note("outcome", remediate.Outcome{Intent: "aa-1.1", Incident: "aa-1", Result: "done"})

	pause := filepath.Join(t.TempDir(), "pause")
	c, err := config.Parse("f", []byte("nodes: [{name: node-1, consensus: {url: http://127.0.0.1:1}, restart: {systemd: lighthouse.service}}]\nremediation: {guards: {pause_file: "+pause+"}}\n"))
	must(t, err)
	state, stateErr := actuator.Active, error(nil)
	r := console.RestoreRequest{
		Backups: filepath.Join(filepath.Dir(d.path), "backups"), Journal: d.path, What: "aa-1.1", Config: c, Yes: true,
		State: func(_ context.Context, r config.Restart) (actuator.State, error) {
			if r.Systemd != "lighthouse.service" {
				t.Errorf("asked for %+v", r)
			}
			return actuator.State{Active: state}, stateErr
		},
	}
	scr := newScreen("")
	must(t, scr.Backups(r))
	contains(t, scr.text(), "aa-1.1     node-1  resync", dir, "aside", "checkpoint restore NAME")
	scr.JSON = true
	must(t, scr.Backups(r))
	v := decode[struct{ Aside []console.Aside }](t, scr.text())
	if len(v.Aside) != 1 || v.Aside[0].Condition != chaindata.Applied || len(v.Aside[0].Places) != 1 || v.Aside[0].Dir != dir {
		t.Errorf("%+v", v)
	}
	scr.JSON = false

	refused := func(want string) {
		t.Helper()
		if err := scr.Restore(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if read(t, filepath.Join(dir, "beacon/chain_db/CURRENT")) != "new" {
			t.Fatal("put back")
		}
	}
	refused("first `checkpoint pause")
	write(t, pause, "over\nuntil: 2026-03-01T10:00:00Z\n")
	refused("first `checkpoint pause")
	write(t, pause, "a disk\n")
	refused("the consensus client of node-1 runs (active)")
	state = actuator.Activating
	refused("runs (activating)")
	state = actuator.Inactive
	r.Yes = false
	refused("nobody to ask")
	r.DryRun = true
	must(t, scr.Restore(t.Context(), r))
	contains(t, scr.text(), filepath.Join(dir, "beacon/chain_db"), "Nothing was changed.")

	// Where it cannot be told whether the client runs, a person is asked just that.
	r.DryRun, stateErr = false, errors.New("no bus")
	asked := newScreen("n\n")
	if err := asked.Restore(t.Context(), r); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	contains(t, asked.text(), "cannot be told whether the consensus client runs")

	r.Yes, stateErr = true, nil
	must(t, scr.Restore(t.Context(), r))
	contains(t, scr.text(), "The data of node-1 is back")
	for name, want := range map[string]string{"beacon/chain_db/CURRENT": "old", "validators/key": "secret"} {
		if got := read(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	must(t, scr.Backups(r))
	contains(t, scr.text(), "in its place")

	// What the remediator has deleted, since the node is well, is no longer listed.
	d.note("settled", remediate.Settled{Intent: "aa-1.1", Incident: "aa-1", What: "deleted"})
	must(t, scr.Backups(r))
	lacks(t, scr.text(), "aa-1.1")
}

// The journal is data: a move in it is checked again before anything is touched.
func TestAsideOfAnEditedJournal(t *testing.T) {
	d := newDiary(t, journal.Options{})
	d.open("aa-1", "node-1")
	var move chaindata.Move
	must(t, json.Unmarshal([]byte(`{"client":"lighthouse","dir":"/etc","real":"/etc","tag":"aa-1.1","places":[{"parent":"/etc","aside":"/etc/.checkpoint-aside-aa-1.1",
		"entries":[{"from":"/etc/passwd","to":"/etc/.checkpoint-aside-aa-1.1/passwd"}]}]}`), &move))
	d.note("intent", remediate.Intent{ID: "aa-1.1", Incident: "aa-1", Node: "node-1", Action: "resync", Moves: []chaindata.Move{move}, Keeps: true})
	d.note("outcome", remediate.Outcome{Intent: "aa-1.1", Incident: "aa-1", Result: "done"})
	scr := newScreen("")
	must(t, scr.Backups(console.RestoreRequest{Backups: t.TempDir(), Journal: d.path}))
	contains(t, scr.text(), "cannot be told")
}
