package chaindata_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/google/go-cmp/cmp"
)

// machine is a client's data directory, on the real file system.
type machine struct {
	dir    string
	client string
	el     bool
	layout client.Layout
}

// files writes text files, with parents, of odd modes so that a change would show.
func files(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		path := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// concrete makes a name of a pattern.
func concrete(pattern string) string { return strings.ReplaceAll(pattern, "*", "state-0xabc") }

// newMachine fills a data directory with everything that its client might keep there, and some things of nobody's.
func newMachine(t *testing.T, name string, el bool) machine {
	t.Helper()
	m := machine{dir: filepath.Join(t.TempDir(), name), client: name, el: el}
	get := client.ConsensusLayout
	if el {
		get = client.ExecutionLayout
	}
	m.layout, _ = get(name)
	m.fill(t, slices.Concat(m.layout.Database, m.layout.Iteration, m.layout.SlashingProtection, m.layout.Keep))
	files(t, m.dir, "validators/0xabc/voting-keystore.json", "secrets/0xabc", "README", "own/notes")
	return m
}

// fill makes a directory or a file of each name.
func (m machine) fill(t *testing.T, names []string) {
	t.Helper()
	for _, n := range names {
		n = concrete(n)
		info, err := os.Stat(filepath.Join(m.dir, n))
		switch {
		case err == nil && info.IsDir():
		case strings.Contains(filepath.Base(n), ".") || strings.HasSuffix(n, "key") || n == "setupdone" || n == "key" || n == "enr":
			files(t, m.dir, n)
		default:
			files(t, m.dir, n+"/CURRENT", n+"/deep/er/000001.log")
		}
	}
}

func (m machine) options(reset bool) chaindata.Options {
	return chaindata.Options{Dir: m.dir, Client: m.client, Execution: m.el, Reset: reset, Tag: "intent-7", MinFree: 1}
}

// tree is everything below a directory, with what a move must not change.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%s %d:%d inode %d", info.Mode(), s.Uid, s.Gid, s.Ino)
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(data)
		}
		rel, err := filepath.Rel(dir, path)
		out[rel] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func plan(t *testing.T, o chaindata.Options) chaindata.Move {
	t.Helper()
	m, err := chaindata.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	// A move is carried out by another process than the one that planned it.
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var again chaindata.Move
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	again.Step = o.Step
	return again
}

func look(t *testing.T, m chaindata.Move, want ...chaindata.Condition) chaindata.Condition {
	t.Helper()
	c, err := m.Look()
	if err != nil {
		t.Fatal(err)
	}
	if len(want) > 0 && !slices.Contains(want, c) {
		t.Fatalf("it is %s, not %s", c, want)
	}
	return c
}

// without drops a path and all below it.
func without(tree map[string]string, names ...string) map[string]string {
	out := maps.Clone(tree)
	maps.DeleteFunc(out, func(path, _ string) bool {
		for _, n := range names {
			if path == n || strings.HasPrefix(path, n+"/") {
				return true
			}
		}
		return false
	})
	return out
}

// everyClient are all that there are, and both kinds of moves.
func everyClient(t *testing.T, do func(t *testing.T, m machine, reset bool)) {
	for _, name := range config.ConsensusClients {
		t.Run(name+" resync", func(t *testing.T) { do(t, newMachine(t, name, false), false) })
		t.Run(name+" reset", func(t *testing.T) { do(t, newMachine(t, name, false), true) })
	}
	for _, name := range config.ExecutionClients {
		t.Run(name+" reset", func(t *testing.T) { do(t, newMachine(t, name, true), true) })
	}
}

// goes are the names that a move takes.
func (m machine) goes(reset bool) []string {
	names := slices.Clone(m.layout.Database)
	if reset {
		names = slices.Concat(names, m.layout.Iteration, m.layout.SlashingProtection)
	}
	for i := range names {
		names[i] = concrete(names[i])
	}
	return names
}

