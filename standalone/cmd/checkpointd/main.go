// checkpointd is the whole loop in one process: the exporter, the remediator, and the engines of Prometheus and Alertmanager.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/server"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, server.ErrChecked) {
		fmt.Fprintln(os.Stderr, "checkpointd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == demo.RestartCommand {
		return demo.Restart(ctx, args[1:])
	}
	f, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if f.demo {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		return demo.Run(ctx, demo.Options{
			Out: stdout, Exit: f.exit, Restart: []string{self, demo.RestartCommand},
			Loggers: func(w io.Writer) (log.Logger, *slog.Logger) { return f.Logger(w), f.Slog(w) },
		})
	}
	c, err := f.Load()
	if err != nil {
		return err
	}
	if _, err := f.loadAlerts(); err != nil {
		return err
	}
	if err := f.Check(c, stdout); err != nil {
		return err
	}
	return f.serve(ctx, stderr)
}
