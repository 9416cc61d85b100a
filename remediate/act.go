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
	actionResync   = "resync"
	actionReset    = "reset"
	actionObserve  = "observe"
	actionStop     = "stop"
	actionUndo     = "undo"
)

const (
	clientConsensus = "consensus"
	clientExecution = "execution"
	clientValidator = "validator"
	clientBoth      = "both"
)

// plan is a step made ready: everything is known but whether the guards still agree.
type plan struct {
	intent Intent
	// effect does it. An error wraps errBeforeEffect when nothing was changed.
	effect func(ctx context.Context) (evidence any, err error)
	// after, if set, completes the outcome of an effect that took place.
	after func(ctx context.Context, o *Outcome)
	// jobs is how many things are started and stopped one after the other; 0 is one.
	jobs int
}

// timeout bounds the effect as a whole. Each actuator has a shorter limit of its own.
func (p *plan) timeout() time.Duration {
	return time.Duration(max(p.jobs, 1))*actuator.DefaultJobTimeout + time.Minute
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
	switch {
	case i.RestartDue:
		return e.prepareRestart(ctx, n, clientConsensus)
	case s.Restart != "":
		return e.prepareRestart(ctx, n, s.Restart)
	case s.Stop != "":
		return e.prepareStop(ctx, n, s.Stop)
	case s.Resync != nil:
		return e.prepareResync(ctx, c, i, n)
	case s.Reset != "":
		return e.prepareReset(ctx, c, i, n)
	}
	return e.prepareFailover(ctx, c, n, s.Failover)
}

func restartOf(n config.Node, client string) *config.Restart {
	switch {
	case client == clientExecution:
		return n.RestartExecution
	case client == clientValidator && n.Validator != nil:
		return n.Validator.Restart
	case client == clientConsensus:
		return n.Restart
	}
	return nil
}

// unconfigured says why a step cannot be taken on a node at all, however long one waits; empty when it can.
func unconfigured(c *config.Config, n config.Node, s config.Step) string {
	const noRestart, noSource = "no restart: is configured for the node", "no source: is configured for the node"
	consensus, execution := s.Restart == clientConsensus || s.Restart == clientBoth, s.Restart == clientExecution || s.Restart == clientBoth
	stoppable := func(r *config.Restart) bool { return r != nil && len(r.Command) == 0 }
	switch {
	case s.Failover != "" && len(c.Providers) <= 1:
		return "there is no other provider"
	case (s.Failover != "" || s.Resync != nil) && len(c.Providers) < c.Remediation.Guards.Quorum:
		return "fewer providers are configured than guards.quorum asks for"
	case s.Verify.Source != "" && n.Source == nil:
		return noSource
	case s.Verify.Execution != "" && n.Execution.URL == "":
		return "no execution: is configured for the node"
	case consensus && n.Restart == nil:
		return noRestart
	case execution && n.RestartExecution == nil:
		return "no restart_execution: is configured for the node"
	case s.Stop != "" && !stoppable(restartOf(n, s.Stop)):
		return "no way to stop it is configured for the node: systemd, docker or docker_compose"
	case (s.Failover != "" || s.Resync != nil) && n.Source == nil:
		return noSource
	case s.Resync != nil && (n.DataDir == "" || n.Consensus.Client == ""):
		return "no data_dir: and consensus.client: are configured for the node"
	case s.Reset != "" && n.Reset == nil:
		return "no reset: is configured for the node"
	case s.Reset != "" && c.NetworkSpec().Iterations == nil:
		return "the network does not reset"
	case (s.Resync != nil || s.Reset != "") && !stoppable(n.Restart), s.Reset != "" && !stoppable(n.RestartExecution),
		len(s.When) > 0 && !stoppable(n.Restart):
		return "no way to stop it and to read its log is configured for the node: systemd, docker or docker_compose"
	}
	return ""
}

// run is a client that can be acted on, and how it was before.
type run struct {
	client string
	actuator.Actuator
	before actuator.State
}

// lookTimeout bounds one question to a service manager, to a container engine, or to a source. All nodes wait for its answer.
const lookTimeout = 30 * time.Second

func stateOf(ctx context.Context, a actuator.Actuator) (actuator.State, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return a.State(ctx)
}

// theirs tells why a client is in somebody else's hands; empty if it is not. One that somebody stopped is not ours to start.
func theirs(s actuator.State) string {
	switch s.Active {
	case actuator.Inactive:
		return "was stopped by someone; it is not ours to start"
	case actuator.Deactivating:
		return "is being stopped by someone, or restarted"
	}
	return ""
}

// isStopped tells whether a refusal is for a client in somebody else's hands.
func isStopped(err error) bool {
	var r refusal
	return errors.As(err, &r) && r.answer.Guard == "stopped"
}

// runOf looks at a client's run.
func (e *Engine) runOf(ctx context.Context, n config.Node, client string) (run, error) {
	a, err := e.hands.Actuator(*restartOf(n, client))
	if err != nil {
		return run{}, refuse("actuator", "%v", err)
	}
	before, err := stateOf(ctx, a)
	if err != nil {
		return run{}, refuse("actuator", "read the state of %s: %v", a, err)
	}
	if why := theirs(before); why != "" {
		return run{}, refuse("stopped", "%s %s", a, why)
	}
	return run{client, a, before}, nil
}

