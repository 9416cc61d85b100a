package rulestest

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/e2e/services"
)

const shippedAlertmanager = "../../deploy/alertmanager/alertmanager.yml"

// enabled is the shipped configuration with some services switched on.
func enabled(t *testing.T, names ...string) *amconfig.Config {
	t.Helper()
	text, err := os.ReadFile(shippedAlertmanager)
	if err != nil {
		t.Fatal(err)
	}
	c, err := amconfig.Load(services.Enable(string(text), names...))
	if err != nil {
		t.Fatalf("with %v: %v", names, err)
	}
	return c
}

// receivers are those that an alert reaches, in order.
func receivers(c *amconfig.Config, labels model.LabelSet) []string {
	var names []string
	for _, r := range dispatch.NewRoute(c.Route, nil).Match(labels) {
		names = append(names, r.RouteOpts.Receiver)
	}
	return names
}

// TestEachService switches each service on by itself, all of them, and none.
func TestEachService(t *testing.T) {
	t.Parallel()
	reaches := map[string][3]string{ // by critical, warning and info
		"pushover":  {"pushover", "pushover", ""},
		"telegram":  {"telegram", "telegram-quiet", "telegram-quiet"},
		"pagerduty": {"pagerduty", "", ""},
		"opsgenie":  {"opsgenie", "", ""},
		"slack":     {"slack", "slack", "slack"},
		"email":     {"email", "email", "email"},
		"heartbeat": {},
	}
	for _, names := range append([][]string{nil, services.Names}, slices.Collect(slices.Chunk(services.Names, 1))...) {
		t.Run(strings.Join(names, ","), func(t *testing.T) {
			c := enabled(t, names...)
			for i, severity := range []model.LabelValue{"critical", "warning", "info"} {
				var want []string
				for _, name := range names {
					if to := reaches[name][i]; to != "" {
						want = append(want, to)
					}
				}
				want = append(want, "people")
				got := receivers(c, model.LabelSet{"alertname": "X", "severity": severity})
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("what is %s goes to %v, not to %v", severity, got, want)
				}
			}
			want := "nobody"
			if slices.Contains(names, "heartbeat") {
				want = "heartbeat"
			}
			if got := receivers(c, model.LabelSet{"alertname": watchdog, "severity": "none"}); !slices.Equal(got, []string{want}) {
				t.Errorf("the watchdog goes to %v, not to %s alone", got, want)
			}
			if got := receivers(c, model.LabelSet{"alertname": "X", "severity": "warning", "playbook": "p"}); got[0] != "remediator" || len(got) < 2 {
				t.Errorf("an alert with a playbook goes to %v", got)
			}
		})
	}
}

// TestHeartbeat holds the pauses between beats to what docs/alerting.md says of them.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	for _, r := range dispatch.NewRoute(enabled(t, "heartbeat").Route, nil).Match(model.LabelSet{"alertname": watchdog, "severity": "none"}) {
		o := r.RouteOpts
		if o.GroupInterval.Seconds() != 30 || o.RepeatInterval.Seconds() != 60 {
			t.Errorf("group_interval and repeat_interval are %v and %v", o.GroupInterval, o.RepeatInterval)
		}
	}
	for _, r := range enabled(t, "heartbeat").Receivers {
		if r.Name == "heartbeat" && r.WebhookConfigs[0].SendResolved() {
			t.Error("a heartbeat is sent when the alert resolves, which it does when Prometheus has died")
		}
	}
}

// TestNoSecrets holds every field for a secret, whatever it is called, to be empty: secrets come from files.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	c := enabled(t, services.Names...)
	var files []string
	var walk func(at string, v reflect.Value)
	walk = func(at string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				walk(at, v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(at, v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					walk(at+"."+f.Name, v.Field(i))
				}
			}
		case reflect.String:
			if v.String() != "" && regexp.MustCompile(`(File|Secret)$`).MatchString(at) {
				files = append(files, at)
			}
			if kind := v.Type().Name(); kind == "Secret" && v.String() != "" {
				t.Errorf("%s: a secret stands in the file", at)
			}
		}
	}
	for _, r := range c.Receivers {
		walk(r.Name, reflect.ValueOf(r))
	}
	if len(files) != 10 {
		t.Errorf("%d files of secrets are named: %v", len(files), files)
	}
}

// TestTemplatesExist renders every template that the configuration names.
func TestTemplatesExist(t *testing.T) {
	t.Parallel()
	tmpl, err := template.FromGlobs([]string{filepath.Join(filepath.Dir(shippedAlertmanager), "templates", "*.tmpl")})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(shippedAlertmanager)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\{\{.*\}\}`).FindAllString(services.Enable(string(text), services.Names...), -1)
	if len(named) < 20 {
		t.Errorf("only %d templates are named", len(named))
	}
	data := &template.Data{Status: "firing", Alerts: template.Alerts{{Status: "firing"}}}
	for _, n := range named {
		if _, err := tmpl.ExecuteTextString(n, data); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
}
