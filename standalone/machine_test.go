package standalone_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// What the machine's service manager knows, and where a network's releases are.
const (
	consensusUnit = "beacon.service"
	executionUnit = "geth.service"
	validatorUnit = "validator.service"
	initExecution = "/usr/local/bin/init-execution"
	releases      = "http://releases.example/ephemery-{iteration}.tar.gz"
)

// machine is what a node runs on, and the hands that reach it: services whose clients are simulated, and real directories that say what the
// clients have. A client that is started where its database was taken away has none.
type machine struct {
	remediate.Machine
	lab    *lab
	node   *simulate.Node
	client string
	// consensus and execution are data directories; files is where the network's files are.
	consensus, execution, files string
	// inventory is that file's text, and began every path of the node's directories, before anything ran.
	inventory string
	began     []string

	mu sync.Mutex
	// did is what was done to services, in order.
	did       []string
	validator bool // runs
	// releasedAt is when the files of the present iteration can be fetched.
	releasedAt time.Time
}

func newMachine(l *lab, n *simulate.Node, client string) *machine {
	l.Helper()
	m := &machine{
		Machine: remediate.Machine{Backups: filepath.Join(l.dir, "backups")}, lab: l, node: n, client: client, validator: true,
		consensus: filepath.Join(l.dir, "node", "consensus"), execution: filepath.Join(l.dir, "node", "execution"), files: filepath.Join(l.dir, "node", "testnet"),
	}
	for _, name := range m.layout().Keep {
		m.write(filepath.Join(m.consensus, name, "kept"), 10)
	}
	for _, name := range m.layout().SlashingProtection[:1] {
		m.write(filepath.Join(m.consensus, name), 10)
	}
	m.write(filepath.Join(m.execution, "geth", "nodekey"), 64)
	for name, text := range release(m.chain(n.Status().Iteration)) {
		l.need(os.MkdirAll(m.files, 0o750))
		l.need(os.WriteFile(filepath.Join(m.files, name), []byte(text), 0o600))
	}
	m.mirror()
	m.inventory, m.began = l.readInventory(), m.tree()
	return m
}

func (m *machine) layout() client.Layout {
	layout, ok := client.ConsensusLayout(m.client)
	if !ok {
		m.lab.Fatalf("%s has no layout", m.client)
	}
	return layout
}

func (m *machine) chain(iteration uint64) network.Chain {
	ephemery, _ := network.Preset("ephemery")
	return ephemery.ChainAt(ephemery.Iterations.Genesis(iteration))
}

// write makes a file of some bytes, none of which takes space.
func (m *machine) write(path string, size int64) {
	m.lab.need(os.MkdirAll(filepath.Dir(path), 0o750))
	m.lab.need(os.WriteFile(path, nil, 0o600))
	m.lab.need(os.Truncate(path, size))
}

// databases are the directories of the two clients' databases.
func (m *machine) databases() (consensus, execution string) {
	return filepath.Join(m.consensus, m.layout().Database[0]), filepath.Join(m.execution, "geth", "chaindata")
}

