package standalone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// patience is how long a test waits for what must come, on a slow machine.
const patience = 90 * time.Second

var here = &url.URL{Scheme: "http", Host: "loop.example"}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// eventually waits until ok, and says what it waited for otherwise.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after %s: not yet %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hook takes webhooks and remembers them.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	messages []template.Data
	tokens   []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m template.Data
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.messages = append(h.messages, m)
		h.tokens = append(h.tokens, r.Header.Get("Authorization"))
	}))
	t.Cleanup(h.Close)
	return h
}

// got returns the first alert with this name and status that came.
func (h *hook) got(name string, status model.AlertStatus) (template.Alert, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.messages {
		for _, a := range m.Alerts {
			if a.Labels["alertname"] == name && a.Status == string(status) {
				return a, true
			}
		}
	}
	return template.Alert{}, false
}

func (h *hook) wait(t *testing.T, name string, status model.AlertStatus) template.Alert {
	t.Helper()
	var a template.Alert
	eventually(t, fmt.Sprintf("told that %s is %s", name, status), func() (ok bool) {
		a, ok = h.got(name, status)
		return ok
	})
	return a
}

// target is an endpoint with one gauge.
func target(t *testing.T, name string) (prometheus.Gauge, string) {
	t.Helper()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "A test."})
	reg := prometheus.NewRegistry()
	reg.MustRegister(gauge)
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return gauge, strings.TrimPrefix(s.URL, "http://")
}

// fast groups every alert by itself and waits for nothing.
const fast = `
route: {receiver: remediator, group_by: ['...'], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h}
receivers: [{name: remediator}, {name: log}]
`

func load(t testing.TB, text string) *amconfig.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := standalone.LoadAlertmanagerConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runAlertmanager returns one that runs, its registry, and what stops it.
func runAlertmanager(t testing.TB, dir, config string, hook string) (*standalone.Alertmanager, *prometheus.Registry, func()) {
	t.Helper()
	reg := prometheus.NewRegistry()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	am, err := standalone.NewAlertmanager(standalone.AlertmanagerOptions{
		Config: load(t, config), Dir: dir, ExternalURL: here, Logger: silent(), Notifications: silent(), Registerer: reg,
		Remediator: standalone.Webhook{URL: hook, TokenFile: token},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, am.Run)
	return am, reg, stop
}

// run starts f and returns what stops it and waits; it may be called twice.
func run(t testing.TB, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("did not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

// put fires or resolves alerts that need no rule.
func put(t *testing.T, am *standalone.Alertmanager, status model.AlertStatus, names ...string) {
	t.Helper()
	now := time.Now()
	for _, name := range names {
		a := &alert.Alert{Alert: model.Alert{
			Labels:   model.LabelSet{"alertname": model.LabelValue(name), "node": "node-1"},
			StartsAt: now.Add(-time.Second), EndsAt: now.Add(time.Hour),
		}}
		if status == model.AlertResolved {
			a.EndsAt = now
		}
		if err := am.Put(context.Background(), a); err != nil {
			t.Fatal(err)
		}
	}
}

// value is the sum of a metric's series that have all of these label values.
func value(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				var found bool
				for _, l := range m.GetLabel() {
					found = found || l.GetValue() == want
				}
				if !found {
					continue series
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}
