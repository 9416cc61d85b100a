package standalone_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/internal/synctext"
)

func TestAlertmanagerDelivers(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, h.URL)

	put(t, am, model.AlertFiring, "NodeStalled")
	a := h.wait(t, "NodeStalled", model.AlertFiring)
	if a.Fingerprint == "" || a.Labels["node"] != "node-1" {
		t.Errorf("alert arrived as %+v", a)
	}
	if h.tokens[0] != "Bearer a secret" {
		t.Errorf("credentials arrived as %q", h.tokens[0])
	}
	put(t, am, model.AlertResolved, "NodeStalled")
	h.wait(t, "NodeStalled", model.AlertResolved)
}

func TestAlertmanagerSilences(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	am, reg, _ := runAlertmanager(t, t.TempDir(), fast, h.URL)
	id := silenceAlert(t, am, "Quiet")

	put(t, am, model.AlertFiring, "Quiet", "Loud")
	h.wait(t, "Loud", model.AlertFiring)
	eventually(t, "suppressed", func() bool {
		return value(t, reg, "alertmanager_notifications_suppressed_total", "silence") > 0
	})
	if _, ok := h.got("Quiet", model.AlertFiring); ok {
		t.Error("a silenced alert was sent")
	}
	for _, a := range am.Alerts(context.Background()) {
		if a.Name() == "Quiet" && (len(a.SilencedBy) != 1 || a.SilencedBy[0] != id) {
			t.Errorf("silenced by %q, want %q", a.SilencedBy, id)
		}
	}
}

func TestAlertmanagerInhibits(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	am, reg, _ := runAlertmanager(t, t.TempDir(), fast+`
inhibit_rules: [{source_matchers: [alertname="Cause"], target_matchers: [alertname="Effect"], equal: [node]}]`, h.URL)

	put(t, am, model.AlertFiring, "Cause")
	h.wait(t, "Cause", model.AlertFiring)
	put(t, am, model.AlertFiring, "Effect")
	eventually(t, "suppressed", func() bool {
		return value(t, reg, "alertmanager_notifications_suppressed_total", "inhibition") > 0
	})
	if _, ok := h.got("Effect", model.AlertFiring); ok {
		t.Error("an inhibited alert was sent")
	}
	for _, a := range am.Alerts(context.Background()) {
		if a.Name() == "Effect" && len(a.InhibitedBy) != 1 {
			t.Errorf("inhibited by %q, want one", a.InhibitedBy)
		}
	}
	put(t, am, model.AlertResolved, "Cause")
	h.wait(t, "Effect", model.AlertFiring)
}

func TestAlertmanagerRemembers(t *testing.T) {
	t.Parallel()
	dir, h := t.TempDir(), newHook(t)
	am, reg, stop := runAlertmanager(t, dir, fast, h.URL)
	silenceAlert(t, am, "Quiet")
	put(t, am, model.AlertFiring, "Told")
	h.wait(t, "Told", model.AlertFiring)
	// The flushes of a group follow each other: when the second one asks the log, the first has written to it.
	eventually(t, "the notification to be logged", func() bool {
		return value(t, reg, "alertmanager_nflog_queries_total") >= 2
	})
	stop()

	after := newHook(t)
	am, reg, _ = runAlertmanager(t, dir, fast, after.URL)
	put(t, am, model.AlertFiring, "Told", "Quiet", "New")
	after.wait(t, "New", model.AlertFiring)
	eventually(t, "suppressed", func() bool {
		return value(t, reg, "alertmanager_notifications_suppressed_total", "silence") > 0
	})
	eventually(t, "asking the notification log about both alerts that are not silenced", func() bool {
		return value(t, reg, "alertmanager_nflog_queries_total") >= 2
	})
	for _, name := range []string{"Told", "Quiet"} {
		if _, ok := after.got(name, model.AlertFiring); ok {
			t.Errorf("%s was sent again after a restart", name)
		}
	}
}

