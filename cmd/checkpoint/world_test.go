package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup/setuptest"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// place is a machine after a night: files in a directory that stands for /, and programs behind a dialler.
type place struct {
	*testing.T
	root string
	now  time.Time
	// hosts are the servers behind host:port.
	hosts map[string]string
	in    string
	asks  bool
	color bool
	env   map[string]string
	// machine is what setup finds. A wait makes time pass.
	machine *setuptest.Machine
}

var cet = time.FixedZone("CET", 3600)

// night is when the operator looks.
var night = time.Date(2026, 3, 1, 3, 30, 0, 0, cet)

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{T: t, root: t.TempDir(), now: night, hosts: map[string]string{}, env: map[string]string{}, machine: &setuptest.Machine{}}
	p.write("/etc/checkpoint/token", "secret\n")
	p.write("/etc/checkpoint/checkpoint.yml", strings.ReplaceAll(configuration, "ROOT", p.root))
	p.write("/etc/checkpoint/new.yml", "network: ephemery\nremediation:\n  guards:\n    cooldwon: 20m\n")
	p.write("/opt/ephemery/inventory.yaml", inventory)
	return p
}

const inventory = `all:
  hosts:
    node-1:
      checkpoint_sync_url: http://one.example
    node-2:
      checkpoint_sync_url: http://three.example # was the nearest
`

const configuration = `network: {name: devnet, genesis_time: 1771000000, seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 4242}
providers:
  - {name: one, url: "http://one.example"}
  - {name: two, url: "http://two.example"}
  - {name: three, url: "http://three.example"}
nodes:
  - name: node-1
    consensus: {url: "http://127.0.0.1:1", client: lighthouse}
    restart: {systemd: lighthouse.service}
    source: {yaml: {file: ROOT/opt/ephemery/inventory.yaml, key: checkpoint_sync_url}}
  - name: node-2
    consensus: {url: "http://127.0.0.1:1", client: lighthouse}
    source: {yaml: {file: ROOT/opt/ephemery/inventory.yaml, key: checkpoint_sync_url}}
remediation:
  mode: act
  journal: ROOT/var/lib/checkpoint/journal.jsonl
  alertmanagers: []
  webhook: {bearer_token_file: ROOT/etc/checkpoint/token}
  guards: {pause_file: ROOT/run/checkpoint/pause}
`

func (p *place) path(name string) string { return filepath.Join(p.root, name) }

func (p *place) write(name, text string) {
	p.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o750); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(text), 0o640); err != nil {
		p.Fatal(err)
	}
}

func (p *place) config() *config.Config {
	p.Helper()
	c, err := config.Load(p.path("/etc/checkpoint/checkpoint.yml"))
	if err != nil {
		p.Fatal(err)
	}
	return c
}

// serve puts a handler behind host:port.
func (p *place) serve(host string, h http.Handler) {
	server := httptest.NewServer(h)
	p.Cleanup(server.Close)
	p.hosts[host] = server.Listener.Addr().String()
}

