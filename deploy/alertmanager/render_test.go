package alertmanager_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/template"
	"go.yaml.in/yaml/v3"
)

// al is an alert with the shipped rule's fixed labels and annotations; the rest are its own labels.
func al(t *testing.T, name, description string, own ...string) template.Alert {
	t.Helper()
	rule, ok := shippedAlerts(t)[name]
	if !ok {
		t.Fatalf("there is no alert %s", name)
	}
	a := template.Alert{Status: "firing", StartsAt: began, Labels: template.KV{"alertname": name}, Annotations: template.KV{
		"summary": rule.Annotations["summary"], "description": description, "runbook_url": rule.Annotations["runbook_url"],
	}}
	for name, value := range rule.Labels {
		a.Labels[name] = value
	}
	for i := 0; i < len(own); i += 2 {
		a.Labels[own[i]] = own[i+1]
	}
	return a
}

func resolved(a template.Alert, after time.Duration) template.Alert {
	a.Status, a.EndsAt = "resolved", a.StartsAt.Add(after)
	return a
}

// group is what Alertmanager hands to a template.
func group(alerts ...template.Alert) *template.Data {
	d := &template.Data{Receiver: "people", Status: "resolved", Alerts: alerts, ExternalURL: "http://alertmanager.example:9093",
		CommonLabels: template.KV{}, CommonAnnotations: template.KV{}, GroupLabels: template.KV{"alertname": alerts[0].Labels["alertname"]}}
	common := func(of func(template.Alert) template.KV) template.KV {
		kv := template.KV{}
	next:
		for name, value := range of(alerts[0]) {
			for _, a := range alerts {
				if of(a)[name] != value {
					continue next
				}
			}
			kv[name] = value
		}
		return kv
	}
	d.CommonLabels = common(func(a template.Alert) template.KV { return a.Labels })
	d.CommonAnnotations = common(func(a template.Alert) template.KV { return a.Annotations })
	for _, a := range alerts {
		if a.Status == "firing" {
			d.Status = "firing"
		}
	}
	return d
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func shippedAlerts(t *testing.T) map[string]rule {
	t.Helper()
	files, err := filepath.Glob("../../rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	alerts := map[string]rule{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rules struct {
			Groups []struct {
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					alerts[r.Alert] = r
				}
			}
		}
	}
	return alerts
}

func load(t *testing.T, globs ...string) *template.Template {
	t.Helper()
	if globs == nil {
		globs = []string{"templates/*.tmpl"}
	}
	tmpl, err := template.FromGlobs(globs)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// field is a field of a message: the template behind it, and whether Alertmanager renders it as HTML.
type field struct {
	name string
	html bool
	max  int // characters that the service takes; 0: as many as there are
}

// fields are all that the shipped configuration renders. The limits are the services' own: https://pushover.net/api#limits,
// https://core.telegram.org/bots/api#sendmessage, https://docs.opsgenie.com/docs/alert-api, PagerDuty's Events API v2, and for Slack what its
// documentation of text advises.
var fields = []field{
	{"checkpoint.title", false, 250},
	{"checkpoint.source", false, 255},
	{"checkpoint.runbook", false, 512},
	{"checkpoint.firing", false, 15000},
	{"checkpoint.resolved", false, 15000},
	{"checkpoint.text", false, 15000},
	{"checkpoint.pushover", false, 1024},
	{"checkpoint.pushover.priority", false, 2},
	{"checkpoint.telegram", true, 4096},
	{"checkpoint.slack.title", false, 1024},
	{"checkpoint.slack", false, 4000},
	{"checkpoint.slack.color", false, 7},
	{"checkpoint.pagerduty.severity", false, 8},
	{"checkpoint.opsgenie.priority", false, 2},
	{"checkpoint.opsgenie.tags", false, 150},
	{"checkpoint.email.subject", false, 300},
	{"checkpoint.email", true, 0},
}

// render renders one field.
func render(t *testing.T, tmpl *template.Template, f field, d *template.Data) string {
	t.Helper()
	return renderAll(t, tmpl, []field{f}, d)[0]
}

// renderAll renders fields at once, because Alertmanager's package copies all templates each time.
func renderAll(t *testing.T, tmpl *template.Template, fields []field, d *template.Data) []string {
	t.Helper()
	const mark = "\x1e"
	all := make([]string, len(fields))
	for html, execute := range map[bool]func(string, any) (string, error){false: tmpl.ExecuteTextString, true: tmpl.ExecuteHTMLString} {
		var text strings.Builder
		var of []int
		for i, f := range fields {
			if f.html == html {
				fmt.Fprintf(&text, "{{ template %q . }}"+mark, f.name)
				of = append(of, i)
			}
		}
		rendered, err := execute(text.String(), d)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(rendered, mark)
		if len(of) > 0 && len(parts) != len(of)+1 {
			t.Fatalf("%d parts, want %d: %q", len(parts), len(of)+1, rendered)
		}
		for n, i := range of {
			all[i] = parts[n]
		}
	}
	return all
}
