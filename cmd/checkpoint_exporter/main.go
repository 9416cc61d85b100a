// checkpoint_exporter watches checkpoint providers and Ethereum nodes and serves what it sees to Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

const name = "checkpoint_exporter"

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, server.ErrChecked) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	app := kingpin.New(name, "Watches Ethereum checkpoint sync: probes checkpoint providers, follows nodes, and serves what it sees to Prometheus.")
	app.UsageWriter(stdout)
	flags := server.AddFlags(app, "127.0.0.1:10177")
	allowAny := app.Flag("probe.allow-any", "Let /probe ask any URL, and not only the configured ones: whoever reaches the port can then make the exporter ask any host.").Bool()
	if _, err := app.Parse(args); err != nil {
		return fmt.Errorf("%w; see --help", err)
	}
	cfg, err := flags.Load()
	if err != nil {
		return err
	}
	if err := flags.Check(cfg, stdout); err != nil {
		return err
	}
	logger := flags.Logger(stderr)
	level.Info(logger).Log("msg", "starting "+name, "version", version.Info(), "network", cfg.Network.Name,
		"providers", len(cfg.Providers), "nodes", len(cfg.Nodes))

	e, err := collector.New(cfg, logger, collector.Options{
		AllowAny: *allowAny, Version: version.Version, TelemetryPath: flags.TelemetryPath,
	})
	if err != nil {
		return err
	}
	reg := server.NewRegistry(name)
	if err := e.Register(reg); err != nil {
		return err
	}
	reload, err := server.NewReloader(reg, flags.Load, e.Reload)
	if err != nil {
		return err
	}
	return server.Service{
		Name: name, Registry: reg, Routes: e.Routes, Ready: e.Ready, Run: e.Run, Reload: reload, Logger: logger,
	}.Serve(ctx, flags, flags.Slog(stderr))
}
