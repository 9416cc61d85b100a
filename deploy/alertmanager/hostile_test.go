package alertmanager_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/template"
)

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
		for status, n := range map[string]int{"firing": 1, "resolved": 1, "both": 24} {
			t.Run(fmt.Sprintf("%s, %d, %s", name, n, status), func(t *testing.T) {
				t.Parallel()
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

// TestLongest has real alerts with the longest words and links that are let through.
func TestLongest(t *testing.T) {
	t.Parallel()
	tmpl := load(t)
	long := strings.Repeat(`"`, 1000)
	for name, rule := range shippedAlerts(t) {
		if rule.Labels["playbook"] == "" {
			continue // the rest have less to say
		}
		var alerts []template.Alert
		for i := range 12 {
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