func TestMoveTakesTheDatabaseAndNothingElse(t *testing.T) {
	everyClient(t, func(t *testing.T, m machine, reset bool) {
		before := tree(t, m.dir)
		move := plan(t, m.options(reset))
		if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
			t.Fatalf("planning changed something: %s", diff)
		}
		look(t, move, chaindata.NotApplied)
		if err := move.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		look(t, move, chaindata.Applied)
		var asides []string
		for _, p := range move.Places {
			rel, err := filepath.Rel(m.dir, p.Aside)
			if err != nil {
				t.Fatal(err)
			}
			asides = append(asides, rel)
			info, err := os.Stat(p.Aside)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", p.Aside, info.Mode(), err)
			}
			var note struct{ Move chaindata.Move }
			data, err := os.ReadFile(filepath.Join(p.Aside, "manifest.json"))
			if err != nil || json.Unmarshal(data, &note) != nil || note.Move.Tag != move.Tag {
				t.Errorf("manifest of %s: %v %s", p.Aside, err, data)
			}
		}
		want := without(before, m.goes(reset)...)
		if diff := cmp.Diff(want, without(tree(t, m.dir), asides...)); diff != "" {
			t.Fatalf("after the move: %s", diff)
		}
		if len(move.Kept) == 0 || move.Bytes == 0 {
			t.Errorf("kept %v, %d bytes", move.Kept, move.Bytes)
		}

		// The client starts anew: one entry that was there before, and one kind that was not.
		m.fill(t, m.layout.Database)
		if err := move.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		look(t, move, chaindata.NotApplied)
		if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
			t.Fatalf("after putting it back: %s", diff)
		}
		if err := move.Restore(t.Context()); err != nil {
			t.Fatalf("again: %v", err)
		}
		if err := move.Delete(t.Context()); !errors.Is(err, chaindata.ErrNotApplied) {
			t.Fatalf("deleting what is back: %v", err)
		}

		if err := move.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := move.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
		look(t, move, chaindata.Deleted)
		if diff := cmp.Diff(want, tree(t, m.dir)); diff != "" {
			t.Fatalf("after deleting: %s", diff)
		}
		if err := move.Delete(t.Context()); err != nil {
			t.Fatalf("again: %v", err)
		}
		if err := move.Restore(t.Context()); !errors.Is(err, chaindata.ErrDeleted) {
			t.Fatalf("putting back what is deleted: %v", err)
		}
	})
}

// What the client had no database of before, and made anew, must not be mixed with the old.
func TestRestoreRemovesNewKinds(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	if err := os.RemoveAll(filepath.Join(m.dir, "beacon/blobs_db")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, m.dir)
	move := plan(t, m.options(false))
	if err := move.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.fill(t, m.layout.Database)
	if err := move.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
		t.Error(diff)
	}
}

// What a validator has signed on the new iteration is not thrown away with the rest of it.
func TestRestoreKeepsNewSlashingProtection(t *testing.T) {
	m := newMachine(t, "nimbus", false)
	before := tree(t, m.dir)
	move := plan(t, m.options(true))
	if err := move.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	files(t, m.dir, "db/new", "validators/slashing_protection.sqlite3")
	if err := move.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(t, move, chaindata.Restored)
	kept := "validators/.checkpoint-restored-nimbus-intent-7"
	after := tree(t, m.dir)
	if diff := cmp.Diff(before, without(after, kept)); diff != "" {
		t.Error(diff)
	}
	if _, ok := after[kept+"/slashing-protection-made-anew/slashing_protection.sqlite3"]; !ok {
		t.Errorf("it is gone: %v", slices.Sorted(maps.Keys(after)))
	}
	if err := move.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, tree(t, m.dir)); diff != "" {
		t.Errorf("again: %s", diff)
	}
}

func TestSlashingProtectionElsewhere(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	other := filepath.Join(t.TempDir(), "validator", "data")
	files(t, other, "slashing_protection.sqlite", "slashing_protection.sqlite-wal", "validators/0xabc/voting-keystore.json")
	before := tree(t, other)
	o := m.options(true)
	o.SlashingProtection = filepath.Join(other, "slashing_protection.sqlite")
	move := plan(t, o)
	if err := move.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(without(tree(t, other), ".checkpoint-aside-lighthouse-intent-7")))
	if want := []string{".", "validators", "validators/0xabc", "validators/0xabc/voting-keystore.json"}; !slices.Equal(names, want) {
		t.Errorf("left: %v", names)
	}
	if err := move.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, tree(t, other)); diff != "" {
		t.Error(diff)
	}
}

func TestDataDirectoryBehindALink(t *testing.T) {
	m := newMachine(t, "teku", false)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(m.dir, link); err != nil {
		t.Fatal(err)
	}
	o := m.options(false)
	o.Dir = link
	move := plan(t, o)
	real, err := filepath.EvalSymlinks(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	if move.Dir != link || move.Real != real {
		t.Errorf("%q is said to be %q", move.Dir, move.Real)
	}
	if err := move.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(t, move, chaindata.Applied)
}

// Clients may share a data directory, and a reset moves both databases under one tag.
func TestTwoClientsInOneDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ephemery")
	el, cl := machine{dir: dir, client: "nethermind", el: true}, machine{dir: dir, client: "prysm"}
	files(t, dir, "nethermind_db/state/1", "keystore/node.key.plain", "beaconchaindata/beaconchain.db", "network-keys")
	before := tree(t, dir)
	first, second := plan(t, el.options(true)), plan(t, cl.options(true))
	for _, m := range []chaindata.Move{first, second} {
		if err := m.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files(t, dir, "nethermind_db/new", "beaconchaindata/new")
	for _, m := range []chaindata.Move{first, second} {
		look(t, m, chaindata.Applied)
		if err := m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// Whatever else is in the directory aside when it is put back is not deleted with it.
func TestRestoreDeletesNothingOfOthers(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	move := plan(t, m.options(false))
	if err := move.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	files(t, move.Places[0].Aside, "precious")
	if err := move.Restore(t.Context()); err == nil {
		t.Error("it says nothing")
	}
	if _, err := os.Stat(filepath.Join(move.Places[0].Aside, "precious")); err != nil {
		t.Error(err)
	}
}
