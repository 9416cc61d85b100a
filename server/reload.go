package server

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// Reloader reads the configuration again and hands it on. A file that is wrong changes nothing and is reported.
type Reloader struct {
	load  func() (*config.Config, error)
	apply func(*config.Config) error

	mu         sync.Mutex
	successful prometheus.Gauge
	at         prometheus.Gauge
}

// NewReloader registers the two gauges that tell how the last load went, as successful: the program has started.
func NewReloader(reg prometheus.Registerer, load func() (*config.Config, error), apply func(*config.Config) error) (*Reloader, error) {
	r := &Reloader{
		load: load, apply: apply,
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "checkpoint_config_last_reload_successful", Help: "Whether the last attempt to load the configuration succeeded.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "checkpoint_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last loaded successfully.",
		}),
	}
	for _, c := range []prometheus.Collector{r.successful, r.at} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register reload metrics: %w", err)
		}
	}
	r.succeeded()
	return r, nil
}

func (r *Reloader) succeeded() {
	r.successful.Set(1)
	r.at.SetToCurrentTime()
}

// Reload loads and applies the configuration, or leaves the old one in force and returns why.
func (r *Reloader) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.load()
	if err == nil {
		err = r.apply(c)
	}
	if err != nil {
		r.successful.Set(0)
		return err
	}
	r.succeeded()
	return nil
}
