package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/checkpoint-exporter/checkpoint_exporter/rules"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// interval is that between two scrapes, and two evaluations: failing over within two minutes of a provider's death leaves no
// room for Prometheus' usual minute.
const interval = 10 * time.Second

func (f *flags) serve(ctx context.Context, stderr io.Writer) error {
	logger, slogger := f.Logger(stderr), f.Slog(stderr)
	dir, err := f.openStorage()
	if err != nil {
		return err
	}
	external, err := f.externalURL()
	if err != nil {
		return err
	}
	level.Info(logger).Log("msg", "starting checkpointd", "version", version.Info(), "storage", dir)
	listeners, err := listen(ctx, append([]string{f.exporter, f.remediator}, *f.Web.WebListenAddresses...))
	if err != nil {
		return err
	}
	if external == nil {
		external = &url.URL{Scheme: "http", Host: listeners[0].Addr().String()}
	}
	loop, err := standalone.NewLoop(standalone.LoopOptions{
		Dir: dir, Config: f.Load, Alerts: f.loadAlerts, Rules: rules.Files,
		Exporter: listeners[0], Remediator: listeners[1], API: listeners[2:], Web: f.Web, ExternalURL: external, TelemetryPath: f.TelemetryPath,
		Interval: interval, Retention: time.Duration(f.retention), Logger: logger, Slog: slogger,
	})
	if err != nil {
		return err
	}
	level.Info(logger).Log("msg", "serving", "page", "http://"+listeners[0].Addr().String(),
		"incidents", fmt.Sprintf("http://%s/api/v1/incidents", listeners[1].Addr()), "alerts", fmt.Sprintf("http://%s/api/v2/alerts", listeners[2].Addr()))
	defer reloadOnHangup(ctx, loop)()
	return loop.Run(ctx)
}

func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", a)
		if err != nil {
			for _, open := range all {
				_ = open.Close() // the failure to listen is what counts
			}
			return nil, err
		}
		all = append(all, ln)
	}
	return all, nil
}

func (f *flags) externalURL() (*url.URL, error) {
	if f.external == "" {
		return nil, nil
	}
	u, err := url.Parse(f.external)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--web.external-url %q is not a URL that begins with http:// or https://", f.external)
	}
	return u, nil
}

// reloadOnHangup reloads at each SIGHUP until the returned function is called.
func reloadOnHangup(ctx context.Context, loop *standalone.Loop) (stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hup:
				_ = loop.Reload() // it logs, and the old configuration stays
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		cancel()
		<-done
	}
}
