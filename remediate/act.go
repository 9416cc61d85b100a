package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Actions as they stand in the journal and in metrics.
const (
	actionRestart  = "restart"
	actionFailover = "failover"
	actionUndo     = "undo"
)

const (
	clientConsensus = "consensus"
	clientExecution = "execution"
)

// effectTimeout bounds one effect. Each actuator has a shorter limit of its own.
const effectTimeout = actuator.DefaultJobTimeout + time.Minute

// plan is a step made ready: everything is known but whether the guards still agree.
type plan struct {
	intent Intent
	// effect does it. An error wraps errBeforeEffect when nothing was changed.
	effect func(ctx context.Context) (evidence any, err error)
	// after, if set, completes the outcome of an effect that took place.
	after func(ctx context.Context, o *Outcome)
}

// errBeforeEffect marks a failure that happened before anything was changed.
var errBeforeEffect = errors.New("nothing was changed")

// refusal is a reason not to act that was found while making a step ready.
type refusal struct{ answer Answer }

func (r refusal) Error() string { return r.answer.Guard + ": " + r.answer.Why }

func refuse(guard, format string, args ...any) error {
	return refusal{Answer{Guard: guard, Blocks: true, Why: fmt.Sprintf(format, args...)}}
}

// prepare makes an incident's due step ready. Errors are refusals, or what went wrong in looking.
func (e *Engine) prepare(ctx context.Context, c *config.Config, i *incident, s config.Step) (*plan, error) {
	n, _ := c.Node(i.Node)
	if i.RestartDue {
		return e.prepareRestart(ctx, n, clientConsensus)
	}
	if s.Restart != "" {
		return e.prepareRestart(ctx, n, s.Restart)
	}
	return e.prepareFailover(ctx, c, n, s.Failover)
}

func restartOf(n config.Node, client string) *config.Restart {
	if client == clientExecution {
		return n.RestartExecution
	}
	return n.Restart
}

// unconfigured says why a step cannot be taken on a node at all, however long one waits; empty when it can.
func unconfigured(c *config.Config, n config.Node, s config.Step) string {
	switch {
	case s.Failover != "" && len(c.Providers) <= 1:
		return "there is no other provider"
	case s.Failover != "" && len(c.Providers) < c.Remediation.Guards.Quorum:
		return "fewer providers are configured than guards.quorum asks for"
	case s.Verify.Source != "" && n.Source == nil:
		return "no source: is configured for the node"
	case s.Verify.Execution != "" && n.Execution.URL == "":
		return "no execution: is configured for the node"
	case s.Restart == clientConsensus && n.Restart == nil:
		return "no restart: is configured for the node"
	case s.Restart == clientExecution && n.RestartExecution == nil:
		return "no restart_execution: is configured for the node"
	case s.Failover != "" && n.Source == nil:
		return "no source: is configured for the node"
	}
	return ""
}

func (e *Engine) prepareRestart(ctx context.Context, n config.Node, client string) (*plan, error) {
	a, err := e.hands.Actuator(*restartOf(n, client))
	if err != nil {
		return nil, refuse("actuator", "%v", err)
	}
	before, err := a.State(ctx)
	if err != nil {
		return nil, refuse("actuator", "read the state of %s: %v", a, err)
	}
	if before.Active == actuator.Inactive {
		return nil, refuse("stopped", "%s was stopped by someone; it is not ours to start", a)
	}
	return &plan{
		intent: Intent{Node: n.Name, Action: actionRestart, Client: client, Target: a.String(), Before: raw(before)},
		effect: func(ctx context.Context) (any, error) {
			out, err := a.Restart(ctx)
			var failed *actuator.Error
			if errors.As(err, &failed) && failed.BeforeEffect {
				err = fmt.Errorf("%w: %w", errBeforeEffect, err)
			}
			return out, err
		},
	}, nil
}

func (e *Engine) prepareFailover(ctx context.Context, c *config.Config, n config.Node, to string) (*plan, error) {
	src, err := e.hands.Source(n)
	if err != nil {
		return nil, refuse("source", "%v", err)
	}
	current, err := src.Read(ctx)
	if err != nil {
		return nil, refuse("source", "%v", err)
	}
	j := e.eyes.Judge(ctx, judgedFor)
	if a := quorumAnswer(c.Remediation.Guards, j); a.Blocks {
		return nil, refusal{a}
	}
	target, err := choose(c, j, current, to)
	if err != nil {
		return nil, err
	}
	change, err := src.Plan(ctx, target.URL)
	if err != nil {
		return nil, refuse("source", "%v", err)
	}
	return &plan{
		intent: Intent{Node: n.Name, Action: actionFailover, Target: src.String(), From: change.From, To: change.To, Change: &change,
			Reason: fmt.Sprintf("%s is the best of %d usable providers", target.Provider, j.Usable())},
		effect: func(ctx context.Context) (any, error) { return nil, e.apply(ctx, src, change) },
		after: func(ctx context.Context, o *Outcome) {
			o.RestartNeeded, o.Why = e.restartNeeded(ctx, n)
		},
	}, nil
}

