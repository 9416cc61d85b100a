// Package demo runs the whole loop on a simulated network and tells what happens. Everything but the network is real, and what
// is told is asked of the running programs over HTTP: nothing is told because it should have happened.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/go-kit/log"
	amconfig "github.com/prometheus/alertmanager/config"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/rules"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// Options are a demo's. Out, Restart and Loggers are needed.
type Options struct {
	Out io.Writer // gets the story
	// Restart is the command that becomes Restart: an absolute path and arguments.
	Restart []string
	// Loggers make what writes the programs' log, which would drown the story, into a file.
	Loggers func(io.Writer) (log.Logger, *slog.Logger)
	// Exit ends the demo when the story is complete, or with an error at the deadline. Without it the demo lasts until its context ends.
	Exit     bool
	Deadline time.Duration // for the story; 4 minutes when 0
}

// interval is that between two scrapes, and two evaluations of the rules.
const interval = 2 * time.Second

// Run runs the demo until ctx ends, and leaves nothing behind.
func Run(ctx context.Context, o Options) (err error) {
	if o.Deadline == 0 {
		o.Deadline = 4 * time.Minute
	}
	dir, err := os.MkdirTemp("", "checkpoint-demo-")
	if err != nil {
		return fmt.Errorf("folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	logFile, err := os.Create(filepath.Join(dir, "checkpointd.log"))
	if err != nil {
		return fmt.Errorf("log of the demo: %w", err)
	}
	defer logFile.Close()
	logger, slogger := o.Loggers(logFile)

	s, err := newScene(ctx, dir, o.Restart, logger)
	if err != nil {
		return fmt.Errorf("simulated network: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	place, loop, err := build(ctx, dir, s, logger, slogger)
	if err != nil {
		return err
	}
	place.log = logFile.Name()
	defer place.client.CloseIdleConnections()
	return play(ctx, o, s, place, loop)
}

// place is where everything is to be found.
type place struct {
	dir, log, exporter, remediator, api string
	client                              *http.Client
}

func build(ctx context.Context, dir string, s *scene, logger log.Logger, slogger *slog.Logger) (place, *standalone.Loop, error) {
	listeners := make([]net.Listener, 3)
	for i := range listeners {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			for _, open := range listeners[:i] {
				_ = open.Close() // the failure to listen is what counts
			}
			return place{}, nil, fmt.Errorf("listen: %w", err)
		}
		listeners[i] = ln
	}
	address := func(i int) string { return "http://" + listeners[i].Addr().String() }
	p := place{
		dir: dir, exporter: address(0), remediator: address(1), api: address(2),
		client: &http.Client{Timeout: askTimeout, Transport: &http.Transport{}},
	}
	external, err := url.Parse(p.exporter)
	if err != nil {
		return place{}, nil, err
	}
	loop, err := standalone.NewLoop(standalone.LoopOptions{
		Dir:    filepath.Join(dir, "data"),
		Config: func() (*config.Config, error) { return config.Load(s.config) },
		Alerts: func() (*amconfig.Config, error) { return standalone.LoadAlertmanagerConfig("") },
		Rules:  rules.Files, Exporter: listeners[0], Remediator: listeners[1], API: listeners[2:], ExternalURL: external,
		Interval: interval, Retention: 24 * time.Hour, Logger: logger, Slog: slogger,
	})
	return p, loop, err
}

// play runs the loop and tells the story beside it.
func play(ctx context.Context, o Options, s *scene, p place, loop *standalone.Loop) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	ran := make(chan error, 1)
	go func() {
		ran <- loop.Run(ctx)
		end()
	}()
	told := newStory(o.Out, s, p).tell(ctx, o)
	end()
	return errors.Join(told, <-ran)
}
