package remediate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// stage is where an incident stands.
type stage string

const (
	stageOpen      stage = "open"      // a step is due, if the guards let it
	stageActing    stage = "acting"    // an intent is without outcome
	stageVerifying stage = "verifying" // the step is done, its check is under way
	stageSettled   stage = "settled"   // a check held; the alert has yet to resolve
	stageExhausted stage = "exhausted" // people have been called
)

// incident is an alert that is being worked on.
type incident struct {
	Opened
	OpenedAt time.Time
	Stage    stage
	// Step is the rung that is due or under way; Retries how often it failed before any effect.
	Step    int
	Retries int
	// RestartDue tells that the step's failover is done and the client has yet to be restarted for it.
	RestartDue bool
	// Since is when the present stage began.
	Since time.Time
	// HeadSlot is the node's head before the step's effect.
	HeadSlot *uint64
	// Done are the actions of this incident that can be taken back, oldest first, and have not been.
	Done []deed
	// Half tells that something stands half-way: it could be neither ended nor taken back.
	Half bool
	// Over is why the alert is over, and OverAt since when, while what was done for it has yet to be proved; empty while it fires.
	Over   string
	OverAt time.Time
	// Decision is the last one written.
	Decision *Decision
	// Story is what happened, a line an event, for people.
	Story []event

	Closed   *Closed
	ClosedAt time.Time

	// What follows is not replayed: it is seen afresh after a start.
	memory memory
}

// deed is what was done, or may have been.
type deed struct {
	Intent
	// Sure tells that it is known to have come to its end.
	Sure bool
}

// wait puts the next look off, longer each time.
func (m *memory) wait() {
	m.notBefore = time.Now().Add(min(lookAgain<<min(m.waits, 8), lookAgainMost))
	m.waits++
}

// event is one line of an incident's story.
type event struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

type memory struct {
	waits     int       // how often the step has waited in a row after asking others
	lastSeen  time.Time // when an Alertmanager last told of the alert
	notBefore time.Time // when it is worth looking again
	first     *sighting // the first of the two looks that confirm a symptom
	heldSince time.Time // since when the step's check has been true
}

// maxStory and maxRecent bound what is kept in memory for the API, and maxChanges what undoing one change among others is told of.
const (
	maxStory   = 200
	maxRecent  = 100
	maxChanges = 500
)

// ended is how and when an incident was closed.
type ended struct {
	Closed
	At time.Time
}

type attempt struct {
	intent string
	action string
	at     time.Time
}

// cure is a recovery that our own check confirmed.
type cure struct {
	node, playbook string
	at             time.Time
}

type exhaustedKey struct{ node, playbook string }

// state is what the journal says. It changes by apply alone, live and in replay alike.
type state struct {
	// open incidents by fingerprint, and by id.
	open map[string]*incident
	byID map[string]*incident
	// recent are closed incidents, newest last.
	recent []*incident
	// closed remembers the last end of each fingerprint.
	closed map[string]ended
	// attempts by node, oldest first.
	attempts  map[string][]attempt
	exhausted map[exhaustedKey]Exhausted
	// pending intents are those without outcome.
	pending map[string]Intent
	// kept are done intents that keep what taking them back would need, until the node is well.
	kept map[string]Intent
	// changes are those that we began to make to sources, of any node, oldest first: several nodes may share a file.
	changes []source.Change
	// cures are recoveries, oldest first.
	cures   []cure
	opened  int
	intents int
}

func newState() *state {
	return &state{
		open: map[string]*incident{}, byID: map[string]*incident{}, closed: map[string]ended{},
		attempts: map[string][]attempt{}, exhausted: map[exhaustedKey]Exhausted{}, pending: map[string]Intent{}, kept: map[string]Intent{},
	}
}