// mirror lets the disk follow what the clients do: one that has made a database has it there.
func (m *machine) mirror() {
	m.mu.Lock()
	defer m.mu.Unlock()
	consensus, execution := m.databases()
	if m.node.Status().Database && !there(consensus) {
		m.write(filepath.Join(consensus, "000001.sst"), 128<<20)
	}
	if (m.node.ExecutionUp() || m.began == nil) && !there(execution) {
		m.write(filepath.Join(execution, "000001.sst"), 128<<20)
	}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// read lets a client that starts find what is on the disk.
func (m *machine) read() {
	consensus, execution := m.databases()
	if !there(consensus) {
		m.node.Wipe()
	}
	if !there(execution) {
		m.node.WipeExecution()
	}
	if netfiles.Check(m.files, m.lab.sim.Chain()) == nil && m.node.Status().Iteration != m.lab.sim.Chain().Iteration {
		m.node.Reconfigure()
	}
}

// tree is every path below the machine's directories.
func (m *machine) tree() []string {
	var all []string
	m.lab.need(filepath.WalkDir(filepath.Dir(m.consensus), func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}

// Actuator implements remediate.Hands.
func (m *machine) Actuator(r config.Restart) (actuator.Actuator, error) {
	switch {
	case r.Systemd != "":
		return unit{r.Systemd, m}, nil
	case slices.Equal(r.Command, []string{initExecution}):
		return initialiser{m}, nil
	}
	return nil, fmt.Errorf("no service %+v", r)
}

// NetworkFiles implements remediate.Hands.
func (m *machine) NetworkFiles(ctx context.Context, r config.Reset, c network.Chain) (*netfiles.Staged, error) {
	return netfiles.Fetch(ctx, netfiles.Options{URL: r.URL, Chain: c, Dir: r.Dir, Client: &http.Client{Transport: m}})
}

// RoundTrip is the server of releases.
func (m *machine) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	released := !time.Now().Before(m.releasedAt)
	m.mu.Unlock()
	c := m.lab.sim.Chain()
	if !released || r.URL.Path != fmt.Sprintf("/ephemery-%d.tar.gz", c.Iteration) {
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	archive := tar.NewWriter(z)
	for name, text := range release(c) {
		err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
		if _, werr := io.WriteString(archive, text); err != nil || werr != nil {
			return nil, errors.Join(err, werr)
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&b), ContentLength: int64(b.Len()), Request: r}, nil
}

// release is what a release of a chain's network files says of it.
func release(c network.Chain) map[string]string {
	begun := c.GenesisTime.Add(-10 * time.Minute).Unix()
	return map[string]string{
		"genesis.json":   fmt.Sprintf(`{"config":{"chainId":%d},"timestamp":"0x%x"}`, c.DepositChainID, begun),
		"retention.vars": fmt.Sprintf("export ITERATION_NUMBER=%q\nexport CHAIN_ID=%q\n", fmt.Sprint(c.Iteration), fmt.Sprint(c.DepositChainID)),
		"config.yaml":    fmt.Sprintf("CONFIG_NAME: testnet\nMIN_GENESIS_TIME: %d\nGENESIS_DELAY: 600\nDEPOSIT_CHAIN_ID: %d\n", begun, c.DepositChainID),
	}
}

// unit is a service of the machine.
type unit struct {
	name string
	*machine
}

func (u unit) String() string { return "systemd " + u.name }

// note remembers what is done.
func (u unit) note(verb string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.did = append(u.did, verb+" "+u.name)
}

func (u unit) outcome(err error) (actuator.Outcome, error) {
	u.mirror()
	return actuator.Outcome{Actuator: u.String(), Job: "done"}, err
}

func (u unit) Restart(ctx context.Context) (actuator.Outcome, error) {
	u.note("restart")
	u.read()
	if u.name == executionUnit {
		return u.outcome(u.node.RestartExecution(ctx))
	}
	return u.outcome(u.node.Restart(ctx))
}

func (u unit) Stop(context.Context) (actuator.Outcome, error) {
	u.note("stop")
	switch u.name {
	case consensusUnit:
		u.node.Stop()
	case executionUnit:
		u.node.StopExecution()
	case validatorUnit:
		u.setValidator(false)
	}
	return actuator.Outcome{Actuator: u.String(), Job: "done"}, nil
}

func (u unit) Start(ctx context.Context) (actuator.Outcome, error) {
	u.note("start")
	u.read()
	switch u.name {
	case consensusUnit:
		return u.outcome(u.node.StartConsensus(ctx))
	case executionUnit:
		return u.outcome(u.node.StartExecution(ctx))
	}
	u.setValidator(true)
	return u.outcome(nil)
}

func (u unit) setValidator(runs bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.validator = runs
}

func (u unit) State(context.Context) (actuator.State, error) {
	u.mirror()
	st := actuator.State{Active: actuator.Active, Sub: "running"}
	s := u.node.Status()
	switch u.name {
	case consensusUnit:
		st.InvocationID = fmt.Sprint(len(s.Starts))
		switch s.State {
		case simulate.StateStopped:
			st.Active, st.Sub = actuator.Inactive, "dead"
		case simulate.StateExited:
			st.Active, st.Sub = actuator.Activating, "auto-restart"
		}
	case executionUnit:
		st.InvocationID = fmt.Sprint(len(s.ExecutionStarts))
		if !u.node.ExecutionUp() {
			st.Active, st.Sub = actuator.Inactive, "dead"
		}
	case validatorUnit:
		u.mu.Lock()
		defer u.mu.Unlock()
		st.InvocationID = "1"
		if !u.validator {
			st.Active, st.Sub = actuator.Inactive, "dead"
		}
	}
	return st, nil
}

func (u unit) Logs(_ context.Context, n int) ([]string, error) {
	switch u.name {
	case consensusUnit:
		return u.node.Logs(n), nil
	case executionUnit:
		return u.node.ExecutionLogs(n), nil
	}
	return nil, nil
}

// initialiser is `geth init` with the network's files.
type initialiser struct{ *machine }

func (i initialiser) String() string { return "command " + initExecution }

func (i initialiser) Restart(context.Context) (actuator.Outcome, error) {
	i.mu.Lock()
	i.did = append(i.did, "init execution")
	i.mu.Unlock()
	_, execution := i.databases()
	if there(execution) || i.node.ExecutionUp() {
		return actuator.Outcome{Actuator: i.String(), Output: "there is a database already"}, &actuator.Error{Verb: "run", Actuator: i.String(), Err: errors.New("exit status 1")}
	}
	i.read()
	i.write(filepath.Join(execution, "000001.sst"), 1<<20)
	return actuator.Outcome{Actuator: i.String()}, nil
}

func (i initialiser) State(context.Context) (actuator.State, error) {
	return actuator.State{Active: actuator.Unknown}, nil
}

// people read their notifications.
type people struct {
	mu    sync.Mutex
	calls []string
}

// told are the alerts that people were told of, each once, in order.
func (p *people) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Enabled implements slog.Handler.
func (p *people) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (p *people) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "notification" {
		return nil
	}
	var alert, status string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "alert":
			alert = a.Value.String()
		case "status":
			status = a.Value.String()
		}
		return true
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if status == "firing" && !slices.Contains(p.calls, alert) {
		p.calls = append(p.calls, alert)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (p *people) WithAttrs([]slog.Attr) slog.Handler { return p }

// WithGroup implements slog.Handler.
func (p *people) WithGroup(string) slog.Handler { return p }

func (l *lab) String() string { return strings.Join(l.story(), "\n") }

// story is what the remediator has done and collected, and when it called people, by its journal.
func (l *lab) story() []string {
	l.Helper()
	f, err := os.ReadFile(filepath.Join(l.dir, "data", "journal.jsonl"))
	l.need(err)
	var told []string
	playbooks, intents := map[string]string{}, map[string]remediate.Intent{}
	for line := range strings.Lines(string(f)) {
		var r journal.Record
		l.need(json.Unmarshal([]byte(line), &r))
		payload := func(v any) { l.need(json.Unmarshal(r.Payload, v)) }
		switch r.Kind {
		case "opened":
			var o remediate.Opened
			payload(&o)
			playbooks[o.Incident] = o.Playbook
		case "intent":
			var in remediate.Intent
			payload(&in)
			intents[in.ID] = in
		case "outcome":
			var o remediate.Outcome
			payload(&o)
			in := intents[o.Intent]
			text := in.Playbook + ": " + in.Action
			if in.Action == "restart" {
				text += " " + in.Client
			}
			if o.Result != "done" {
				text += " " + o.Result + " " + o.Error
			}
			told = append(told, text)
		case "observed":
			var o remediate.Observed
			payload(&o)
			told = append(told, playbooks[o.Incident]+": observe")
		case "exhausted":
			var e remediate.Exhausted
			payload(&e)
			told = append(told, e.Playbook+": people")
		}
	}
	return told
}

// need ends the test with an error.
func (l *lab) need(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}
