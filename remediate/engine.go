package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Hands are what the engine acts with.
type Hands interface {
	Actuator(config.Restart) (actuator.Actuator, error)
	Source(config.Node) (source.Source, error)
	// ChainData plans how a client's database is set aside.
	ChainData(chaindata.Options) (chaindata.Move, error)
	// NetworkFiles brings the files of a chain's iteration beside the present ones.
	NetworkFiles(context.Context, config.Reset, network.Chain) (*netfiles.Staged, error)
}

// The engine's own times.
const (
	// tick is how often open incidents are looked after.
	tick = 2 * time.Second
	// lookAgain is how long a step waits after providers or a node were asked and had something against it; it doubles up to
	// lookAgainMost while that goes on.
	lookAgain     = 30 * time.Second
	lookAgainMost = 8 * time.Minute
	// minConfirm is the least time between the two looks that confirm a symptom; two slots are the other bound.
	minConfirm = 5 * time.Second
	// verifyEvery is how often a check under way is looked at.
	verifyEvery = 4 * time.Second
	// settledFor is how long a cured incident may stay open before its symptom is looked for again.
	settledFor = 10 * time.Minute
	// lateFor is for how long after an end a repetition counts as late. Later it is an alert that Alertmanager took for resolved while
	// it had no word from Prometheus.
	lateFor = 10 * time.Minute
	// expireAfter is how long an alert may go without a word from any Alertmanager, which repeats every ten minutes as shipped.
	expireAfter = 2 * time.Hour
)

// Engine works on incidents. Its state is what the journal says.
type Engine struct {
	journal *journal.Journal
	hands   Hands
	metrics *metrics
	logger  log.Logger
	wake    chan struct{}
	clock   *clock
	leases  Silencer

	// eyes belong to the goroutine of Run, which exchanges them when the configuration changes.
	eyes Eyes

	mu    sync.Mutex
	cfg   *config.Config
	fresh Eyes // to be taken over by Run
	state *state

	sources sources
	// sourceProblems are the last complaints about sources, so that each is logged once. They belong to the reader of sources.
	sourceProblems map[string]string
	// lookAt is when it is worth looking again, by intent, whether what it set aside can go, or what it left half-way can be taken back. It
	// belongs to the goroutine of Run.
	lookAt map[string]time.Time
	// wellSince is, by intent, since when a node was well at every look whether what it set aside can go. It belongs to the goroutine of Run.
	wellSince map[string]time.Time
	// silenced are the nodes for which a lease is held. It belongs to the goroutine of Run.
	silenced map[string]bool
	// rotateAt is the size at which the journal is rotated next.
	rotateAt int64
}

// NewEngine replays the journal.
func NewEngine(c *config.Config, j *journal.Journal, hands Hands, eyes Eyes, leases Silencer, m *metrics, logger log.Logger) (*Engine, error) {
	e := &Engine{journal: j, hands: hands, eyes: eyes, leases: leases, metrics: m, logger: logger, cfg: c, state: newState(), clock: newClock(time.Now),
		wake: make(chan struct{}, 1), sourceProblems: map[string]string{}, lookAt: map[string]time.Time{}, wellSince: map[string]time.Time{}, silenced: map[string]bool{},
		rotateAt: rotateSize}
	for r, err := range j.Records() {
		if err != nil {
			return nil, err
		}
		if err := e.state.apply(r); err != nil {
			return nil, err
		}
	}
	// How long an Alertmanager has been silent is not known; it gets its whole time again.
	for _, i := range e.state.open {
		i.memory.lastSeen = time.Now()
	}
	return e, nil
}

// Reload puts another configuration and its eyes in force.
func (e *Engine) Reload(c *config.Config, eyes Eyes) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fresh != nil {
		e.fresh.Close()
	}
	e.cfg, e.fresh = c, eyes
}

// config is the configuration in force, with eyes that fit it.
func (e *Engine) config() *config.Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fresh != nil {
		e.eyes.Close()
		e.eyes, e.fresh = e.fresh, nil
	}
	return e.cfg
}

