package chaindata_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/google/go-cmp/cmp"
)

func symlink(t *testing.T, to, at string) {
	t.Helper()
	if err := os.RemoveAll(at); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestPlanRefuses(t *testing.T) {
	outside := t.TempDir()
	files(t, outside, "chain_db/CURRENT", "elsewhere")
	for _, tc := range []struct {
		name, client string
		reset        bool
		prepare      func(t *testing.T, m machine, o *chaindata.Options)
		want         string
	}{
		{"the root", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Dir = "/" }, "too near to the root"},
		{"one element", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Dir = "/data" }, "too near to the root"},
		{"one element in disguise", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Dir = "/data/x/.." }, "too near to the root"},
		{"a directory of the system", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Dir = "/var/lib/" }, "directory of the system"},
		{"a tree of the system", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Dir = "/etc/lighthouse" }, "belongs to the system"},
		{"a link to the system", "lighthouse", false, func(t *testing.T, m machine, o *chaindata.Options) {
			o.Dir = filepath.Join(m.dir, "link")
			symlink(t, "/etc/ssl", o.Dir)
		}, "belongs to the system"},
		{"a relative path", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Dir = "data/lighthouse" }, "not an absolute path"},
		{"a file", "lighthouse", false, func(_ *testing.T, m machine, o *chaindata.Options) { o.Dir = filepath.Join(m.dir, "README") }, "not a directory"},
		{"nobody's client", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Client = "parity" }, "not known"},
		{"another client's directory", "lighthouse", false, func(t *testing.T, _ machine, o *chaindata.Options) {
			o.Dir = t.TempDir()
			files(t, o.Dir, "geth/chaindata/CURRENT", "geth/nodekey")
		}, "does not look like"},
		{"an empty directory", "teku", false, func(t *testing.T, _ machine, o *chaindata.Options) { o.Dir = t.TempDir() }, "does not look like"},
		{"an execution client outside of a reset", "geth", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Execution = true }, "new iteration only"},
		{"slashing protection outside of a reset", "lighthouse", false, func(_ *testing.T, m machine, o *chaindata.Options) {
			o.SlashingProtection = filepath.Join(m.dir, "validators/slashing_protection.sqlite")
		}, "new iteration only"},
		{"slashing protection that is not there", "lighthouse", true, func(_ *testing.T, m machine, o *chaindata.Options) {
			o.SlashingProtection = filepath.Join(m.dir, "validators/other.sqlite")
		}, "no such file"},
		{"validators as slashing protection", "lighthouse", true, func(_ *testing.T, m machine, o *chaindata.Options) {
			o.SlashingProtection = filepath.Join(m.dir, "validators")
		}, "validator's keys"},
		{"a directory of keys under another name", "teku", true, func(t *testing.T, m machine, o *chaindata.Options) {
			files(t, m.dir, "vc/keystore-m_12381_3600_0_0_0-1700000000.json")
			o.SlashingProtection = filepath.Join(m.dir, "vc")
		}, "validator's keys"},
		{"the system's slashing protection", "teku", true, func(_ *testing.T, _ machine, o *chaindata.Options) { o.SlashingProtection = "/etc/passwd" },
			"too near to the root"},
		{"keys in the database", "nimbus", false, func(t *testing.T, m machine, _ *chaindata.Options) { files(t, m.dir, "db/old/keystore-1.json") }, "validator's keys"},
		{"a voting keystore in the database", "lighthouse", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			files(t, m.dir, "beacon/chain_db/x/voting-keystore.json")
		}, "validator's keys"},
		{"a wallet in the database", "prysm", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			files(t, m.dir, "beaconchaindata/prysm-wallet-v2/direct/accounts/all-accounts.keystore.json")
		}, "validator's keys"},
		{"secrets in the database", "grandine", false, func(t *testing.T, m machine, _ *chaindata.Options) { files(t, m.dir, "beacon/secrets/0xabc") }, "validator's keys"},
		{"slashing protection in the database", "grandine", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			files(t, m.dir, "beacon/slashing_protection.sqlite")
		}, "slashing protection"},
		{"slashing protection in the database at a reset", "prysm", true, func(t *testing.T, m machine, _ *chaindata.Options) {
			files(t, m.dir, "beaconchaindata/validator.db")
		}, "slashing protection"},
		{"an entry that leads out", "lighthouse", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			symlink(t, filepath.Join(outside, "chain_db"), filepath.Join(m.dir, "beacon/chain_db"))
		}, "symbolic link"},
		{"an entry's parent that leads out", "lighthouse", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			symlink(t, outside, filepath.Join(m.dir, "beacon"))
		}, "symbolic link"},
		{"a file in an entry that leads out", "lodestar", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			symlink(t, filepath.Join(outside, "elsewhere"), filepath.Join(m.dir, "chain-db/000002.log"))
		}, "symbolic link"},
		{"no space", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.MinFree = 1 << 62 }, "make room"},
		{"a tag that is a path", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Tag = "../x" }, "no tag"},
		{"no tag", "lighthouse", false, func(_ *testing.T, _ machine, o *chaindata.Options) { o.Tag = "" }, "no tag"},
		{"a move that has not ended", "lighthouse", false, func(t *testing.T, m machine, _ *chaindata.Options) {
			files(t, m.dir, "beacon/.checkpoint-aside-earlier/manifest.json")
		}, "has been set aside before"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, tc.client, tc.client == "geth")
			o := m.options(tc.reset)
			o.Execution = false
			tc.prepare(t, m, &o)
			before := tree(t, m.dir)
			_, err := chaindata.Plan(o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("it says %v", err)
			}
			if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothingToMove(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	for _, n := range m.layout.Database {
		if err := os.RemoveAll(filepath.Join(m.dir, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chaindata.Plan(m.options(false)); !errors.Is(err, chaindata.ErrNoDatabase) {
		t.Errorf("it says %v", err)
	}
}

// What happens between the plan and its execution is noticed, and nothing is done.
func TestApplyRefusesWhatHasChanged(t *testing.T) {
	outside := t.TempDir()
	files(t, outside, "chain_db/CURRENT", "freezer_db/CURRENT", "blobs_db/CURRENT")
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, m machine)
	}{
		{"the parent is a link now", func(t *testing.T, m machine) { symlink(t, outside, filepath.Join(m.dir, "beacon")) }},
		{"an entry is a link now", func(t *testing.T, m machine) {
			symlink(t, filepath.Join(outside, "chain_db"), filepath.Join(m.dir, "beacon/chain_db"))
		}},
		{"an entry is another one", func(t *testing.T, m machine) {
			if err := os.Rename(filepath.Join(m.dir, "beacon/chain_db"), filepath.Join(m.dir, "beacon/old")); err != nil {
				t.Fatal(err)
			}
			files(t, m.dir, "beacon/chain_db/CURRENT")
		}},
		{"an entry is gone", func(t *testing.T, m machine) {
			if err := os.RemoveAll(filepath.Join(m.dir, "beacon/blobs_db")); err != nil {
				t.Fatal(err)
			}
		}},
		{"an entry has another mode", func(t *testing.T, m machine) {
			if err := os.Chmod(filepath.Join(m.dir, "beacon/blobs_db"), 0o777); err != nil {
				t.Fatal(err)
			}
		}},
		{"keys were put in", func(t *testing.T, m machine) { files(t, m.dir, "beacon/chain_db/keystore-1.json") }},
		{"somebody's file is in the way", func(t *testing.T, m machine) { files(t, m.dir, "beacon/.checkpoint-aside-lighthouse-intent-7") }},
		{"somebody's link is in the way", func(t *testing.T, m machine) {
			symlink(t, outside, filepath.Join(m.dir, "beacon/.checkpoint-aside-lighthouse-intent-7"))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, "lighthouse", false)
			move := plan(t, m.options(false))
			tc.change(t, m)
			before, there := tree(t, m.dir), tree(t, outside)
			if err := move.Apply(t.Context()); err == nil {
				t.Error("it says nothing")
			}
			if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(there, tree(t, outside)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestANewKindSinceThePlan(t *testing.T) {
	m := newMachine(t, "prysm", false)
	if err := os.RemoveAll(filepath.Join(m.dir, "data-columns")); err != nil {
		t.Fatal(err)
	}
	move := plan(t, m.options(false))
	files(t, m.dir, "data-columns/0/0.sszs")
	if err := move.Apply(t.Context()); !errors.Is(err, chaindata.ErrChanged) {
		t.Errorf("it says %v", err)
	}
	look(t, move, chaindata.NotApplied)
}

// A client's user may swap things at any moment, too, and gets nothing out of it.
func TestSwapsWhileMoving(t *testing.T) {
	outside := t.TempDir()
	files(t, outside, "precious", "chain_db/precious", ".checkpoint-aside-lighthouse-intent-7/chain_db/precious")
	before := tree(t, outside)
	steps := []string{chaindata.StepMakeAside, chaindata.StepManifest, chaindata.StepAside, chaindata.StepSync, chaindata.StepSettle, chaindata.StepRemove}
	for _, at := range steps {
		for _, what := range []string{"beacon", "beacon/chain_db", "beacon/.checkpoint-aside-lighthouse-intent-7", "beacon/.checkpoint-deleted-lighthouse-intent-7"} {
			m := newMachine(t, "lighthouse", false)
			move := plan(t, m.options(false))
			done := false
			move.Step = func(s string) error {
				if s == at && !done {
					done = true
					path := filepath.Join(m.dir, what)
					_ = os.Rename(path, path+".moved")
					_ = os.Symlink(outside, path)
				}
				return nil
			}
			_ = move.Apply(t.Context())
			_ = move.Delete(t.Context())
			_ = move.Restore(t.Context())
			if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
				t.Errorf("%s swapped at %s: %s", what, at, diff)
			}
		}
	}
}

// A journal that was tampered with names no other paths than a plan would.
func TestMovesThatNoPlanMade(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	files(t, m.dir, "beacon/.checkpoint-aside-lighthouse-intent-7/x")
	good := plan(t, newMachine(t, "lighthouse", false).options(false))
	for name, spoil := range map[string]func(*chaindata.Move){
		"no places":            func(m *chaindata.Move) { m.Places = nil },
		"no entries":           func(m *chaindata.Move) { m.Places[0].Entries = nil },
		"nobody's client":      func(m *chaindata.Move) { m.Client = "../.." },
		"a tag that is a path": func(m *chaindata.Move) { m.Tag = "../../etc" },
		"a place of the system": func(m *chaindata.Move) {
			m.Places[0].Parent, m.Places[0].Aside = "/etc", "/etc/.checkpoint-aside-lighthouse-intent-7"
		},
		"a relative place":          func(m *chaindata.Move) { m.Places[0].Parent = "beacon" },
		"another aside":             func(m *chaindata.Move) { m.Places[0].Aside = "/etc" },
		"an entry elsewhere":        func(m *chaindata.Move) { m.Places[0].Entries[0].From = "/etc/passwd" },
		"an entry's goal elsewhere": func(m *chaindata.Move) { m.Places[0].Entries[0].To = "/etc/passwd" },
		"an entry that is ours": func(m *chaindata.Move) {
			e := &m.Places[0].Entries[0]
			e.From = filepath.Join(m.Places[0].Parent, "manifest.json")
			e.To = filepath.Join(m.Places[0].Aside, "manifest.json")
		},
		"another directory": func(m *chaindata.Move) { m.Places[0].Inode++ },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			bad.Places = []chaindata.Place{good.Places[0]}
			bad.Places[0].Entries = append([]chaindata.Entry{}, good.Places[0].Entries...)
			spoil(&bad)
			for what, do := range map[string]func(context.Context) error{"apply": bad.Apply, "restore": bad.Restore, "delete": bad.Delete} {
				if do(t.Context()) == nil {
					t.Errorf("%s: it says nothing", what)
				}
			}
			if _, err := bad.Look(); err == nil {
				t.Error("look: it says nothing")
			}
		})
	}
	look(t, good, chaindata.NotApplied)
}

func TestEndedContext(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	before := tree(t, m.dir)
	move := plan(t, m.options(false))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := move.Apply(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
	if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
		t.Error(diff)
	}
}

func TestSpaceIsMeasured(t *testing.T) {
	m := newMachine(t, "geth", true)
	o := m.options(true)
	o.MinFree = 0
	move := plan(t, o)
	if move.Needed != move.Bytes || move.Free <= move.Needed {
		t.Errorf("%d needed, %d moved, %d free", move.Needed, move.Bytes, move.Free)
	}
	o.MinFree = move.Free * 2
	var space *chaindata.SpaceError
	if _, err := chaindata.Plan(o); !errors.As(err, &space) || space.Needed != o.MinFree || space.Free == 0 {
		t.Errorf("it says %v", err)
	}
}
