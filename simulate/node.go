package simulate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// NodeOptions are a node's. All may be left out. Durations and speeds are in the clock's time.
type NodeOptions struct {
	// Client is Lighthouse when empty; it cannot be Checkpointz.
	Client Client
	// Version overrides what /eth/v1/node/version says.
	Version string
	// Address of the Beacon API, ExecutionAddress of the JSON-RPC endpoint and MetricsAddress of the client's Prometheus metrics are
	// host:port; free ports of 127.0.0.1 when empty.
	Address          string
	ExecutionAddress string
	MetricsAddress   string
	// WithoutExecution leaves the execution endpoint out.
	WithoutExecution bool
	// Database gives the node a database at its first start, whose head is Behind slots behind the clock.
	Database bool
	Behind   uint64
	// IterationsBehind is how many resets of the network both clients have missed: their network files and databases are of that iteration.
	IterationsBehind uint64
	// Source is asked for the checkpoint URL at each start: FixedSource, YAMLSource or a function. Nil, and an empty URL, mean that
	// none is configured.
	Source func() (string, error)
	// SlotsPerSecond is the speed of the sync; 20 when 0.
	SlotsPerSecond float64
	// BatchSlots arrive at once; 32 when 0.
	BatchSlots uint64
	// Jitter, 0 to 1, varies the time of each batch.
	Jitter float64
	// PauseEvery batches the sync pauses for Pause; never when 0.
	PauseEvery uint64
	Pause      time.Duration
	// BackfillSlotsPerSecond is the speed of the backfill: the client's own when 0, none at all when negative.
	BackfillSlotsPerSecond float64
	// Peers are connected while all is well; 50 when 0.
	Peers int
	// StartupTime passes between a start and the opening of the API.
	StartupTime time.Duration
	// RestartDelay passes before a process that exited is started again, as by systemd's Restart=; never when 0.
	RestartDelay time.Duration
	// BootstrapTimeout bounds, in real time, each request to the provider; the client's own when 0.
	BootstrapTimeout time.Duration
	// Manual leaves the node stopped at Simulation.Start.
	Manual bool
	// Faults are in force from the start.
	Faults []Fault
}

// check refuses what makes no sense and fills in the defaults.
func (o *NodeOptions) check() error {
	if o.Client == "" {
		o.Client = Lighthouse
	}
	if err := o.Client.check(); err != nil {
		return err
	}
	if o.Client == Checkpointz {
		return errors.New("a checkpointz is no node")
	}
	if o.Version == "" {
		o.Version = o.Client.version()
	}
	if o.SlotsPerSecond == 0 {
		o.SlotsPerSecond = 20
	}
	if o.BatchSlots == 0 {
		o.BatchSlots = 32
	}
	if o.Peers == 0 {
		o.Peers = 50
	}
	if o.SlotsPerSecond < 0 || o.Jitter < 0 || o.Jitter > 1 || o.Peers < 0 || o.Pause < 0 || o.StartupTime < 0 || o.RestartDelay < 0 || o.BootstrapTimeout < 0 {
		return errors.New("speeds, durations and peers must not be negative, and jitter not above 1")
	}
	return nil
}

// Node is a simulated node: a consensus client's process and an execution client. It is an http.Handler for the Beacon API.
type Node struct {
	sim     *Simulation
	name    string
	opts    NodeOptions
	http    *http.Client
	api     http.Handler
	end     *endpoint
	exec    *endpoint // nil for a node without one
	metrics *endpoint

	// life is held by the one who starts or stops; door by the one who opens or closes listeners.
	life sync.Mutex
	door sync.Mutex
	proc *process

	mu      sync.Mutex
	faults  faults
	state   State
	changed chan struct{} // closed when the state changes, and replaced
	// files are the clients' network files: what a database is begun with.
	files      network.Chain
	db         *database
	wiped      bool
	lastError  string
	starts     []Start
	crash      chan error // takes why a running process ends by itself
	execUp     bool
	execChain  network.Chain // of the execution client's database
	execWiped  bool
	execHead   uint64
	execSince  time.Time // when the execution client fell behind
	execStarts []time.Time
	logs       clientLog
	execLogs   clientLog
}

