package remediate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// newIteration is a world whose network has gone on to iteration 2 while node-1 has not. fetch and initialise are the scripts of its reset.
func newIteration(t *testing.T, fetch, initialise string, edits ...string) *world {
	t.Helper()
	all := slices.Clone(resettable)
	for k := 0; k < len(edits); k += 2 {
		if last := len(all) - 1; strings.Contains(all[last], edits[k]) {
			all[last] = strings.Replace(all[last], edits[k], edits[k+1], 1)
		} else {
			all = append(all, edits[k], edits[k+1])
		}
	}
	w := running(t, all...)
	w.oldIteration(fetch, initialise)
	n := w.nodes["node-1"]
	n.phase = progress.OldIteration
	n.onStart = func() error {
		if len(w.has("data/beacon/chain_db")) == 0 {
			w.database("new")
			n.phase = progress.Syncing
		}
		return nil
	}
	w.pass(48*time.Hour + 3*time.Hour)
	return w
}

// resettable gives node-1 what a reset needs, on a network that resets every two days.
var resettable = []string{
	"deposit_chain_id: 1337", "deposit_chain_id: 1337, iterations: {anchor: 1, anchor_genesis_time: 946684800, interval: 48h, base_chain_id: 5}",
	`consensus: {url: "http://node-1.test"}`, `consensus: {url: "http://node-1.test", client: lighthouse}
    execution: {url: "http://node-1-el.test", client: geth, data_dir: "DIR/geth"}
    validator: {restart: {systemd: validator-1.service}}
    reset: {dir: "DIR/network", fetch: [/bin/sh, DIR/fetch], init_execution: [/bin/sh, DIR/init]}`,
}

// oldIteration makes the files of a node that is on iteration 1.
func (w *world) oldIteration(fetch, initialise string) {
	w.Helper()
	w.database("old")
	for name, text := range map[string]string{
		"geth/geth/chaindata/CURRENT": "old chain", "geth/geth/nodekey": "the node's key", "network/retention.vars": "export ITERATION_NUMBER=\"1\"\n",
		"fetch": "set -e\n" + fetch, "init": "set -e\n" + initialise,
	} {
		w.file(name, text)
	}
}

func (w *world) file(name, text string) {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", w.dir)), 0o644); err != nil {
		w.Fatal(err)
	}
}

// has tells which of some paths are there.
func (w *world) has(names ...string) (there []string) {
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(w.dir, name)); err == nil {
			there = append(there, name)
		}
	}
	return there
}

const (
	fetchTwo   = "printf 'export ITERATION_NUMBER=\"2\"\\nexport CHAIN_ID=\"7\"\\n' >DIR/network/retention.vars\n"
	initialise = "test -e DIR/geth/geth/nodekey; test ! -e DIR/geth/geth/chaindata; mkdir DIR/geth/geth/chaindata; echo >DIR/geth/geth/chaindata/genesis\n"
)

func TestReset(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newIteration(t, fetchTwo, initialise)
		n := w.nodes["node-1"]
		a := w.fire("node-1", "old_iteration")
		w.pass(time.Minute)
		if want := []string{"stop validator", "stop", "stop execution", "start execution", "start", "start validator"}; !slices.Equal(n.did, want) {
			t.Fatalf("did %q\n%s", n.did, w.story("node-1"))
		}
		w.pass(10 * time.Minute)
		w.resolve(a)
		w.pass(10 * time.Minute)
		all := []string{"geth/geth/nodekey", "geth/geth/chaindata/genesis", "geth/geth/chaindata/CURRENT", "data/beacon/chain_db", "data/beacon/network/key"}
		if got, want := w.has(all...), slices.Delete(slices.Clone(all), 2, 3); !slices.Equal(got, want) {
			t.Errorf("there is %q\n%s", got, w.story("node-1"))
		}
		var asides []string
		_ = filepath.WalkDir(w.dir, func(path string, _ os.DirEntry, _ error) error {
			if strings.HasPrefix(filepath.Base(path), ".checkpoint") {
				asides = append(asides, path)
			}
			return nil
		})
		if len(asides) > 0 || len(w.records(kindSettled)) != 1 {
			t.Errorf("left: %q\n%s", asides, w.story("node-1"))
		}
	})
}

func TestResetThatCannotBe(t *testing.T) {
	for _, tc := range []struct {
		name, fetch, init string
		edits             []string
		set               func(w *world, n *fakeNode)
		did               []string
		want              string
	}{
		{name: "the release is not there yet", fetch: "exit 1\n", init: initialise, want: "failed_before_effect"},
		{name: "the files are still the last iteration's", fetch: "true\n", init: initialise, want: "is 1, not 2"},
		{name: "the node does not answer", fetch: fetchTwo, init: initialise, set: func(_ *world, n *fakeNode) { n.refused = true }, want: "symptom: the node does not answer"},
		{name: "the validator's keys lie in the database", fetch: fetchTwo, init: initialise,
			set: func(w *world, _ *fakeNode) { w.file("data/beacon/chain_db/keystore-m_12381_3600_0.json", "{}") }, want: "data_dir: "},
		{name: "no provider serves the new iteration", fetch: fetchTwo, init: initialise, set: func(w *world, _ *fakeNode) { w.down("alpha", "beta") }, want: "quorum: "},
		{name: "who writes the slashing protection is not configured", fetch: fetchTwo, init: initialise,
			edits: []string{"    validator: {restart: {systemd: validator-1.service}}\n", ""}, want: "validator: slashing protection lies in"},
		{name: "mode observe", fetch: fetchTwo, init: initialise, edits: []string{"mode: act", "mode: observe"}, want: "would bring node-1 onto iteration 2"},
		{name: "the execution client cannot be initialised", fetch: fetchTwo, init: "echo no such genesis; exit 3\n",
			did: []string{"stop validator", "stop", "stop execution", "start execution", "start", "start validator"}, want: "no such genesis"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newIteration(t, tc.fetch, tc.init, tc.edits...)
				n := w.nodes["node-1"]
				if tc.set != nil {
					tc.set(w, n)
				}
				w.fire("node-1", "old_iteration")
				w.pass(30 * time.Minute)
				if !slices.Equal(n.did, tc.did) || !strings.Contains(w.story("node-1"), tc.want) {
					t.Errorf("did %q, want %q in\n%s", n.did, tc.want, w.story("node-1"))
				}
				old := []string{"geth/geth/chaindata/CURRENT", "data/beacon/chain_db/CURRENT", "data/validators/slashing_protection.sqlite"}
				if got := w.has(old...); !slices.Equal(got, old) {
					t.Errorf("only %q is where it was\n%s", got, w.story("node-1"))
				}
				if tc.did != nil && (w.incident("node-1").Stage != "exhausted" || n.active != "active") {
					t.Errorf("stage %s, unit %s", w.incident("node-1").Stage, fmt.Sprint(n.active))
				}
			})
		})
	}
}