// choose picks the provider to switch to: usable, and not the one in use.
func choose(c *config.Config, j provider.Judgement, current, to string) (provider.Verdict, error) {
	inUse, _ := c.ProviderOf(current)
	for _, v := range provider.Rank(j) {
		if v.Provider == inUse.Name || to != "best" && v.Provider != to {
			continue
		}
		if !v.Usable || v.Agrees == nil || !*v.Agrees {
			break // the ranking has the better ones first
		}
		p, ok := c.ProviderNamed(v.Provider)
		if !ok {
			continue
		}
		v.URL = p.URL // the judgement's is for showing
		return v, nil
	}
	if to != "best" {
		return provider.Verdict{}, refuse("provider", "provider %q is not usable, or in use already", to)
	}
	return provider.Verdict{}, refuse("provider", "no other provider is usable")
}

// apply changes a source, and tells a failure without effect from one with.
func (e *Engine) apply(ctx context.Context, src source.Source, change source.Change) error {
	err := src.Apply(ctx, change)
	if err == nil {
		return nil
	}
	if errors.Is(err, source.ErrChanged) {
		return fmt.Errorf("%w: %w", errBeforeEffect, err)
	}
	if cond, lookErr := src.Look(ctx, change); lookErr == nil && cond == source.NotApplied {
		return fmt.Errorf("%w: %w", errBeforeEffect, err)
	}
	return err
}

// restartNeeded tells whether a client has to be restarted to read its new source. With a database every client ignores the
// URL, so a node that answers is left alone; one that does not answer is restarted only if it provably has no database yet,
// or is not running anyway.
func (e *Engine) restartNeeded(ctx context.Context, n config.Node) (bool, string) {
	if n.Restart == nil {
		return false, "no restart: is configured, so the new source counts from the node's next start"
	}
	o := e.eyes.Look(ctx, n.Name)
	if !o.Consensus.Refused() {
		if o.Consensus.Up() {
			return false, "the node answers, so it has a database and does not read its source again"
		}
		return false, "whether the node has a database cannot be told: it neither answers nor refuses"
	}
	if a, err := e.hands.Actuator(*n.Restart); err == nil {
		st, err := a.State(ctx)
		switch {
		case err != nil:
		case st.Active == actuator.Inactive:
			return false, fmt.Sprintf("%s was stopped by someone, and reads its source when it is started", a)
		// A unit that is activating for another reason may be migrating its database.
		case st.Active == actuator.Failed, st.Active == actuator.Activating && strings.HasPrefix(st.Sub, "auto-restart"):
			return true, fmt.Sprintf("the node's API is closed and %s is %s, so it has yet to start from its source", a, st.Active)
		}
	}
	size, known := databaseBytes(n.DataDir)
	switch {
	case !known:
		return false, "the node's API is closed, but whether it has a database cannot be told; set data_dir to let it be restarted"
	case size >= smallDatabase:
		return false, "the node has a database, with which it does not read its source"
	}
	return true, "the node's API is closed and it has no database, so it has yet to start from its source"
}

// carryOut writes the intent, reads the guards a last time, does it, and writes the outcome.
func (e *Engine) carryOut(ctx context.Context, c *config.Config, i *incident, p *plan) error {
	in := p.intent
	e.mu.Lock()
	in.ID = fmt.Sprintf("%s.%d", i.Incident, e.state.intents+1)
	e.mu.Unlock()
	in.Incident, in.Playbook, in.Step = i.Incident, i.Playbook, i.Step
	if err := e.write(kindIntent, in); err != nil {
		return err
	}
	out := Outcome{Intent: in.ID, Incident: i.Incident}
	if b := blocked(e.lastAnswers(ctx, i)); len(b) > 0 {
		out.Result, out.Error = resultRefused, guardsOf(b)
		e.metrics.refused(i.Node, b)
		err := e.finish(in, out)
		i.memory.wait()
		return err
	}
	level.Info(e.logger).Log("msg", "acting", "node", in.Node, "playbook", in.Playbook, "action", in.Action, "target", in.Target, "intent", in.ID)
	began := time.Now()
	// An effect that has begun is finished even when the program is told to stop.
	effectCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), effectTimeout)
	defer cancel()
	evidence, err := p.effect(effectCtx)
	out.Seconds = time.Since(began).Seconds()
	out.Evidence = raw(evidence)
	switch {
	case err == nil:
		out.Result = resultDone
		if p.after != nil {
			p.after(effectCtx, &out)
		}
	case errors.Is(err, errBeforeEffect):
		out.Result, out.Error = resultNotDone, err.Error()
	default:
		out.Result, out.Error = resultFailed, err.Error()
	}
	return e.finish(in, out)
}

