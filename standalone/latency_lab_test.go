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
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
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
	dir   string
	sim   *simulate.Simulation
	wires *simulate.Memory
	api   string // base URL of the Loop's API
	log   *eventLog
}

// newLab starts everything in the bubble of t, and lets it settle. Labs of different seeds differ in where within their intervals scrapes
// and evaluations fall; the exporter's loops are spread at random.
func newLab(t *testing.T, seed int) *lab {
	t.Helper()
	l := &lab{T: t, dir: t.TempDir(), wires: simulate.NewMemory(), log: &eventLog{}}
	ephemery, _ := network.Preset("ephemery")
	// A bubble begins in the year 2000. Nothing runs yet, so the years until some iteration's middle pass at once.
	time.Sleep(time.Until(ephemery.Iterations.AnchorGenesis.Add(10*24*time.Hour + time.Duration(seed)*1300*time.Millisecond)))
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
	source := simulate.YAMLSource(l.inventory(), follower, "checkpoint_sync_url")
	if _, err := l.sim.AddNode(follower, simulate.NodeOptions{Client: simulate.Teku, Database: true, Source: source}); err != nil {
		t.Fatal(err)
	}
	if err := l.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.run(seed)
	time.Sleep(2 * time.Minute)
	if len(l.query(`min(checkpoint_provider_usable) == 1 and on () min(checkpoint_node_phase{phase="synced"}) == 1 unless on () ALERTS`)) == 0 {
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
		Interval: 10 * time.Second, Retention: 24 * time.Hour, Logger: l.log, Slog: slog.New(slog.DiscardHandler),
		Sockets: l.wires, Hands: hands{remediate.Machine{Backups: filepath.Join(l.dir, "backups")}, l.sim.Node(follower)},
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
  consensus: {url: %q, metrics_url: %q}
  execution: {url: %q}
  restart: {systemd: beacon.service}
  source: {yaml: {file: %q, key: checkpoint_sync_url}}
`, n.Name(), n.URL(), n.MetricsURL(), n.ExecutionURL(), l.inventory())
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

// query asks the Loop, and returns the samples of each series in the result.
func (l *lab) query(expr string) [][]sample {
	l.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: l.wires.DialContext, DisableKeepAlives: true}}
	resp, err := client.Get(l.api + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		l.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Value  sample
				Values []sample
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != "" {
		l.Fatalf("query %s: %v %s", expr, err, answer.Error)
	}
	var all [][]sample
	for _, r := range answer.Data.Result {
		if r.Values == nil {
			r.Values = []sample{r.Value}
		}
		all = append(all, r.Values)
	}
	return all
}

// hands are the real ones, but for the service manager.
type hands struct {
	remediate.Machine
	node *simulate.Node
}

func (h hands) Actuator(r config.Restart) (actuator.Actuator, error) {
	return serviceManager{r.Systemd, h.node}, nil
}

type serviceManager struct {
	unit string
	node *simulate.Node
}

func (m serviceManager) String() string { return "systemd " + m.unit }

func (m serviceManager) Restart(ctx context.Context) (actuator.Outcome, error) {
	return actuator.Outcome{Actuator: m.String(), Job: "done"}, m.node.Restart(ctx)
}

func (m serviceManager) State(context.Context) (actuator.State, error) {
	return actuator.State{Active: actuator.Active, InvocationID: fmt.Sprint(len(m.node.Restarts()))}, nil
}
