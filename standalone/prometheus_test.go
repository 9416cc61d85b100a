package standalone_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

const stalledRule = `
groups:
  - name: test
    rules:
      - alert: NodeStalled
        expr: test_stalled == 1
        for: 200ms
        labels: {severity: critical, playbook: node_stalled}
        annotations: {summary: "It has stopped.", description: "{{ with query \"test_stalled\" }}{{ . | first | value }}{{ end }} at {{ $labels.job }}."}
`

func ruleFiles(text string) fstest.MapFS {
	return fstest.MapFS{"rules.yml": &fstest.MapFile{Data: []byte(text)}}
}

func options(t *testing.T, am *standalone.Alertmanager, address string) standalone.PrometheusOptions {
	t.Helper()
	return standalone.PrometheusOptions{
		Dir: t.TempDir(), Rules: ruleFiles(stalledRule), Interval: 100 * time.Millisecond, Retention: time.Hour,
		Targets:     []standalone.Target{{Job: "test", Address: address}},
		ExternalURL: here, Notify: am.Notify(here.String(), silent()), Logger: silent(), Registerer: prometheus.NewRegistry(),
	}
}

func TestRuleFiresAndWebhookArrives(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, h.URL)
	gauge, address := target(t, "test_stalled")
	p, err := standalone.NewPrometheus(options(t, am, address))
	if err != nil {
		t.Fatal(err)
	}
	if p.Settled(time.Now()) {
		t.Error("settled before it ran")
	}
	run(t, p.Run)

	gauge.Set(1)
	a := h.wait(t, "NodeStalled", model.AlertFiring)
	if got := a.Annotations["description"]; got != "1 at test." {
		t.Errorf("description arrived as %q", got)
	}
	if got := a.GeneratorURL; got != "http://loop.example/api/v1/query?query=test_stalled+%3D%3D+1" {
		t.Errorf("generatorURL arrived as %q", got)
	}
	gauge.Set(0)
	h.wait(t, "NodeStalled", model.AlertResolved)
	eventually(t, "settled", func() bool { return p.Settled(time.Now()) })
}

func TestPrometheusErrors(t *testing.T) {
	t.Parallel()
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, "http://127.0.0.1:0")
	for _, tc := range []struct{ name, rules, want string }{
		{"no rules", "", "no rule files"},
		{"bad expression", "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]", "rule file rules.yml: "},
		{"unknown key", "groups: [{name: a, rulez: []}]", "rule file rules.yml: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, am, "127.0.0.1:1")
			o.Rules = ruleFiles(tc.rules)
			if tc.rules == "" {
				o.Rules = fstest.MapFS{}
			}
			_, err := standalone.NewPrometheus(o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestPrometheusLocksItsDirectory(t *testing.T) {
	t.Parallel()
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, "http://127.0.0.1:0")
	o := options(t, am, "127.0.0.1:1")
	first, err := standalone.NewPrometheus(o)
	if err != nil {
		t.Fatal(err)
	}
	second := o
	second.Registerer = prometheus.NewRegistry()
	if _, err := standalone.NewPrometheus(second); err == nil || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("a second one took the same directory: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// Not parallel: it counts goroutines.
func TestStopLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	// The first cleanup runs last: after the servers, which hold connections.
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
	h := newHook(t)
	gauge, address := target(t, "test_stalled")
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, h.URL)
	p, err := standalone.NewPrometheus(options(t, am, address))
	if err != nil {
		t.Fatal(err)
	}
	run(t, p.Run)
	gauge.Set(1)
	h.wait(t, "NodeStalled", model.AlertFiring)
}
