package standalone

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	statuspage "github.com/checkpoint-exporter/checkpoint_exporter/web"
)

// newToken makes the credentials of this run: a file that only this user reads, and that ends with the run.
func (l *Loop) newToken() (string, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	path := filepath.Join(l.opts.Dir, "webhook-token")
	// Written anew, lest an old file's mode stay.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("remove old webhook token: %w", err)
	}
	if err := os.WriteFile(path, []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write webhook token: %w", err)
	}
	l.opened = append(l.opened, func() error { return os.Remove(path) })
	return path, nil
}

func (l *Loop) engines(c *config.Config, reg prometheus.Registerer) (*Alertmanager, *Prometheus, error) {
	o := l.opts
	quiet := o.Slog
	if !o.Slog.Enabled(context.Background(), slog.LevelDebug) {
		quiet = slog.New(atLeast{o.Slog.Handler(), slog.LevelWarn})
	}
	alerts, err := o.Alerts()
	if err != nil {
		return nil, nil, err
	}
	if !ReachesRemediator(alerts) {
		level.Warn(o.Logger).Log("msg", "no route leads to the receiver "+ReceiverRemediator+": nothing will be remediated")
	}
	am, err := NewAlertmanager(AlertmanagerOptions{
		Config: alerts, Dir: filepath.Join(o.Dir, "alertmanager"), ExternalURL: o.ExternalURL,
		Remediator: Webhook{
			URL: httpURL(o.Remediator.Addr()) + "/api/v1/alerts", TokenFile: c.Remediation.Webhook.BearerTokenFile,
			Dial: o.Sockets.DialContext,
		},
		Logger: quiet.With("component", "alertmanager"), Notifications: o.Slog, Registerer: reg,
	})
	if err != nil {
		return nil, nil, err
	}
	prom, err := NewPrometheus(PrometheusOptions{
		Dir: filepath.Join(o.Dir, "tsdb"), Rules: o.Rules,
		Targets: []Target{
			{JobExporter, reachable(o.Exporter.Addr()), o.TelemetryPath},
			{JobRemediator, reachable(o.Remediator.Addr()), o.TelemetryPath},
		},
		Interval: o.Interval, Retention: o.Retention, ExternalURL: o.ExternalURL,
		Dial:   o.Sockets.DialContext,
		Notify: am.Notify(httpURL(o.API[0].Addr()), quiet.With("component", "rules")),
		Logger: quiet.With("component", "prometheus"), Registerer: reg,
	})
	if err != nil {
		am.Close()
		return nil, nil, err
	}
	l.opened = append(l.opened, func() error { am.Close(); return nil }, prom.Close)
	return am, prom, nil
}

func (l *Loop) reloadAlerts(am *Alertmanager) error {
	c, err := l.opts.Alerts()
	if err != nil {
		return err
	}
	return am.Reload(c)
}

// links lead whoever opens the API's listener in a browser on.
func (l *Loop) links() []statuspage.Link {
	return []statuspage.Link{
		{Path: "api/v2/alerts", Text: "Alerts as JSON"},
		{Path: "api/v2/silences", Text: "Silences as JSON"},
		{Path: strings.TrimPrefix(l.opts.TelemetryPath, "/"), Text: "Metrics of the engines"},
		{Path: l.opts.ExternalURL.String(), Text: "The exporter's own page, with its metrics and APIs"},
	}
}

func httpURL(a net.Addr) string { return (&url.URL{Scheme: "http", Host: reachable(a)}).String() }

// reachable is where this machine reaches a listener that may listen on every address.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// atLeast hides what is less severe: the engines tell of every file they open.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}

// adapt points the remediator at this process: it keeps its journal with the rest, asks our alerts, and takes our webhook.
// What the file says beyond the defaults stays.
func adapt(c *config.Config, dir, token, alerts string) {
	r, usual := &c.Remediation, config.Default().Remediation
	if r.Journal == usual.Journal {
		r.Journal = filepath.Join(dir, "journal.jsonl")
	}
	if r.Webhook.BearerTokenFile == "" {
		r.Webhook.BearerTokenFile = token
	}
	if len(r.Alertmanagers) == 1 && r.Alertmanagers[0] == usual.Alertmanagers[0] {
		r.Alertmanagers = nil
	}
	r.Alertmanagers = append(r.Alertmanagers, alerts)
}

// distinct joins errors, those that say the same but once.
func distinct(errs ...error) error {
	said := map[string]bool{}
	var all error
	for _, err := range errs {
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			all = errors.Join(all, err)
		}
	}
	return all
}
