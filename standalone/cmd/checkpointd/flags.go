package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kingpin/v2"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/server"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// usualStorage is where data is kept by whoever may write there, and spareStorage by everybody else.
const (
	usualStorage = "/var/lib/checkpoint"
	spareStorage = "data"
)

type flags struct {
	*server.Flags
	exporter, remediator string
	external             string
	alerts               string
	storage              string
	retention            model.Duration
	demo, exit           bool
}

func parse(args []string, usage io.Writer) (*flags, error) {
	app := kingpin.New("checkpointd", "Checkpoint sync watched, alerted on and mended by one process: "+
		"checkpoint_exporter, checkpoint_remediator and the engines of Prometheus and Alertmanager.")
	app.UsageWriter(usage)
	f := &flags{Flags: server.AddFlags(app, "127.0.0.1:10176")}
	app.Flag("web.external-url", "URL of the exporter's page as people reach it, for links in notifications. Default: where it listens.").
		StringVar(&f.external)
	app.Flag("exporter.listen-address", "Where the exporter's page, API and metrics are served, as plain HTTP.").
		Default("127.0.0.1:10177").StringVar(&f.exporter)
	app.Flag("remediator.listen-address", "Where the remediator's API, webhook and metrics are served, as plain HTTP.").
		Default("127.0.0.1:10178").StringVar(&f.remediator)
	app.Flag("alertmanager.config-file", "An alertmanager.yml, for your receivers. Without one, alerts go to the remediator and into the log.").
		StringVar(&f.alerts)
	app.Flag("storage.path", fmt.Sprintf("Folder for time series, silences and the journal. Default: %s, or ./%s for a user who may not write there.", usualStorage, spareStorage)).
		StringVar(&f.storage)
	f.retention = model.Duration(15 * 24 * time.Hour)
	app.Flag("storage.retention", "How long time series are kept.").Default(f.retention.String()).SetValue(&f.retention)
	app.Flag("demo", "Show the whole loop on a simulated network; nothing else is touched.").BoolVar(&f.demo)
	app.Flag("demo.exit", "End the demo when its story is complete, with exit code 1 when it could not be.").BoolVar(&f.exit)
	app.Validate(func(*kingpin.Application) error {
		if f.exit && !f.demo {
			return fmt.Errorf("--demo.exit goes with --demo")
		}
		return nil
	})
	if _, err := app.Parse(args); err != nil {
		return nil, fmt.Errorf("%w; see --help", err)
	}
	if *f.Web.WebSystemdSocket {
		return nil, errors.New("--web.systemd-socket: checkpointd has three listeners, and takes none from systemd")
	}
	return f, nil
}

func (f *flags) loadAlerts() (*amconfig.Config, error) {
	return standalone.LoadAlertmanagerConfig(f.alerts)
}

// openStorage returns the absolute path of a folder that can be written to.
func (f *flags) openStorage() (string, error) {
	if f.storage != "" {
		return writable(f.storage)
	}
	return firstWritable(usualStorage, spareStorage)
}

func firstWritable(usual, spare string) (string, error) {
	if dir, err := writable(usual); err == nil {
		return dir, nil
	}
	return writable(spare)
}

func writable(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("storage: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("storage: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return "", fmt.Errorf("storage: %w", err)
	}
	_ = probe.Close() // nothing was written
	if err := os.Remove(probe.Name()); err != nil {
		return "", fmt.Errorf("storage: %w", err)
	}
	return dir, nil
}
