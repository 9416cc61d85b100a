package remediate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// The program is killed, with SIGKILL, at every step that changes the disk or a client, and started again. A step is each write, sync and
// rename of journal, sources and data directories, and each beginning and end of a start, stop or restart. The child is this test binary:
// the same engine, journal and files on a simulated clock. What a service manager knows survives in a file, as it would.

// The child learns from its environment what to play, where, and at which step to die.
const (
	killStory = "CHECKPOINT_KILL_STORY"
	killDir   = "CHECKPOINT_KILL_DIR"
	killAt    = "CHECKPOINT_KILL_AT"
)

// killable is a story that is played until its end.
type killable struct {
	name     string
	edits    []string
	playbook string
	// before prepares the world at each start of the program.
	before func(w *world, n *fakeNode)
	// allowed are the things that may have been done to the clients by the end; nil: each may have been stopped and started twice, once for
	// the action and once to take it back.
	allowed []string
	// ends are what the inventory and the data directory may be in the end.
	ends []string
}

var killables = []killable{
	{name: "restart", playbook: "node_stalled", before: func(w *world, n *fakeNode) {
		n.cure = true
		if !slices.Contains(n.did, "restart") {
			var head uint64
			n.stuck = &head
		}
	}, allowed: []string{"", "restart"}, ends: []string{"alpha old"}},
	{name: "failover", playbook: "source_unusable", before: func(w *world, _ *fakeNode) { w.down("alpha") },
		allowed: []string{""}, ends: []string{"beta old"}},
	{name: "failover and restart", playbook: "source_unusable", before: func(w *world, n *fakeNode) {
		w.down("alpha")
		n.cure = true
		if !slices.Contains(n.did, "restart") {
			n.refused, n.active = true, actuator.Activating
		}
	}, allowed: []string{"", "restart"}, ends: []string{"beta old"}},
	{name: "failover that does not help", playbook: "no_peers",
		edits:  []string{"  guards:", "  playbooks: {no_peers: [{failover: beta, verify: {peers: 1, within: 5m}}]}\n  guards:"},
		before: func(_ *world, n *fakeNode) { n.peers = 0 }, allowed: []string{""}, ends: []string{"alpha old", "beta old"}},
	{name: "resync", edits: resyncable, playbook: "wrong_network", before: resyncing(true),
		allowed: []string{"", "stop, start", "stop, start, stop, start"}, ends: []string{"alpha new", "alpha old"}},
	{name: "resync that does not help", edits: resyncable, playbook: "wrong_network", before: resyncing(false),
		allowed: []string{"", "stop, start", "stop, start, stop, start"}, ends: []string{"alpha old"}},
	{name: "reset", edits: resettable, playbook: "old_iteration", before: func(w *world, n *fakeNode) {
		if len(w.has("data")) == 0 {
			w.oldIteration(fetchTwo, initialise)
		}
		resyncing(true)(w, n)
		look := func() {
			if n.phase != progress.Syncing {
				n.phase = progress.OldIteration
			}
		}
		look()
		start := n.onStart
		n.onStart = func() error { defer look(); return start() }
		if late := 51 * time.Hour; w.elapsed() < late {
			w.pass(late - w.elapsed())
		}
	}, ends: []string{"alpha new", "alpha old"}},
}

func resyncing(helps bool) func(*world, *fakeNode) {
	return func(w *world, n *fakeNode) {
		if _, err := os.Stat(filepath.Join(w.dir, "data")); err != nil {
			w.database("old")
		}
		look := func() {
			n.phase = progress.WrongNetwork
			if text, err := os.ReadFile(filepath.Join(w.dir, "data/beacon/chain_db/CURRENT")); helps && err == nil && string(text) == "new" {
				n.phase = progress.Syncing
			}
		}
		look()
		n.onStart = func() error {
			if _, err := os.Stat(filepath.Join(w.dir, "data/beacon/chain_db")); err != nil {
				w.database("new")
			}
			look()
			return nil
		}
	}
}

// TestKillChild plays a story for TestKillAtEveryStep. By itself it plays the first one, and lives.
func TestKillChild(t *testing.T) {
	dir, story := os.Getenv(killDir), os.Getenv(killStory)
	if dir == "" {
		dir, story = t.TempDir(), killables[0].name
		if err := os.WriteFile(filepath.Join(dir, "inventory.yaml"), []byte(inventory), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at, _ := strconv.Atoi(os.Getenv(killAt))
	k := killables[slices.IndexFunc(killables, func(k killable) bool { return k.name == story })]
	inBubble(t, func(t *testing.T) {
		w := worldIn(t, dir, k.edits...)
		w.sleepPastJournal()
		n := w.nodes["node-1"]
		w.remember(n)
		k.before(w, n)
		steps := 0
		w.step = func(string) error {
			if steps++; steps == at {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it arrives
			}
			return nil
		}
		w.start()
		defer func() { w.stop() }()
		a := w.alert("node-1", k.playbook)
		w.keep(a)
		for range 90 {
			w.pass(time.Minute)
			w.keep(a) // as Alertmanager does, until it has an answer
		}
		w.resolve(a)
		w.pass(10 * time.Minute)
		fmt.Printf("steps: %d\n", steps)
	})
}

// sleepPastJournal lets the bubble, whose time always begins anew, go on where the last program ended.
func (w *world) sleepPastJournal() {
	var last time.Time
	for r, err := range journal.ScanAll(w.cfg.Remediation.Journal, time.Time{}) {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return
			}
			w.Fatal(err)
		}
		last = r.Time
	}
	if !last.IsZero() {
		time.Sleep(time.Until(last) + 5*time.Second)
	}
}