func (p *place) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := p.hosts[address]
	if !ok {
		return nil, fmt.Errorf("dial %s %s: connect: connection refused", network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

// run is the command with its output and exit code. Paths are shown without the root.
func (p *place) run(args ...string) (stdout, stderr string, code int) {
	p.Helper()
	return p.runIn(p.Context(), args...)
}

func (p *place) runIn(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = p.world(&out, &err).run(ctx, args)
	return strings.ReplaceAll(out.String(), p.root, ""), strings.ReplaceAll(err.String(), p.root, ""), code
}

func (p *place) world(out, err io.Writer) world {
	return world{
		in: strings.NewReader(p.in), out: out, err: err, env: func(k string) string { return p.env[k] }, now: func() time.Time { return p.now }, zone: cet,
		person: "alice (sudo as root)", machine: p.machine, root: p.root, wait: p.wait, defaultConfig: p.path("/etc/checkpoint/checkpoint.yml"), asks: p.asks, colors: p.color, dial: p.dial,
	}
}

// wait lets time pass.
func (p *place) wait(ctx context.Context, d time.Duration) error {
	p.now = p.now.Add(d)
	return ctx.Err()
}

// diary writes the journal of a place.
type diary struct {
	*place
	journal *journal.Journal
	at      time.Time
}

func (p *place) diary() *diary {
	p.Helper()
	p.write("/var/lib/checkpoint/journal.jsonl", "")
	return p.reopen()
}

// reopen goes on in the journal that is there.
func (p *place) reopen() *diary {
	p.Helper()
	d := &diary{place: p}
	j, err := journal.Open(p.path("/var/lib/checkpoint/journal.jsonl"), journal.Options{Now: func() time.Time { return d.at }})
	if err != nil {
		p.Fatal(err)
	}
	d.journal = j
	p.Cleanup(func() { j.Close() })
	return d
}

func (d *diary) note(at, kind string, payload any) {
	d.Helper()
	day := "2026-03-01"
	if at > "12" {
		day = "2026-02-28"
	}
	when, err := time.ParseInLocation("2006-01-02 15:04:05", day+" "+at, cet)
	if err != nil {
		d.Fatal(err)
	}
	d.at = when
	if _, err := d.journal.Append(kind, payload); err != nil {
		d.Fatal(err)
	}
}

// told is a night with a stall that a restart cured, a provider that died, and an execution client for which people are needed.
func (p *place) told() {
	p.Helper()
	d := p.diary()
	c := p.config()
	src, err := remediate.Machine{Backups: p.path("/var/lib/checkpoint/backups")}.Source(c.Nodes[1])
	if err != nil {
		p.Fatal(err)
	}
	ok := func(guard, why string) remediate.Answer { return remediate.Answer{Guard: guard, Why: why} }
	no := func(guard, why string) remediate.Answer {
		return remediate.Answer{Guard: guard, Blocks: true, Why: why}
	}
	calm := []remediate.Answer{ok("pause", "not paused"), ok("quiet", "no reset is near"), ok("cooldown", "no action on this node is recent"),
		ok("budget", "0 of 4 actions in 6h0m0s are used")}

	d.note("22:00:00", "started", remediate.Started{Version: "1.0.0", Mode: "act"})
	const stall = "5c1d7a90-1"
	d.note("23:58:10", "opened", remediate.Opened{Incident: stall, Fingerprint: "5c1d7a90b1e2f304", Alert: "CheckpointNodeSyncStalled", Node: "node-1",
		Playbook: "node_stalled", StartsAt: d.at, Summary: "The head of node-1 has stood still for 10 minutes."})
	d.note("23:58:40", "decision", remediate.Decision{Incident: stall, Node: "node-1", Action: "restart", Verdict: "act",
		Answers: append(calm, ok("symptom", "head 123456 has not moved in 24s; 812 slots behind"), ok("own_network", "3 of 3 providers can be reached"))})
	head := uint64(123456)
	d.note("23:58:40", "intent", remediate.Intent{ID: stall + ".1", Incident: stall, Node: "node-1", Playbook: "node_stalled", Action: "restart", Client: "consensus",
		Target: "systemd lighthouse.service", HeadSlot: &head})
	evidence, err := json.Marshal(actuator.Outcome{Actuator: "systemd lighthouse.service", Job: "done",
		Before: &actuator.State{Active: "active", InvocationID: "8f00"}, After: &actuator.State{Active: "active", InvocationID: "91ab"}})
	if err != nil {
		p.Fatal(err)
	}
	d.note("23:58:44", "outcome", remediate.Outcome{Intent: stall + ".1", Incident: stall, Result: "done", Seconds: 4.2, Evidence: evidence})
	d.note("00:03:10", "verified", remediate.Verified{Incident: stall, OK: true, Evidence: "the head moved from slot 123456 to 123540"})
	d.note("00:05:10", "closed", remediate.Closed{Incident: stall, Reason: "resolved"})

	const dead = "e07b3311-2"
	d.note("01:12:02", "opened", remediate.Opened{Incident: dead, Fingerprint: "e07b33115522aa00", Alert: "CheckpointNodeSourceUnusable", Node: "node-2",
		Playbook: "source_unusable", StartsAt: d.at})
	d.note("01:12:03", "decision", remediate.Decision{Incident: dead, Node: "node-2", Action: "failover", Verdict: "wait",
		Answers: append(calm[:2:2], no("cooldown", "the last action on this node was at 2026-03-01T00:00:00Z; cooldown until 2026-03-01T00:15:00Z"))})
	change, err := src.Plan(p.Context(), "http://two.example")
	if err != nil {
		p.Fatal(err)
	}
	change.Backup = p.backupName(change.Backup, "20260301T001501.000000000Z")
	d.note("01:15:01", "decision", remediate.Decision{Incident: dead, Node: "node-2", Action: "failover", Verdict: "act",
		Answers: append(calm, ok("provider", "two is usable and agrees"), ok("quorum", "2 usable providers agree on epoch 3466, 2 are needed"))})
	d.note("01:15:01", "intent", remediate.Intent{ID: dead + ".2", Incident: dead, Node: "node-2", Playbook: "source_unusable", Action: "failover",
		Target: src.String(), From: change.From, To: change.To, Change: &change})
	if err := src.Apply(p.Context(), change); err != nil {
		p.Fatal(err)
	}
	d.note("01:15:01", "outcome", remediate.Outcome{Intent: dead + ".2", Incident: dead, Result: "done", Seconds: 0.2, Why: "no restart is needed: the client has a database"})
	d.note("01:15:40", "verified", remediate.Verified{Incident: dead, OK: true, Evidence: "its source http://two.example is usable"})
	d.note("01:17:00", "closed", remediate.Closed{Incident: dead, Reason: "resolved"})

	const offline = "90aa41c2-3"
	d.note("03:02:00", "opened", remediate.Opened{Incident: offline, Fingerprint: "90aa41c2deadbeef", Alert: "CheckpointNodeExecutionOffline", Node: "node-2",
		Playbook: "execution_offline", StartsAt: d.at})
	d.note("03:02:30", "skipped", remediate.Skipped{Incident: offline, Action: "restart", Why: "the node has no way to restart its execution client configured"})
	d.note("03:02:31", "observed", remediate.Observed{Incident: offline, Step: 2, Evidence: remediate.Evidence{
		Logs:     map[string][]string{"consensus": {"WARN Execution engine call failed error: 401 Unauthorized"}},
		Findings: map[string]string{"engine_auth": "WARN Execution engine call failed error: 401 Unauthorized"},
		Disk:     map[string]remediate.Space{"/var/lib/lighthouse": {Total: 512 << 30, Free: 100 << 30}},
	}})
	d.note("03:02:31", "exhausted", remediate.Exhausted{Incident: offline, Node: "node-2", Playbook: "execution_offline", Why: "its log says engine_auth, which nothing that we do mends"})
	if err := d.journal.Close(); err != nil {
		p.Fatal(err)
	}
}

// backupName is a backup's path with another time in it.
func (p *place) backupName(path, at string) string {
	_, hash, _ := strings.Cut(filepath.Base(path), "-")
	return filepath.Join(filepath.Dir(path), at+"-"+hash)
}

// running puts the exporter, the remediator and the providers behind the dialler.
func (p *place) running() {
	p.Helper()
	mux := http.NewServeMux()
	remediator, err := remediate.New(p.config(), log.NewNopLogger(), prometheus.NewRegistry(), remediate.Options{})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { remediator.Close() })
	remediator.Routes(mux)
	p.serve("127.0.0.1:10178", mux)

	answers := map[string]any{"/api/v1/nodes": p.nodes(), "/api/v1/providers": p.judged()}
	p.serve("127.0.0.1:10177", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			p.Error("the exporter was sent the remediator's token")
		}
		if err := json.NewEncoder(w).Encode(answers[r.URL.Path]); err != nil {
			p.Error(err)
		}
	}))
	p.providers()
}

