// Package alertmanager_test renders the shipped templates as Alertmanager does, by its own package.
package alertmanager_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"
	amtemplate "github.com/prometheus/alertmanager/template"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

var update = flag.Bool("update", false, "write what is rendered to testdata")

var began = time.Date(2026, time.November, 22, 14, 3, 0, 0, time.UTC)

const stall = "The head of node node-1 has not moved for longer than its threshold and trails the chain by 57 slots."

func cases(t *testing.T) map[string]*amtemplate.Data {
	stalled := func(node string) amtemplate.Alert {
		return al(t, "CheckpointNodeSyncStalled", strings.ReplaceAll(stall, "node-1", node), "node", node)
	}
	test := amtemplate.Alert{Status: "firing", StartsAt: began, Labels: amtemplate.KV{"alertname": "CheckpointTest", "severity": "critical", "node": "test"},
		Annotations: amtemplate.KV{"summary": "A test of the messages.", "description": "Nothing is wrong."}}
	other := amtemplate.Alert{Status: "firing", StartsAt: began, Labels: amtemplate.KV{"alertname": "DiskWillFill", "instance": "host:9100"}}
	return map[string]*amtemplate.Data{
		"one":       group(stalled("node-1")),
		"several":   group(stalled("node-1"), stalled("node-2"), stalled("node-3"), stalled("node-4"), resolved(stalled("node-5"), 754*time.Second)),
		"resolved":  group(resolved(stalled("node-1"), 754*time.Second)),
		"provider":  group(al(t, "CheckpointProviderDisagrees", "Provider ethpandaops serves a finalized block or state that the quorum of the others contradicts. Nothing may start from it until somebody has found out why.", "provider", "ethpandaops")),
		"quorum":    group(al(t, "CheckpointNoUsableQuorum", "Checkpoint providers that are usable and agree: 1, fewer than the configured quorum.")),
		"exhausted": group(al(t, "CheckpointRemediationExhausted", "On node node-1 these playbooks ended without success: node_stalled. Nothing more happens by itself until the node is well.", "node", "node-1")),
		"reset":     group(al(t, "CheckpointNetworkResetImminent", "The next iteration begins in 23h 59m 30s. Every node then needs the new genesis and an empty database.")),
		"other":     group(other),
		"test":      group(test), // that of docs/alerting.md
	}
}

// TestMessages holds what people read to what stands in testdata, where it can be looked at.
func TestMessages(t *testing.T) {
	t.Parallel()
	tmpl := load(t)
	for name, data := range cases(t) {
		t.Run(name, func(t *testing.T) {
			var all strings.Builder
			for i, text := range renderAll(t, tmpl, fields, data) {
				fmt.Fprintf(&all, "== %s\n%s\n", fields[i].name, text)
			}
			compare(t, name, all.String())
		})
	}
}

// compare holds a text to a file of testdata; go test ./deploy/alertmanager -update writes it.
func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", file, diff)
	}
}

// TestLinks has an operator who wrote down where Grafana and the status page are.
func TestLinks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("templates/links.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer(`$grafana := ""`, `$grafana := "https://grafana.example.org"`, `$page := ""`, `$page := "https://checkpoint.example.org/"`).Replace(string(text))
	links := filepath.Join(t.TempDir(), "links.tmpl")
	if err := os.WriteFile(links, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl := load(t, "templates/*.tmpl", links)
	for name, data := range cases(t) {
		t.Run(name, func(t *testing.T) {
			var all strings.Builder
			for i, text := range renderAll(t, tmpl, fields, data) {
				for line := range strings.Lines(text) {
					if strings.Contains(line, "example.org") {
						fmt.Fprintf(&all, "== %s\n%s\n", fields[i].name, strings.TrimSpace(line))
					}
				}
			}
			compare(t, "links-"+name, all.String())
		})
	}
}

// TestDashboardURL has a rule that names its dashboard itself.
func TestDashboardURL(t *testing.T) {
	t.Parallel()
	tmpl := load(t)
	for _, tc := range []struct{ name, url, text, slack, telegram string }{
		{"plain", "https://g.example/d/x?a=1&b=2", "Dashboard: https://g.example/d/x?a=1&b=2", "<https://g.example/d/x?a=1&amp;b=2|Dashboard>", `<a href="https://g.example/d/x?a=1&amp;b=2">Dashboard</a>`},
		{"a script", "javascript:alert(1)", "", "", ""},
		{"what would break out", `https://g.example/">x`, "", "", ""},
		{"another link", "https://g.example/|x> <!channel>", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := al(t, "CheckpointNodeSyncStalled", stall, "node", "node-1")
			a.Annotations["dashboard_url"] = tc.url
			for name, want := range map[string]string{"checkpoint.text": tc.text, "checkpoint.slack": tc.slack, "checkpoint.telegram": tc.telegram} {
				got := render(t, tmpl, field{name: name, html: name == "checkpoint.telegram"}, group(a))
				if want != "" && !strings.Contains(got, want) {
					t.Errorf("%s: has no %q:\n%s", name, want, got)
				}
				if want == "" && strings.Contains(got, "Dashboard") {
					t.Errorf("%s: links\n%s", name, got)
				}
			}
		})
	}
}

// TestByItself holds what is said of the remediator to the playbooks and alerts that there are.
func TestByItself(t *testing.T) {
	t.Parallel()
	tmpl, done := load(t), field{name: "checkpoint.done"}
	byName := "works through playbook"
	said := map[string]string{}
	for playbook := range config.DefaultPlaybooks() {
		a := amtemplate.Alert{Status: "firing", Labels: amtemplate.KV{"alertname": "X", "playbook": playbook}}
		text := render(t, tmpl, done, group(a))
		if strings.Contains(text, byName) || !strings.Contains(text, "checkpoint journal") {
			t.Errorf("playbook %s is told as %q", playbook, text)
		}
	}
	if got := render(t, tmpl, done, group(amtemplate.Alert{Status: "firing", Labels: amtemplate.KV{"playbook": "mine"}})); !strings.Contains(got, byName+" mine.") {
		t.Errorf("a playbook of one's own is told as %q", got)
	}
	for name, r := range shippedAlerts(t) {
		if r.Labels["severity"] == "none" {
			continue
		}
		text := render(t, tmpl, done, group(al(t, name, "")))
		if text == "" || strings.Contains(text, "  ") {
			t.Errorf("%s: what is done about it is %q", name, text)
		}
		said[name] = text
	}
	if said["CheckpointProviderDown"] == said["CheckpointNodeSyncSlow"] {
		t.Error("what is done is the same whatever happens")
	}
}

// known are the functions of Alertmanager 0.25, the oldest that the configuration is for.
var known = []string{"toUpper", "toLower", "title", "join", "match", "safeHtml", "reReplaceAll", "stringSlice"}

// TestOldestAlertmanager parses the templates with nothing else.
func TestOldestAlertmanager(t *testing.T) {
	t.Parallel()
	funcs := template.FuncMap{}
	for _, name := range known {
		funcs[name] = func(...any) string { return "" }
	}
	tmpl, err := template.New("").Funcs(funcs).ParseGlob("templates/*.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if tmpl.Lookup(f.name) == nil {
			t.Errorf("there is no template %s", f.name)
		}
	}
}
