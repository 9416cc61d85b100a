package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-kit/log/level"
)

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

// Start starts the execution client and the consensus client; nothing happens to one that runs. It does not wait for a
// bootstrap: WaitReady does.
func (n *Node) Start(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	if err := n.startExecution(ctx); err != nil {
		return err
	}
	return n.start(ctx)
}

// StartConsensus starts the consensus client alone.
func (n *Node) StartConsensus(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	return n.start(ctx)
}

// StartExecution starts the execution client alone. One without a database begins at the genesis of its network files.
func (n *Node) StartExecution(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	return n.startExecution(ctx)
}

func (n *Node) startExecution(ctx context.Context) error {
	now := n.sim.opts.Clock()
	n.mu.Lock()
	n.advance(now)
	if !n.execUp {
		n.execUp = true
		if n.execWiped {
			n.execWiped, n.execChain, n.execHead = false, n.files, 0
			n.faults = n.faults.curedBy(CureWipeExecution)
		}
		n.execStarts = append(n.execStarts, now)
		n.execLogs.add(execLine(now, "INFO", "Starting Geth"))
	}
	n.mu.Unlock()
	return n.settle(ctx)
}

func (n *Node) start(ctx context.Context) error {
	if p := n.proc; p != nil {
		select {
		case <-p.done: // it exited for good
		default:
			return n.settle(ctx)
		}
	}
	source, ready := n.begin()
	err := n.settle(ctx)
	if err != nil {
		n.enter(StateStopped, nil)
		return errors.Join(err, n.settle(ctx))
	}
	run, cancel := context.WithCancel(context.Background())
	n.proc = &process{cancel: cancel, done: make(chan struct{})}
	go n.supervise(run, n.proc, source, ready)
	return nil
}

// Stop ends the consensus client's process.
func (n *Node) Stop() {
	n.life.Lock()
	defer n.life.Unlock()
	n.stop()
}

func (n *Node) stop() {
	if n.proc == nil {
		return
	}
	n.proc.cancel()
	<-n.proc.done
	n.proc = nil
	n.enter(StateStopped, nil)
	_ = n.settle(context.Background()) // closing does not fail
}

// Restart stops and starts the consensus client alone: it keeps its database, reads its source again, and is cured of what a restart
// cures.
func (n *Node) Restart(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	n.stop()
	return n.start(ctx)
}

// Wipe deletes the database. A running process goes on until its next start, which then needs a provider.
func (n *Node) Wipe() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wiped = true
}

// WipeExecution deletes the execution client's database. A running process goes on until its next start.
func (n *Node) WipeExecution() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.execWiped = true
}

// Reconfigure gives both clients the network files of the chain that should be running now. They read them when they begin a database.
func (n *Node) Reconfigure() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.files = n.sim.opts.Network.ChainAt(n.sim.opts.Clock())
	n.faults = n.faults.curedBy(CureReset)
}

// Reset brings the node onto the chain that should be running now: both clients are stopped, get its network files and lose their
// databases, and are started, the execution client first.
func (n *Node) Reset(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	n.stop()
	n.stopExecution()
	n.Reconfigure()
	n.Wipe()
	n.WipeExecution()
	if err := n.startExecution(ctx); err != nil {
		return err
	}
	return n.start(ctx)
}

// StopExecution ends the execution client's process.
func (n *Node) StopExecution() {
	n.life.Lock()
	defer n.life.Unlock()
	n.stopExecution()
}

func (n *Node) stopExecution() {
	n.mu.Lock()
	n.advance(n.sim.opts.Clock())
	n.execUp = false
	n.mu.Unlock()
	_ = n.settle(context.Background())
}

// RestartExecution stops and starts the execution client, and cures what that cures.
func (n *Node) RestartExecution(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	n.stopExecution()
	n.mu.Lock()
	n.faults = n.faults.curedBy(CureRestartExecution)
	n.mu.Unlock()
	return n.startExecution(ctx)
}

// ExecutionUp tells whether the execution client's process runs.
func (n *Node) ExecutionUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.execUp
}

// Close ends both processes and waits for them.
func (n *Node) Close() {
	n.Stop()
	n.StopExecution()
	n.http.CloseIdleConnections()
}

// WaitReady waits until the API is open. It fails when the process is stopped, or has exited for good, or ctx ends.
func (n *Node) WaitReady(ctx context.Context) error {
	for {
		n.mu.Lock()
		state, changed, why := n.state, n.changed, n.lastError
		n.mu.Unlock()
		switch {
		case state == StateRunning:
			return n.settle(ctx) // the state comes first and the listener at once after it
		case state == StateStopped:
			return fmt.Errorf("node %q is stopped", n.name)
		case state == StateExited && n.opts.RestartDelay == 0:
			return fmt.Errorf("node %q has exited: %s", n.name, why)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for node %q, which is %s: %w", n.name, state, ctx.Err())
		}
	}
}

