package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	collectorsversion "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"
)

// Service is a program's own part: what it serves and what it does.
type Service struct {
	// Name is the program's, as in its metrics: checkpoint_exporter.
	Name     string
	Registry *prometheus.Registry
	// Routes adds the program's own routes.
	Routes func(*http.ServeMux)
	// Ready returns why the program cannot serve yet, or nil.
	Ready func() error
	// Run does the program's work until ctx ends, and returns only when all of it has ended.
	Run    func(ctx context.Context) error
	Reload *Reloader
	Logger log.Logger
}

// NewRegistry is a registry with the metrics of every program: build, process and Go runtime.
func NewRegistry(name string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectorsversion.NewCollector(name), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// maxScrapes bounds concurrent scrapes, so that a stuck Prometheus cannot fill the program with them.
const maxScrapes = 40

// Handler is everything a service serves over HTTP.
func (s Service) Handler(telemetryPath string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+telemetryPath, promhttp.InstrumentMetricHandler(s.Registry, promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes, ErrorLog: promLog{s.Logger}, Registry: s.Registry,
	})))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%s is healthy\n", s.Name) })
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%s is ready\n", s.Name)
	})
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.reload("http"); err != nil {
			http.Error(w, "configuration not loaded: "+err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "configuration loaded")
	})
	s.Routes(mux)
	// A page in an operator's browser must not be able to reload or feed a program on loopback.
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s Service) reload(by string) error {
	err := s.Reload.Reload()
	if err != nil {
		level.Error(s.Logger).Log("msg", "configuration not loaded; the old one stays in force", "by", by, "err", err)
	} else {
		level.Info(s.Logger).Log("msg", "configuration loaded", "by", by)
	}
	return err
}

// NewHTTPServer has the time and size limits that every listener of ours has.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
}

// shutdownGrace is how long requests in flight may take to finish at the end.
const shutdownGrace = 10 * time.Second

// Serve serves and works until SIGTERM, SIGINT or the end of ctx, reloads on SIGHUP, and returns when everything has ended.
func (s Service) Serve(ctx context.Context, flags *Flags, slogger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	srv := NewHTTPServer(s.Handler(flags.TelemetryPath))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := web.ListenAndServe(srv, flags.Web, slogger); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error {
		for {
			select {
			case <-hup:
				_ = s.reload("signal") // logged, and the old configuration stays
			case <-ctx.Done():
				grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
				defer cancel()
				if err := srv.Shutdown(grace); err != nil {
					return fmt.Errorf("stop serving HTTP: %w", err)
				}
				return nil
			}
		}
	})
	return group.Wait()
}

// promLog gives promhttp's complaints a line of their own.
type promLog struct{ logger log.Logger }

func (p promLog) Println(v ...any) {
	level.Error(p.logger).Log("msg", "serve metrics", "err", fmt.Sprint(v...))
}
