package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// world is a fleet as the engine meets it: nodes and providers that a test moves, with a real journal and real files. It runs in
// a synctest bubble, so its time is the bubble's.
type world struct {
	*testing.T
	dir     string
	cfg     *config.Config
	nodes   map[string]*fakeNode
	bad     map[string][]provider.Finding // provider to why it is not usable
	lag     uint64                        // of every provider, in epochs
	forced  int                           // judgements that read every state's beginning
	journal *journal.Journal
	engine  *Engine
	// silenced are the nodes whose other alerts are.
	silenced map[string]bool
	step     func(string) error // fails steps that change the disk

	stop func()
	done chan struct{}
	mu   sync.Mutex
}

// fence orders what the test has written before what the engine reads next: synctest orders only the other direction.
func (w *world) fence() {
	w.mu.Lock()
	defer w.mu.Unlock()
}

// fakeNode is a node and the unit that runs it.
type fakeNode struct {
	world *world
	// head is frozen at stuck while that is not nil.
	stuck   *uint64
	refused bool
	peers   uint64
	// cure tells whether a restart gets it going.
	cure bool
	// phase is what the eyes say of it; empty is syncing.
	phase progress.Phase
	// finalized is its finalized epoch; nil when it does not tell.
	finalized *uint64

	runs
	el, vc runs
	// onState and onRestart run inside the calls; an error of onRestart is returned.
	onState   func()
	onRestart func() error
	// onDo is told what is done to either client.
	onDo func(what string)
	// onStart runs when the consensus client is started.
	onStart func() error
}

// runs is what a service manager knows of one client.
type runs struct {
	restarts   int
	invocation int
	active     actuator.Activity
	log        []string
	// did is what was done to it, in order.
	did []string
}

const baseConfig = `
network: {name: devnet, genesis_time: 946684800, genesis_validators_root: "0x3e8bd71d9925794b4f5e8623e15094ea6edc0fd206e3551e13dd2d10e08fbaba",
  seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 1337}
providers:
  - {name: alpha, url: "http://alpha.test"}
  - {name: beta, url: "http://beta.test"}
  - {name: gamma, url: "http://gamma.test"}
nodes:
  - name: node-1
    consensus: {url: "http://node-1.test"}
    restart: {systemd: node-1.service}
    restart_execution: {systemd: node-1-el.service}
    source: {yaml: {file: "DIR/inventory.yaml", key: checkpoint_sync_url}}
    data_dir: "DIR/data"
  - name: node-2
    consensus: {url: "http://node-2.test"}
    restart: {systemd: node-2.service}
  - {name: node-3, consensus: {url: "http://node-3.test"}, restart: {systemd: node-3.service}}
  - {name: node-4, consensus: {url: "http://node-4.test"}, restart: {systemd: node-4.service}}
remediation:
  mode: act
  journal: DIR/journal.jsonl
  alertmanagers: []
  guards: {pause_file: "DIR/pause"}
`

const inventory = `# the fleet
all:
  hosts:
    node-1:
      checkpoint_sync_url: "http://alpha.test" # keep me
`