// apply makes a record part of the state.
func (s *state) apply(r journal.Record) error {
	if r.Kind == journal.KindCarried {
		return s.applyCarried(r)
	}
	p, err := payloadOf(r)
	if err != nil {
		return fmt.Errorf("journal record %d: read %s: %w", r.Seq, r.Kind, err)
	}
	switch p := p.(type) {
	case *Opened:
		s.opened++
		i := &incident{Opened: *p, OpenedAt: r.Time, Stage: stageOpen, Since: r.Time}
		i.memory.lastSeen = r.Time
		s.open[p.Fingerprint], s.byID[p.Incident] = i, i
		i.tell(r, fmt.Sprintf("%s fires for %s: playbook %s", p.Alert, p.Node, p.Playbook))
	case *Intent:
		s.intents++
		s.pending[p.ID] = *p
		if p.Action != actionUndo {
			s.attempts[p.Node] = append(s.attempts[p.Node], attempt{p.ID, p.Action, r.Time})
		}
		if p.Change != nil && p.Action != actionUndo {
			s.changes = append(s.changes, *p.Change)
			s.changes = s.changes[max(0, len(s.changes)-maxChanges):]
		}
	case *Settled:
		delete(s.kept, p.Intent)
	case *Exhausted:
		s.exhausted[exhaustedKey{p.Node, p.Playbook}] = *p
	case *Cleared:
		delete(s.exhausted, exhaustedKey{p.Node, p.Playbook})
	case *Acked:
		s.ack(r, p)
	case *journal.Rotated:
		var n counters
		if len(p.Counters) > 0 {
			if err := json.Unmarshal(p.Counters, &n); err != nil {
				return fmt.Errorf("journal record %d: read counters: %w", r.Seq, err)
			}
		}
		s.opened, s.intents = n.Opened, n.Intents
	}
	if i := s.byID[incidentOf(p)]; i != nil {
		s.applyTo(i, r, p)
	}
	if p, ok := p.(*Outcome); ok {
		s.conclude(p)
	}
	return nil
}

// conclude ends an intent.
func (s *state) conclude(p *Outcome) {
	in := s.pending[p.Intent]
	switch {
	case p.Result == resultRefused:
		s.forget(in)
	case in.Action == actionUndo && p.Result == resultDone:
		delete(s.kept, in.Undoes)
	case in.Keeps && p.stands():
		s.kept[in.ID] = in
	}
	delete(s.pending, p.Intent)
}

// applyCarried applies a record of an earlier file, which the counters have counted already.
func (s *state) applyCarried(r journal.Record) error {
	original, err := r.Original()
	if err != nil {
		return err
	}
	opened, intents := s.opened, s.intents
	err = s.apply(original)
	s.opened, s.intents = opened, intents
	return err
}

func incidentOf(payload any) string {
	switch p := payload.(type) {
	case *Opened:
		return p.Incident
	case *Closed:
		return p.Incident
	case *Heard:
		return p.Incident
	case *Decision:
		return p.Incident
	case *Skipped:
		return p.Incident
	case *Intent:
		return p.Incident
	case *Outcome:
		return p.Incident
	case *Verified:
		return p.Incident
	case *Observed:
		return p.Incident
	case *Settled:
		return p.Incident
	case *Exhausted:
		return p.Incident
	}
	return ""
}

func (s *state) applyTo(i *incident, r journal.Record, payload any) {
	switch p := payload.(type) {
	case *Decision:
		i.Decision = p
		i.tell(r, p.String())
	case *Skipped:
		i.tell(r, fmt.Sprintf("step %d, %s, is passed over: %s", p.Step+1, p.Action, p.Why))
		if i.RestartDue {
			// The failover itself is done, and is what the check is about.
			i.RestartDue = false
			i.enter(stageVerifying, r.Time)
		} else {
			i.next(r.Time)
		}
	case *Intent:
		i.enter(stageActing, r.Time)
		i.HeadSlot = p.HeadSlot
		i.tell(r, "will "+p.String())
	case *Outcome:
		s.applyOutcome(i, r, p)
	case *Observed:
		i.tell(r, p.String())
		i.next(r.Time)
	case *Settled:
		i.tell(r, "the node is well: "+p.What)
		i.Done = slices.DeleteFunc(i.Done, func(d deed) bool { return d.ID == p.Intent })
	case *Verified:
		switch {
		case p.OK && p.More:
			i.tell(r, "it is done: "+p.Evidence)
			i.next(r.Time)
		case p.OK:
			i.tell(r, "it helped: "+p.Evidence)
			i.enter(stageSettled, r.Time)
			s.cures = append(s.cures, cure{i.Node, i.Playbook, r.Time})
		default:
			i.tell(r, "it did not help: "+p.Evidence)
			i.next(r.Time)
		}
	case *Exhausted:
		i.enter(stageExhausted, r.Time)
		i.tell(r, "people are needed: "+p.Why)
	case *Heard:
		i.Over, i.OverAt = p.Over, r.Time
		if p.Over == "" {
			i.StartsAt = p.StartsAt
			i.tell(r, "its alert fires again")
		} else {
			i.tell(r, "its alert is over, "+p.Over+", and what was done has yet to prove itself")
		}
	case *Closed:
		s.close(i, r, p)
	}
}

