package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// App is what a program does besides its manners.
type App interface {
	// Routes adds the program's own routes.
	Routes(*http.ServeMux)
	// Ready returns why the program cannot serve yet, or nil.
	Ready() error
	// Run works until ctx ends, and returns only when all of it has ended.
	Run(ctx context.Context) error
	// Reload puts another configuration in force, or changes nothing and returns why.
	Reload(*config.Config) error
}

// Program is one of our programs.
type Program struct {
	// Name is that of the program and of its metrics, Help is its one sentence, Address where it listens by default.
	Name, Help, Address string
	// Flags adds flags of the program's own; nil for none.
	Flags func(*kingpin.Application)
	// Check looks at what the configuration names and this program needs, such as files; nil for nothing.
	Check func(*config.Config) error
	// New makes the program's App. Its metrics go to the registry.
	New func(*config.Config, log.Logger, *prometheus.Registry, *Flags) (App, error)
}

// Main runs the program on the command line's arguments and exits: 1 after a line on standard error, if it failed.
func (p Program) Main() {
	if err := p.run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, ErrChecked) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

func (p Program) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	app := kingpin.New(p.Name, p.Help)
	app.UsageWriter(stdout)
	flags := AddFlags(app, p.Address)
	if p.Flags != nil {
		p.Flags(app)
	}
	if _, err := app.Parse(args); err != nil {
		return fmt.Errorf("%w; see --help", err)
	}
	cfg, err := flags.Load()
	if err != nil {
		return err
	}
	if err := web.Validate(*flags.Web.WebConfigFile); err != nil {
		return fmt.Errorf("web configuration %s: %w", *flags.Web.WebConfigFile, err)
	}
	if p.Check != nil {
		if err := p.Check(cfg); err != nil {
			return err
		}
	}
	if err := flags.Check(cfg, stdout); err != nil {
		return err
	}
	logger := flags.Logger(stderr)
	level.Info(logger).Log("msg", "starting "+p.Name, "version", version.Info(), "network", cfg.Network.Name,
		"providers", len(cfg.Providers), "nodes", len(cfg.Nodes))

	reg := NewRegistry(p.Name)
	a, err := p.New(cfg, logger, reg, flags)
	if err != nil {
		return err
	}
	reload, err := NewReloader(reg, flags.Load, a.Reload)
	if err != nil {
		return err
	}
	return Service{
		Name: p.Name, Registry: reg, Routes: a.Routes, Ready: a.Ready, Run: a.Run, Reload: reload, Logger: logger,
	}.Serve(ctx, flags, flags.Slog(stderr))
}
