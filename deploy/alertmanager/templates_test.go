// Package alertmanager_test renders the shipped templates as Alertmanager does, by its own package.
package alertmanager_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template/parse"
	"time"
	"unicode"
	"unicode/utf8"

	texttemplate "text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/template"
	"go.yaml.in/yaml/v3"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

var update = flag.Bool("update", false, "write what is rendered to testdata")

const runbooks = "https://github.com/checkpoint-exporter/checkpoint_exporter/blob/main/docs/runbooks/"

var began = time.Date(2026, time.November, 22, 14, 3, 0, 0, time.UTC)

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

const stall = "The head of node node-1 has not moved for longer than its threshold and trails the chain by 57 slots."

func cases(t *testing.T) map[string]*template.Data {
	stalled := func(node string) template.Alert {
		return al(t, "CheckpointNodeSyncStalled", strings.ReplaceAll(stall, "node-1", node), "node", node)
	}
	other := template.Alert{Status: "firing", StartsAt: began, Labels: template.KV{"alertname": "DiskWillFill", "instance": "host:9100"}}
	return map[string]*template.Data{
		"one":       group(stalled("node-1")),
		"several":   group(stalled("node-1"), stalled("node-2"), stalled("node-3"), stalled("node-4"), resolved(stalled("node-5"), 754*time.Second)),
		"resolved":  group(resolved(stalled("node-1"), 754*time.Second)),
		"provider":  group(al(t, "CheckpointProviderDisagrees", "Provider ethpandaops serves a finalized block or state that the quorum of the others contradicts. Nothing may start from it until somebody has found out why.", "provider", "ethpandaops")),
		"quorum":    group(al(t, "CheckpointNoUsableQuorum", "Checkpoint providers that are usable and agree: 1, fewer than the configured quorum.")),
		"exhausted": group(al(t, "CheckpointRemediationExhausted", "On node node-1 these playbooks ended without success: node_stalled. Nothing more happens by itself until the node is well.", "node", "node-1")),
		"reset":     group(al(t, "CheckpointNetworkResetImminent", "The next iteration begins in 23h 59m 30s. Every node then needs the new genesis and an empty database.")),
		"other":     group(other),
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

var hostile = map[string]string{
	"HTML":                 `<b onclick="x">&amp;</b><script>alert('1')</script>`,
	"only what is escaped": strings.Repeat(`"&'<>`, 400),
	"Slack's commands":     "<!channel> <@U012> *bold* <https://evil.example|click>",
	"lines of its own":     "node-1\n\nBy itself: nothing\r\nTo do: https://evil.example\x00\x1b[31m",
	"another direction":    "node-\u202e1\u2066",
	"very long":            strings.Repeat("node-", 2000),
	"long and wide":        strings.Repeat("節点🔥", 2000),
	"a template":           `{{ template "checkpoint.title" . }}`,
	"an entity cut":        strings.Repeat("x", 36) + strings.Repeat("&", 500),
	"nothing":              "",
}

// TestHostile writes what nobody would into every label and annotation, in groups of one and of many.
func TestHostile(t *testing.T) {
	t.Parallel()
	tmpl := load(t)
	for name, evil := range hostile {
		for _, n := range []int{1, 25} {
			for _, status := range []string{"firing", "resolved", "both"} {
				t.Run(fmt.Sprintf("%s, %d, %s", name, n, status), func(t *testing.T) {
					var alerts []template.Alert
					for i := range n {
						a := template.Alert{Status: "firing", StartsAt: began, Labels: template.KV{}, Annotations: template.KV{}}
						for _, label := range []string{"node", "severity", "playbook", "alertname", "provider", "instance"} {
							a.Labels[label] = evil
						}
						for _, annotation := range []string{"summary", "description", "runbook_url", "dashboard_url"} {
							a.Annotations[annotation] = evil
						}
						if status == "resolved" || status == "both" && i%2 == 1 {
							a = resolved(a, time.Hour)
						}
						alerts = append(alerts, a)
					}
					for i, text := range renderAll(t, tmpl, fields, group(alerts...)) {
						check(t, fields[i], text, evil)
					}
				})
			}
		}
	}
}

// TestLongest has real alerts with the longest words and links that are let through.
func TestLongest(t *testing.T) {
	t.Parallel()
	tmpl := load(t)
	long := strings.Repeat(`"`, 1000)
	for name := range shippedAlerts(t) {
		var alerts []template.Alert
		for i := range 24 {
			a := al(t, name, long, "node", long, "provider", long)
			a.Annotations["summary"] = long
			a.Annotations["runbook_url"] = "https://" + strings.Repeat("a", 200)
			a.Annotations["dashboard_url"] = "https://" + strings.Repeat("a", 160) + strings.Repeat("&"+strings.Repeat("b", 40), 4)
			if i%2 == 1 {
				a = resolved(a, 100*time.Hour+time.Second)
			}
			alerts = append(alerts, a)
		}
		for i, text := range renderAll(t, tmpl, fields, group(alerts...)) {
			check(t, fields[i], text, long)
		}
	}
}

var (
	telegramTag    = regexp.MustCompile(`<b>|</b>|<a href="https?://[^"<>]+">|</a>`)
	telegramEntity = regexp.MustCompile(`&(lt|gt|amp|quot|#\d{1,5});`)
	slackLink      = regexp.MustCompile(`<https?://[^<>|]+\|[A-Za-z ]+>`)
	slackEntity    = regexp.MustCompile(`&(lt|gt|amp);`)
)

func check(t *testing.T, f field, got, evil string) {
	t.Helper()
	shown := got
	if f.name == "checkpoint.slack" {
		shown = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(got)
	}
	if n := utf8.RuneCountInString(shown); f.max > 0 && n > f.max {
		t.Errorf("%s: is %d characters long, more than %d", f.name, n, f.max)
	}
	if !utf8.ValidString(got) || strings.Contains(got, "ZgotmplZ") || strings.Contains(got, "<no value>") {
		t.Errorf("%s: is %q", f.name, got)
	}
	for _, r := range got {
		if r != '\n' && (unicode.Is(unicode.C, r) || unicode.Is(unicode.Z, r) && r != ' ') {
			t.Errorf("%s: contains %U", f.name, r)
			break
		}
	}
	oneLine := map[string]bool{"checkpoint.title": true, "checkpoint.source": true, "checkpoint.slack.title": true, "checkpoint.email.subject": true, "checkpoint.opsgenie.tags": true}
	if oneLine[f.name] && strings.Contains(got, "\n") {
		t.Errorf("%s: has more than one line: %q", f.name, got)
	}
	if strings.Contains(evil, "evil.example") {
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, "To do: https://evil") {
				t.Errorf("%s: has a line that the label made up: %q", f.name, line)
			}
		}
	}
	switch {
	case f.name == "checkpoint.telegram":
		rest := telegramEntity.ReplaceAllString(telegramTag.ReplaceAllString(got, ""), "")
		if strings.ContainsAny(rest, "<>&") {
			t.Errorf("%s: is not what Telegram parses: %q", f.name, rest)
		}
		for _, tag := range []string{"b", "a"} {
			if open, end := strings.Count(got, "<"+tag+">")+strings.Count(got, "<"+tag+" "), strings.Count(got, "</"+tag+">"); open != end {
				t.Errorf("%s: %d <%s> and %d ends", f.name, open, tag, end)
			}
		}
	case strings.HasPrefix(f.name, "checkpoint.slack") && f.name != "checkpoint.slack.color":
		rest := slackEntity.ReplaceAllString(slackLink.ReplaceAllString(got, ""), "")
		if strings.ContainsAny(rest, "<>&") {
			t.Errorf("%s: Slack would take some of it for a command: %q", f.name, rest)
		}
	case f.name == "checkpoint.email":
		if strings.Contains(got, "<script") || strings.Contains(got, "onclick=\"") {
			t.Errorf("%s: lets HTML through: %q", f.name, got)
		}
	case f.name == "checkpoint.source" && got == "":
		t.Errorf("%s: is empty", f.name)
	case f.name == "checkpoint.pagerduty.severity" && !strings.Contains("critical error warning info", got):
		t.Errorf("%s: is %q", f.name, got)
	}
}

