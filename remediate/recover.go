package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// errNotUndone marks what cannot be taken back for a reason that waiting does not change.
var errNotUndone = errors.New("it could not be put back")

// undo takes back the newest action of an incident that can be taken back.
func (e *Engine) undo(ctx context.Context, c *config.Config, i *incident, n config.Node, done deed) error {
	in := done.Intent
	u := Intent{Node: i.Node, Action: actionUndo, Target: in.Target, Undoes: in.ID, Change: in.Change, Moves: in.Moves, Files: in.Files, Before: in.Before}
	if in.Change != nil {
		if n.Source == nil {
			return fmt.Errorf("%w: the node has no source configured any more", errNotUndone)
		}
		src, err := e.hands.Source(n)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotUndone, err)
		}
		u.From, u.To = in.Change.To, in.Change.From
		if in.Keeps && done.Sure && n.Restart != nil {
			// Taking it back starts the container that was.
			if _, err := e.runOf(ctx, n, clientConsensus); isStopped(err) {
				return fmt.Errorf("%w: %w", errNotUndone, err)
			} else if err != nil {
				return err
			}
		}
		return e.carryOut(ctx, c, i, &plan{intent: u, effect: func(ctx context.Context) (any, error) { return nil, e.restore(ctx, src, *in.Change) }})
	}
	s, err := e.surgeryOf(n, in)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotUndone, err)
	}
	if done.Sure {
		// Every client ran when it was done. Whoever has stopped one since may have moved its keys elsewhere.
		switch theirs, err := s.theirs(ctx); {
		case err != nil:
			return refuse("actuator", "%v", err)
		case theirs != "":
			return fmt.Errorf("%w: %s", errNotUndone, theirs)
		}
	}
	return e.carryOut(ctx, c, i, &plan{intent: u, effect: func(ctx context.Context) (any, error) { return nil, s.undo(ctx) }, jobs: 8})
}

// restore takes a change of a source back. Others of ours to the same file, for other nodes, stay.
func (e *Engine) restore(ctx context.Context, src source.Source, change source.Change) error {
	return source.RestoreAmong(ctx, src, change, e.changes())
}

func (e *Engine) changes() []source.Change {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.state.changes)
}

// recoverPending closes intents that have no outcome: after a crash, or when the journal could not take it. It looks what happened
// and never repeats anything. What has to be taken back waits until it may be.
func (e *Engine) recoverPending(ctx context.Context, c *config.Config) error {
	e.mu.Lock()
	pending := make([]Intent, 0, len(e.state.pending))
	for _, in := range e.state.pending {
		pending = append(pending, in)
	}
	e.mu.Unlock()
	slices.SortFunc(pending, func(a, b Intent) int { return compareIDs(a.ID, b.ID) })
	for _, in := range pending {
		if time.Now().Before(e.lookAt[in.ID]) {
			continue
		}
		off := e.handsOff(c)
		out := e.whatHappened(ctx, c, in, len(off) == 0)
		if out.Result == "" {
			e.lookAt[in.ID] = time.Now().Add(lookAgain)
			if err := e.holdUp(in, off); err != nil {
				return err
			}
			continue
		}
		if out.Result == resultDone && in.Action == actionFailover && !in.Keeps {
			if n, ok := c.Node(in.Node); ok {
				out.RestartNeeded, out.Why = e.restartNeeded(ctx, n)
			}
		}
		if ending(ctx) && !out.Half && out.Result != resultFailed {
			return nil // nothing was done about it, so the next start can look again
		}
		if err := e.finish(in, out); err != nil {
			return err
		}
		delete(e.lookAt, in.ID)
	}
	return nil
}

// handsOff are the answers of those who want nothing to be touched, not even to mend what we have begun ourselves.
func (e *Engine) handsOff(c *config.Config) []Answer {
	return blocked([]Answer{modeAnswer(c), e.pauseAnswer(c.Remediation.Guards.PauseFile)})
}

// holdUp tells that what an intent left half-way stays so.
func (e *Engine) holdUp(in Intent, off []Answer) error {
	e.mu.Lock()
	i := e.state.byID[in.Incident]
	e.mu.Unlock()
	if i == nil {
		return nil
	}
	return e.decide(i, actionUndo, verdictWait, off)
}

