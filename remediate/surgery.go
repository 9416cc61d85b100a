package remediate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
)

// surgery is what a resync and a reset have in common: clients are stopped, their data is set aside, and they are started again. Where a
// step fails, all before it are taken back.
type surgery struct {
	// services are the clients in the order in which they are started. Those that did not run before are left alone.
	services []service
	moves    []chaindata.Move
	files    *netfiles.Staged
	// between, if set, runs while everything is stopped and set aside.
	between func(ctx context.Context) error
}

type service struct {
	client string
	actuator.Service
	before actuator.State
}

// ran tells whether the client ran, or tried to, when the action was decided.
func (s service) ran() bool { return s.before.Active != actuator.Inactive }

// incision is the evidence of a surgery.
type incision struct {
	Stopped []actuator.Outcome `json:"stopped,omitempty"`
	Started []actuator.Outcome `json:"started,omitempty"`
	Bytes   uint64             `json:"bytes,omitempty"`
	// TakenBack tells that it failed and everything is as before.
	TakenBack bool `json:"taken_back,omitempty"`
}

func (s *surgery) do(ctx context.Context) (any, error) {
	var ev incision
	// Much may have happened since it was decided.
	if theirs, err := s.theirs(ctx); err != nil || theirs != "" {
		return ev, fmt.Errorf("%w: %w", errBeforeEffect, cmp.Or(err, errors.New(theirs)))
	}
	for k, service := range slices.Backward(s.services) {
		out, err := service.Stop(ctx)
		ev.Stopped = append(ev.Stopped, out)
		if err == nil {
			continue
		}
		if k == len(s.services)-1 {
			if err := beforeEffect(err, true); errors.Is(err, errBeforeEffect) {
				return ev, err
			}
		}
		// Nothing has been moved, so those that were stopped can run again, whatever becomes of this one.
		started, again := s.start(ctx)
		ev.Started = started
		if again != nil {
			return ev, fmt.Errorf("%w; and %w: %w", err, errHalf, again)
		}
		return ev, err
	}
	for _, m := range s.moves {
		if err := m.Apply(ctx); err != nil {
			return s.giveUp(ctx, ev, err)
		}
		ev.Bytes += m.Bytes
	}
	if s.files != nil {
		if err := s.files.Apply(ctx); err != nil {
			return s.giveUp(ctx, ev, err)
		}
	}
	if s.between != nil {
		if err := s.between(ctx); err != nil {
			return s.giveUp(ctx, ev, err)
		}
	}
	started, err := s.start(ctx)
	ev.Started = started
	if err != nil {
		return s.giveUp(ctx, ev, err)
	}
	return ev, nil
}

// errHalf marks what stands half-way.
var errHalf = errors.New("it could not be taken back")

// theirs tells of a client that somebody else has stopped, or is stopping, of those that ran when the action was decided; empty if there is
// none.
func (s *surgery) theirs(ctx context.Context) (string, error) {
	for _, service := range s.services {
		now, err := stateOf(ctx, service)
		if err != nil {
			return "", fmt.Errorf("read the state of %s: %w", service, err)
		}
		if why := theirs(now); why != "" && service.ran() {
			return fmt.Sprintf("%s %s", service, why), nil
		}
	}
	return "", nil
}

// giveUp takes everything back after a failure.
func (s *surgery) giveUp(ctx context.Context, ev incision, why error) (any, error) {
	if err := s.undo(ctx); err != nil {
		return ev, fmt.Errorf("%w; and %w: %w", why, errHalf, err)
	}
	ev.TakenBack = true
	return ev, why
}

