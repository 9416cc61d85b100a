// Package remediate turns alerts into actions: it keeps what Alertmanager tells in a journal, decides by guards, acts, looks
// whether it helped, and goes on, undoes or calls people.
package remediate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"
	"golang.org/x/sync/errgroup"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/silence"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Options are a Remediator's. The zero value is fit for use.
type Options struct {
	// Beacon is how nodes and providers are reached, and its Dial also how Alertmanagers are. UserAgent and Timeout are set by the
	// Remediator.
	Beacon beacon.Options
	// Hands are what it acts with; nil means this machine's.
	Hands Hands
}

// Remediator is the whole of it: receiver, journal and engine.
type Remediator struct {
	engine  *Engine
	journal *journal.Journal
	hook    *receiver.Receiver
	catchUp *catchUp
	leases  *silence.Leases
	logger  log.Logger
	beacon  beacon.Options

	mu    sync.Mutex
	cfg   *config.Config
	ready bool
}

// Check looks at the files that a configuration names and that have to be there at the start.
func Check(c *config.Config) error {
	if file := c.Remediation.Webhook.BearerTokenFile; file != "" {
		f, err := os.Open(file)
		if err != nil {
			return tokenProblem(c, err)
		}
		return f.Close()
	}
	return nil
}

func tokenProblem(c *config.Config, err error) error {
	return c.Problem(err.Error(), "make it a file that this user may read, with the token in its first line", "remediation", "webhook", "bearer_token_file")
}

// New opens the journal and replays it. Metrics go to reg. The caller calls Run, and Close when Run is not reached.
func New(c *config.Config, logger log.Logger, reg prometheus.Registerer, o Options) (*Remediator, error) {
	path := c.Remediation.Journal
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, c.Problem(err.Error(), "name a folder that this user may write to", "remediation", "journal")
	}
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	r, err := assemble(c, j, logger, reg, o)
	if err != nil {
		j.Close()
		return nil, err
	}
	return r, nil
}

func assemble(c *config.Config, j *journal.Journal, logger log.Logger, reg prometheus.Registerer, o Options) (*Remediator, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	eyes, err := NewEyes(c, o.Beacon)
	if err != nil {
		return nil, err
	}
	if o.Hands == nil {
		o.Hands = Machine{Backups: filepath.Join(filepath.Dir(j.Path()), "backups")}
	}
	leases := silence.New(silence.Options{Config: leasesOf(c), Transport: transport(o.Beacon.Dial), Logger: logger})
	e, err := NewEngine(c, j, o.Hands, eyes, leases, m, logger)
	if err != nil {
		return nil, err
	}
	if err := reg.Register(e); err != nil {
		return nil, err
	}
	hook, err := receiver.New(receiver.Options{
		BearerTokenFile: c.Remediation.Webhook.BearerTokenFile, Keep: e.Keep, Registerer: reg, Logger: logger,
	})
	if err != nil {
		return nil, tokenProblem(c, err)
	}
	r := &Remediator{engine: e, journal: j, hook: hook, catchUp: newCatchUp(e, transport(o.Beacon.Dial)), leases: leases, logger: logger, beacon: o.Beacon, cfg: c}
	torn := j.Torn()
	if torn.Bytes > 0 {
		level.Warn(logger).Log("msg", "cut an unfinished line from the journal's end", "journal", j.Path(), "bytes", torn.Bytes)
	}
	return r, e.write(kindStarted, Started{Version: version.Version, Mode: c.Remediation.Mode, TornBytes: torn.Bytes})
}

func leasesOf(c *config.Config) silence.Config {
	return silence.Config{Alertmanagers: c.Remediation.Alertmanagers, For: c.Remediation.Guards.Silence.Std()}
}

// transport reaches Alertmanagers; nil for the usual way.
func transport(dial func(ctx context.Context, network, address string) (net.Conn, error)) http.RoundTripper {
	if dial == nil {
		return nil
	}
	return &http.Transport{DialContext: dial}
}

// Routes adds the receiver, the incidents and the acknowledgement of calls for people to mux.
func (r *Remediator) Routes(mux *http.ServeMux) {
	mux.Handle("POST /api/v1/alerts", r.hook)
	mux.HandleFunc("GET /api/v1/incidents", r.serveIncidents)
	mux.Handle("POST /api/v1/ack", r.hook.Authorize(http.HandlerFunc(r.serveAck)))
}

