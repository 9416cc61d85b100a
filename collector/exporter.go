// Package collector watches the configured providers and nodes in the background and tells what it saw: as Prometheus metrics and
// as JSON, and to the status page. What is served was seen before: a scrape asks nobody, but for /probe, which is there to ask.
package collector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// Options are an Exporter's. The zero value is fit for use.
type Options struct {
	// Clock is the clock by which the chain's slots are counted and what is seen is dated; nil means time.Now. Intervals and
	// ages are real time, whatever it says.
	Clock func() time.Time
	// AllowAny lets /probe ask any URL, and not only the configured ones.
	AllowAny bool
	// Version is the program's, told to those who are asked.
	Version string
	// Beacon is how providers and nodes are reached; the Exporter sets UserAgent and Timeout, and Resolver is for providers alone.
	Beacon beacon.Options

	newProber func(config.Provider, provider.ProberOptions) (prober, error)
	newLooker func(config.Node, time.Duration) (looker, error)
}

// Exporter watches. Make it with New, Register its metrics, serve its Routes, and Run it.
type Exporter struct {
	opts   Options
	logger log.Logger

	// state is replaced as a whole by Reload; what the loops see is behind the targets in it.
	state  atomic.Pointer[state]
	judged atomic.Pointer[judged]
	ready  atomic.Bool
	probes *onDemand

	// judging orders judgements, so that a later one is never overwritten by an earlier.
	judging sync.Mutex

	// mu guards what starts and ends loops.
	mu      sync.Mutex
	running context.Context
	over    bool
	loops   sync.WaitGroup
}

// state is a configuration and the targets that follow from it. It is not changed once published.
type state struct {
	config    *config.Config
	network   network.Network
	options   provider.Options
	providers []*providerTarget
	nodes     []*nodeTarget
}

// New makes an Exporter for a configuration. It fails on a URL that cannot be used, and asks nobody yet.
func New(cfg *config.Config, logger log.Logger, o Options) (*Exporter, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.Beacon.UserAgent = beacon.UserAgent(o.Version)
	if o.newProber == nil {
		o.newProber = o.realProber
	}
	if o.newLooker == nil {
		o.newLooker = o.realLooker
	}
	e := &Exporter{opts: o, logger: logger, probes: newOnDemand()}
	s, err := e.build(cfg, nil)
	if err != nil {
		return nil, err
	}
	e.state.Store(s)
	return e, nil
}

// Register registers the metrics of everything watched. The series follow the configuration, also after a reload.
func (e *Exporter) Register(reg prometheus.Registerer) error {
	err := reg.Register(newScrape(e.look, newProviderMetrics(), newNodeMetrics(), newExecutionMetrics(), newNetworkMetrics()))
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// Routes adds /probe and the API.
func (e *Exporter) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /probe", e.serveProbe)
	mux.HandleFunc("GET /api/v1/providers", e.serveProviders)
	mux.HandleFunc("GET /api/v1/nodes", e.serveNodes)
}

// Run watches until ctx ends, and returns when every loop has ended.
func (e *Exporter) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running != nil {
		e.mu.Unlock()
		return errors.New("the exporter runs already")
	}
	e.running = ctx
	for _, t := range e.state.Load().targets() {
		e.start(t)
	}
	e.mu.Unlock()

	<-ctx.Done()
	e.mu.Lock()
	e.over = true // no reload starts loops from here on
	e.mu.Unlock()
	e.loops.Wait()
	return nil
}

// Reload puts a configuration in force. Providers and nodes whose own part is unchanged keep their history, others begin anew, and
// the series of those that are gone vanish. On an error the old configuration stays in force.
func (e *Exporter) Reload(cfg *config.Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.state.Load()
	s, err := e.build(cfg, old)
	if err != nil {
		return err
	}
	kept := map[target]bool{}
	for _, t := range s.targets() {
		kept[t] = true
	}
	known := map[target]bool{}
	for _, t := range old.targets() {
		known[t] = true
	}
	e.state.Store(s)
	e.probes.forget()
	e.judge()
	for _, t := range old.targets() {
		if !kept[t] {
			t.own().stop()
		}
	}
	for _, t := range s.targets() {
		if known[t] {
			t.own().poke()
		} else if e.running != nil && !e.over {
			e.start(t)
		}
	}
	return nil
}

// build makes the state of a configuration, with those targets of the old state that stay as they are.
func (e *Exporter) build(cfg *config.Config, old *state) (*state, error) {
	s := &state{
		config: cfg, network: cfg.NetworkSpec(),
		// 0 would mean the default there, and is as strict as 1: no finalized checkpoint is younger than two epochs.
		options: provider.Options{MaxLagEpochs: max(1, cfg.Probe.MaxLagEpochs), Quorum: cfg.Quorum},
	}
	for _, c := range cfg.Providers {
		t, err := e.providerTarget(c, cfg.Probe, old)
		if err != nil {
			return nil, err
		}
		s.providers = append(s.providers, t)
	}
	for _, c := range cfg.Nodes {
		t, err := e.nodeTarget(c, cfg.Probe, old)
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, t)
	}
	return s, nil
}

func (s *state) targets() []target {
	if s == nil {
		return nil
	}
	var all []target
	for _, t := range s.providers {
		all = append(all, t)
	}
	for _, t := range s.nodes {
		all = append(all, t)
	}
	return all
}

// Ready returns nil once every provider and node that was configured at the start has answered or failed to, and names those
// that have not before. A target that is added later makes no difference.
func (e *Exporter) Ready() error {
	if e.ready.Load() {
		return nil
	}
	var pending []string
	s := e.state.Load()
	for _, t := range s.providers {
		if t.sight.Load() == nil {
			pending = append(pending, "provider "+t.config.Name)
		}
	}
	for _, t := range s.nodes {
		if t.sight.Load() == nil {
			pending = append(pending, "node "+t.config.Name)
		}
	}
	if len(pending) > 0 {
		return errors.New("not asked yet: " + strings.Join(pending, ", "))
	}
	e.ready.Store(true)
	return nil
}
