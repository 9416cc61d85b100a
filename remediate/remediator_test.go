package remediate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// rig is a remediator in front of a simulated network, both over loopback.
type rig struct {
	*testing.T
	dir        string
	sim        *simulate.Simulation
	providers  map[string]*simulate.Provider
	node       *simulate.Node
	cfg        *config.Config
	remediator *remediate.Remediator
	registry   *prometheus.Registry
	url        string
}

const token = "correct horse"

func newRig(t *testing.T, alertmanagers ...string) *rig {
	t.Helper()
	r := &rig{T: t, dir: t.TempDir(), providers: map[string]*simulate.Provider{}, registry: prometheus.NewRegistry()}
	net, _ := network.Preset("ephemery")
	var err error
	if r.sim, err = simulate.New(simulate.Options{Network: net}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		if r.providers[name], err = r.sim.AddProvider(name, simulate.ProviderOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if r.node, err = r.sim.AddNode("node-1", simulate.NodeOptions{Client: simulate.Prysm, Database: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.sim.Close() })
	r.write("inventory.yaml", fmt.Sprintf("all:\n  hosts:\n    node-1: {checkpoint_sync_url: %q} # mine\n", r.providers["alpha"].URL()))
	r.write("token", token+"\n")
	r.configure(alertmanagers)
	if r.remediator, err = remediate.New(r.cfg, log.NewNopLogger(), r.registry, remediate.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.remediator.Run(ctx) }()
	mux := http.NewServeMux()
	r.remediator.Routes(mux)
	srv := httptest.NewServer(mux)
	r.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) configure(alertmanagers []string) {
	var b strings.Builder
	b.WriteString("providers:\n")
	for _, name := range []string{"alpha", "beta", "gamma"} {
		fmt.Fprintf(&b, "  - {name: %s, url: %q}\n", name, r.providers[name].URL())
	}
	fmt.Fprintf(&b, `nodes:
  - name: node-1
    consensus: {url: %q}
    execution: {url: %q}
    source: {yaml: {file: %q, key: checkpoint_sync_url}}
remediation:
  mode: act
  journal: %q
  webhook: {bearer_token_file: %q}
  guards: {quiet: {before_reset: 0s, after_genesis: 0s}}
  playbooks:
    source_unusable: [{failover: best, verify: {source: usable, within: 1m, hold: 1s}}]
    node_stalled: []
    no_peers: []
    execution_offline: []
    backfill_stalled: []
  alertmanagers: [%s]
`, r.node.URL(), r.node.ExecutionURL(), r.path("inventory.yaml"), r.path("journal.jsonl"), r.path("token"), strings.Join(alertmanagers, ", "))
	var err error
	if r.cfg, err = config.Parse("checkpoint.yml", []byte(b.String())); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) {
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) read(name string) string {
	b, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

func (r *rig) post(bearer, status string) int {
	r.Helper()
	body, err := json.Marshal(map[string]any{
		"version": "4", "status": status, "receiver": "remediator", "groupKey": "{}",
		"alerts": []any{map[string]any{
			"status": status, "fingerprint": "a1b2c3d4e5f60718", "startsAt": time.Now().Add(-time.Minute), "endsAt": time.Now(),
			"labels": map[string]string{"alertname": "CheckpointNodeSourceUnusable", "node": "node-1", "playbook": "source_unusable"},
		}},
	})
	if err != nil {
		r.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.url+"/api/v1/alerts", bytes.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (r *rig) incidents() remediate.StateView {
	resp, err := http.Get(r.url + "/api/v1/incidents")
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	var v remediate.StateView
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		r.Fatal(err)
	}
	return v
}

func (r *rig) eventually(what string, cond func() bool) {
	r.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			v, _ := json.MarshalIndent(r.incidents(), "", " ")
			r.Fatalf("%s did not come true; %s", what, v)
		}
	}
}

func TestWebhookToFailover(t *testing.T) {
	r := newRig(t)
	before := r.read("inventory.yaml")
	if err := r.providers["alpha"].SetFault(simulate.Down()); err != nil {
		t.Fatal(err)
	}
	if code := r.post("wrong", "firing"); code != http.StatusForbidden {
		t.Errorf("a wrong token was answered %d", code)
	}
	if code := r.post(token, "firing"); code != http.StatusOK {
		t.Fatalf("answered %d", code)
	}
	r.eventually("the failover", func() bool { return r.read("inventory.yaml") != before })
	after := r.read("inventory.yaml")
	if !strings.HasSuffix(after, "} # mine\n") || strings.Contains(after, r.providers["alpha"].URL()) {
		t.Error(after)
	}
	r.eventually("the cure", func() bool { return r.incidents().Incidents[0].Stage == "settled" })
	if n := len(r.node.Restarts()); n != 0 {
		t.Errorf("a node with a database was restarted %d times", n)
	}
	if code := r.post(token, "resolved"); code != http.StatusOK {
		t.Errorf("answered %d", code)
	}
	if got := r.incidents().Incidents[0].Closed; got != "resolved" {
		t.Errorf("closed %q", got)
	}
	want := `
# HELP checkpoint_remediation_actions_total Actions taken on a node, by how they ended.
# TYPE checkpoint_remediation_actions_total counter
checkpoint_remediation_actions_total{action="failover",node="node-1",outcome="done",playbook="source_unusable"} 1
`
	if err := testutil.GatherAndCompare(r.registry, strings.NewReader(want), "checkpoint_remediation_actions_total"); err != nil {
		t.Error(err)
	}
	r.eventually("the source's new name in the metrics", func() bool {
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "checkpoint_node_source_info" {
				return !strings.Contains(f.String(), `"alpha"`)
			}
		}
		return false
	})
	r.lint()
}

// lint holds what is exported to Prometheus' naming rules and to docs/metrics.md.
func (r *rig) lint() {
	problems, err := testutil.GatherAndLint(r.registry)
	if err != nil || len(problems) > 0 {
		r.Error(err, problems)
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		r.Fatal(err)
	}
	types := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(checkpoint_[a-z_]+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(doc), -1) {
		types[m[1]] = m[2]
	}
	families, err := r.registry.Gather()
	if err != nil {
		r.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
		if got := strings.ToLower(f.GetType().String()); types[f.GetName()] != got {
			r.Errorf("%s is a %s, docs/metrics.md says %q", f.GetName(), got, types[f.GetName()])
		}
	}
	for name := range types {
		if strings.HasPrefix(name, "checkpoint_remediation_") && !seen[name] && name != "checkpoint_remediation_refusals_total" {
			r.Errorf("docs/metrics.md tells of %s, which is not exported", name)
		}
	}
}

func TestSecondRemediatorIsRefused(t *testing.T) {
	r := newRig(t)
	_, err := remediate.New(r.cfg, log.NewNopLogger(), prometheus.NewRegistry(), remediate.Options{})
	if err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("two processes hold one journal: %v", err)
	}
}