// Run works until ctx ends, finishes what is in flight, and closes the journal.
func (r *Remediator) Run(ctx context.Context) error {
	defer r.Close()
	r.mu.Lock()
	r.ready = true
	level.Info(r.logger).Log("msg", "remediator works", "mode", r.cfg.Remediation.Mode, "journal", r.journal.Path(), "nodes", len(r.cfg.Nodes))
	r.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.engine.Run(ctx) })
	group.Go(func() error { r.catchUp.run(ctx); return nil })
	group.Go(func() error { r.leases.Run(ctx); return nil })
	group.Go(func() error {
		t := time.NewTicker(readSourcesEvery)
		defer t.Stop()
		for {
			r.engine.readSources(ctx)
			select {
			case <-t.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

// Close lets go of the journal. It may be called more than once.
func (r *Remediator) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = false
	if err := r.journal.Close(); err != nil && !errors.Is(err, journal.ErrClosed) {
		return err
	}
	return nil
}

// Ready returns why alerts cannot be taken, or nil.
func (r *Remediator) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ready {
		return errors.New("the journal is not open")
	}
	return nil
}

// Reload puts another configuration in force. The names of the journal and of the token's file cannot change while the program runs.
func (r *Remediator) Reload(c *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Remediation.Journal != r.cfg.Remediation.Journal {
		return c.Problem("the journal cannot move while the program runs", "restart the program", "remediation", "journal")
	}
	if c.Remediation.Webhook != r.cfg.Remediation.Webhook {
		return c.Problem("the name of the token's file cannot change while the program runs", "restart the program; a new token in the same file counts at once",
			"remediation", "webhook", "bearer_token_file")
	}
	eyes, err := NewEyes(c, r.beacon)
	if err != nil {
		return err
	}
	r.cfg = c
	r.leases.Configure(leasesOf(c))
	r.engine.Reload(c, eyes)
	return nil
}

// View is what the engine knows.
func (r *Remediator) View() StateView { return r.engine.View() }

// Machine are the real hands: this machine's systemd, processes and files.
type Machine struct {
	// Backups is the folder for files as they were before their first change.
	Backups string
}

// Actuator is the way to restart a client.
func (m Machine) Actuator(r config.Restart) (actuator.Actuator, error) {
	switch {
	case r.Systemd != "":
		return actuator.NewSystemd(r.Systemd, actuator.SystemdOptions{})
	case r.Docker != "":
		return actuator.NewDocker(r.Docker, actuator.DockerOptions{})
	case r.DockerCompose != nil:
		d := r.DockerCompose
		return actuator.NewCompose(d.Dir, d.Service, d.Command, actuator.DockerOptions{})
	}
	return actuator.NewCommand(r.Command, 0)
}

// Source is the place of a node's checkpoint URL.
func (m Machine) Source(n config.Node) (source.Source, error) {
	opts := source.Options{Backups: m.Backups}
	switch {
	case n.Source.Env != nil:
		return source.NewEnv(source.Env{File: n.Source.Env.File, Key: n.Source.Env.Key}, opts)
	case n.Source.Systemd != nil:
		return source.NewSystemd(source.Systemd{Unit: n.Source.Systemd.Unit, Environment: n.Source.Systemd.Environment, Client: n.Consensus.Client}, opts)
	case n.Source.Docker != nil:
		return source.NewDocker(source.Docker{Container: n.Source.Docker.Container, Environment: n.Source.Docker.Environment, Client: n.Consensus.Client}, opts)
	}
	y := n.Source.YAML
	return source.NewYAML(source.YAML{File: y.File, Key: y.Key, Host: y.Host, Path: y.Path}, n.Name, opts)
}

// ChainData plans how a client's database is set aside.
func (m Machine) ChainData(o chaindata.Options) (chaindata.Move, error) { return chaindata.Plan(o) }

// NetworkFiles brings the files of a chain's iteration beside the present ones.
func (m Machine) NetworkFiles(ctx context.Context, r config.Reset, chain network.Chain) (*netfiles.Staged, error) {
	return netfiles.Fetch(ctx, netfiles.Options{URL: r.URL, Chain: chain, Dir: r.Dir})
}