// Run works until ctx ends. An effect that has begun is finished first.
func (e *Engine) Run(ctx context.Context) error {
	defer func() { e.eyes.Close() }()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		if err := e.round(ctx); err != nil && ctx.Err() == nil {
			// No journal, no action: whatever was due waits until the journal can be written again.
			level.Error(e.logger).Log("msg", "cannot go on", "err", err)
		}
		select {
		case <-t.C:
		case <-e.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (e *Engine) round(ctx context.Context) error {
	c := e.config()
	if step := e.clock.watch(); step != 0 {
		if err := e.clockStepped(step); err != nil {
			return err
		}
	}
	if err := e.recoverPending(ctx, c); err != nil {
		return err
	}
	e.mu.Lock()
	incidents := e.state.ordered()
	e.mu.Unlock()
	for _, i := range incidents {
		if ctx.Err() != nil {
			break
		}
		if err := e.advance(ctx, c, i); err != nil {
			return fmt.Errorf("incident %s: %w", i.Incident, err)
		}
		e.hold(ctx, c)
	}
	e.hold(ctx, c)
	if err := e.settle(ctx, c); err != nil {
		return err
	}
	if err := e.clearExhausted(c); err != nil {
		return err
	}
	return e.rotate(c)
}

// clockStepped forgets what was measured with another clock.
func (e *Engine) clockStepped(step time.Duration) error {
	level.Warn(e.logger).Log("msg", "the clock stepped", "by", step)
	e.mu.Lock()
	for _, i := range e.state.open {
		i.memory = memory{lastSeen: i.memory.lastSeen}
	}
	e.mu.Unlock()
	return e.write(kindClock, Clock{Seconds: step.Seconds()})
}

func (e *Engine) advance(ctx context.Context, c *config.Config, i *incident) error {
	e.mu.Lock()
	closed, over, lastSeen := i.Closed != nil, i.Over, i.memory.lastSeen
	e.mu.Unlock()
	ladder := c.Remediation.Playbooks[i.Playbook]
	_, known := c.Node(i.Node)
	now := time.Now()
	switch {
	case closed:
		return nil
	case !known || len(ladder) == 0:
		return e.close(i, closedUnknown)
	case over != "" && (i.Stage == stageSettled || i.Stage == stageExhausted):
		return e.close(i, over)
	case over == "" && now.Sub(lastSeen) > expireAfter && i.Stage != stageVerifying && i.Stage != stageExhausted && !i.RestartDue:
		return e.close(i, closedExpired)
	case now.Before(i.memory.notBefore):
		return nil
	}
	switch i.Stage {
	case stageOpen:
		if over != "" && !i.RestartDue {
			return e.leave(ctx, c, i, over)
		}
		return e.step(ctx, c, i, ladder)
	case stageVerifying:
		return e.verify(ctx, c, i, ladder)
	case stageSettled:
		return e.settled(ctx, c, i, ladder)
	}
	return nil
}

// step takes an incident's due step if every guard agrees, at two looks.
func (e *Engine) step(ctx context.Context, c *config.Config, i *incident, ladder config.Playbook) error {
	n, _ := c.Node(i.Node)
	observe := c.Remediation.Mode != config.Act
	if i.Step >= len(ladder) {
		return e.exhaust(ctx, c, i, "every step of the playbook was tried or is not configured")
	}
	if i.Half {
		return e.exhaust(ctx, c, i, "an action could be neither ended nor taken back")
	}
	s := ladder[i.Step]
	skip := func(why string) error {
		return e.write(kindSkipped, Skipped{Incident: i.Incident, Step: i.Step, Action: s.Action(), Why: why})
	}
	if why := unconfigured(c, n, s); why != "" {
		return skip(why)
	}
	if len(s.Observe) > 0 {
		evidence := e.collect(ctx, n, s.Observe)
		if ending(ctx) {
			return nil
		}
		return e.write(kindObserved, Observed{Incident: i.Incident, Step: i.Step, Evidence: evidence})
	}
	answers := e.standingAnswers(c, i, s.Action())
	spent := ""
	for _, b := range blocked(answers) {
		if !limits[b.Guard] || observe {
			return e.decide(i, s.Action(), verdictWait, answers)
		}
		spent = b.Guard + ": " + b.Why
	}
	if i.RestartDue {
		// Much may have happened since the failover: a guard held it up, someone started the node, the configuration changed.
		needed, why := e.restartNeeded(ctx, n)
		if ending(ctx) {
			return nil
		}
		if observe && needed {
			needed, why = false, "the mode is observe; the client reads its new source at its next start"
		}
		if !needed {
			return e.write(kindSkipped, Skipped{Incident: i.Incident, Step: i.Step, Action: actionRestart, Why: why})
		}
	}

	// A source is judged by one look at all providers, just before the effect: the alert stands on two of the exporter's own, and each
	// look waits for a provider that hangs. The beginning of the state is read where it may come to an effect, and then at the first
	// look only: a provider builds the whole state for whoever reads it.
	source := s.Verify.Source != ""
	fresh := judgedFor
	if !observe && i.memory.waits == 0 {
		fresh = 0
	}
	if source {
		e.eyes.Judge(ctx, fresh)
	}
	found, seen := e.check(ctx, c, i, s.Verify, i.memory.first, 1)
	if ending(ctx) {
		return nil
	}
	if len(s.When) > 0 && !found.well && !i.RestartDue {
		told, line, err := e.told(ctx, n, s.When)
		switch {
		case ending(ctx):
			return nil
		case err != nil:
			i.memory.wait()
			return e.decide(i, s.Action(), verdictWait, append(answers, Answer{Guard: "log", Blocks: true, Why: err.Error()}))
		case told == "":
			return skip("the client's log tells nothing that asks for it")
		case hopeless[told]:
			return e.exhaust(ctx, c, i, told+": "+line)
		}
		found = finding{known: true, text: "the client's log tells " + told + ": " + line}
	}
	symptom := Answer{Guard: "symptom", Why: found.text}
	switch {
	case found.spared != "" && s.Restart == found.spared:
		return skip(found.text)
	case found.well && !i.RestartDue && goesOn(ladder, i.Step):
		return skip(found.text)
	case found.well && !i.RestartDue:
		i.memory.first = nil
		i.memory.wait()
		return e.decide(i, s.Action(), verdictHealthy, append(answers, symptom))
	case !found.known && !i.RestartDue && (s.Failover == "" || source):
		symptom.Blocks = true
		i.memory.wait()
		return e.decide(i, s.Action(), verdictWait, append(answers, symptom))
	}
	if i.memory.first == nil && !i.RestartDue && !source {
		i.memory.first = seen
		i.memory.notBefore = time.Now().Add(max(minConfirm, 2*slotDuration(c, time.Now())))
		return nil
	}
	if spent != "" {
		return e.exhaust(ctx, c, i, spent)
	}
	if source {
		fresh = judgedFor // it was made just now
	}
	answers = append(answers, symptom)
	answers = append(answers, networkAnswers(c, e.eyes.Judge(ctx, fresh))...)
	if ending(ctx) {
		return nil
	}
	if len(blocked(answers)) > 0 {
		i.memory.wait()
		return e.decide(i, s.Action(), verdictWait, answers)
	}
	p, err := e.prepare(ctx, c, i, s)
	if ending(ctx) {
		return nil
	}
	if err != nil {
		i.memory.wait()
		var r refusal
		if !errors.As(err, &r) {
			return err
		}
		return e.decide(i, s.Action(), verdictWait, append(answers, r.answer))
	}
	if observe {
		i.memory.wait()
		return e.decide(i, s.Action(), verdictWould, append(answers, Answer{Guard: "mode", Blocks: true, Why: "the mode is observe: would " + p.intent.String()}))
	}
	if err := e.decide(i, s.Action(), verdictAct, answers); err != nil {
		return err
	}
	if p.intent.Action != actionResync && p.intent.Action != actionReset {
		p.intent.HeadSlot = seen.head // another database's head tells nothing of this one's progress
	}
	return e.carryOut(ctx, c, i, p)
}

// ending tells whether the program is being stopped: what a look saw by then is evidence of nothing.
func ending(ctx context.Context) bool { return ctx.Err() != nil }

func (e *Engine) verify(ctx context.Context, c *config.Config, i *incident, ladder config.Playbook) error {
	if i.Step >= len(ladder) {
		return e.write(kindVerified, Verified{Incident: i.Incident, Step: i.Step, Evidence: "the playbook was shortened meanwhile"})
	}
	v := ladder[i.Step].Verify
	if i.memory.first == nil {
		// The time in which this program did not run is no time in which the node could have shown anything.
		i.memory.first = &sighting{at: time.Now(), head: i.HeadSlot}
	}
	began := i.memory.first.at
	found, seen := e.check(ctx, c, i, v, i.memory.first, needed(v))
	if ending(ctx) {
		return nil
	}
	// What was not known when the step was taken is measured from the first look after it.
	if i.memory.first.head == nil {
		i.memory.first.head = seen.head
	}
	if i.memory.first.backfill == nil {
		i.memory.first.backfill = seen.backfill
	}
	now := time.Now()
	i.memory.notBefore = now.Add(verifyEvery)
	if !found.well {
		i.memory.heldSince = time.Time{}
		if now.Sub(began) > v.Within.Std() {
			return e.write(kindVerified, Verified{Incident: i.Incident, Step: i.Step, Evidence: found.text + ", after " + v.Within.String()})
		}
		return nil
	}
	if i.memory.heldSince.IsZero() {
		i.memory.heldSince = now
	}
	if held := now.Sub(i.memory.heldSince); held >= v.Hold.Std() {
		level.Info(e.logger).Log("msg", "it helped", "node", i.Node, "playbook", i.Playbook, "incident", i.Incident, "evidence", found.text)
		return e.write(kindVerified, Verified{Incident: i.Incident, Step: i.Step, OK: true, More: goesOn(ladder, i.Step), Evidence: found.text})
	}
	return nil
}

// goesOn tells whether a later step of a ladder is about something else than this one: it only prepares that.
func goesOn(ladder config.Playbook, step int) bool {
	return slices.ContainsFunc(ladder[step+1:], func(s config.Step) bool {
		return s.Verified() && s.Verify.Kind() != ladder[step].Verify.Kind()
	})
}

// settled looks after an incident that was cured by our own check but whose alert goes on firing.
func (e *Engine) settled(ctx context.Context, c *config.Config, i *incident, ladder config.Playbook) error {
	if time.Since(i.Since) < settledFor || i.Step >= len(ladder) {
		return nil
	}
	found, seen := e.check(ctx, c, i, ladder[i.Step].Verify, i.memory.first, 1)
	i.memory.notBefore = time.Now().Add(settledFor / 2)
	if i.memory.first == nil {
		i.memory.first = seen
		return nil
	}
	i.memory.first = seen
	if found.well || !found.known {
		return nil
	}
	return e.write(kindVerified, Verified{Incident: i.Incident, Step: i.Step, Evidence: "the cure did not last: " + found.text})
}

// exhaust takes back what can be taken back and hands the node up to people.
func (e *Engine) exhaust(ctx context.Context, c *config.Config, i *incident, why string) error {
	if c.Remediation.Mode != config.Act {
		i.memory.wait()
		return e.decide(i, "hand over", verdictWould, []Answer{{Guard: "ladder", Why: "would hand over to people: " + why}})
	}
	but, done, err := e.takeBack(ctx, c, i, func(Intent) bool { return true })
	if !done {
		return err
	}
	why += but
	level.Error(e.logger).Log("msg", "people are needed", "node", i.Node, "playbook", i.Playbook, "incident", i.Incident, "why", why)
	return e.write(kindExhausted, Exhausted{Incident: i.Incident, Node: i.Node, Playbook: i.Playbook, Why: why})
}

// leave ends an incident whose alert was over before what was done for it could prove itself, and it did not. What was set aside is put
// back: nobody looks after the node any more. A source that was changed stays so.
func (e *Engine) leave(ctx context.Context, c *config.Config, i *incident, over string) error {
	if c.Remediation.Mode == config.Act {
		if _, done, err := e.takeBack(ctx, c, i, func(in Intent) bool { return in.Keeps }); !done {
			return err
		}
	}
	return e.close(i, over)
}

// takeBack takes back an incident's actions, newest first, one a round. It is done when there is none left of those that can be taken back;
// but says what of the others.
func (e *Engine) takeBack(ctx context.Context, c *config.Config, i *incident, which func(Intent) bool) (but string, done bool, err error) {
	n, _ := c.Node(i.Node)
	for k := len(i.Done) - 1; k >= 0; k-- {
		last := i.Done[k]
		if !which(last.Intent) {
			continue
		}
		if last.Change != nil && e.worthKeeping(ctx, c, *last.Change) {
			but += "; its new source is kept, for the old one is not usable"
			continue
		}
		answers := append(e.standingAnswers(c, i, actionUndo), networkAnswers(c, e.eyes.Judge(ctx, judgedFor))...)
		if ending(ctx) {
			return "", false, nil
		}
		if b := blocked(answers); len(b) > 0 {
			i.memory.wait()
			return "", false, e.decide(i, actionUndo, verdictWait, b)
		}
		if well := e.cameUp(ctx, c, i, last); well != "" {
			but += "; what it had before is kept aside: " + well
			continue
		}
		err := e.undo(ctx, c, i, n, last)
		var r refusal
		switch {
		case errors.Is(err, errNotUndone):
			but += "; " + err.Error()
			continue
		case errors.As(err, &r):
			i.memory.wait()
			return "", false, e.decide(i, actionUndo, verdictWait, []Answer{r.answer})
		}
		return "", false, err // the next round goes on
	}
	return but, true, nil
}

// cameUp tells by what evidence a node is well by now with what an action has made anew, when something has held up for a while that it is
// taken back; empty when that is to be done.
func (e *Engine) cameUp(ctx context.Context, c *config.Config, i *incident, last deed) string {
	held := i.Decision != nil && i.Decision.Action == actionUndo && i.Decision.Verdict == verdictWait
	ladder := c.Remediation.Playbooks[i.Playbook]
	if !held || !last.Keeps || i.Half || last.Step >= len(ladder) {
		return ""
	}
	v := ladder[last.Step].Verify
	if found, _ := e.check(ctx, c, i, v, nil, needed(v)); found.well {
		return found.text
	}
	return ""
}

// worthKeeping tells whether taking a change back would leave the node with a worse source.
func (e *Engine) worthKeeping(ctx context.Context, c *config.Config, change source.Change) bool {
	j := e.eyes.Judge(ctx, judgedFor)
	usable := func(url string) bool {
		p, ok := c.ProviderOf(url)
		v, judged := j.Verdict(p.Name)
		return ok && judged && v.Usable
	}
	return usable(change.To) && !usable(change.From)
}

// clearExhausted takes the call for people back once no incident of that node and playbook is open any more.
func (e *Engine) clearExhausted(c *config.Config) error {
	e.mu.Lock()
	var cleared []Cleared
	for k := range e.state.exhausted {
		open := false
		for _, i := range e.state.open {
			open = open || i.Node == k.node && i.Playbook == k.playbook
		}
		if !open {
			cleared = append(cleared, Cleared{Node: k.node, Playbook: k.playbook, Why: "its alert is over"})
		}
	}
	e.mu.Unlock()
	for _, p := range cleared {
		if err := e.write(kindCleared, p); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) close(i *incident, reason string) error {
	e.mu.Lock()
	startsAt := i.StartsAt
	e.mu.Unlock()
	return e.write(kindClosed, Closed{Incident: i.Incident, Reason: reason, StartsAt: startsAt})
}

// decide writes a decision when it says something new.
func (e *Engine) decide(i *incident, action, verdict string, answers []Answer) error {
	d := Decision{Incident: i.Incident, Node: i.Node, Step: i.Step, Action: action, Verdict: verdict, Answers: answers}
	if last := i.Decision; last != nil && last.Step == d.Step && last.Action == d.Action && last.Verdict == d.Verdict && sameGuards(blocked(last.Answers), blocked(d.Answers)) {
		return nil
	}
	if err := e.write(kindDecision, d); err != nil {
		return err
	}
	level.Info(e.logger).Log("msg", "decided", "node", i.Node, "playbook", i.Playbook, "incident", i.Incident, "step", i.Step+1, "verdict", verdict, "why", d.String())
	e.metrics.refused(i.Node, blocked(answers))
	return nil
}

func sameGuards(a, b []Answer) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Guard != b[i].Guard {
			return false
		}
	}
	return true
}

// write makes a record durable and then part of the state.
func (e *Engine) write(kind string, payload any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.journal.Append(kind, payload)
	if err != nil {
		return fmt.Errorf("write %s to the journal: %w", kind, err)
	}
	return e.state.apply(r)
}

// hearing is what an alert of a batch meets.
type hearing struct {
	opened *Opened // nil: nothing is
	// half and unproved are the incident's; over is since when its alert is over all the same, zero while it fires.
	half, unproved bool
	over           time.Time
	last           ended // the incident before
}

// hearing is called with mu held.
func (e *Engine) hearing(fingerprint string) *hearing {
	s := &hearing{last: e.state.closed[fingerprint]}
	if i := e.state.open[fingerprint]; i != nil {
		i.memory.lastSeen = time.Now()
		s.opened, s.half, s.unproved = &i.Opened, i.RestartDue, i.unproved()
		if i.Over != "" {
			s.over = i.OverAt
		}
	}
	return s
}

// Keep makes alerts durable. It is what the receiver calls before it answers, and acts on nothing.
func (e *Engine) Keep(_ context.Context, alerts []receiver.Alert) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var entries []journal.Entry
	opened := e.state.opened
	batch := map[string]*hearing{}
	for _, a := range alerts {
		s := batch[a.Fingerprint]
		if s == nil {
			s = e.hearing(a.Fingerprint)
			batch[a.Fingerprint] = s
		}
		add := func(kind string, payload any) { entries = append(entries, journal.Entry{Kind: kind, Payload: payload}) }
		firing := a.Status == receiver.Firing
		switch {
		case s.opened == nil && !firing:
			// A resolution of nothing.
		case s.opened == nil && s.last.Reason == closedResolved && !returns(a, s.last.StartsAt, s.last.At):
			// A late duplicate of an alert that is over.
		case s.opened == nil:
			o, ok := e.openable(a)
			if !ok {
				continue
			}
			opened++
			o.Incident = fmt.Sprintf("%.8s-%d", a.Fingerprint, opened)
			s.opened, s.half, s.unproved, s.over = &o, false, false, time.Time{}
			add(kindOpened, o)
		case !firing && (s.half || !s.over.IsZero() || a.EndsAt.Before(s.opened.StartsAt)):
			// Half: the source is changed, which ends its alert, but the client has yet to be restarted for it.
		case !firing && s.unproved:
			s.over = time.Now()
			add(kindHeard, Heard{Incident: s.opened.Incident, Over: closedResolved})
		case !firing:
			end := Closed{Incident: s.opened.Incident, Reason: closedResolved, StartsAt: s.opened.StartsAt}
			s.opened, s.last = nil, ended{end, time.Now()}
			add(kindClosed, end)
		case !s.over.IsZero() && returns(a, s.opened.StartsAt, s.over):
			s.over = time.Time{}
			add(kindHeard, Heard{Incident: s.opened.Incident, StartsAt: a.StartsAt})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if err := e.appendLocked(entries); err != nil {
		return err
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return nil
}

// appendLocked is write for several records, with mu held.
func (e *Engine) appendLocked(entries []journal.Entry) error {
	records, err := e.journal.AppendAll(entries...)
	if err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	for _, r := range records {
		if err := e.state.apply(r); err != nil {
			return err
		}
	}
	return nil
}

// sourceProblem logs a complaint about a node's source when it is new.
func (e *Engine) sourceProblem(node, problem string) {
	if e.sourceProblems[node] == problem {
		return
	}
	e.sourceProblems[node] = problem
	if problem != "" {
		level.Warn(e.logger).Log("msg", "cannot read the checkpoint source", "node", node, "err", problem)
	}
}

// openable tells whether an alert is about a node and a playbook that are configured. Labels are data: they pick, and name nothing else.
func (e *Engine) openable(a receiver.Alert) (Opened, bool) {
	o := Opened{
		Fingerprint: a.Fingerprint, Alert: a.Labels["alertname"], Node: a.Labels["node"], Playbook: a.Labels["playbook"],
		StartsAt: a.StartsAt, Summary: a.Annotations["summary"],
	}
	_, known := e.cfg.Node(o.Node)
	if known && len(e.cfg.Remediation.Playbooks[o.Playbook]) > 0 {
		return o, true
	}
	level.Debug(e.logger).Log("msg", "alert is not ours to act on", "alert", o.Alert, "node", o.Node, "playbook", o.Playbook)
	return o, false
}
