package remediate

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the remediator's own. Counters count what this process did; what is true now is read from the state.
type metrics struct {
	actions  *prometheus.CounterVec
	duration prometheus.Histogram
	refusals *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "checkpoint_remediation_actions_total", Help: "Actions taken on a node, by how they ended.",
		}, []string{"node", "playbook", "action", "outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "checkpoint_remediation_action_duration_seconds", Help: "How long the effect of an action took, in seconds.",
			Buckets: []float64{0.1, 0.5, 1, 5, 15, 30, 60, 120, 300}, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
			NativeHistogramMinResetDuration: time.Hour,
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "checkpoint_remediation_refusals_total", Help: "Decisions not to act on a node, by the guard that spoke against it.",
		}, []string{"node", "guard"}),
	}
	for _, c := range []prometheus.Collector{m.actions, m.duration, m.refusals} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) acted(in Intent, out Outcome) {
	if out.Result == resultRefused {
		return // nothing was done; the guard counts it
	}
	m.actions.WithLabelValues(in.Node, in.Playbook, in.Action, out.Result).Inc()
	if out.Seconds > 0 {
		m.duration.Observe(out.Seconds)
	}
}

func (m *metrics) refused(node string, answers []Answer) {
	for _, a := range answers {
		m.refusals.WithLabelValues(node, a.Guard).Inc()
	}
}

var (
	descInProgress = prometheus.NewDesc("checkpoint_remediation_in_progress", "Whether a node is under remediation: an action or its check is under way.", []string{"node"}, nil)
	descExhausted  = prometheus.NewDesc("checkpoint_remediation_exhausted", "Whether a playbook has nothing left to try on a node and people are needed.", []string{"node", "playbook"}, nil)
	descJournal    = prometheus.NewDesc("checkpoint_remediation_journal_bytes", "Size of the journal, in bytes.", nil, nil)
	descSource     = prometheus.NewDesc("checkpoint_node_source_info", "The checkpoint source that a node's configuration points at now; provider is empty when it is none of the configured ones.", []string{"node", "provider", "url"}, nil)
)

// Describe implements prometheus.Collector.
func (e *Engine) Describe(ch chan<- *prometheus.Desc) {
	ch <- descInProgress
	ch <- descExhausted
	ch <- descJournal
	ch <- descSource
}

// Collect implements prometheus.Collector.
func (e *Engine) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	gauge(descJournal, float64(e.journal.Size()))
	busy := e.state.busy(nil)
	for _, n := range e.cfg.Nodes {
		gauge(descInProgress, boolean(busy[n.Name]), n.Name)
		for playbook := range e.cfg.Remediation.Playbooks {
			_, is := e.state.exhausted[exhaustedKey{n.Name, playbook}]
			gauge(descExhausted, boolean(is), n.Name, playbook)
		}
	}
	for node, s := range e.sources.snapshot() {
		gauge(descSource, 1, node, s.provider, s.url)
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sources remember what each node's configuration points at. They are read in the background, so that a scrape never waits
// for a file system.
type sources struct {
	mu  sync.Mutex
	now map[string]sourceNow
}

type sourceNow struct{ provider, url string }

// readSourcesEvery is also how long an edit by hand may go unseen.
const readSourcesEvery = 10 * time.Second

func (s *sources) snapshot() map[string]sourceNow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// readSources looks at every configured source. One that cannot be read is absent, never the last known.
func (e *Engine) readSources(ctx context.Context) {
	e.mu.Lock()
	c := e.cfg
	e.mu.Unlock()
	now := map[string]sourceNow{}
	for _, n := range c.Nodes {
		if n.Source == nil {
			continue
		}
		url, err := e.readSource(ctx, c, n.Name)
		if err != nil {
			e.sourceProblem(n.Name, err.Error())
			continue
		}
		e.sourceProblem(n.Name, "")
		p, _ := c.ProviderOf(url)
		now[n.Name] = sourceNow{provider: p.Name, url: shownURL(url)}
	}
	e.sources.mu.Lock()
	e.sources.now = now
	e.sources.mu.Unlock()
}
