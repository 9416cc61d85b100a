package standalone_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/goleak"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/rules"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// quietConfig watches a provider and a node that refuse connections.
const quietConfig = `
network: hoodi
providers: [{name: gone, url: "http://127.0.0.1:9"}]
nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:9"}}]
probe: {interval: 1s, node_interval: 1s, timeout: 1s}
`

// world is what a loop runs on: its folder, its two files, and where it listens.
type world struct {
	dir, config, alerts       string
	exporter, remediator, api string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{dir: filepath.Join(dir, "data"), config: filepath.Join(dir, "checkpoint.yml"), alerts: filepath.Join(dir, "alertmanager.yml")}
	write(t, w.config, quietConfig)
	write(t, w.alerts, fast)
	return w
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// options opens listeners and says where they are.
func (w *world) options(t *testing.T) standalone.LoopOptions {
	t.Helper()
	open := func(address *string) net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*address = "http://" + ln.Addr().String()
		return ln
	}
	return standalone.LoopOptions{
		Dir: w.dir, Rules: rules.Files,
		Config:   func() (*config.Config, error) { return config.Load(w.config) },
		Alerts:   func() (*amconfig.Config, error) { return standalone.LoadAlertmanagerConfig(w.alerts) },
		Exporter: open(&w.exporter), Remediator: open(&w.remediator), API: []net.Listener{open(&w.api)},
		ExternalURL: &url.URL{Scheme: "http", Host: "status.example"},
		Interval:    200 * time.Millisecond, Retention: time.Hour, Logger: log.NewNopLogger(), Slog: slog.New(slog.DiscardHandler),
	}
}

func (w *world) start(t *testing.T) (*standalone.Loop, func()) {
	t.Helper()
	loop, err := standalone.NewLoop(w.options(t))
	if err != nil {
		t.Fatal(err)
	}
	return loop, run(t, loop.Run)
}

// get answers 0 while the server does not answer.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// waitQuery waits for an expression to have this value.
func (w *world) waitQuery(t *testing.T, expr, value string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %s", expr, value), func() bool {
		_, body := get(t, w.api+"/api/v1/query?query="+url.QueryEscape(expr))
		return strings.Contains(body, fmt.Sprintf(`,"%s"]`, value))
	})
}

func TestLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, stop := w.start(t)
	// What the two programs serve is scraped from where they serve it, and the rules see it.
	w.waitQuery(t, `up{job="checkpoint_exporter"}`, "1")
	w.waitQuery(t, `up{job="checkpoint_remediator"}`, "1")
	w.waitQuery(t, `checkpoint_provider_usable{provider="gone"}`, "0")
	w.waitQuery(t, `count(ALERTS{alertname="CheckpointNodeDown",alertstate="pending",node="node-1"})`, "1")
	for url, want := range map[string]string{
		w.exporter + "/metrics":            "checkpoint_exporter_build_info",
		w.exporter + "/api/v1/nodes":       `"node-1"`,
		w.remediator + "/metrics":          "checkpoint_remediator_build_info",
		w.remediator + "/api/v1/incidents": filepath.Join(w.dir, "journal.jsonl"),
		w.api + "/metrics":                 "prometheus_tsdb_head_series",
		w.api + "/api/v2/alerts":           "[",
		w.api + "/":                        "http://status.example",
		w.api + "/-/healthy":               "checkpointd is healthy",
	} {
		if code, body := get(t, url); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %s in %.300s", url, code, want, body)
		}
	}
	eventually(t, "ready", func() bool { code, _ := get(t, w.api+"/-/ready"); return code == http.StatusOK })

	// The webhook takes the token of this run alone, which nobody else may read.
	resp, err := http.Post(w.remediator+"/api/v1/alerts", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token the webhook answers %d", resp.StatusCode)
	}
	token := filepath.Join(w.dir, "webhook-token")
	if info, err := os.Stat(token); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token: %v, %v", info, err)
	}
	stop()
	if _, err := os.Stat(token); !os.IsNotExist(err) {
		t.Errorf("after the end the token is still there: %v", err)
	}
	if code, _ := get(t, w.exporter); code != 0 {
		t.Error("after the end something still listens")
	}

	// What was recorded is there after a restart, on other ports.
	w.start(t)
	w.waitQuery(t, `count(count by (instance) (count_over_time(up{job="checkpoint_exporter"}[1h])))`, "2")
}