func newWorld(t *testing.T, edits ...string) *world {
	t.Helper()
	w := worldIn(t, t.TempDir(), edits...)
	if err := os.WriteFile(filepath.Join(w.dir, "inventory.yaml"), []byte(inventory), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

// worldIn is a world whose files are there already.
func worldIn(t *testing.T, dir string, edits ...string) *world {
	t.Helper()
	w := &world{T: t, dir: dir, nodes: map[string]*fakeNode{}, bad: map[string][]provider.Finding{}, silenced: map[string]bool{}}
	text := strings.NewReplacer(edits...).Replace(baseConfig)
	c, err := config.Parse("checkpoint.yml", []byte(strings.ReplaceAll(text, "DIR", w.dir)))
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = c
	for _, n := range c.Nodes {
		w.nodes[n.Name] = &fakeNode{world: w, peers: 50, runs: runs{invocation: 1, active: actuator.Active}, el: runs{invocation: 1, active: actuator.Active}, vc: runs{invocation: 1, active: actuator.Active}}
	}
	return w
}

// running is a world whose engine works until the test ends.
func running(t *testing.T, edits ...string) *world {
	t.Helper()
	w := newWorld(t, edits...)
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start opens the journal and runs the engine, as a start of the program does.
func (w *world) start() {
	w.Helper()
	var err error
	w.journal, err = journal.Open(w.cfg.Remediation.Journal, journal.Options{Step: w.hook})
	if err != nil {
		w.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m, err := newMetrics(reg)
	if err != nil {
		w.Fatal(err)
	}
	w.engine, err = NewEngine(w.cfg, w.journal, w, w, w, m, log.NewNopLogger())
	if err != nil {
		w.Fatal(err)
	}
	reg.MustRegister(w.engine)
	ctx, cancel := context.WithCancel(w.Context())
	w.done = make(chan struct{})
	go func(e *Engine, done chan struct{}) { defer close(done); _ = e.Run(ctx) }(w.engine, w.done)
	w.stop = func() {
		cancel()
		<-w.done
		if err := w.journal.Close(); err != nil {
			w.Error(err)
		}
	}
}

// hook sees every step that changes the disk.
func (w *world) hook(s string) error {
	w.fence()
	if w.step != nil {
		return w.step(s)
	}
	return nil
}

// restart ends the engine and starts it again on what the journal has by then.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

func (w *world) pass(d time.Duration) {
	w.fence()
	time.Sleep(d)
	synctest.Wait()
}

// stall freezes a node's head behind the clock.
func (w *world) stall(name string) {
	h := w.chain().Slot(time.Now())
	w.nodes[name].stuck = &h
	w.pass(11 * time.Minute)
}

func (w *world) chain() network.Chain { return w.cfg.NetworkSpec().ChainAt(time.Now()) }

func (w *world) fire(node, playbook string) receiver.Alert {
	w.Helper()
	a := w.alert(node, playbook)
	w.keep(a)
	return a
}

func (w *world) alert(node, playbook string) receiver.Alert {
	return receiver.Alert{
		Fingerprint: fmt.Sprintf("%s-%s-0000000", node, playbook), Status: receiver.Firing, StartsAt: time.Now(),
		Labels: map[string]string{"alertname": "Checkpoint" + playbook, "node": node, "playbook": playbook},
	}
}

func (w *world) resolve(a receiver.Alert) {
	w.Helper()
	a.Status, a.EndsAt = receiver.Resolved, time.Now()
	w.keep(a)
}

func (w *world) keep(alerts ...receiver.Alert) {
	w.Helper()
	if err := w.engine.Keep(w.Context(), alerts); err != nil {
		w.Error(err)
	}
	synctest.Wait()
}

// incident is the newest one of a node, open or closed.
func (w *world) incident(node string) IncidentView {
	w.Helper()
	var newest IncidentView
	for _, i := range w.engine.View().Incidents {
		if i.Node == node && !i.OpenedAt.Before(newest.OpenedAt) {
			newest = i
		}
	}
	if newest.ID == "" {
		w.Fatalf("no incident of %s", node)
	}
	return newest
}

func (w *world) story(node string) string {
	var b strings.Builder
	for _, ev := range w.incident(node).Story {
		b.WriteString(ev.Text + "\n")
	}
	return b.String()
}

// records are the journal's, by kind, read from the disk.
func (w *world) records(kind string) (out []journal.Record) {
	w.Helper()
	for r, err := range w.journal.Records() {
		if err != nil {
			w.Fatal(err)
		}
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

func (w *world) outcomes() (out []string) {
	for _, r := range w.records(kindOutcome) {
		var o Outcome
		if err := r.Decode(&o); err != nil {
			w.Fatal(err)
		}
		out = append(out, o.Result)
	}
	return out
}

func (w *world) inventory() string {
	b, err := os.ReadFile(filepath.Join(w.dir, "inventory.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// Actuator and Source make the world the engine's hands.
func (w *world) Actuator(r config.Restart) (actuator.Actuator, error) {
	if len(r.Command) > 0 {
		return actuator.NewCommand(r.Command, 0)
	}
	name, validator := strings.CutPrefix(r.Systemd, "validator-")
	if validator {
		name = "node-" + name
	}
	name, execution := strings.CutSuffix(strings.TrimSuffix(name, ".service"), "-el")
	n := w.nodes[name]
	if validator {
		return unit{n, &n.vc, r.Systemd}, nil
	}
	if execution {
		return unit{n, &n.el, r.Systemd}, nil
	}
	return unit{n, &n.runs, r.Systemd}, nil
}

func (w *world) Source(n config.Node) (source.Source, error) {
	y := n.Source.YAML
	return source.NewYAML(source.YAML{File: y.File, Key: y.Key}, n.Name, source.Options{Backups: filepath.Join(w.dir, "backups"), Step: w.hook})
}

func (w *world) ChainData(o chaindata.Options) (chaindata.Move, error) {
	o.Step = w.hook
	return chaindata.Plan(o)
}

func (w *world) NetworkFiles(context.Context, config.Reset, network.Chain) (*netfiles.Staged, error) {
	return nil, errors.New("there are none")
}

// Hold and Release make the world its silences.
func (w *world) Hold(_ context.Context, node, _ string) {
	w.fence()
	w.silenced[node] = true
}

func (w *world) Release(_ context.Context, node string) {
	w.fence()
	delete(w.silenced, node)
}

// unit is a service of the fake service manager.
type unit struct {
	n    *fakeNode
	runs *runs
	name string
}

func (u unit) String() string { return u.name }

func (u unit) State(context.Context) (actuator.State, error) {
	u.n.world.fence()
	if u.n.onState != nil {
		u.n.onState()
	}
	return actuator.State{Active: u.runs.active, InvocationID: fmt.Sprint(u.runs.invocation)}, nil
}

func (u unit) Restart(context.Context) (actuator.Outcome, error) {
	u.n.world.fence()
	if u.n.onRestart != nil {
		if err := u.n.onRestart(); err != nil {
			return actuator.Outcome{}, err
		}
	}
	if err := u.begins("restart"); err != nil {
		return actuator.Outcome{}, err
	}
	u.runs.restarts++
	u.runs.invocation++
	if u.n.cure {
		u.n.stuck, u.n.refused = nil, false
		u.n.peers = 50
	}
	return actuator.Outcome{}, u.n.world.hook("unit: restarted")
}

func (u unit) Stop(context.Context) (actuator.Outcome, error) {
	u.n.world.fence()
	if u.runs.active == actuator.Inactive {
		return actuator.Outcome{}, nil
	}
	if err := u.begins("stop"); err != nil {
		return actuator.Outcome{}, err
	}
	u.runs.active = actuator.Inactive
	return actuator.Outcome{}, u.n.world.hook("unit: stopped")
}

func (u unit) Start(context.Context) (actuator.Outcome, error) {
	u.n.world.fence()
	if u.runs.active == actuator.Active {
		return actuator.Outcome{}, nil
	}
	if err := u.begins("start"); err != nil {
		return actuator.Outcome{}, err
	}
	if u.runs == &u.n.runs && u.n.onStart != nil {
		if err := u.n.onStart(); err != nil {
			return actuator.Outcome{}, err
		}
	}
	u.runs.invocation++
	u.runs.active = actuator.Active
	return actuator.Outcome{}, u.n.world.hook("unit: started")
}

func (u unit) Logs(context.Context, int) ([]string, error) { return u.runs.log, nil }

// begins tells what is done to the node, in order, with the other clients' parts marked.
func (u unit) begins(what string) error {
	if err := u.n.world.hook("unit: " + what); err != nil {
		return err
	}
	switch u.runs {
	case &u.n.el:
		what += " execution"
	case &u.n.vc:
		what += " validator"
	}
	u.n.runs.did = append(u.n.runs.did, what)
	if u.n.onDo != nil {
		u.n.onDo(what)
	}
	return nil
}

// Look, Phase, Judge and Close make it the engine's eyes.
func (w *world) Look(_ context.Context, name string) node.Observation {
	w.fence()
	n := w.nodes[name]
	o := node.Observation{At: time.Now(), Chain: w.chain()}
	if n.refused {
		o.Consensus.Syncing.Err = &beacon.Error{Reason: beacon.Connect, Message: "connection refused", Err: syscall.ECONNREFUSED}
		return o
	}
	head := o.Chain.Slot(o.At)
	if n.stuck != nil {
		head = *n.stuck
	}
	o.Consensus.Syncing.Value = &beacon.Syncing{HeadSlot: head}
	o.Consensus.Peers.Value = &beacon.PeerCount{Connected: n.peers}
	if n.finalized != nil {
		o.Consensus.Finality.Value = &beacon.Finality{Finalized: beacon.Checkpoint{Epoch: *n.finalized}}
	}
	switch n.phase {
	case progress.OldIteration:
		o.Consensus.Identity = network.Earlier
	case progress.WrongNetwork:
		o.Consensus.Identity = network.Other
	}
	o.Consensus.Genesis.Value = &beacon.Genesis{}
	return o
}

func (w *world) Phase(name string, _ time.Time) progress.Phase {
	n := w.nodes[name]
	switch {
	case n.refused:
		return progress.Unreachable
	case n.phase != "":
		return n.phase
	}
	return progress.Syncing
}

func (w *world) Judge(_ context.Context, maxAge time.Duration) provider.Judgement {
	w.fence()
	if maxAge == 0 {
		w.forced++
	}
	yes := true
	j := provider.Judgement{At: time.Now(), Chain: w.chain()}
	for _, p := range w.cfg.Providers {
		lag := w.lag
		v := provider.Verdict{Provider: p.Name, URL: p.URL, Reasons: w.bad[p.Name], LagEpochs: &lag}
		switch {
		case len(v.Reasons) > 0:
			v.LagEpochs = nil
		case w.lag > 4:
			v.Reasons = []provider.Finding{{Reason: provider.Stale, Text: "it lags"}}
		default:
			v.Usable, v.Agrees = true, &yes
		}
		if v.Usable {
			j.Quorum.Providers++
		}
		j.Verdicts = append(j.Verdicts, v)
	}
	return j
}

func (w *world) Close() {}

func (w *world) down(names ...string) {
	for _, n := range names {
		w.bad[n] = []provider.Finding{{Reason: provider.Connect, Text: "connection refused"}}
	}
}

var errDisk = errors.New("no space left on device")

// inBubble runs a test on simulated time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// batch repeats alerts that are known already.
func (w *world) batch(a receiver.Alert) []receiver.Alert { return []receiver.Alert{a, a} }

func (w *world) cooling(node string) bool {
	return strings.Contains(w.story(node), "cooldown until")
}
