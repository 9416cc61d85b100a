package collector

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// looker is what is needed of a node.Client.
type looker interface {
	Look(ctx context.Context, n network.Network) node.Observation
	CloseIdle()
}

func (o Options) realLooker(c config.Node, timeout time.Duration) (looker, error) {
	client, err := node.New(node.Options{
		ConsensusURL: c.Consensus.URL, MetricsURL: c.Consensus.MetricsURL, ExecutionURL: c.Execution.URL,
		Timeout: timeout, UserAgent: o.Beacon.UserAgent, TLS: o.Beacon.TLS, Dial: o.Beacon.Dial, Now: o.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", c.Name, err)
	}
	return client, nil
}

// nodeSight is what the latest look at a node saw, and what it means. It is not changed once published.
type nodeSight struct {
	observation node.Observation
	status      progress.Status
	// at is when it was seen, by the wall clock.
	at time.Time
}

// nodeTarget is a node that is looked at again and again.
type nodeTarget struct {
	*loop
	config config.Node
	probe  config.Probe
	looker looker
	// follower is used by the loop alone.
	follower *progress.Follower
	sight    atomic.Pointer[nodeSight]
}

func (e *Exporter) nodeTarget(c config.Node, p config.Probe, old *state) (*nodeTarget, error) {
	if old != nil {
		for _, t := range old.nodes {
			if sameNode(t.config, c) && t.probe.Timeout == p.Timeout && t.probe.NodeInterval == p.NodeInterval {
				return t, nil
			}
		}
	}
	looker, err := e.opts.newLooker(c, lookTimeout(p))
	if err != nil {
		return nil, err
	}
	return &nodeTarget{loop: newLoop(), config: c, probe: p, looker: looker, follower: newFollower(c, p)}, nil
}

// sameNode tells whether two configurations of a node are the same to those who only watch it.
func sameNode(a, b config.Node) bool {
	return a.Name == b.Name && a.Consensus == b.Consensus && a.Execution == b.Execution && a.StallAfter == b.StallAfter
}

func newFollower(c config.Node, p config.Probe) *progress.Follower {
	return progress.New(progress.Options{StallAfter: c.StallAfter.Std(), StaleAfter: max(time.Minute, 4*p.NodeInterval.Std())})
}

// leastLook is the least time that a busy node is given.
const leastLook = 5 * time.Second

// lookTimeout keeps looks at a node that hangs from taking much longer than the interval between them, so that it is soon seen
// to be down.
func lookTimeout(p config.Probe) time.Duration {
	return min(p.Timeout.Std(), max(p.NodeInterval.Std()/2, leastLook))
}

func (t *nodeTarget) interval(s *state) time.Duration { return s.config.Probe.NodeInterval.Std() }

func (t *nodeTarget) visit(ctx context.Context, e *Exporter) (again bool) {
	seen := t.looker.Look(ctx, e.learnt(e.state.Load()))
	if ctx.Err() != nil {
		t.looker.CloseIdle()
		return false
	}
	t.follower.Observe(seen.Sample())
	next := &nodeSight{observation: seen, status: t.follower.Status(e.opts.Clock()), at: time.Now().Round(0)}
	last := t.sight.Swap(next)
	if last == nil || last.status.Phase != next.status.Phase {
		e.logPhase(t.config.Name, last, next)
	}
	return false
}

func (e *Exporter) logPhase(name string, last, next *nodeSight) {
	line := []any{"msg", "node is in another phase", "node", name, "phase", next.status.Phase}
	if last != nil {
		line = append(line, "was", last.status.Phase)
	}
	if err := next.observation.Consensus.Err(); err != nil {
		line = append(line, "err", err)
	}
	logger := level.Info(e.logger)
	switch next.status.Phase {
	case progress.Unreachable, progress.Stalled, progress.WrongNetwork, progress.OldIteration:
		logger = level.Warn(e.logger)
	}
	logger.Log(line...)
}