func (p *place) chain() collector.Network {
	c := p.config().NetworkSpec().ChainAt(p.now)
	return collector.Network{Name: "devnet", Slot: new(c.Slot(p.now)), Epoch: new(c.Epoch(p.now))}
}

func (p *place) nodes() collector.Nodes {
	return collector.Nodes{At: p.now, Network: p.chain(), Nodes: []collector.Node{
		{Name: "node-1", Looked: true, Up: true, Phase: "syncing", DistanceSlots: new(uint64(640)), Peers: map[string]uint64{"connected": 61},
			ETA: &collector.ETA{P10: 110, P50: 130, P90: 190}, Client: &collector.Client{Name: "Lighthouse", Version: "v8.0.1"}},
		{Name: "node-2", Looked: true, Phase: "unreachable", Error: &collector.Finding{Reason: "connect", Text: "connection refused"},
			Execution: &collector.Execution{Up: true, Client: &collector.Client{Name: "Geth", Version: "v1.16.7"}}},
	}}
}

func (p *place) judged() collector.Providers {
	root := network.Root{0: 0xab, 31: 0x01}
	agreed := *p.chain().Epoch - 2
	return collector.Providers{At: p.now, Network: p.chain(), Quorum: collector.Quorum{Reached: true, Complete: true, Threshold: 2, Providers: 2, Epoch: &agreed, Root: &root},
		Providers: []collector.Provider{
			{Name: "one", Asked: true, Usable: true, LagEpochs: new(uint64(2)), Agrees: new(true), Finalized: &collector.Checkpoint{Epoch: agreed, Root: root}},
			{Name: "two", Asked: true, Usable: true, LagEpochs: new(uint64(2)), Agrees: new(true), Finalized: &collector.Checkpoint{Epoch: agreed, Root: root}},
			{Name: "three", Asked: true, Reasons: []collector.Finding{{Reason: "connect", Text: "/eth/v1/beacon/genesis: connection refused"}}},
		}}
}

// providers are two that agree, and one that serves no states.
func (p *place) providers() {
	p.Helper()
	sim, err := simulate.New(simulate.Options{Network: p.config().NetworkSpec(), Clock: func() time.Time { return p.now }, Seed: "docs"})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(sim.Close)
	for name, faults := range map[string][]simulate.Fault{"one": nil, "two": nil, "three": {{Kind: simulate.KindLightMode}}} {
		served, err := sim.AddProvider(name, simulate.ProviderOptions{Faults: faults})
		if err != nil {
			p.Fatal(err)
		}
		p.serve(name+".example:80", served)
	}
}