// Restarts are the times of every start of the consensus client after the first.
func (n *Node) Restarts() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []time.Time
	for _, s := range n.starts {
		out = append(out, s.At)
	}
	return slices.Delete(out, 0, min(1, len(out)))
}

// begin is what a process does first: it looks at its source and its disk. Ready means that it can open its API at once.
func (n *Node) begin() (source string, ready bool) {
	if n.opts.Source != nil {
		var err error
		if source, err = n.opts.Source(); err != nil {
			n.note("no checkpoint provider could be read", err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.sim.opts.Clock()
	n.advance(now)
	if len(n.starts) > 0 {
		n.faults = n.faults.curedBy(CureRestart)
	}
	q := n.opts.Client.quirks()
	if right := n.sim.rightChain(now); q.resets && n.files.Iteration != right.chain.Iteration {
		n.files = right.chain
		n.wiped = n.wiped || n.db != nil && n.db.ledger.gvr != right.gvr
	}
	if q.refetches && n.db != nil && n.tooOld(now) {
		n.log(now, levelWarn, "the database is outside the weak subjectivity period, and is not gone on from")
		n.wiped = true
	}
	if n.wiped {
		n.db, n.wiped = nil, false
		n.faults = n.faults.curedBy(CureWipe)
	}
	if n.db != nil {
		if q.rewinds && len(n.starts) > 0 {
			n.db.head = n.finalized(n.db)
		}
		n.db.begin()
	}
	n.starts = append(n.starts, Start{At: now, Source: source, Database: n.db != nil})
	select {
	case <-n.crash: // of the process before
	default:
	}
	n.logStart(now, source)
	ready = n.db != nil && n.opts.StartupTime == 0 && n.broken(now) == nil
	n.state = StateBootstrapping
	if ready {
		n.state = StateRunning
	}
	n.signal()
	level.Info(n.sim.logger).Log("msg", "consensus client started", "node", n.name, "source", source, "database", n.db != nil)
	return source, ready
}

// supervise is the process, and the unit that starts it again.
func (n *Node) supervise(ctx context.Context, p *process, source string, ready bool) {
	defer close(p.done)
	for {
		err := n.live(ctx, source, ready)
		if ctx.Err() != nil {
			return // stop says the rest
		}
		n.enter(StateExited, err)
		_ = n.settle(ctx)
		n.note("consensus client exited", err)
		if n.opts.RestartDelay == 0 || pause(ctx, n.sim.wait(n.opts.RestartDelay)) != nil {
			return
		}
		source, ready = n.begin()
		if err := n.settle(ctx); err != nil {
			n.note("consensus client cannot listen", err)
		}
	}
}

// live is one life of the process, which ends with ctx or with the reason of its exit.
func (n *Node) live(ctx context.Context, source string, ready bool) error {
	if !ready {
		if err := pause(ctx, n.sim.wait(n.opts.StartupTime)); err != nil {
			return err
		}
		n.mu.Lock()
		have, why := n.db != nil, n.broken(n.sim.opts.Clock())
		n.mu.Unlock()
		if why != nil {
			return why
		}
		if !have {
			db, err := n.bootstrap(ctx, source)
			if err != nil {
				return err
			}
			n.mu.Lock()
			n.db = db
			n.mu.Unlock()
		}
		n.enter(StateRunning, nil)
		if err := n.settle(ctx); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case why := <-n.crash:
		return why
	}
}

// broken is why the process cannot run, or nil; n.mu is held.
func (n *Node) broken(now time.Time) error {
	switch {
	case n.faults.has(KindDiskFull):
		return errDiskFull
	case n.db == nil || n.wiped && n.state != StateRunning:
	case n.faults.has(KindCorruptDatabase):
		return errCorrupt
	case n.opts.Client.quirks().strict && n.state != StateRunning && n.tooOld(now):
		return errOutsideWeakSubjectivity
	}
	return nil
}

// tooOld tells whether the database is outside the weak subjectivity period; n.mu is held.
func (n *Node) tooOld(now time.Time) bool {
	c := n.db.ledger.chain
	return c.WeakSubjectivityEpochs > 0 && c.Epoch(now) > n.finality(n.db).finalized.epoch+c.WeakSubjectivityEpochs
}

// enter changes the state, after the time up to now was lived in the old one.
func (n *Node) enter(s State, why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance(n.sim.opts.Clock())
	n.state = s
	if why != nil {
		n.lastError = why.Error()
		n.logExit(n.sim.opts.Clock(), why)
	}
	n.signal()
}

// signal wakes WaitReady; n.mu is held.
func (n *Node) signal() {
	close(n.changed)
	n.changed = make(chan struct{})
}