func TestAlertmanagerReloads(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, h.URL)
	put(t, am, model.AlertFiring, "Before")
	h.wait(t, "Before", model.AlertFiring)

	if err := am.Reload(load(t, fast+`templates: [`+filepath.Join(broken(t), "*")+`]`)); err == nil {
		t.Error("a broken template was taken")
	}
	put(t, am, model.AlertFiring, "AfterBad")
	h.wait(t, "AfterBad", model.AlertFiring)

	other := newHook(t)
	next := load(t, strings.Replace(fast, "{name: remediator}", "{name: remediator, webhook_configs: [{url: '"+other.URL+"'}]}", 1))
	if err := am.Reload(next); err != nil {
		t.Fatal(err)
	}
	put(t, am, model.AlertFiring, "AfterGood")
	other.wait(t, "AfterGood", model.AlertFiring)
	if n := len(am.Alerts(context.Background(), must(amlabels.NewMatcher(amlabels.MatchEqual, "alertname", "Before")))); n != 1 {
		t.Errorf("%d alerts named Before after a reload, want 1", n)
	}
}

func broken(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.tmpl"), []byte("{{ define"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAlertmanagerLogs(t *testing.T) {
	t.Parallel()
	var out synctext.Buffer
	am, err := standalone.NewAlertmanager(standalone.AlertmanagerOptions{
		Config: load(t, strings.Replace(fast, "receiver: remediator", "receiver: log", 1)),
		Dir:    t.TempDir(), ExternalURL: here, Registerer: prometheus.NewRegistry(),
		Logger: silent(), Notifications: slog.New(slog.NewTextHandler(&out, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, am.Run)
	put(t, am, model.AlertFiring, "NodeStalled")
	eventually(t, "logged", func() bool {
		return strings.Contains(out.String(), "msg=notification alert=NodeStalled status=firing node=node-1")
	})
}

func TestDefaultAlertmanagerConfig(t *testing.T) {
	t.Parallel()
	c, err := standalone.LoadAlertmanagerConfig("")
	if err != nil {
		t.Fatal(err)
	}
	if !standalone.ReachesRemediator(c) {
		t.Error("nothing reaches the remediator")
	}
	shipped, err := amconfig.LoadFile("../deploy/alertmanager/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inhibitions(t, c), inhibitions(t, shipped); !bytes.Equal(got, want) {
		t.Errorf("inhibition differs from deploy/alertmanager/alertmanager.yml\ngot:\n%s\nwant:\n%s", got, want)
	}
}

func TestAlertmanagerConfigErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, receiver, want string }{
		{"not built in", "wechat_configs: [{corp_id: x, api_secret: x}]", `receiver "people": wechat_configs is not built into checkpointd`},
		{"missing file", "webhook_configs: [{url: 'http://127.0.0.1/', http_config: {tls_config: {ca_file: /nonexistent}}}]", "webhook_configs[0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := standalone.NewAlertmanager(standalone.AlertmanagerOptions{
				Config: load(t, "route: {receiver: people}\nreceivers: [{name: people, "+tc.receiver+"}]"),
				Dir:    t.TempDir(), ExternalURL: here, Logger: silent(), Notifications: silent(), Registerer: prometheus.NewRegistry(),
			})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// inhibitions is what two configurations have in common when they inhibit alike.
func inhibitions(t *testing.T, c *amconfig.Config) []byte {
	t.Helper()
	out, err := yaml.Marshal(c.InhibitRules)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func silenceAlert(t *testing.T, am *standalone.Alertmanager, name string) string {
	t.Helper()
	id, err := am.Silence(context.Background(), standalone.Silence{
		Matchers:  amlabels.Matchers{must(amlabels.NewMatcher(amlabels.MatchEqual, "alertname", name))},
		StartsAt:  time.Now(),
		EndsAt:    time.Now().Add(time.Hour),
		CreatedBy: "a test", Comment: "it says so",
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