// whatHappened looks what became of an intent. What is half-way is taken back if that is allowed; otherwise there is no result yet.
func (e *Engine) whatHappened(ctx context.Context, c *config.Config, in Intent, allowed bool) Outcome {
	out := Outcome{Intent: in.ID, Incident: in.Incident}
	n, ok := c.Node(in.Node)
	switch {
	case !ok:
		out.Result, out.Error = resultUnknown, "the node is no longer configured"
	case in.Change != nil:
		out.Result, out.Error = e.whatHappenedToSource(ctx, n, in, allowed)
	case len(in.Moves) > 0:
		out.Result, out.Error, out.Half = e.whatHappenedToData(ctx, n, in, allowed)
	default:
		out.Result, out.Error = e.whatHappenedToClients(ctx, n, in)
	}
	return out
}

// whatHappenedToClients compares runs, for a restart or a stop.
func (e *Engine) whatHappenedToClients(ctx context.Context, n config.Node, in Intent) (result, why string) {
	changed, same := 0, 0
	for _, client := range []string{clientExecution, clientConsensus} {
		before, had := in.Before[client]
		if !had {
			continue
		}
		r := restartOf(n, client)
		if r == nil {
			return resultUnknown, fmt.Sprintf("the node has no way to restart its %s client configured any more", client)
		}
		a, err := e.hands.Actuator(*r)
		if err != nil {
			return resultUnknown, err.Error()
		}
		now, err := stateOf(ctx, a)
		switch {
		case err != nil:
			return resultUnknown, err.Error()
		case before.InvocationID == "" || now.InvocationID == "":
			return resultUnknown, fmt.Sprintf("%s does not tell whether it was restarted", a)
		case now.InvocationID == before.InvocationID && now.Active == before.Active:
			same++
		default:
			changed++
		}
	}
	switch {
	case changed == 0 && same > 0:
		return resultNotDone, "the same run goes on"
	case same == 0 && changed > 0:
		return resultDone, ""
	}
	return resultUnknown, "the program ended between one client and the other"
}

// whatHappenedToData looks at a resync, a reset, or the undo of one. What stopped half-way is taken back: a node without its clients or
// its data is worse than what the action was for.
func (e *Engine) whatHappenedToData(ctx context.Context, n config.Node, in Intent, allowed bool) (result, why string, half bool) {
	s, err := e.surgeryOf(n, in)
	if err != nil {
		return resultUnknown, err.Error(), false
	}
	result, why = s.progress(ctx)
	switch {
	case in.Action == actionUndo && s.undone(ctx):
		return resultDone, "", false
	case in.Action != actionUndo && result != resultFailed:
		return result, why, false
	case !allowed:
		return "", "", false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), (&plan{jobs: 8}).timeout())
	defer cancel()
	if err := s.undo(ctx); err != nil {
		return resultFailed, fmt.Sprintf("%s; and %v: %v", why, errHalf, err), true
	}
	if in.Action == actionUndo {
		return resultDone, "", false
	}
	return resultFailed, why + "; it was taken back", false
}

func (e *Engine) whatHappenedToSource(ctx context.Context, n config.Node, in Intent, allowed bool) (result, why string) {
	if n.Source == nil {
		return resultUnknown, "the node has no source configured any more"
	}
	src, err := e.hands.Source(n)
	if err != nil {
		return resultUnknown, err.Error()
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	cond, err := source.LookAmong(looking, src, *in.Change, e.changes())
	cancel()
	switch {
	case err != nil:
		return resultUnknown, err.Error()
	case cond == source.Half && !allowed:
		return "", ""
	}
	if cond == source.Half {
		if err := e.restore(ctx, src, *in.Change); err != nil {
			return resultFailed, err.Error()
		}
		cond = source.NotApplied
	}
	done, notDone := source.Applied, source.NotApplied
	if in.Action == actionUndo {
		done, notDone = notDone, done
	}
	switch cond {
	case done:
		return resultDone, ""
	case notDone:
		return resultNotDone, "the source is as it was before"
	}
	return resultFailed, source.ErrEditedByOther.Error()
}