func TestReload(t *testing.T) {
	r := newRig(t)
	moved := *r.cfg
	moved.Remediation.Journal = r.path("other.jsonl")
	if err := r.remediator.Reload(&moved); err == nil || !strings.Contains(err.Error(), "remediation.journal") {
		t.Error("the journal moved:", err)
	}
	observe := *r.cfg
	observe.Remediation.Mode = config.Observe
	if err := r.remediator.Reload(&observe); err != nil {
		t.Fatal(err)
	}
	if got := r.incidents().Mode; got != config.Observe {
		t.Errorf("mode %q", got)
	}
	before := r.read("inventory.yaml")
	if err := r.providers["alpha"].SetFault(simulate.Down()); err != nil {
		t.Fatal(err)
	}
	r.post(token, "firing")
	r.eventually("a decision", func() bool { return strings.Contains(fmt.Sprint(r.incidents()), "would change the checkpoint source") })
	if r.read("inventory.yaml") != before {
		t.Error("it acted in mode observe")
	}
}

func TestUnwritableJournal(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("checkpoint.yml", []byte("remediation: {journal: "+filepath.Join(dir, "file", "journal.jsonl")+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remediate.New(c, log.NewNopLogger(), prometheus.NewRegistry(), remediate.Options{}); err == nil || !strings.HasPrefix(err.Error(), "checkpoint.yml:1: remediation.journal: ") {
		t.Error(err)
	}
}

// An acknowledgement needs what an alert needs: the token, and a node that is configured.
func TestAcknowledgement(t *testing.T) {
	r := newRig(t)
	for name, tc := range map[string]struct {
		bearer, contentType, body string
		want                      int
	}{
		"of a node":          {token, "application/json", `{"node": "node-1", "by": "anna"}`, http.StatusNoContent},
		"of a playbook":      {token, "application/json; charset=utf-8", `{"node": "node-1", "playbook": "node_stalled"}`, http.StatusNoContent},
		"no such node":       {token, "application/json", `{"node": "node-2"}`, http.StatusNotFound},
		"no such playbook":   {token, "application/json", `{"node": "node-1", "playbook": "reboot"}`, http.StatusNotFound},
		"no node":            {token, "application/json", `{"by": "anna"}`, http.StatusBadRequest},
		"an unknown key":     {token, "application/json", `{"node": "node-1", "command": "reboot"}`, http.StatusBadRequest},
		"a form":             {token, "text/plain", `{"node": "node-1"}`, http.StatusBadRequest},
		"too large":          {token, "application/json", `{"node": "node-1", "reason": "` + strings.Repeat("x", 5000) + `"}`, http.StatusBadRequest},
		"with a wrong token": {"guess", "application/json", `{"node": "node-1"}`, http.StatusForbidden},
		"without a token":    {"", "application/json", `{"node": "node-1"}`, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/api/v1/ack", strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tc.contentType)
			if tc.bearer != "" {
				req.Header.Set("Authorization", "Bearer "+tc.bearer)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.want {
				t.Errorf("answered %d, want %d", resp.StatusCode, tc.want)
			}
		})
	}
	if lines := strings.Count(r.read("journal.jsonl"), `"kind":"acked"`); lines != 2 {
		t.Errorf("%d acknowledgements in the journal, want 2", lines)
	}
}
