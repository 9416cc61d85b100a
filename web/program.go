package web

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// Exporter is an exporter that shows what it sees on a page.
type Exporter struct {
	*collector.Exporter
	Page *Page
}

// Routes adds those of both.
func (e Exporter) Routes(mux *http.ServeMux) {
	e.Exporter.Routes(mux)
	e.Page.Routes(mux)
}

// Run runs both until ctx ends, and returns when both have ended.
func (e Exporter) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.Exporter.Run(ctx) })
	group.Go(func() error { return e.Page.Run(ctx) })
	return group.Wait()
}

// Reload puts a configuration in force for both, or for neither.
func (e Exporter) Reload(cfg *config.Config) error {
	if err := e.Exporter.Reload(cfg); err != nil {
		return err
	}
	e.Page.Reload(cfg)
	return nil
}
