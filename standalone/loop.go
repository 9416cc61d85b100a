package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
	statuspage "github.com/checkpoint-exporter/checkpoint_exporter/web"
)

// The jobs that the shipped rules and dashboards select.
const (
	JobExporter   = "checkpoint_exporter"
	JobRemediator = "checkpoint_remediator"
)

// LoopOptions says what a Loop is made of. All fields but Web, TelemetryPath, Sockets and Hands are needed.
type LoopOptions struct {
	Dir string // of all that outlives the process; absolute, created when absent
	// Config reads checkpoint.yml, and Alerts what LoadAlertmanagerConfig returns: once to start, and again at each reload.
	Config func() (*config.Config, error)
	Alerts func() (*amconfig.Config, error)
	Rules  fs.FS // every *.yml in its root is a rule file

	Exporter, Remediator net.Listener // plain HTTP, scraped and called by this process as by anybody
	API                  []net.Listener
	Web                  *web.FlagConfig // TLS and authentication of the API; nil for neither
	ExternalURL          *url.URL        // where people reach the exporter's page; stands in notifications
	TelemetryPath        string          // where each listener serves metrics; /metrics when empty

	Interval  time.Duration // between two scrapes, and two evaluations
	Retention time.Duration // of the time series
	Logger    log.Logger
	// Sockets are how the parts listen for and reach each other, and reach nodes and providers; nil means TCP.
	Sockets Sockets
	Hands   remediate.Hands // what the remediator acts with; nil means this machine's
	Slog    *slog.Logger    // ends in the same lines as Logger; at level debug, the engines tell more than their warnings
}

// Loop is the exporter, the remediator, the engines of Prometheus and Alertmanager, and the HTTP between them.
type Loop struct {
	opts   LoopOptions
	stages []stage
	opened []func() error
	reload *server.Reloader
}