// remember lets a node's runs survive the program.
func (w *world) remember(n *fakeNode) {
	path := filepath.Join(w.dir, "units")
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		what := strings.TrimSpace(line)
		n.did = append(n.did, what)
		what, client, _ := strings.Cut(what, " ")
		r := map[string]*runs{"": &n.runs, "execution": &n.el, "validator": &n.vc}[client]
		r.active = actuator.Inactive
		if what != "stop" {
			r.active = actuator.Active
			r.invocation++
		}
	}
	n.onDo = func(what string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString(what + "\n")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			w.Error(err)
		}
	}
}

func TestKillAtEveryStep(t *testing.T) {
	for _, k := range killables {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			steps := 0
			out, err := k.play(t, t.TempDir(), 0)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := fmt.Sscanf(out[strings.Index(out, "steps: "):], "steps: %d", &steps); err != nil || steps < 5 {
				t.Fatalf("%d steps: %v\n%s", steps, err, out)
			}
			for at := 1; at <= steps; at++ {
				dir := t.TempDir()
				out, err := k.play(t, dir, at)
				var died *exec.ExitError
				if !errors.As(err, &died) || died.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("step %d: it was not killed: %v\n%s", at, err, out)
				}
				if out, err := k.play(t, dir, 0); err != nil {
					t.Fatalf("step %d: after the kill: %v\n%s", at, err, out)
				}
				k.judge(t, dir, at)
			}
			t.Logf("killed at each of %d steps", steps)
		})
	}
}

// play runs the story in a process of its own, which dies at a step, or lives if that is 0.
func (k killable) play(t *testing.T, dir string, at int) (string, error) {
	t.Helper()
	inv := filepath.Join(dir, "inventory.yaml")
	if _, err := os.Stat(inv); err != nil {
		if err := os.WriteFile(inv, []byte(inventory), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), killStory+"="+k.name, killDir+"="+dir, killAt+"="+strconv.Itoa(at))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// judge looks at what a killed program and its successor have left.
func (k killable) judge(t *testing.T, dir string, at int) {
	t.Helper()
	var story strings.Builder
	problem := func(format string, args ...any) { t.Errorf("step %d: "+format, append([]any{at}, args...)...) }

	// No action is repeated: of one step, at most one intent had an effect.
	effects, intents := map[string]int{}, map[string]Intent{}
	open := map[string]bool{}
	for r, err := range journal.ScanAll(filepath.Join(dir, "journal.jsonl"), time.Time{}) {
		if err != nil {
			t.Fatalf("step %d: the journal: %v", at, err)
		}
		fmt.Fprintf(&story, "%s %s\n", r.Kind, r.Payload)
		p, err := payloadOf(r)
		if err != nil {
			t.Fatal(err)
		}
		switch p := p.(type) {
		case *Opened:
			open[p.Incident] = true
		case *Closed:
			delete(open, p.Incident)
		case *Intent:
			intents[p.ID] = *p
		case *Outcome:
			in := intents[p.Intent]
			delete(intents, p.Intent)
			if p.Result != resultNotDone && p.Result != resultRefused {
				effects[fmt.Sprint(in.Incident, in.Step, in.Action)]++
			}
		}
	}
	for what, n := range effects {
		if n > 1 {
			problem("%s took effect %d times", what, n)
		}
	}
	if len(intents) > 0 || len(open) > 0 {
		problem("%d intents without outcome, %d incidents open", len(intents), len(open))
	}
	text, err := os.ReadFile(filepath.Join(dir, "units"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	did := strings.Split(strings.TrimSpace(string(text)), "\n")
	if got := strings.Join(did, ", "); k.allowed != nil && !slices.Contains(k.allowed, got) {
		problem("the clients saw %q", got)
	}
	for _, client := range []string{"", " execution", " validator"} {
		stops, runs := 0, true
		for _, what := range did {
			switch what {
			case "stop" + client:
				stops, runs = stops+1, false
			case "start" + client, "restart" + client:
				runs = true
			}
		}
		if stops > 2 || !runs {
			problem("%q leaves a client running %v, after %d stops", did, runs, stops)
		}
	}

	// No file is half-written, and nothing of ours lies about.
	text, err = os.ReadFile(filepath.Join(dir, "inventory.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	end := "something else"
	for _, p := range []string{"alpha", "beta", "gamma"} {
		if string(text) == strings.Replace(inventory, "alpha", p, 1) {
			end = p
		}
	}
	db, err := os.ReadFile(filepath.Join(dir, "data/beacon/chain_db/CURRENT"))
	if err != nil {
		db = []byte("old")
	}
	if end += " " + string(db); !slices.Contains(k.ends, end) {
		problem("it ended with %s", end)
	}
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		// Slashing protection that a client made anew before its old one came back is kept for good.
		if name := filepath.Base(path); strings.HasPrefix(name, ".checkpoint-restored-") {
			return fs.SkipDir
		} else if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".new") {
			problem("left behind: %s", path)
		}
		return nil
	})
	if t.Failed() {
		t.Fatal(story.String())
	}
}
