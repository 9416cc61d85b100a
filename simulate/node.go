package simulate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// NodeOptions are a node's. All may be left out. Durations and speeds are in the clock's time.
type NodeOptions struct {
	// Client is Lighthouse when empty; it cannot be Checkpointz.
	Client Client
	// Version overrides what /eth/v1/node/version says.
	Version string
	// Address of the Beacon API and ExecutionAddress of the JSON-RPC endpoint are host:port; free ports of 127.0.0.1 when empty.
	Address          string
	ExecutionAddress string
	// WithoutExecution leaves the execution endpoint out.
	WithoutExecution bool
	// Database gives the node a database at its first start, whose head is Behind slots behind the clock.
	Database bool
	Behind   uint64
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

// State is what a node's process does.
type State string

// The states of a process.
const (
	// StateStopped was never started, or was stopped.
	StateStopped State = "stopped"
	// StateBootstrapping runs with its API closed: it starts up, or asks its provider.
	StateBootstrapping State = "bootstrapping"
	// StateRunning has its API open.
	StateRunning State = "running"
	// StateExited ended by itself, because it could not bootstrap.
	StateExited State = "exited"
)

// Start is one start of a node's process.
type Start struct {
	At time.Time `json:"at"`
	// Source is the checkpoint URL it was started with.
	Source string `json:"source"`
	// Database tells whether it found one, and so ignored the URL.
	Database bool `json:"database"`
}

// NodeStatus is what a node knows about itself, whatever its API says.
type NodeStatus struct {
	State     State  `json:"state"`
	Chain     string `json:"chain"`
	Head      uint64 `json:"head_slot"`
	Distance  uint64 `json:"distance_slots"`
	Finalized uint64 `json:"finalized_epoch"`
	// Anchor is the slot that the node synced from; 0 for the genesis.
	Anchor uint64 `json:"anchor_slot"`
	// OldestBlock is how far the backfill has come down; 0 when it is complete.
	OldestBlock uint64 `json:"oldest_block_slot"`
	Synced      bool   `json:"synced"`
	Peers       int    `json:"peers"`
	Database    bool   `json:"database"`
	// LastError is why the process last exited, in the client's manner.
	LastError string  `json:"last_error,omitempty"`
	Starts    []Start `json:"starts"`
	// ExecutionStarts are the times at which the execution client was started.
	ExecutionStarts []time.Time `json:"execution_starts"`
}

// Node is a simulated node: a consensus client's process and an execution client. It is an http.Handler for the Beacon API.
type Node struct {
	sim  *Simulation
	name string
	opts NodeOptions
	end  *endpoint
	exec *endpoint

	mu     sync.Mutex
	faults faults
}

// AddNode makes a node and settles its URLs; Start starts its processes.
func (s *Simulation) AddNode(name string, o NodeOptions) (*Node, error) {
	return nil, errors.New("node is not assembled")
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// URL is the base URL of the Beacon API, which stays the same while that is closed.
func (n *Node) URL() string { return n.end.url() }

// ExecutionURL is the URL of the execution JSON-RPC endpoint; empty for a node without one.
func (n *Node) ExecutionURL() string { return n.exec.url() }

// Start starts the execution client and the consensus client; nothing happens to one that runs. It does not wait for a
// bootstrap: WaitReady does.
func (n *Node) Start(ctx context.Context) error { return ctx.Err() }

// Stop ends the consensus client's process.
func (n *Node) Stop() {}

// Restart stops and starts the consensus client: it keeps its database, reads its source again, and is cured of what a restart
// cures.
func (n *Node) Restart(ctx context.Context) error { return n.Start(ctx) }

// Wipe deletes the database. A running process goes on until its next start, which then needs a provider.
func (n *Node) Wipe() {}

// StopExecution ends the execution client's process.
func (n *Node) StopExecution() {}

// RestartExecution stops and starts the execution client.
func (n *Node) RestartExecution(ctx context.Context) error { return ctx.Err() }

// WaitReady waits until the API is open. It fails when the process has exited for good or ctx ends.
func (n *Node) WaitReady(ctx context.Context) error { return ctx.Err() }

// Close ends both processes and waits for them.
func (n *Node) Close() {}

// SetFault adds a fault, or replaces the one of the same kind and path.
func (n *Node) SetFault(f Fault) error { return fmt.Errorf("node %q: %w", n.name, f.check(nodeKinds)) }

// ClearFaults removes the faults of some kinds, all when none is named.
func (n *Node) ClearFaults(kinds ...Kind) error { return nil }

// Faults are those in force.
func (n *Node) Faults() []Fault { return nil }

// Status tells the truth about the node.
func (n *Node) Status() NodeStatus { return NodeStatus{} }

// Restarts are the times of every start of the consensus client after the first.
func (n *Node) Restarts() []time.Time { return nil }

// ServeHTTP implements http.Handler with the Beacon API.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Execution is the handler of the execution JSON-RPC endpoint.
func (n *Node) Execution() http.Handler { return http.NotFoundHandler() }
