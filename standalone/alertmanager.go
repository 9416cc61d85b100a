package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
)

// What the alertmanager program uses unless told otherwise, but for the
// snapshots, which it takes every 15 minutes: an abrupt end may cost us a
// minute of what was already notified, not a quarter of an hour.
const (
	dataRetention    = 120 * time.Hour
	snapshotInterval = time.Minute
	cleanInterval    = 30 * time.Second
)

// AlertmanagerOptions says what an Alertmanager routes, and whereto. All
// fields are needed.
type AlertmanagerOptions struct {
	Config      *amconfig.Config // as LoadAlertmanagerConfig returns it
	Dir         string           // of silences and the notification log; created when absent
	ExternalURL *url.URL         // where people reach the API; stands in notifications
	Remediator  Webhook          // behind the receiver named ReceiverRemediator
	Logger      *slog.Logger
	// Notifications is where the receiver named ReceiverLog writes.
	Notifications *slog.Logger
	Registerer    prometheus.Registerer
}

// Alertmanager is Alertmanager's own engine: alert store, inhibition,
// silences, grouping, notification log and receivers, without gossip and web
// server. It is wired here because the package that does so upstream embeds
// files of the user interface that its module does not hold.
type Alertmanager struct {
	opts     AlertmanagerOptions
	recorder eventrecorder.Recorder
	marker   marker.GroupMarker
	log      *nflog.Log
	silences *silence.Silences
	silencer *silence.Silencer
	alerts   *mem.Alerts
	pipeline *notify.PipelineBuilder
	metrics  *dispatch.DispatcherMetrics

	mu      sync.Mutex
	running bool
	current routing
}

// routing is what a configuration decides, and what a reload replaces.
type routing struct {
	config     *amconfig.Config
	route      *dispatch.Route
	inhibitor  *inhibit.Inhibitor
	dispatcher *dispatch.Dispatcher
}

// NewAlertmanager loads silences and the notification log and builds the
// receivers. What it returns must be run or closed.
func NewAlertmanager(o AlertmanagerOptions) (*Alertmanager, error) {
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("create directory of silences: %w", err)
	}
	flags := featurecontrol.NoopFlags{}
	a := &Alertmanager{
		opts:     o,
		recorder: eventrecorder.NopRecorder(),
		marker:   marker.NewGroupMarker(),
		metrics:  dispatch.NewDispatcherMetrics(false, o.Registerer, flags),
	}
	a.pipeline = notify.NewPipelineBuilder(o.Registerer, flags, a.recorder)

	var err error
	a.log, err = nflog.New(nflog.Options{
		SnapshotFile: a.file("nflog"), Retention: dataRetention, Logger: o.Logger, Metrics: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("load notification log %s: %w", a.file("nflog"), err)
	}
	a.silences, err = silence.New(silence.Options{
		SnapshotFile: a.file("silences"), Retention: dataRetention, Logger: o.Logger, Metrics: o.Registerer,
		EventRecorder: a.recorder,
	})
	if err != nil {
		return nil, fmt.Errorf("load silences %s: %w", a.file("silences"), err)
	}
	a.silencer = silence.NewSilencer(a.silences, o.Logger, a.recorder)
	a.alerts, err = mem.NewAlerts(context.Background(), cleanInterval, 0, a.silencer, o.Logger, a.recorder, o.Registerer, flags)
	if err != nil {
		return nil, fmt.Errorf("alert store: %w", err)
	}
	if a.current, err = a.route(o.Config); err != nil {
		a.alerts.Close()
		return nil, err
	}
	return a, nil
}

func (a *Alertmanager) file(name string) string { return filepath.Join(a.opts.Dir, name) }

// route builds everything that can fail of a configuration, and starts nothing.
func (a *Alertmanager) route(c *amconfig.Config) (routing, error) {
	tmpl, err := template.FromGlobs(c.Templates)
	if err != nil {
		return routing{}, fmt.Errorf("read templates: %w", err)
	}
	tmpl.ExternalURL = a.opts.ExternalURL
	receivers, err := buildReceivers(c.Receivers, a.opts.Remediator, tmpl, a.opts.Logger, a.opts.Notifications)
	if err != nil {
		return routing{}, err
	}
	intervals := make(map[string][]timeinterval.TimeInterval)
	for _, i := range c.MuteTimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	for _, i := range c.TimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	r := routing{
		config:    c,
		route:     dispatch.NewRoute(c.Route, nil),
		inhibitor: inhibit.NewInhibitor(a.alerts, c.InhibitRules, a.opts.Logger, a.recorder),
	}
	alone := func() time.Duration { return 0 }
	stages := a.pipeline.New(receivers, alone, r.inhibitor, a.silencer,
		timeinterval.NewIntervener(intervals), a.marker, a.log, nil)
	atLeast := func(d time.Duration) time.Duration { return max(d, notify.MinTimeout) }
	r.dispatcher = dispatch.NewDispatcher(a.alerts, r.route, stages, a.marker, atLeast,
		cleanInterval, nil, a.opts.Logger, a.recorder, a.metrics, tmpl)
	return r, nil
}

// start waits for the inhibitor first, lest an alert that it mutes goes out.
// Only a started inhibitor or dispatcher can be stopped.
func (r routing) start() {
	go r.inhibitor.Run()
	r.inhibitor.WaitForLoading()
	go r.dispatcher.Run(time.Now())
	r.dispatcher.WaitForLoading()
}

func (r routing) stop() {
	r.dispatcher.Stop()
	r.inhibitor.Stop()
}

// Run dispatches until ctx ends; then it lets go of what is being sent, writes
// silences and the notification log, and closes. It may be called once, and
// not after Close.
func (a *Alertmanager) Run(ctx context.Context) error {
	var snapshots sync.WaitGroup
	stop := make(chan struct{})
	snapshots.Go(func() { a.log.Maintenance(snapshotInterval, a.file("nflog"), stop, nil) })
	snapshots.Go(func() { a.silences.Maintenance(snapshotInterval, a.file("silences"), stop, nil) })

	a.mu.Lock()
	a.current.start()
	a.running = true
	a.mu.Unlock()

	<-ctx.Done()
	a.mu.Lock()
	a.running = false
	a.current.stop()
	a.mu.Unlock()
	close(stop)
	snapshots.Wait()
	a.Close()
	return nil
}

// Close releases an Alertmanager that was never run.
func (a *Alertmanager) Close() { a.alerts.Close() }

// Reload replaces routes, receivers and inhibition by those of c, or returns
// what is wrong with c and changes nothing. Alerts and silences stay.
func (a *Alertmanager) Reload(c *amconfig.Config) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, err := a.route(c)
	if err != nil {
		return err
	}
	if a.running {
		a.current.stop()
		next.start()
	}
	a.current = next
	return nil
}

// Put takes alerts in. One whose EndsAt has passed is resolved; one that is
// not put again before its EndsAt will be.
func (a *Alertmanager) Put(ctx context.Context, alerts ...*alert.Alert) error {
	var invalid error
	valid := make([]*alert.Alert, 0, len(alerts))
	now := time.Now()
	for _, al := range alerts {
		al.UpdatedAt = now
		if err := al.Validate(); err != nil {
			invalid = errors.Join(invalid, fmt.Errorf("alert %s: %w", al.Name(), err))
			continue
		}
		valid = append(valid, al)
	}
	return errors.Join(invalid, a.alerts.Put(ctx, valid...))
}
