package remediate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

const (
	// settleEvery is how often it is looked whether a node is well, so that what was set aside for it can go.
	settleEvery = time.Minute
	// wellFor is for how long a node has to be well for that if no check has held for what was done to it.
	wellFor = 15 * time.Minute
)

// settle lets go of what taking back would have needed, for nodes that are well. Until then it stays, however long that is, and whatever
// became of the incident.
func (e *Engine) settle(ctx context.Context, c *config.Config) error {
	e.mu.Lock()
	var due []Intent
	proved := map[string]bool{}
	for _, in := range e.state.kept {
		i := e.state.byID[in.Incident]
		if time.Now().After(e.lookAt[in.ID]) && (i == nil || i.Stage == stageSettled) {
			due = append(due, in)
			proved[in.ID] = i != nil
		}
	}
	e.mu.Unlock()
	slices.SortFunc(due, func(a, b Intent) int { return compareIDs(a.ID, b.ID) })
	for _, in := range due {
		if ctx.Err() != nil {
			return nil
		}
		e.lookAt[in.ID] = time.Now().Add(settleEvery)
		n, ok := c.Node(in.Node)
		if !ok || len(e.handsOff(c)) > 0 || !e.well(ctx, n) {
			delete(e.wellSince, in.ID)
			continue
		}
		if e.wellSince[in.ID].IsZero() {
			e.wellSince[in.ID] = time.Now()
		}
		if !proved[in.ID] && time.Since(e.wellSince[in.ID]) < wellFor {
			continue
		}
		what, err := e.letGo(ctx, n, in)
		if err != nil {
			level.Error(e.logger).Log("msg", "cannot delete what was set aside", "node", in.Node, "intent", in.ID, "err", err)
			continue
		}
		delete(e.lookAt, in.ID)
		delete(e.wellSince, in.ID)
		level.Info(e.logger).Log("msg", "deleted what was set aside", "node", in.Node, "intent", in.ID, "what", what)
		if err := e.write(kindSettled, Settled{Intent: in.ID, Incident: in.Incident, What: what}); err != nil {
			return err
		}
	}
	return nil
}

// well tells whether a node follows the right chain, by our own look.
func (e *Engine) well(ctx context.Context, n config.Node) bool {
	o := e.eyes.Look(ctx, n.Name)
	return o.Consensus.Up() && slices.Contains([]string{"syncing", "optimistic", "backfilling", "synced"}, string(e.eyes.Phase(n.Name, time.Now())))
}

// letGo deletes what an intent keeps. It can be repeated.
func (e *Engine) letGo(ctx context.Context, n config.Node, in Intent) (what string, err error) {
	var words []string
	var errs []error
	for _, m := range in.Moves {
		// Somebody may have put it back by hand, or deleted it.
		switch cond, err := m.Look(); {
		case err != nil:
			errs = append(errs, err)
			continue
		case cond == chaindata.NotApplied, cond == chaindata.Restored:
			words = append(words, "nothing of it is set aside any more")
			continue
		}
		errs = append(errs, m.Delete(ctx))
		for _, p := range m.Places {
			words = append(words, "deleted "+p.Aside)
		}
	}
	if in.Files != nil && !isBack(in.Files) {
		errs = append(errs, in.Files.Settle(ctx))
		words = append(words, "deleted the old network files")
	}
	if in.Change != nil && n.Source != nil {
		src, err := e.hands.Source(n)
		if err != nil {
			return "", err
		}
		if r, ok := src.(source.Recreating); ok {
			errs = append(errs, r.Settle(ctx, *in.Change))
			words = append(words, "removed the old container")
		} else {
			words = append(words, "its source is another one now; what is left of "+in.Target+" stays")
		}
	}
	return strings.Join(words, ", "), errors.Join(errs...)
}

func isBack(f *netfiles.Staged) bool {
	cond, err := f.Look()
	return err == nil && cond == netfiles.NotApplied
}

// Silencer silences a node's other alerts while an action on it is under way. Whatever goes wrong with that never stops an action.
type Silencer interface {
	// Hold begins or extends a lease. It returns at once when there is nothing to do yet.
	Hold(ctx context.Context, node, incident string)
	// Release ends a node's lease, if there is one.
	Release(ctx context.Context, node string)
}

// hold holds a lease for each node on which an action or its check is under way, and for no other.
func (e *Engine) hold(ctx context.Context, c *config.Config) {
	if ctx.Err() != nil {
		return
	}
	held := map[string]string{}
	e.mu.Lock()
	for _, i := range e.state.open {
		if i.underway() {
			held[i.Node] = i.Incident
		}
	}
	e.mu.Unlock()
	for node, incident := range held {
		e.silence(ctx, node, incident)
	}
	// A node can be silenced from before a restart, or be configured no more.
	over := slices.Collect(maps.Keys(e.silenced))
	for _, n := range c.Nodes {
		over = append(over, n.Name)
	}
	for _, node := range over {
		if _, is := held[node]; !is {
			delete(e.silenced, node)
			e.leases.Release(ctx, node)
		}
	}
}

func (e *Engine) silence(ctx context.Context, node, incident string) {
	e.silenced[node] = true
	e.leases.Hold(ctx, node, incident)
}

// ErrNoNode is returned for a node that is not configured.
var ErrNoNode = errors.New("no such node is configured")

// Ack takes a person's word that a node has been seen to.
func (e *Engine) Ack(a Acked) error {
	e.mu.Lock()
	_, known := e.cfg.Node(a.Node)
	_, playbook := e.cfg.Remediation.Playbooks[a.Playbook]
	e.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: %q", ErrNoNode, a.Node)
	}
	if a.Playbook != "" && !playbook {
		return fmt.Errorf("%w: no playbook %q", ErrNoNode, a.Playbook)
	}
	if err := e.write(kindAcked, a); err != nil {
		return err
	}
	level.Info(e.logger).Log("msg", "acknowledged", "node", a.Node, "playbook", a.Playbook, "by", a.By, "reason", a.Reason)
	return nil
}