// undo brings everything back to where it was, from wherever the surgery has got to.
func (s *surgery) undo(ctx context.Context) error {
	for _, m := range s.moves {
		if cond, err := m.Look(); err == nil && cond == chaindata.Deleted {
			_, err := s.start(ctx)
			return errors.Join(fmt.Errorf("put the database of %s back: %w", m.Dir, chaindata.ErrDeleted), err)
		}
	}
	for _, service := range slices.Backward(s.services) {
		if _, err := service.Stop(ctx); err != nil {
			return err // data is never moved under a running client
		}
	}
	var errs []error
	if s.files != nil {
		errs = append(errs, s.files.Restore(ctx))
	}
	for _, m := range slices.Backward(s.moves) {
		errs = append(errs, m.Restore(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err // a client that started now would make a new database where the old one belongs
	}
	_, err := s.start(ctx)
	return err
}

func (s *surgery) start(ctx context.Context) (started []actuator.Outcome, err error) {
	for _, service := range s.services {
		if !service.ran() {
			continue
		}
		out, err := service.Start(ctx)
		started = append(started, out)
		if err != nil {
			return started, err
		}
	}
	return started, nil
}

// progress tells how far data and clients have got, after a crash.
func (s *surgery) progress(ctx context.Context) (result, why string) {
	var not, done int
	for _, m := range s.moves {
		cond, err := m.Look()
		switch {
		case err != nil:
			return resultUnknown, err.Error()
		case cond == chaindata.Applied:
			done++
		case cond == chaindata.NotApplied:
			not++
		}
	}
	parts := len(s.moves)
	if s.files != nil {
		parts++
		switch cond, err := s.files.Look(); {
		case err != nil:
			return resultUnknown, err.Error()
		case cond == netfiles.Applied:
			done++
		case cond == netfiles.NotApplied:
			not++
		}
	}
	same, anew, down := 0, 0, 0
	for _, service := range s.services {
		now, err := stateOf(ctx, service)
		switch {
		case err != nil:
			return resultUnknown, err.Error()
		case !service.ran():
		case now.Active == actuator.Inactive:
			down++
		case now.InvocationID == service.before.InvocationID:
			same++
		default:
			anew++
		}
	}
	switch {
	case done == parts && down == 0 && same == 0:
		return resultDone, ""
	case not == parts && down == 0 && anew == 0:
		return resultNotDone, "nothing was touched"
	}
	return resultFailed, fmt.Sprintf("the program ended in the middle: %d of %d parts were set aside, %d clients were stopped", done, parts, down)
}

// undone tells whether everything is where it was and runs again.
func (s *surgery) undone(ctx context.Context) bool {
	for _, m := range s.moves {
		if cond, err := m.Look(); err != nil || cond != chaindata.NotApplied {
			return false
		}
	}
	if s.files != nil {
		if cond, err := s.files.Look(); err != nil || cond != netfiles.NotApplied {
			return false
		}
	}
	for _, service := range s.services {
		if now, err := stateOf(ctx, service); err != nil || service.ran() && now.Active == actuator.Inactive {
			return false
		}
	}
	return true
}

// services looks at those of a node's clients that a surgery stops. Only the consensus client must run; another that somebody stopped is
// left so.
func (e *Engine) services(ctx context.Context, n config.Node, clients ...string) ([]service, error) {
	var out []service
	for _, client := range clients {
		r := restartOf(n, client)
		if r == nil {
			continue
		}
		a, err := e.hands.Actuator(*r)
		if err != nil {
			return nil, refuse("actuator", "%v", err)
		}
		s, err := serviceOf(run{Actuator: a})
		if err != nil {
			return nil, err
		}
		before, err := stateOf(ctx, s)
		if err != nil {
			return nil, refuse("actuator", "read the state of %s: %v", a, err)
		}
		if why := theirs(before); why != "" && (client != clientValidator || before.Active != actuator.Inactive) {
			return nil, refuse("stopped", "%s %s", a, why)
		}
		out = append(out, service{client, s, before})
	}
	return out, nil
}

// surgeryOf is the surgery of an intent in the journal.
func (e *Engine) surgeryOf(n config.Node, in Intent) (*surgery, error) {
	s := &surgery{moves: in.Moves, files: in.Files}
	for _, client := range []string{clientExecution, clientConsensus, clientValidator} {
		before, had := in.Before[client]
		if !had {
			continue
		}
		r := restartOf(n, client)
		if r == nil {
			return nil, fmt.Errorf("node %q has no way to restart its %s client configured any more", n.Name, client)
		}
		a, err := e.hands.Actuator(*r)
		if err != nil {
			return nil, err
		}
		svc, err := serviceOf(run{Actuator: a})
		if err != nil {
			return nil, err
		}
		s.services = append(s.services, service{client, svc, before})
	}
	return s, nil
}

func statesOf(services []service) map[string]actuator.State {
	m := map[string]actuator.State{}
	for _, s := range services {
		m[s.client] = s.before
	}
	return m
}
