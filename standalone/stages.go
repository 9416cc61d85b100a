package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

// stage is a part of the loop that works until its context ends.
type stage struct {
	name string
	run  func(context.Context) error
}

// runStages runs all until ctx ends or one of them does, and then ends them
// from the last to the first, each after the one that relies on it has ended:
// nothing fires an alert that nobody can take any more.
func runStages(ctx context.Context, stages []stage) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stops := make([]func() error, 0, len(stages))
	for _, s := range stages {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan error, 1)
		go func() {
			err := s.run(own)
			if err != nil {
				err = fmt.Errorf("%s: %w", s.name, err)
			} else if own.Err() == nil {
				err = fmt.Errorf("%s ended by itself", s.name)
			}
			end(err)
			done <- err
		}()
		stops = append(stops, func() error { stop(); return <-done })
	}
	<-ctx.Done()
	var all error
	for _, stop := range slices.Backward(stops) {
		all = errors.Join(all, stop())
	}
	return all
}

// shutdownGrace is how long requests in flight may take to finish at the end.
const shutdownGrace = 10 * time.Second

// serving is a stage that serves on a listener: by plain HTTP when flags are nil, and else with the TLS and authentication
// that they ask for.
func serving(name string, h http.Handler, flags *web.FlagConfig, logger *slog.Logger, ln net.Listener) stage {
	return stage{"serve " + name, func(ctx context.Context) error {
		srv := server.NewHTTPServer(h)
		served := make(chan error, 1)
		go func() {
			if flags == nil {
				served <- srv.Serve(ln)
			} else {
				served <- web.Serve(ln, srv, flags, logger)
			}
		}()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err := srv.Shutdown(grace)
		if s := <-served; !errors.Is(s, http.ErrServerClosed) {
			err = errors.Join(err, s)
		}
		return err
	}}
}
