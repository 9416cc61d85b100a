package setup_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup/setuptest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a directory with a store, and a machine.
type bench struct {
	*testing.T
	dir   string
	store setup.Store
	m     *setuptest.Machine
	said  []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	return &bench{T: t, dir: dir, m: &setuptest.Machine{Units: map[string]setup.Unit{}},
		store: setup.Store{Dir: filepath.Join(dir, "state"), Now: func() time.Time { now = now.Add(time.Second); return now }}}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, text string) string {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o750); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(b.path(name), []byte(text), 0o640); err != nil {
		b.Fatal(err)
	}
	return b.path(name)
}

func (b *bench) read(name string) string {
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		return err.Error()[strings.LastIndexByte(err.Error(), ':')+2:]
	}
	return string(text)
}

func (b *bench) say(what string) { b.said = append(b.said, what) }

// plan changes a file, makes one, starts our units and stops an old one.
func (b *bench) plan() setup.Plan {
	b.Helper()
	b.m.Units[setup.ExporterUnit] = setup.Unit{Installed: true, Enabled: true, Active: true}
	b.m.Units[setup.RemediatorUnit] = setup.Unit{Installed: true}
	b.m.Units[setup.FallbackUnit] = setup.Unit{Installed: true, Enabled: true, Active: true}
	p := setup.Plan{Files: []setup.File{
		{Path: b.write("inventory.yaml", "old\n"), Before: []byte("old\n"), After: []byte("new\n"), Mode: 0o644},
		{Path: b.path("units.d/50.conf"), After: []byte("made\n"), Mode: 0o644, Unit: true},
	}}
	if err := setup.PlanUnits(b.Context(), b.m, []string{setup.ExporterUnit, setup.RemediatorUnit}, &p); err != nil {
		b.Fatal(err)
	}
	return p
}

func TestApplyAndUndo(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.Apply(t.Context(), b.m, b.plan(), "alice", b.say); err != nil {
		t.Fatal(err)
	}
	if b.read("inventory.yaml") != "new\n" || b.read("units.d/50.conf") != "made\n" {
		t.Error(b.read("inventory.yaml"), b.read("units.d/50.conf"))
	}
	if info, err := os.Stat(b.path("inventory.yaml")); err != nil || info.Mode().Perm() != 0o640 {
		t.Error("the mode is another one", info.Mode(), err)
	}
	want := []string{"reload", "stop checkpoint-fallback.service", "disable checkpoint-fallback.service", "restart checkpoint-exporter.service",
		"enable checkpoint-remediator.service", "start checkpoint-remediator.service"}
	if got := b.m.Done(); !slices.Equal(got, want) {
		t.Errorf("did %q, want %q", got, want)
	}

	r, err := b.store.Last()
	if err != nil || r == nil || r.By != "alice" {
		t.Fatal(r, err)
	}
	if err := b.store.Undo(t.Context(), b.m, r, b.say); err != nil {
		t.Fatal(err)
	}
	if b.read("inventory.yaml") != "old\n" || !strings.Contains(b.read("units.d"), "no such file") {
		t.Error(b.read("inventory.yaml"), b.read("units.d"))
	}
	if u := b.m.Units[setup.RemediatorUnit]; u.Active || u.Enabled {
		t.Errorf("the remediator is %+v", u)
	}
	for _, name := range []string{setup.ExporterUnit, setup.FallbackUnit} {
		if u := b.m.Units[name]; !u.Active || !u.Enabled {
			t.Errorf("%s is %+v", name, u)
		}
	}
	if r, err := b.store.Last(); r != nil || err != nil {
		t.Error("it can be taken back twice", r, err)
	}
}

// Wherever it fails, undo brings everything back.
func TestUndoAfterFailure(t *testing.T) {
	for _, step := range []string{"reload", "stop checkpoint-fallback.service", "disable checkpoint-fallback.service", "restart checkpoint-exporter.service",
		"enable checkpoint-remediator.service", "start checkpoint-remediator.service"} {
		b := newBench(t)
		b.m.Fail = map[string]error{step: errors.New("no")}
		if _, err := b.store.Apply(t.Context(), b.m, b.plan(), "alice", b.say); err == nil {
			t.Fatalf("%s failed and was not noticed", step)
		}
		b.m.Fail = nil
		r, err := b.store.Last()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.store.Undo(t.Context(), b.m, r, b.say); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if b.read("inventory.yaml") != "old\n" || b.m.Units[setup.RemediatorUnit].Active || !b.m.Units[setup.FallbackUnit].Active || !b.m.Units[setup.FallbackUnit].Enabled {
			t.Errorf("%s: %q %+v", step, b.read("inventory.yaml"), b.m.Units)
		}
	}
}

