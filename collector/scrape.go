package collector

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// subject is one subject's metrics.
type subject interface {
	describe(chan<- *prometheus.Desc)
	collect(*view, chan<- prometheus.Metric)
}

// scrape turns one view into the metrics of several subjects, so that they agree with each other.
type scrape struct {
	look     func() *view
	subjects []subject
}

func newScrape(look func() *view, subjects ...subject) *scrape { return &scrape{look, subjects} }

// Describe implements prometheus.Collector.
func (s *scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, sub := range s.subjects {
		sub.describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *scrape) Collect(ch chan<- prometheus.Metric) {
	v := s.look()
	for _, sub := range s.subjects {
		sub.collect(v, ch)
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("checkpoint_"+name, help, labels, nil)
}

// emit sends metrics that share their first label values.
type emit struct {
	ch     chan<- prometheus.Metric
	labels []string
}

func (e emit) value(kind prometheus.ValueType, d *prometheus.Desc, v float64, more ...string) {
	labels := append(e.labels[:len(e.labels):len(e.labels)], more...)
	for i := range more {
		// A version is foreign text, and a label that is not UTF-8 would be a panic.
		labels[len(e.labels)+i] = strings.ToValidUTF8(more[i], "\uFFFD")
	}
	e.ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
}

func (e emit) gauge(d *prometheus.Desc, v float64, more ...string) {
	e.value(prometheus.GaugeValue, d, v, more...)
}

// truth is 1 or 0, and nothing while unknown.
func (e emit) truth(d *prometheus.Desc, b *bool) {
	if b != nil {
		e.gauge(d, bit(*b))
	}
}

// count is a whole number, and nothing while unknown.
func (e emit) count(d *prometheus.Desc, n *uint64, more ...string) {
	if n != nil {
		e.gauge(d, float64(*n), more...)
	}
}

// moment is a time in seconds since the Unix epoch, and nothing when it never was.
func (e emit) moment(d *prometheus.Desc, t time.Time) {
	if !t.IsZero() {
		e.gauge(d, float64(t.UnixMilli())/1000)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
