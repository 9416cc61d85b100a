package standalone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/rules"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// A node, and the provider that it is configured to start from.
const (
	follower = "node-1"
	dying    = "delta"
)

// lab is a network and a Loop on the clock of a synctest bubble. The Loop is the whole one that checkpointd runs, with the shipped
// intervals, guards, rules and routes: Prometheus' scraper, storage and rule engine, Alertmanager's pipeline, the exporter and the
// remediator. Scrapes, the webhook and every question are HTTP; time series, journal and inventory are files. Simulated are the
// machines of the network, the wires, which take no time, and the service manager.
type lab struct {
	*testing.T
	dir     string
	sim     *simulate.Simulation
	wires   *simulate.Memory
	api     string // base URL of the Loop's API
	log     *eventLog
	people  *people
	machine *machine
}

// labOptions are what differs from lab to lab. The zero value is a Teku at the head, in the midst of an iteration.
type labOptions struct {
	// at is how long ago the iteration began; 0 is ten days.
	at time.Duration
	// node is the follower; its Source is set by the lab. Teku with a database when it has no Client.
	node simulate.NodeOptions
	// prepare, if set, is called before anything runs.
	prepare func(*lab)
	// ill tells that not all is well at first.
	ill bool
}

// newLab starts everything in the bubble of t, and lets it settle. Labs of different seeds differ in where within their intervals scrapes
// and evaluations fall; the exporter's loops are spread at random.
func newLab(t *testing.T, seed int, o labOptions) *lab {
	t.Helper()
	if o.node.Client == "" {
		o.node.Client, o.node.Database = simulate.Teku, true
	}
	if o.at == 0 {
		o.at = 10 * 24 * time.Hour
	}
	l := &lab{T: t, dir: t.TempDir(), wires: simulate.NewMemory(), log: &eventLog{}, people: &people{}}
	ephemery, _ := network.Preset("ephemery")
	// A bubble begins in the year 2000. Nothing runs yet, so the years until some iteration's middle pass at once.
	time.Sleep(time.Until(ephemery.Iterations.Genesis(ephemery.Iterations.Anchor).Add(o.at + time.Duration(seed)*1300*time.Millisecond)))
	var err error
	if l.sim, err = simulate.New(simulate.Options{Network: ephemery, Sockets: l.wires, Seed: fmt.Sprint(seed)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.sim.Close)
	for _, name := range []string{"alpha", "beta", "gamma", dying} {
		if _, err := l.sim.AddProvider(name, simulate.ProviderOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(l.inventory(), fmt.Appendf(nil, inventoryText, l.sim.Provider(dying).URL()), 0o600); err != nil {
		t.Fatal(err)
	}
	o.node.Source = simulate.YAMLSource(l.inventory(), follower, "checkpoint_sync_url")
	n, err := l.sim.AddNode(follower, o.node)
	if err != nil {
		t.Fatal(err)
	}
	l.machine = newMachine(l, n, string(o.node.Client))
	if o.prepare != nil {
		o.prepare(l)
	}
	if err := l.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.run(seed)
	l.pass(2 * time.Minute)
	if !o.ill && len(l.query(`min(checkpoint_provider_usable) == 1 and on () min(checkpoint_node_phase{phase="synced"}) == 1 unless on () ALERTS{severity!="none"}`)) == 0 {
		t.Fatalf("not all is well at first:\n%s", l.log)
	}
	return l
}

// run runs the Loop until the bubble ends. Prometheus spreads scrapes by their targets' addresses.
func (l *lab) run(seed int) {
	l.Helper()
	var listeners []net.Listener
	for i := range 3 {
		ln, err := l.wires.Listen(l.Context(), fmt.Sprintf("127.0.0.1:%d", 10000+10*seed+i))
		if err != nil {
			l.Fatal(err)
		}
		listeners = append(listeners, ln)
	}
	l.api = "http://" + listeners[2].Addr().String()
	loop, err := standalone.NewLoop(standalone.LoopOptions{
		Dir: filepath.Join(l.dir, "data"), Rules: rules.Files, Config: l.config,
		Alerts:   func() (*amconfig.Config, error) { return standalone.LoadAlertmanagerConfig("") },
		Exporter: listeners[0], Remediator: listeners[1], API: listeners[2:], ExternalURL: here,
		Interval: 10 * time.Second, Retention: 24 * time.Hour, Logger: l.log, Slog: slog.New(l.people),
		Sockets: l.wires, Hands: l.machine,
	})
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	l.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			l.Error(err)
		}
	})
}

// config says only what has no default or must not be the machine's, and that actions are to be taken.
func (l *lab) config() (*config.Config, error) {
	var y strings.Builder
	fmt.Fprintf(&y, "remediation: {mode: act, guards: {pause_file: %q}}\nproviders:\n", filepath.Join(l.dir, "pause"))
	for _, p := range l.sim.Providers() {
		fmt.Fprintf(&y, "- {name: %s, url: %q}\n", p.Name(), p.URL())
	}
	n := l.sim.Node(follower)
	fmt.Fprintf(&y, `nodes:
- name: %s
  consensus: {url: %q, metrics_url: %q, client: %s}
  execution: {url: %q, client: geth, data_dir: %q}
  validator: {restart: {systemd: %s}}
  restart: {systemd: %s}
  restart_execution: {systemd: %s}
  source: {yaml: {file: %q, key: checkpoint_sync_url}}
  data_dir: %q
  reset: {dir: %q, url: %q, init_execution: [%q]}
`, n.Name(), n.URL(), n.MetricsURL(), l.machine.client, n.ExecutionURL(), l.machine.execution, validatorUnit, consensusUnit, executionUnit, l.inventory(),
		l.machine.consensus, l.machine.files, releases, initExecution)
	return config.Parse("checkpoint.yml", []byte(y.String()))
}

const inventoryText = `# Ansible reads this.
all:
  hosts:
    node-1:
      checkpoint_sync_url: %s # the nearest one
      cl: teku
`

func (l *lab) inventory() string { return filepath.Join(l.dir, "inventory.yaml") }

// sample is a time in seconds since the epoch, and a value as text.
type sample [2]any

func (s sample) time() time.Time { return time.UnixMilli(int64(s[0].(float64) * 1000)) }

func (s sample) value(t testing.TB) (v float64) {
	t.Helper()
	if _, err := fmt.Sscan(s[1].(string), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// series is a part of a query's result.
type series struct {
	Metric map[string]string
	Value  sample
	Values []sample
}

// query asks the Loop, and returns the samples of each series in the result.
func (l *lab) query(expr string) [][]sample {
	l.Helper()
	var all [][]sample
	for _, s := range l.ask(expr) {
		all = append(all, s.Values)
	}
	return all
}

// ask is query with the labels.
func (l *lab) ask(expr string) []series {
	l.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: l.wires.DialContext, DisableKeepAlives: true}}
	resp, err := client.Get(l.api + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		l.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []series }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != "" {
		l.Fatalf("query %s: %v %s", expr, err, answer.Error)
	}
	for i, r := range answer.Data.Result {
		if r.Values == nil {
			answer.Data.Result[i].Values = []sample{r.Value}
		}
	}
	return answer.Data.Result
}

// pass lets the bubble's time pass. Meanwhile the machine's disk follows what its clients do.
func (l *lab) pass(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(min(time.Second, time.Until(until))) {
		l.machine.mirror()
	}
}