func TestUndoLeavesOthersEdits(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.Apply(t.Context(), b.m, b.plan(), "alice", b.say); err != nil {
		t.Fatal(err)
	}
	b.write("inventory.yaml", "mine\n")
	r, err := b.store.Last()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Undo(t.Context(), b.m, r, b.say); !errors.Is(err, source.ErrEditedByOther) {
		t.Errorf("%v", err)
	}
	if b.read("inventory.yaml") != "mine\n" || !strings.Contains(b.read("units.d"), "no such file") || b.m.Units[setup.RemediatorUnit].Active {
		t.Error("the rest was not taken back", b.read("inventory.yaml"), b.read("units.d"))
	}
	b.write("inventory.yaml", "old\n")
	if err := b.store.Undo(t.Context(), b.m, r, b.say); err != nil {
		t.Errorf("it cannot be repeated: %v", err)
	}
}

func TestStoreIsForOneAlone(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.Apply(t.Context(), b.m, b.plan(), "alice", b.say); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(b.store.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	if err := os.Chmod(b.store.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Last(); err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Error(err)
	}
}

func TestApplyRefusesWhatChanged(t *testing.T) {
	b := newBench(t)
	p := b.plan()
	b.write("inventory.yaml", "mine\n")
	if _, err := b.store.Apply(t.Context(), b.m, p, "alice", b.say); !errors.Is(err, source.ErrChanged) || b.read("inventory.yaml") != "mine\n" || len(b.m.Done()) > 0 {
		t.Error(err, b.read("inventory.yaml"), b.m.Done())
	}
}

func TestPlanUnits(t *testing.T) {
	m := &setuptest.Machine{Units: map[string]setup.Unit{
		setup.ExporterUnit: {Installed: true, Active: true}, setup.RemediatorUnit: {Installed: true}, setup.MonitorUnit: {Installed: true, Enabled: true}, setup.FallbackUnit: {Installed: true},
	}}
	var p setup.Plan
	if err := setup.PlanUnits(t.Context(), m, []string{setup.DaemonUnit}, &p); err == nil || !strings.Contains(err.Error(), "checkpointd.service is not installed") {
		t.Error(err)
	}
	m.Units[setup.DaemonUnit] = setup.Unit{Installed: true}
	p = setup.Plan{}
	if err := setup.PlanUnits(t.Context(), m, []string{setup.DaemonUnit}, &p); err != nil {
		t.Fatal(err)
	}
	var stop []string
	for _, u := range p.Stop {
		stop = append(stop, u.Name)
	}
	if want := []string{setup.MonitorUnit, setup.ExporterUnit}; !slices.Equal(stop, want) {
		t.Errorf("stops %q, want %q", stop, want)
	}
	m.NoSystemd = true
	if err := setup.PlanUnits(t.Context(), m, []string{setup.ExporterUnit}, &p); !errors.Is(err, setup.ErrNoSystemd) {
		t.Error(err)
	}
}

// lighthouse is a data directory with a database and keys, and the node.
func (b *bench) lighthouse() config.Node {
	b.write("data/beacon/chain_db/1.ldb", "blocks")
	b.write("data/beacon/network/key", "key")
	b.write("data/validators/slashing_protection.sqlite", "signed")
	b.m.Units["beacon.service"] = setup.Unit{Installed: true, Active: true}
	b.m.Units["vc.service"] = setup.Unit{Installed: true, Active: true}
	return config.Node{Name: "node-1", Consensus: config.Consensus{Client: "lighthouse"}, DataDir: b.path("data"), Restart: &config.Restart{Systemd: "beacon.service"},
		Validator: &config.Validator{Restart: &config.Restart{Systemd: "vc.service"}}}
}

func TestReset(t *testing.T) {
	b := newBench(t)
	n := b.lighthouse()
	plan, err := setup.PlanReset(n, noon)
	if err != nil {
		t.Fatal(err)
	}
	record, err := b.store.Apply(t.Context(), b.m, setup.Plan{}, "alice", b.say)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Do(t.Context(), b.store, b.m, record, b.say); err != nil {
		t.Fatal(err)
	}
	if want := []string{"stop vc.service", "stop beacon.service", "start beacon.service", "start vc.service"}; !slices.Equal(b.m.Done(), want) {
		t.Errorf("%q, want %q", b.m.Done(), want)
	}
	if !strings.Contains(b.read("data/beacon/chain_db/1.ldb"), "no such file") || b.read("data/beacon/network/key") != "key" || b.read("data/validators/slashing_protection.sqlite") != "signed" {
		t.Error("the database is there, or a key is gone")
	}

	b.write("data/beacon/chain_db/2.ldb", "new")
	last, err := b.store.Last()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Undo(t.Context(), b.m, last, b.say); err != nil {
		t.Fatal(err)
	}
	if b.read("data/beacon/chain_db/1.ldb") != "blocks" || !b.m.Units["beacon.service"].Active {
		t.Error("the database is not back")
	}
}

// A client that cannot be stopped keeps its database, and one that cannot be started gets it back.
func TestResetFails(t *testing.T) {
	for _, step := range []string{"stop vc.service", "stop beacon.service", "start beacon.service", "start vc.service"} {
		b := newBench(t)
		plan, err := setup.PlanReset(b.lighthouse(), noon)
		if err != nil {
			t.Fatal(err)
		}
		record, err := b.store.Apply(t.Context(), b.m, setup.Plan{}, "alice", b.say)
		if err != nil {
			t.Fatal(err)
		}
		b.m.Fail = map[string]error{step: errors.New("no")}
		b.m.Hook = func(what string) {
			if what == step { // only once
				b.m.Fail = nil
			}
		}
		if err := plan.Do(t.Context(), b.store, b.m, record, b.say); err == nil || !strings.Contains(err.Error(), "everything is as it was") {
			t.Errorf("%s: %v", step, err)
		}
		if b.read("data/beacon/chain_db/1.ldb") != "blocks" || !b.m.Units["beacon.service"].Active || !b.m.Units["vc.service"].Active {
			t.Errorf("%s: %q %+v", step, b.read("data/beacon/chain_db/1.ldb"), b.m.Units)
		}
	}
}

func TestPlanResetRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		with func(*config.Node)
		want string
	}{
		"no client":        {func(n *config.Node) { n.Consensus.Client = "" }, "--client"},
		"no directory":     {func(n *config.Node) { n.DataDir = "" }, "--data-dir"},
		"no restart":       {func(n *config.Node) { n.Restart = nil }, "how the consensus client of node-1 is stopped"},
		"a system's":       {func(n *config.Node) { n.DataDir = "/etc" }, "/etc: "},
		"another client's": {func(n *config.Node) { n.Consensus.Client = "lodestar" }, "does not look like a data directory of lodestar"},
	} {
		b := newBench(t)
		n := b.lighthouse()
		tc.with(&n)
		if _, err := setup.PlanReset(n, noon); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := newBench(t)
	n := b.lighthouse()
	if err := os.RemoveAll(b.path("data/beacon/chain_db")); err != nil {
		t.Fatal(err)
	}
	if _, err := setup.PlanReset(n, noon); !errors.Is(err, chaindata.ErrNoDatabase) {
		t.Error(err)
	}
}

func TestActing(t *testing.T) {
	b := newBench(t)
	path := b.path("journal.jsonl")
	if running, doing, err := setup.Acting(path); running || len(doing) > 0 || err != nil {
		t.Error("no journal:", running, doing, err)
	}
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	intent := map[string]any{"id": "5c1d7a90-1.1", "incident": "5c1d7a90-1", "node": "node-1", "action": "restart"}
	if _, err := j.Append("intent", intent); err != nil {
		t.Fatal(err)
	}
	if running, doing, err := setup.Acting(path); !running || len(doing) != 1 || !strings.Contains(doing[0], "restart of node-1") || err != nil {
		t.Error("under way:", running, doing, err)
	}
	if _, err := j.Append("outcome", map[string]any{"intent": "5c1d7a90-1.1", "incident": "5c1d7a90-1", "result": "done"}); err != nil {
		t.Fatal(err)
	}
	if running, doing, err := setup.Acting(path); !running || len(doing) > 0 || err != nil {
		t.Error("done:", running, doing, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if running, _, err := setup.Acting(path); running || err != nil {
		t.Error("nobody holds it:", running, err)
	}
}
