package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promcommon "github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/compression"
	"golang.org/x/sync/errgroup"
)

// PrometheusOptions says what a Prometheus scrapes and evaluates. All fields
// but Dial are needed.
type PrometheusOptions struct {
	Dir         string        // of the time series; created when absent, locked while in use
	Rules       fs.FS         // every *.yml in its root is a rule file
	Targets     []Target      // fixed for the life of the process
	Interval    time.Duration // between two scrapes, and two evaluations of a group that names no interval
	Retention   time.Duration // of the time series
	ExternalURL *url.URL      // where people reach the API
	Notify      rules.NotifyFunc
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	// Dial opens connections to targets; nil means by TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Prometheus is Prometheus' storage, scraper, query and rule engine, without
// service discovery, remote storage and web server.
type Prometheus struct {
	opts    PrometheusOptions
	files   []string
	db      *tsdb.DB
	engine  *promql.Engine
	scraper *scrape.Manager
	ruler   *rules.Manager
	started atomic.Pointer[time.Time]
	close   func() error
}

// NewPrometheus checks the rules and opens the storage. The directory stays
// locked until Run has returned or Close was called.
func NewPrometheus(o PrometheusOptions) (*Prometheus, error) {
	loader := newRuleLoader(o.Rules, o.Logger)
	files, err := loader.check()
	if err != nil {
		return nil, err
	}
	p := &Prometheus{opts: o, files: files}

	p.scraper, p.db, err = openStorage(o)
	if err != nil {
		return nil, err
	}
	p.close = sync.OnceValue(p.db.Close)
	p.engine = promql.NewEngine(promql.EngineOpts{
		Logger:                   o.Logger,
		Reg:                      o.Registerer,
		MaxSamples:               5_000_000,
		Timeout:                  30 * time.Second,
		LookbackDelta:            5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return o.Interval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   loader.parser,
	})
	p.ruler = rules.NewManager(&rules.ManagerOptions{
		ExternalURL: o.ExternalURL,
		Appendable:  p.db,
		Queryable:   p.db,
		QueryFunc:   rules.EngineQueryFunc(p.engine, p.db),
		NotifyFunc:  o.Notify,
		GroupLoader: loader,
		Parser:      loader.parser,
		Logger:      o.Logger,
		Registerer:  o.Registerer,
		// What the prometheus program uses unless told otherwise.
		OutageTolerance: time.Hour,
		ForGracePeriod:  10 * time.Minute,
		ResendDelay:     time.Minute,
	})
	return p, nil
}

func openStorage(o PrometheusOptions) (*scrape.Manager, *tsdb.DB, error) {
	config, err := scrapeConfig(o.Targets, o.Interval, o.Logger)
	if err != nil {
		return nil, nil, err
	}
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = o.Retention.Milliseconds()
	opts.WALCompression = compression.Snappy
	// One machine has some thousand series; defaults made for millions would
	// cost several megabytes for nothing.
	opts.StripeSize = 256
	opts.HeadChunksWriteBufferSize = chunks.MinWriteBufferSize
	db, err := tsdb.Open(o.Dir, o.Logger, o.Registerer, opts, tsdb.NewDBStats())
	if err != nil {
		return nil, nil, fmt.Errorf("open time series in %s: %w", o.Dir, err)
	}
	scraping := &scrape.Options{DiscoveryReloadOnStartup: true}
	if o.Dial != nil {
		scraping.HTTPClientOptions = append(scraping.HTTPClientOptions, promcommon.WithDialContextFunc(o.Dial))
	}
	scraper, err := scrape.NewManager(
		scraping, o.Logger, nil, nil, db, o.Registerer)
	if err == nil {
		err = scraper.ApplyConfig(config)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("configure scraping: %w", err), db.Close())
	}
	return scraper, db, nil
}

// Run scrapes and evaluates until ctx ends, then stops both and closes the
// storage. It may be called once, and not after Close.
func (p *Prometheus) Run(ctx context.Context) error {
	// Update starts the groups' goroutines, which only the manager's Run
	// releases, so the two belong together.
	external := p.opts.ExternalURL.String()
	if err := p.ruler.Update(p.opts.Interval, p.files, labels.EmptyLabels(), external, nil); err != nil {
		return errors.Join(fmt.Errorf("load rules: %w", err), p.Close())
	}
	sets := make(chan map[string][]*targetgroup.Group, 1)
	sets <- targetGroups(p.opts.Targets)

	var running errgroup.Group
	running.Go(func() error { return p.scraper.Run(sets) })
	running.Go(func() error { p.ruler.Run(); return nil })
	now := time.Now()
	p.started.Store(&now)
	<-ctx.Done()
	p.ruler.Stop()
	p.scraper.Stop()
	return errors.Join(running.Wait(), p.Close())
}

// Close releases the storage of a Prometheus that was never run. After Run it
// does nothing.
func (p *Prometheus) Close() error {
	if err := p.close(); err != nil {
		return fmt.Errorf("close time series: %w", err)
	}
	return nil
}

// Ready returns why alerts cannot be trusted to fire yet, or nil.
func (p *Prometheus) Ready() error {
	if p.started.Load() == nil {
		return errors.New("the rules are not evaluated yet")
	}
	for _, g := range p.ruler.RuleGroups() {
		if g.GetLastEvaluation().IsZero() {
			return fmt.Errorf("rule group %s is not evaluated yet", g.Name())
		}
	}
	return nil
}

// Settled reports whether the absence of an alert means something yet: an alert
// that fired before a restart would be pending again at least.
func (p *Prometheus) Settled(now time.Time) bool {
	if p.Ready() != nil {
		return false
	}
	var interval time.Duration
	for _, g := range p.ruler.RuleGroups() {
		interval = max(interval, g.Interval())
	}
	// A group is first evaluated up to one interval after the start, on samples
	// that were scraped up to one interval after it, and recording rules have
	// their effect on others one evaluation later.
	return !now.Before(p.started.Load().Add(3 * interval))
}

// Pending returns the alerts that rules see and that wait out their `for`.
func (p *Prometheus) Pending() []*rules.Alert {
	var all []*rules.Alert
	for _, r := range p.ruler.AlertingRules() {
		for _, a := range r.ActiveAlerts() {
			if a.State == rules.StatePending {
				all = append(all, a)
			}
		}
	}
	return all
}