// finish writes an outcome. While the journal cannot take it the intent stays pending, and recover closes it later.
func (e *Engine) finish(in Intent, out Outcome) error {
	err := e.write(kindOutcome, out)
	if err == nil {
		e.metrics.acted(in, out)
	}
	lvl := level.Info
	if out.Result == resultFailed || out.Result == resultUnknown {
		lvl = level.Error
	}
	lvl(e.logger).Log("msg", "acted", "node", in.Node, "playbook", in.Playbook, "action", in.Action, "outcome", out.Result,
		"intent", in.ID, "why", out.Why, "err", out.Error)
	return err
}

// undo takes back the newest file change of an incident.
func (e *Engine) undo(ctx context.Context, c *config.Config, i *incident, src source.Source) error {
	change := i.Changes[len(i.Changes)-1]
	return e.carryOut(ctx, c, i, &plan{
		intent: Intent{Node: i.Node, Action: actionUndo, Target: src.String(), From: change.To, To: change.From, Change: &change},
		effect: func(ctx context.Context) (any, error) { return nil, src.Restore(ctx, change) },
	})
}

// recoverPending closes intents that have no outcome: after a crash, or when the journal could not take it. It looks what happened
// and never repeats anything.
func (e *Engine) recoverPending(ctx context.Context, c *config.Config) error {
	e.mu.Lock()
	pending := make([]Intent, 0, len(e.state.pending))
	for _, in := range e.state.pending {
		pending = append(pending, in)
	}
	e.mu.Unlock()
	for _, in := range pending {
		out := Outcome{Intent: in.ID, Incident: in.Incident}
		out.Result, out.Error = e.whatHappened(ctx, c, in)
		if out.Result == resultDone && in.Action == actionFailover {
			if n, ok := c.Node(in.Node); ok {
				out.RestartNeeded, out.Why = e.restartNeeded(ctx, n)
			}
		}
		if err := e.finish(in, out); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) whatHappened(ctx context.Context, c *config.Config, in Intent) (result, why string) {
	n, ok := c.Node(in.Node)
	if !ok {
		return resultUnknown, "the node is no longer configured"
	}
	if in.Change != nil {
		return e.whatHappenedToFile(ctx, n, in)
	}
	r := restartOf(n, in.Client)
	if r == nil {
		return resultUnknown, "the node has no restart configured any more"
	}
	a, err := e.hands.Actuator(*r)
	if err != nil {
		return resultUnknown, err.Error()
	}
	now, err := a.State(ctx)
	if err != nil {
		return resultUnknown, err.Error()
	}
	var before actuator.State
	if json.Unmarshal(in.Before, &before) != nil || before.InvocationID == "" || now.InvocationID == "" {
		return resultUnknown, fmt.Sprintf("%s does not tell whether it was restarted", a)
	}
	if now.InvocationID == before.InvocationID {
		return resultNotDone, fmt.Sprintf("%s is still the process of before", a)
	}
	return resultDone, ""
}

func (e *Engine) whatHappenedToFile(ctx context.Context, n config.Node, in Intent) (result, why string) {
	if n.Source == nil {
		return resultUnknown, "the node has no source configured any more"
	}
	src, err := e.hands.Source(n)
	if err != nil {
		return resultUnknown, err.Error()
	}
	cond, err := src.Look(ctx, *in.Change)
	if err != nil {
		return resultUnknown, err.Error()
	}
	if cond == source.Half {
		if err := src.Restore(ctx, *in.Change); err != nil {
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
		return resultNotDone, "the file is as it was before"
	}
	return resultFailed, source.ErrEditedByOther.Error()
}

func (e *Engine) readSource(ctx context.Context, c *config.Config, name string) (string, error) {
	n, ok := c.Node(name)
	if !ok || n.Source == nil {
		return "", fmt.Errorf("no source is configured for node %q", name)
	}
	src, err := e.hands.Source(n)
	if err != nil {
		return "", err
	}
	return src.Read(ctx)
}

func raw(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
