// Package web is the status page: what the exporter sees, and where there are any, alerts and incidents, for people. It reads and never
// acts, works without JavaScript, and with it is live.
package web

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// Options are a Page's. The zero value asks no remediator.
type Options struct {
	// Version is the program's, shown on the page.
	Version string
	// TelemetryPath is where the link to the metrics leads; empty means /metrics.
	TelemetryPath string
	// Remediator is the base URL of the remediator that is asked for incidents; empty asks nobody.
	Remediator string
	// Dial reaches the remediator and Alertmanager; nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Page is the status page. Make it with New, serve its Routes and Run it; without Run it is shown as well, but has no chart, no alerts
// and no incidents, and is not live.
type Page struct {
	opts   Options
	logger log.Logger
	look   func() collector.Status

	ask     *asker
	history *history
	hub     *hub
	running atomic.Bool
}

// Link leads from the page to something else that is served beside it.
type Link struct {
	// Path is relative to the page.
	Path, Text string
}

// New makes a page of what look tells, which is called often and must not block. Who is asked for alerts stands in the configuration.
func New(cfg *config.Config, logger log.Logger, look func() collector.Status, o Options) *Page {
	if o.TelemetryPath == "" {
		o.TelemetryPath = "/metrics"
	}
	p := &Page{
		opts: o, logger: logger, look: look,
		ask: newAsker(o.Remediator, cfg.Remediation.Alertmanagers, o.Dial, logger), history: newHistory(), hub: newHub(),
	}
	return p
}

// Reload puts a configuration in force.
func (p *Page) Reload(cfg *config.Config) { p.ask.setAlertmanagers(cfg.Remediation.Alertmanagers) }

// Routes adds the page of the exporter, with links to what else the exporter serves.
func (p *Page) Routes(mux *http.ServeMux) {
	p.RoutesWith(mux, []Link{
		{strings.TrimPrefix(p.opts.TelemetryPath, "/"), "Metrics"},
		{"api/v1/providers", "Providers as JSON"},
		{"api/v1/nodes", "Nodes as JSON"},
		{"probe", "Probe"},
		{"-/ready", "Ready"},
		{"-/healthy", "Healthy"},
	})
}

// RoutesWith adds the page with other links.
func (p *Page) RoutesWith(mux *http.ServeMux, links []Link) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { p.serve(w, links) })
	mux.HandleFunc("GET /events", p.hub.serve)
	mux.HandleFunc("GET /assets/{name}", serveAsset)
}

const (
	// sampleEvery is how often the page looks for what is new; a look asks nobody.
	sampleEvery = 2 * time.Second
	// askEvery is the time between two questions to the remediator and to Alertmanager.
	askEvery = 10 * time.Second
)

// Run keeps the history, asks for alerts and incidents, and tells the pages that are open what is new. It returns when ctx ends, and open
// pages have been let go.
func (p *Page) Run(ctx context.Context) error {
	if !p.running.CompareAndSwap(false, true) {
		return errors.New("the status page runs already")
	}
	defer p.hub.close()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		p.ask.run(ctx)
	}()
	defer func() { <-asked }()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		p.refresh()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// refresh takes note of what is new, and tells those who watch.
func (p *Page) refresh() {
	now := p.look()
	p.history.keep(now.Nodes)
	if !p.hub.watched() {
		return
	}
	v := p.view(now, nil)
	parts, err := v.render()
	if err != nil {
		level.Error(p.logger).Log("msg", "make the status page", "err", err)
		return
	}
	p.hub.publish(v.Layout, v.At.Text, parts)
}

func (p *Page) serve(w http.ResponseWriter, links []Link) {
	setHeaders(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "page", p.view(p.look(), links)); err != nil {
		level.Error(p.logger).Log("msg", "make the status page", "err", err)
		http.Error(w, "the status page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // whoever asked has gone
}

// part is a piece of the page that is sent again when it has changed.
type part struct{ id, html string }

// render makes all parts, in the order of the page.
func (v *view) render() ([]part, error) {
	var all []part
	add := func(id, template string, data any) error {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, template, data); err != nil {
			return err
		}
		all = append(all, part{id, b.String()})
		return nil
	}
	for _, name := range []string{"sections", "summary", "alerts", "nodes", "incidents", "providers", "epochs"} {
		if err := add(name, name, v); err != nil {
			return nil, err
		}
	}
	for i, c := range v.Charts {
		if err := add(c.ID, "chart", &v.Charts[i]); err != nil {
			return nil, err
		}
	}
	return slices.Clip(all), nil
}