func (s *state) close(i *incident, r journal.Record, p *Closed) {
	i.Closed, i.ClosedAt = p, r.Time
	i.tell(r, "closed: "+p.Reason)
	delete(s.open, i.Fingerprint)
	delete(s.byID, i.Incident)
	s.closed[i.Fingerprint] = ended{*p, r.Time}
	s.recent = append(s.recent, i)
	if len(s.recent) > maxRecent {
		s.recent = slices.Delete(s.recent, 0, len(s.recent)-maxRecent)
	}
}

// ack takes a person's word: the node's past no longer counts, and an alert that goes on firing begins a new incident.
func (s *state) ack(r journal.Record, p *Acked) {
	for k := range s.exhausted {
		if k.node == p.Node && (p.Playbook == "" || k.playbook == p.Playbook) {
			delete(s.exhausted, k)
		}
	}
	for _, i := range s.ordered() {
		if i.Node == p.Node && (p.Playbook == "" || i.Playbook == p.Playbook) && i.Stage == stageExhausted {
			i.tell(r, p.String())
			s.close(i, r, &Closed{Incident: i.Incident, Reason: closedAcked, StartsAt: i.StartsAt})
		}
	}
	delete(s.attempts, p.Node)
	s.cures = slices.DeleteFunc(s.cures, func(c cure) bool { return c.node == p.Node })
}

func (s *state) applyOutcome(i *incident, r journal.Record, p *Outcome) {
	in := s.pending[p.Intent]
	i.tell(r, p.sentence(in))
	undo := in.Action == actionUndo
	i.Half = p.Half || i.Half && !(undo && p.Result == resultDone)
	switch {
	case undo && p.Result == resultNotDone && i.Retries == 0:
		i.Retries++
	case undo && p.Result != resultRefused:
		// Whether it worked or not, it is not tried again.
		i.Retries = 0
		i.Done = slices.DeleteFunc(i.Done, func(d deed) bool { return d.ID == in.Undoes })
	case !undo && in.undoable() && p.stands():
		i.Done = append(i.Done, deed{Intent: in, Sure: p.Result == resultDone})
	}
	switch {
	case undo:
		i.enter(stageOpen, r.Time)
	case p.Result == resultDone && p.RestartNeeded:
		i.enter(stageOpen, r.Time)
		i.RestartDue = true
	case p.tookPlace() && in.Action == actionStop:
		i.next(r.Time)
	case p.tookPlace():
		i.RestartDue = false
		i.enter(stageVerifying, r.Time)
	case p.Result == resultRefused:
		i.enter(stageOpen, r.Time)
	case p.Result == resultNotDone && i.Retries == 0:
		i.Retries++
		i.enter(stageOpen, r.Time)
	default:
		i.next(r.Time)
	}
}

// forget takes back the attempt of an intent that had no effect because a guard spoke up in time.
func (s *state) forget(in Intent) {
	s.attempts[in.Node] = slices.DeleteFunc(s.attempts[in.Node], func(a attempt) bool { return a.intent == in.ID })
}

// since counts a node's attempts after a time, and those of them that rebuilt its database, and tells when the last one was.
func (s *state) since(node string, after time.Time) (n, resyncs int, last time.Time) {
	for _, a := range s.attempts[node] {
		if a.at.After(after) {
			n++
			if a.action == actionResync {
				resyncs++
			}
		}
		last = a.at
	}
	return n, resyncs, last
}

// cured counts the recoveries of a node from a playbook after a time.
func (s *state) cured(node, playbook string, after time.Time) (n int) {
	for _, c := range s.cures {
		if c.node == node && c.playbook == playbook && c.at.After(after) {
			n++
		}
	}
	return n
}

// busy are the nodes under remediation, without one incident.
func (s *state) busy(except *incident) map[string]bool {
	nodes := map[string]bool{}
	for _, i := range s.open {
		if i != except && (i.Stage == stageActing || i.Stage == stageVerifying || i.RestartDue) {
			nodes[i.Node] = true
		}
	}
	return nodes
}

// ordered are the open incidents, oldest first.
func (s *state) ordered() []*incident {
	out := make([]*incident, 0, len(s.open))
	for _, i := range s.open {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b *incident) int {
		if c := a.OpenedAt.Compare(b.OpenedAt); c != 0 {
			return c
		}
		return compareIDs(a.Incident, b.Incident)
	})
	return out
}