// prepareRestart makes a restart ready: of both clients the execution client comes first, because the other one talks to it.
func (e *Engine) prepareRestart(ctx context.Context, n config.Node, client string) (*plan, error) {
	clients := []string{client}
	if client == clientBoth {
		clients = []string{clientExecution, clientConsensus}
	}
	in := Intent{Node: n.Name, Action: actionRestart, Client: client, Before: map[string]actuator.State{}}
	var runs []run
	for _, cl := range clients {
		r, err := e.runOf(ctx, n, cl)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
		in.Before[cl] = r.before
		in.Target = strings.TrimPrefix(in.Target+", "+r.String(), ", ")
	}
	return &plan{intent: in, effect: func(ctx context.Context) (any, error) {
		evidence := map[string]actuator.Outcome{}
		for k, r := range runs {
			out, err := r.Restart(ctx)
			evidence[r.client] = out
			if err != nil {
				return evidence, beforeEffect(err, k == 0)
			}
		}
		return evidence, nil
	}}, nil
}

func (e *Engine) prepareStop(ctx context.Context, n config.Node, client string) (*plan, error) {
	r, err := e.runOf(ctx, n, client)
	if err != nil {
		return nil, err
	}
	service, err := serviceOf(r)
	if err != nil {
		return nil, err
	}
	return &plan{
		intent: Intent{Node: n.Name, Action: actionStop, Client: client, Target: r.String(), Before: map[string]actuator.State{client: r.before}},
		effect: func(ctx context.Context) (any, error) {
			out, err := service.Stop(ctx)
			return out, beforeEffect(err, true)
		},
	}, nil
}

func serviceOf(r run) (actuator.Service, error) {
	s, ok := r.Actuator.(actuator.Service)
	if !ok {
		return nil, refuse("actuator", "%s can restart, but not stop and start", r)
	}
	return s, nil
}

// beforeEffect marks an actuator's error that says that nothing happened, if nothing happened earlier either.
func beforeEffect(err error, first bool) error {
	var failed *actuator.Error
	if first && errors.As(err, &failed) && failed.BeforeEffect {
		return fmt.Errorf("%w: %w", errBeforeEffect, err)
	}
	return err
}

func (e *Engine) prepareFailover(ctx context.Context, c *config.Config, n config.Node, to string) (*plan, error) {
	src, err := e.hands.Source(n)
	if err != nil {
		return nil, refuse("source", "%v", err)
	}
	current, err := e.readSource(ctx, c, n.Name)
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
	_, recreates := src.(source.Recreating)
	if recreates {
		// The change and the restart are one.
		if needed, why := e.restartNeeded(ctx, n); !needed {
			return nil, refuse("database", "changing %s would restart a client that does not read it: %s", src, why)
		}
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	change, err := src.Plan(looking, target.URL)
	cancel()
	if err != nil {
		return nil, refuse("source", "%v", err)
	}
	return &plan{
		intent: Intent{Node: n.Name, Action: actionFailover, Target: src.String(), From: change.From, To: change.To, Change: &change, Keeps: recreates,
			Reason: fmt.Sprintf("%s is the best of %d usable providers", target.Provider, j.Usable())},
		effect: func(ctx context.Context) (any, error) { return nil, e.apply(ctx, src, change) },
		after: func(ctx context.Context, o *Outcome) {
			if recreates {
				o.Why = "its container was created anew for it"
				return
			}
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
		st, err := stateOf(ctx, a)
		switch {
		case err != nil:
		case st.Active == actuator.Inactive:
			return false, fmt.Sprintf("%s was stopped by someone, and reads its source when it is started", a)
		// A unit that is activating for another reason may be migrating its database.
		case st.Active == actuator.Failed, st.Active == actuator.Activating && strings.HasPrefix(st.Sub, "auto-restart"):
			return true, fmt.Sprintf("the node's API is closed and %s is %s, so it has yet to start from its source", a, st.Active)
		}
	}
	size, known := databaseBytes(n.DataDir, n.Consensus.Client)
	switch {
	case !known:
		return false, "the node's API is closed, but whether it has a database cannot be told; set data_dir to let it be restarted"
	case size >= smallDatabase:
		return false, "the node has a database, with which it does not read its source"
	}
	return true, "the node's API is closed and it has no database, so it has yet to start from its source"
}

// nextID is the name of the next intent.
func (e *Engine) nextID(i *incident) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("%s.%d", i.Incident, e.state.intents+1)
}

// carryOut writes the intent, reads the guards a last time, does it, and writes the outcome.
func (e *Engine) carryOut(ctx context.Context, c *config.Config, i *incident, p *plan) error {
	in := p.intent
	in.ID = e.nextID(i)
	in.Incident, in.Playbook, in.Step = i.Incident, i.Playbook, i.Step
	if err := e.write(kindIntent, in); err != nil {
		return err
	}
	out := Outcome{Intent: in.ID, Incident: i.Incident}
	if b := blocked(e.lastAnswers(ctx, i, in.Action)); len(b) > 0 {
		out.Result, out.Error = resultRefused, guardsOf(b)
		e.metrics.refused(i.Node, b)
		err := e.finish(in, out)
		i.memory.wait()
		return err
	}
	level.Info(e.logger).Log("msg", "acting", "node", in.Node, "playbook", in.Playbook, "action", in.Action, "target", in.Target, "intent", in.ID)
	e.silence(ctx, in.Node, in.Incident)
	began := time.Now()
	// An effect that has begun is finished even when the program is told to stop.
	effectCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout())
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
		out.Result, out.Error, out.Half = resultFailed, err.Error(), errors.Is(err, errHalf)
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

func (e *Engine) readSource(ctx context.Context, c *config.Config, name string) (string, error) {
	n, ok := c.Node(name)
	if !ok || n.Source == nil {
		return "", fmt.Errorf("no source is configured for node %q", name)
	}
	src, err := e.hands.Source(n)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
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