func TestLoopReloads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	loop, _ := w.start(t)
	const loaded = `min(checkpoint_config_last_reload_successful)`
	w.waitQuery(t, loaded, "1")

	write(t, w.config, quietConfig+"nonsense: true\n")
	if err := loop.Reload(); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a broken checkpoint.yml: %v", err)
	}
	w.waitQuery(t, loaded, "0")

	write(t, w.config, strings.Replace(quietConfig, "name: gone", "name: lost", 1))
	write(t, w.alerts, "route: {receiver: nowhere}")
	if err := loop.Reload(); err == nil || !strings.Contains(err.Error(), w.alerts) {
		t.Errorf("a broken alertmanager.yml: %v", err)
	}
	w.waitQuery(t, loaded, "1")
	w.waitQuery(t, `checkpoint_provider_usable{provider="lost"}`, "0")

	write(t, w.alerts, fast)
	resp, err := http.Post(w.api+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("reload over HTTP is answered %s", resp.Status)
	}
}

// Credentials on the API are asked of people, not of the parts.
func TestLoopWithPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := filepath.Join(filepath.Dir(w.config), "web.yml")
	write(t, users, "basic_auth_users: {me: $2a$04$sXM9aFM7p8vYqiNmDAkZ5uhCx.uS2rn21dquRtk75/ocUL7xj3E1K}") // secret
	o := w.options(t)
	o.Web = &web.FlagConfig{WebConfigFile: &users}
	o.TelemetryPath = "/elsewhere"
	loop, err := standalone.NewLoop(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, loop.Run)
	eventually(t, "asked for a password", func() bool { code, _ := get(t, w.api+"/api/v2/alerts"); return code == http.StatusUnauthorized })
	w.api = strings.Replace(w.api, "http://", "http://me:secret@", 1)
	w.waitQuery(t, `sum(up)`, "2")
}

// A loop that cannot be made lets go of all that it was given.
func TestLoopErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		spoil func(*testing.T, *world, *standalone.LoopOptions)
		want  string
	}{
		{"configuration", func(t *testing.T, w *world, _ *standalone.LoopOptions) { write(t, w.config, "quorum: many") }, "checkpoint.yml:1: quorum"},
		{"alerts", func(t *testing.T, w *world, _ *standalone.LoopOptions) { write(t, w.alerts, "receivers: []") }, "alertmanager.yml: no route"},
		{"storage", func(t *testing.T, w *world, _ *standalone.LoopOptions) { write(t, w.dir, "a file") }, "create storage"},
		{"rules", func(_ *testing.T, _ *world, o *standalone.LoopOptions) { o.Rules = ruleFiles("groups: 1") }, "rule file rules.yml"},
		{"damaged silences", func(t *testing.T, w *world, _ *standalone.LoopOptions) {
			if err := os.MkdirAll(filepath.Join(w.dir, "alertmanager"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(w.dir, "alertmanager", "silences"), "not a snapshot")
		}, "load silences"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := w.options(t)
			tc.spoil(t, w, &o)
			_, err := standalone.NewLoop(o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			for _, ln := range append([]net.Listener{o.Exporter, o.Remediator}, o.API...) {
				if err := ln.Close(); err == nil {
					t.Errorf("%s was left open", ln.Addr())
				}
			}
		})
	}
}

// Two loops on one folder would act twice.
func TestLoopLocksItsFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := standalone.NewLoop(w.options(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := standalone.NewLoop(w.options(t)); err == nil {
		t.Error("a second loop took the same folder")
	}
	if _, err := os.Stat(filepath.Join(w.dir, "webhook-token")); err != nil {
		t.Errorf("the second one took the first one's token away: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	again, err := standalone.NewLoop(w.options(t))
	if err != nil {
		t.Fatalf("after the first is closed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A part that fails ends all the others.
func TestLoopEndsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.options(t)
	loop, err := standalone.NewLoop(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Exporter.Close()
	if err := loop.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "serve exporter") {
		t.Errorf("got %v", err)
	}
}

// Not parallel: it counts goroutines.
func TestLoopLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w := newWorld(t)
	_, stop := w.start(t)
	w.waitQuery(t, `up{job="checkpoint_remediator"}`, "1")
	stop()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