// process is the goroutine that stands for the consensus client's process.
type process struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// AddNode makes a node and settles its URLs; Start starts its processes.
func (s *Simulation) AddNode(name string, o NodeOptions) (*Node, error) {
	fail := func(err error) (*Node, error) { return nil, fmt.Errorf("add node %q: %w", name, err) }
	if err := o.check(); err != nil {
		return fail(err)
	}
	n := &Node{
		sim: s, name: name, opts: o, state: StateStopped, changed: make(chan struct{}), crash: make(chan error, 1),
		http: &http.Client{Transport: &http.Transport{
			DialContext: s.opts.Sockets.DialContext, DisableCompression: !o.Client.quirks().gzip, DisableKeepAlives: true,
		}},
	}
	n.api = newAPI(o.Client, n.view)
	for _, f := range o.Faults {
		if err := n.set(f); err != nil {
			return fail(err)
		}
	}
	now := s.opts.Clock()
	n.files = s.opts.Network.ChainAt(now)
	for range o.IterationsBehind {
		n.files = previousChain(s.opts.Network, n.files)
	}
	n.execChain = n.files
	if o.Database {
		l := newLedger(s.opts.Seed, n.files)
		n.db = n.newDatabase(l, 0, now)
		n.db.head = n.db.wall(now) - min(n.db.wall(now), o.Behind)
		n.execHead = n.db.head
	}
	var err error
	if n.end, err = newEndpoint(s.opts.Sockets, o.Address, nil, n); err != nil {
		return fail(err)
	}
	if n.metrics, err = newEndpoint(s.opts.Sockets, o.MetricsAddress, nil, http.HandlerFunc(n.serveMetrics)); err != nil {
		return fail(err)
	}
	if !o.WithoutExecution {
		if n.exec, err = newEndpoint(s.opts.Sockets, o.ExecutionAddress, nil, n.Execution()); err != nil {
			return fail(err)
		}
	}
	if err := s.add(nil, n); err != nil {
		return fail(err)
	}
	return n, nil
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// URL is the base URL of the Beacon API, which stays the same while that is closed.
func (n *Node) URL() string { return n.end.url() }

// MetricsURL is the URL of the client's own Prometheus metrics.
func (n *Node) MetricsURL() string { return n.metrics.url() + "/metrics" }

// ExecutionURL is the URL of the execution JSON-RPC endpoint; empty for a node without one.
func (n *Node) ExecutionURL() string {
	if n.exec == nil {
		return ""
	}
	return n.exec.url()
}

// set checks a fault and adds it, after the time up to now was lived without it.
func (n *Node) set(f Fault) error {
	if err := f.check(nodeKinds); err != nil {
		return err
	}
	now := n.sim.opts.Clock()
	if f.Kind == KindWrongNetwork || f.Kind == KindExecutionWrongNetwork && f.Network != "" {
		if _, err := otherChain(n.sim.opts.Network, f.Network, now); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance(now)
	n.faults = n.faults.with(f)
	if f.Kind == KindExecutionSyncing || f.Kind == KindExecutionHealing {
		n.execSince = now
	}
	if why := n.broken(now); why != nil && n.state == StateRunning {
		select {
		case n.crash <- why:
		default:
		}
	}
	return nil
}

// SetFault adds a fault, or replaces the one of the same kind and path.
func (n *Node) SetFault(f Fault) error {
	if err := n.set(f); err != nil {
		return fmt.Errorf("node %q: %w", n.name, err)
	}
	level.Info(n.sim.logger).Log("msg", "fault set", "node", n.name, "reason", f.Kind)
	return n.settle(context.Background())
}

// ClearFaults removes the faults of some kinds, all when none is named.
func (n *Node) ClearFaults(kinds ...Kind) error {
	n.keep(func(fs faults) faults { return fs.without(kinds...) })
	level.Info(n.sim.logger).Log("msg", "faults cleared", "node", n.name)
	return n.settle(context.Background())
}

// keep replaces the faults, after the time up to now was lived with the old ones.
func (n *Node) keep(change func(faults) faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance(n.sim.opts.Clock())
	n.faults = change(n.faults)
}

// Faults are those in force.
func (n *Node) Faults() []Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone([]Fault(n.faults))
}

// ServeHTTP implements http.Handler with the Beacon API. While that is closed, connections end without an answer.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	fs, open := n.faults, n.apiOpen()
	n.mu.Unlock()
	if !open {
		drop(w)
		return
	}
	fs.upset(w, r, dialect{n.opts.Client}, n.api)
}

// apiOpen tells whether the Beacon API accepts connections; n.mu is held.
func (n *Node) apiOpen() bool { return n.state == StateRunning && !n.faults.has(KindAPIClosed) }

// execOpen tells the same of the execution client; n.mu is held.
func (n *Node) execOpen() bool { return n.execUp && !n.faults.has(KindExecutionDown) }

// settle opens and closes the listeners as state and faults want it.
func (n *Node) settle(ctx context.Context) error {
	n.door.Lock()
	defer n.door.Unlock()
	n.mu.Lock()
	api, running, exec := n.apiOpen(), n.state == StateRunning, n.execOpen()
	n.mu.Unlock()
	var errs []error
	turn := func(e *endpoint, open bool) {
		switch {
		case e == nil:
		case open:
			errs = append(errs, e.open(ctx))
		default:
			e.shut()
		}
	}
	turn(n.end, api)
	turn(n.metrics, running)
	turn(n.exec, exec)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("node %q: %w", n.name, err)
	}
	return nil
}

// note logs what the client would.
func (n *Node) note(msg string, err error) {
	level.Warn(n.sim.logger).Log("msg", msg, "node", n.name, "err", err)
}