// NewLoop opens what is kept on disk, and starts nothing. The listeners are its own from then on: they are closed when it
// fails, and when Run returns.
func NewLoop(o LoopOptions) (_ *Loop, err error) {
	if o.Sockets == nil {
		o.Sockets = tcp{}
	}
	if o.TelemetryPath == "" {
		o.TelemetryPath = "/metrics"
	}
	l := &Loop{opts: o}
	for _, ln := range append([]net.Listener{o.Exporter, o.Remediator}, o.API...) {
		l.opened = append(l.opened, ln.Close)
	}
	defer func() {
		if err != nil {
			_ = l.Close() // what went wrong first is what counts
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("create storage: %w", err)
	}
	lock, _, err := fileutil.Flock(filepath.Join(o.Dir, "checkpointd.lock"))
	if err != nil {
		return nil, fmt.Errorf("storage %s is in use by another checkpointd: %w", o.Dir, err)
	}
	l.opened = append(l.opened, lock.Release)
	return l, l.assemble()
}

func (l *Loop) assemble() error {
	o := l.opts
	// The remediator asks for alerts through a door of its own, which needs no credentials and opens to nothing else.
	door, err := o.Sockets.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the remediator's questions: %w", err)
	}
	l.opened = append(l.opened, door.Close)
	token, err := l.newToken()
	if err != nil {
		return err
	}
	load := func() (*config.Config, error) {
		c, err := o.Config()
		if err != nil {
			return nil, err
		}
		adapt(c, o.Dir, token, httpURL(door.Addr()))
		return c, nil
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	exporter, remediator, page, err := l.programs(cfg, load)
	if err != nil {
		return err
	}
	reg := server.NewRegistry("checkpointd")
	am, prom, err := l.engines(cfg, reg)
	if err != nil {
		return err
	}
	api := API{Alertmanager: am, Prometheus: prom}
	questions := http.NewServeMux()
	api.Questions(questions)
	// Each part reads its configuration by itself, and its own metrics say how that went.
	l.reload, err = server.NewReloader(reg, func() (*config.Config, error) {
		return nil, distinct(exporter.reload.Reload(), remediator.reload.Reload(), l.reloadAlerts(am))
	}, func(*config.Config) error { return nil })
	if err != nil {
		return err
	}
	desk := server.Service{
		Name: "checkpointd", Registry: reg, Ready: prom.Ready, Reload: l.reload, Logger: o.Logger,
		Routes: func(mux *http.ServeMux) { api.Routes(mux); page.RoutesWith(mux, l.links()) },
	}.Handler(o.TelemetryPath)
	l.stages = []stage{
		serving("exporter", exporter.handler, nil, o.Slog, o.Exporter),
		serving("remediator", remediator.handler, nil, o.Slog, o.Remediator),
		serving("alerts to the remediator", questions, nil, o.Slog, door),
		{"exporter", exporter.run},
		{"remediator", remediator.run},
		{"alertmanager", am.Run},
		{"prometheus", prom.Run},
	}
	for _, ln := range o.API {
		l.stages = append(l.stages, serving("API", desk, o.Web, o.Slog, ln))
	}
	// Open pages are let go first: their streams would keep the listeners from ending.
	l.stages = append(l.stages, stage{"status page", page.Run})
	return nil
}

// program is one of the programs that run in this process.
type program struct {
	handler http.Handler
	run     func(context.Context) error
	reload  *server.Reloader
}

func (l *Loop) programs(c *config.Config, load func() (*config.Config, error)) (exporter, remediator program, page *statuspage.Page, err error) {
	reach := beacon.Options{Dial: l.opts.Sockets.DialContext}
	reg := server.NewRegistry(JobExporter)
	logger := log.With(l.opts.Logger, "component", "exporter")
	e, err := collector.New(c, logger, collector.Options{Version: version.Version, Beacon: reach})
	if err != nil {
		return exporter, remediator, nil, err
	}
	if err := e.Register(reg); err != nil {
		return exporter, remediator, nil, err
	}
	page = statuspage.New(c, logger, e.Status, statuspage.Options{
		Version: version.Version, TelemetryPath: l.opts.TelemetryPath, Remediator: httpURL(l.opts.Remediator.Addr()), Dial: l.opts.Sockets.DialContext,
	})
	if exporter, err = l.program(JobExporter, statuspage.Exporter{Exporter: e, Page: page}, reg, load); err != nil {
		return exporter, remediator, nil, err
	}
	exporter.run = e.Run // the page is a stage of its own
	reg = server.NewRegistry(JobRemediator)
	r, err := remediate.New(c, log.With(l.opts.Logger, "component", "remediator"), reg, remediate.Options{Beacon: reach, Hands: l.opts.Hands})
	if err != nil {
		return exporter, remediator, nil, err
	}
	l.opened = append(l.opened, r.Close)
	remediator, err = l.program(JobRemediator, r, reg, load)
	return exporter, remediator, page, err
}

func (l *Loop) program(name string, app server.App, reg *prometheus.Registry, load func() (*config.Config, error)) (program, error) {
	reload, err := server.NewReloader(reg, load, app.Reload)
	if err != nil {
		return program{}, err
	}
	h := server.Service{Name: name, Registry: reg, Routes: app.Routes, Ready: app.Ready, Reload: reload, Logger: l.opts.Logger}.Handler(l.opts.TelemetryPath)
	return program{h, app.Run, reload}, nil
}

// Run closes the loop until ctx ends or a part of it fails, and returns when everything has ended. It may be called once.
func (l *Loop) Run(ctx context.Context) error {
	return errors.Join(runStages(ctx, l.stages), l.Close())
}

// Close lets go of everything that a Loop that was never run has opened.
func (l *Loop) Close() error {
	var all error
	for _, f := range slices.Backward(l.opened) {
		if err := f(); err != nil && !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	l.opened = nil
	return all
}

// Reload reads both configurations again and puts them in force, each part for itself: what is wrong leaves the old one in
// force, and is told by the parts' metrics as well.
func (l *Loop) Reload() error {
	err := l.reload.Reload()
	if err != nil {
		level.Error(l.opts.Logger).Log("msg", "configuration not loaded; the old one stays in force", "err", err)
		return err
	}
	level.Info(l.opts.Logger).Log("msg", "configuration loaded")
	return nil
}
