package rulestest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/rules"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
)

const (
	metricsTable = "../../docs/metrics.md"
	runbooks     = "../../docs/runbooks"
	alertIndex   = "../../docs/alerts.md"
	runbookURL   = "https://github.com/checkpoint-exporter/checkpoint_exporter/blob/main/docs/runbooks/"
)

func exported(t *testing.T) Metrics {
	t.Helper()
	f, err := os.Open(metricsTable)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := ParseMetrics(f)
	if err != nil {
		t.Fatalf("%s: %v", metricsTable, err)
	}
	return m
}

func shipped(t *testing.T) *Rules {
	t.Helper()
	r, err := LoadRules(rules.Files, exported(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	return r
}

// TestFilesOnDisk holds the embedded files to those that a Prometheus server reads.
func TestFilesOnDisk(t *testing.T) {
	t.Parallel()
	disk, err := fs.Glob(os.DirFS("../../rules"), "*.yml")
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := fs.Glob(rules.Files, "*.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(disk, embedded) {
		t.Errorf("on disk are %v, embedded are %v", disk, embedded)
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	for _, a := range r.Alerts {
		t.Run(a.Name, func(t *testing.T) {
			for _, err := range checkAlert(a, r.Metrics) {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(runbooks, a.Name+".md")); err != nil {
				t.Errorf("runbook_url leads nowhere: %v", err)
			}
		})
	}
}

// bears are the labels that an alert may get from its expression: what it is about, and nothing that could change while
// it fires and so make another alert of it.
var bears = []string{"", "provider", "node", "job", "instance,job"}

var camel = regexp.MustCompile(`^Checkpoint([A-Z][a-z]+)+$`)

// checkAlert returns everything that is not as the conventions of docs/alerts.md want it.
func checkAlert(a Alert, metrics Metrics) []error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if !camel.MatchString(a.Name) {
		bad("the name does not begin with Checkpoint, or is not in camel case")
	}
	if a.For <= 0 {
		bad("for: is 0, so a single bad look is enough")
	}
	if b := strings.Join(a.Bears, ","); !slices.Contains(bears, b) {
		bad("the expression leaves the labels %s", b)
	}
	if !slices.Contains([]string{"critical", "warning", "info", "none"}, a.Labels["severity"]) {
		bad("severity: is %q", a.Labels["severity"])
	}
	for name, value := range a.Labels {
		if name != "severity" && name != "playbook" {
			bad("label %q is neither severity nor playbook", name)
		}
		if strings.Contains(value, "{{") {
			bad("label %s: is templated", name)
		}
	}
	if playbook, acts := a.Labels["playbook"]; acts {
		if _, known := config.DefaultPlaybooks()[playbook]; !known {
			bad("playbook: there is no playbook %q", playbook)
		}
		if a.Keep <= 0 {
			bad("keep_firing_for: is 0, and the alert drives an action")
		}
		if !slices.Equal(a.Bears, []string{"node"}) {
			bad("an alert with a playbook is about a node, and this is about %v", a.Bears)
		}
	}

	for name := range a.Annotations {
		if !slices.Contains([]string{"summary", "description", "runbook_url", "dashboard_url"}, name) {
			bad("annotation %q is not one of ours", name)
		}
	}
	if s := a.Annotations["summary"]; strings.Contains(s, "{{") || !strings.HasSuffix(s, ".") {
		bad("summary: %q is not a sentence that never changes", s)
	}
	if u := a.Annotations["runbook_url"]; u != runbookURL+a.Name+".md" {
		bad("runbook_url: is %q", u)
	}
	problems = append(problems, checkDescription(a, metrics)...)
	return problems
}

// TestEveryPlaybookIsDriven holds the shipped playbooks to the alerts: each has exactly one that raises it.
func TestEveryPlaybookIsDriven(t *testing.T) {
	t.Parallel()
	driven := map[string][]string{}
	for _, a := range shipped(t).Alerts {
		if playbook := a.Labels["playbook"]; playbook != "" {
			driven[playbook] = append(driven[playbook], a.Name)
		}
	}
	for name := range config.DefaultPlaybooks() {
		if n := len(driven[name]); n != 1 {
			t.Errorf("playbook %s: is raised by %d alerts %v", name, n, driven[name])
		}
	}
}

var usedLabel = regexp.MustCompile(`\$labels\.(\w+)`)

func checkDescription(a Alert, metrics Metrics) []error {
	var problems []error
	text := a.Annotations["description"]
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "}}") {
		problems = append(problems, fmt.Errorf("description: %q is no sentence", text))
	}
	have := map[string]string{}
	for _, name := range a.Bears {
		have[name] = "n-1"
	}
	for name, value := range a.Labels {
		have[name] = value
	}
	for _, m := range usedLabel.FindAllStringSubmatch(text, -1) {
		// Which of both an alert bears may depend, where `or` joins what has it with what has not.
		if _, ok := have[m[1]]; !ok && !strings.Contains(text, "{{ with $labels."+m[1]+" }}") {
			problems = append(problems, fmt.Errorf("description: uses the label %q, and the alert bears %v", m[1], a.Bears))
		}
	}

	// As prometheus expands it, with every query held to the metrics; once with an answer and once without.
	for _, n := range []int{0, 1} {
		query := func(_ context.Context, q string, _ time.Time) (promql.Vector, error) {
			if _, err := metrics.Check(q); err != nil {
				problems = append(problems, fmt.Errorf("description: %w", err))
			}
			return make(promql.Vector, n), nil
		}
		head := "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
		data := template.AlertTemplateData(have, nil, "", promql.Sample{F: 1, Metric: labels.FromMap(have)})
		if _, err := template.NewTemplateExpander(context.Background(), head+text, a.Name, data, model.Time(0), query, nil, nil).Expand(); err != nil {
			problems = append(problems, fmt.Errorf("description: %w", err))
		}
	}
	return problems
}

var recordName = regexp.MustCompile(`^([a-z_]+):([a-z_]+):([a-z0-9_]+)$`)

// TestRecordingRules holds their names to level:metric:operation, the level to the labels and the metric to ours.
func TestRecordingRules(t *testing.T) {
	t.Parallel()
	ours := exported(t)
	index, err := os.ReadFile(alertIndex)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range shipped(t).Metrics {
		if _, given := ours[name]; given {
			continue
		}
		if !strings.Contains(string(index), "| `"+name+"` |") {
			t.Errorf("%s: has no row in %s", name, alertIndex)
		}
		parts := recordName.FindStringSubmatch(name)
		if parts == nil {
			t.Errorf("%s: is not level:metric:operation", name)
			continue
		}
		level := strings.Join(m.Labels, "_")
		if level == "" {
			level = "network"
		}
		if parts[1] != level {
			t.Errorf("%s: the level is %q, and the labels are %v", name, parts[1], m.Labels)
		}
		_, plain := ours[parts[2]]
		_, total := ours[parts[2]+"_total"]
		if !plain && !total {
			t.Errorf("%s: there is no metric %s", name, parts[2])
		}
	}
}

// values are all that some labels can say.
func values() map[string][]string {
	v := map[string][]string{
		"quantile": {"0.1", "0.5", "0.9"},
		"state":    {"connected", "connecting", "disconnected", "disconnecting"},
		"job":      {"checkpoint_exporter", "checkpoint_remediator"},
	}
	for _, r := range provider.Reasons() {
		v["reason"] = append(v["reason"], string(r))
	}
	for _, p := range progress.Phases() {
		v["phase"] = append(v["phase"], string(p))
	}
	return v
}

// TestMatchers holds what expressions select to what there is: a misspelt reason would never alert, and nobody would know.
func TestMatchers(t *testing.T) {
	t.Parallel()
	known := values()
	for _, a := range shipped(t).Alerts {
		for _, m := range matchers(t, a) {
			for _, value := range strings.Split(m.Value, "|") {
				if of, ok := known[m.Name]; ok && !slices.Contains(of, value) {
					t.Errorf("%s: %s: there is no %s %q", a.Name, m, m.Name, value)
				}
			}
		}
	}
}

// TestEveryReasonAlerts holds the alerts on providers to the reasons: each reason belongs to exactly one.
func TestEveryReasonAlerts(t *testing.T) {
	t.Parallel()
	belongs := map[string][]string{}
	for _, a := range shipped(t).Alerts {
		if a.File != "providers.yml" {
			continue
		}
		for _, m := range matchers(t, a) {
			if m.Name == "reason" {
				for _, reason := range strings.Split(m.Value, "|") {
					belongs[reason] = append(belongs[reason], a.Name)
				}
			}
		}
	}
	for _, reason := range values()["reason"] {
		if n := len(belongs[reason]); n != 1 {
			t.Errorf("reason %s: belongs to %d alerts %v", reason, n, belongs[reason])
		}
	}
}

func matchers(t *testing.T, a Alert) []*labels.Matcher {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(a.Expr)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(parser.ExtractSelectors(e)...)
}

// TestRunbooks holds the runbooks and the index to the alerts.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile(alertIndex)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range shipped(t).Alerts {
		names = append(names, a.Name)
		for _, want := range []string{a.Labels["severity"], model.Duration(a.For).String(), a.Labels["playbook"]} {
			line := regexp.MustCompile(`(?m)^\| \[` + a.Name + `\]\(runbooks/` + a.Name + `\.md\) \|.*\b` + regexp.QuoteMeta(want) + `\b.*$`)
			if want != "" && !line.Match(index) {
				t.Errorf("%s: there is no row with a link to the runbook of %s and with %q", alertIndex, a.Name, want)
			}
		}
	}
	pages, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		name, isPage := strings.CutSuffix(p.Name(), ".md")
		if !isPage || !slices.Contains(names, name) {
			t.Errorf("%s/%s: is the runbook of no alert", runbooks, p.Name())
			continue
		}
		text, err := os.ReadFile(filepath.Join(runbooks, p.Name()))
		if err != nil {
			t.Error(err)
		}
		if err := checkRunbook(name, string(text)); err != nil {
			t.Errorf("%s/%s: %v", runbooks, p.Name(), err)
		}
	}
}

func checkRunbook(alert, text string) error {
	var problems []error
	if !strings.HasPrefix(text, "# "+alert+"\n") {
		problems = append(problems, errors.New("is not headed by the alert's name"))
	}
	for _, part := range []string{"Meaning", "Impact", "What happens by itself", "What to check", "How to fix it"} {
		if !strings.Contains(text, "\n## "+part+"\n") {
			problems = append(problems, fmt.Errorf("has no part %q", part))
		}
	}
	return errors.Join(problems...)
}