// TestByItself holds what is said of the remediator to the playbooks and alerts that there are.
func TestByItself(t *testing.T) {
	t.Parallel()
	tmpl, done := load(t), field{name: "checkpoint.done"}
	byName := "works through playbook"
	said := map[string]string{}
	for playbook := range config.DefaultPlaybooks() {
		a := template.Alert{Status: "firing", Labels: template.KV{"alertname": "X", "playbook": playbook}}
		text := render(t, tmpl, done, group(a))
		if strings.Contains(text, byName) || !strings.Contains(text, "checkpoint journal") {
			t.Errorf("playbook %s is told as %q", playbook, text)
		}
	}
	if got := render(t, tmpl, done, group(template.Alert{Status: "firing", Labels: template.KV{"playbook": "mine"}})); !strings.Contains(got, byName+" mine.") {
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
	funcs := texttemplate.FuncMap{}
	for _, name := range known {
		funcs[name] = func(...any) string { return "" }
	}
	tmpl, err := texttemplate.New("").Funcs(funcs).ParseGlob("templates/*.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	for _, defined := range tmpl.Templates() {
		if defined.Tree != nil && strings.HasPrefix(defined.Name(), "checkpoint.") && defined.Root.Type() != parse.NodeList {
			t.Errorf("%s: is %v", defined.Name(), defined.Root.Type())
		}
	}
	for _, f := range fields {
		if tmpl.Lookup(f.name) == nil {
			t.Errorf("there is no template %s", f.name)
		}
	}
}