func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (i *incident) enter(to stage, at time.Time) {
	i.Stage, i.Since = to, at
	seen := i.memory.lastSeen
	i.memory = memory{lastSeen: seen}
}

// unproved tells whether something was done, or is being done, of which our own check has yet to say whether it helped.
func (i *incident) unproved() bool {
	return i.Stage == stageActing || i.Stage == stageVerifying || i.Stage == stageOpen && slices.ContainsFunc(i.Done, func(d deed) bool { return d.Keeps })
}

// underway tells whether an action or its check goes on, and is not held up by a guard.
func (i *incident) underway() bool {
	waits := i.Decision != nil && i.Decision.Step == i.Step && i.Decision.Verdict != verdictAct
	return i.Stage == stageVerifying || (i.Stage == stageActing || i.RestartDue) && !waits
}

// returns tells whether an alert that fires is a new one, and no late word of the one that is over.
func returns(a receiver.Alert, startsAt, over time.Time) bool {
	return a.StartsAt.After(startsAt) || time.Since(over) >= lateFor
}

// next goes to the next rung of the ladder.
func (i *incident) next(at time.Time) {
	i.Step++
	i.Retries = 0
	i.RestartDue = false
	i.enter(stageOpen, at)
}

func (i *incident) tell(r journal.Record, text string) {
	i.Story = append(i.Story, event{At: r.Time, Kind: r.Kind, Text: text})
	if len(i.Story) > maxStory {
		i.Story = slices.Delete(i.Story, 1, 2) // the first line says what it is about
	}
}

// String is the decision as a sentence: what speaks against acting, or by what evidence it is right. What every other guard
// said stands in Answers.
func (d Decision) String() string {
	text := map[string]string{
		verdictWait: d.Action + " waits", verdictHealthy: "nothing to do", verdictAct: "goes ahead with " + d.Action,
		verdictWould: "would act",
	}[d.Verdict]
	for _, a := range d.Answers {
		if a.Blocks || a.Guard == "symptom" || a.Guard == "ladder" {
			text += "; " + a.Guard + ": " + a.Why
		}
	}
	return text
}

// tookPlace tells whether the effect has, or may have.
func (o Outcome) tookPlace() bool { return o.Result == resultDone || o.Result == resultUnknown }

// stands tells whether some of the effect is there, or may be.
func (o Outcome) stands() bool { return o.tookPlace() || o.Half }

// undoable tells whether there is something of the intent's effect that can be taken back.
func (in Intent) undoable() bool { return in.Change != nil || len(in.Moves) > 0 || in.Files != nil }

// String is the intent as a sentence without its subject.
func (in Intent) String() string {
	switch in.Action {
	case actionRestart, actionStop:
		return fmt.Sprintf("%s the %s of %s (%s)", in.Action, clientWords(in.Client), in.Node, in.Target)
	case actionFailover:
		return fmt.Sprintf("change the checkpoint source of %s in %s from %s to %s", in.Node, in.Target, shownURL(in.From), shownURL(in.To))
	case actionResync:
		return fmt.Sprintf("set the database of %s in %s aside and start it anew from %s", in.Node, in.Target, shownURL(in.From))
	case actionReset:
		return fmt.Sprintf("bring %s onto %s", in.Node, in.Reason)
	case actionUndo:
		if in.Change != nil {
			return fmt.Sprintf("put back the checkpoint source of %s in %s", in.Node, in.Target)
		}
		return fmt.Sprintf("put back the data of %s in %s", in.Node, in.Target)
	}
	return in.Action
}

func clientWords(client string) string {
	if client == clientBoth {
		return "execution and consensus clients"
	}
	return client + " client"
}

func (o Observed) String() string {
	text := "collected evidence"
	for _, f := range slices.Sorted(maps.Keys(o.Findings)) {
		text += fmt.Sprintf("; %s: %s", f, o.Findings[f])
	}
	return text
}

func (a Acked) String() string {
	text := "acknowledged"
	if a.By != "" {
		text += " by " + a.By
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	return text
}

func (o Outcome) sentence(in Intent) string {
	switch o.Result {
	case resultDone:
		s := "done: " + in.String()
		if o.Why != "" {
			s += "; " + o.Why
		}
		return s
	case resultRefused:
		return "not done, a guard spoke up: " + o.Error
	case resultUnknown:
		return "the program ended before the outcome was known: " + o.Error
	}
	return o.Result + ": " + o.Error
}
