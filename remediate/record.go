package remediate

import (
	"encoding/json"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Kinds of journal records. The state of the remediator is what these records say, replayed; nothing else is remembered
// across a restart.
const (
	kindStarted   = "started"
	kindOpened    = "opened"
	kindHeard     = "heard"
	kindClosed    = "closed"
	kindDecision  = "decision"
	kindSkipped   = "skipped"
	kindIntent    = "intent"
	kindOutcome   = "outcome"
	kindVerified  = "verified"
	kindObserved  = "observed"
	kindSettled   = "settled"
	kindExhausted = "exhausted"
	kindCleared   = "cleared"
	kindAcked     = "acked"
	kindClock     = "clock"
)

// Started marks a start of the program.
type Started struct {
	Version string `json:"version"`
	Mode    string `json:"mode"`
	// TornBytes is how much of an unfinished line was cut from the journal's end.
	TornBytes int64 `json:"torn_bytes,omitempty"`
}

// Opened begins an incident.
type Opened struct {
	Incident    string    `json:"incident"`
	Fingerprint string    `json:"fingerprint"`
	Alert       string    `json:"alert"`
	Node        string    `json:"node"`
	Playbook    string    `json:"playbook"`
	StartsAt    time.Time `json:"starts_at"`
	// Summary is the alert's own words, bounded by the receiver.
	Summary string `json:"summary,omitempty"`
}

// Why an incident was closed.
const (
	closedResolved = "resolved"
	closedAbsent   = "absent"
	closedExpired  = "expired"
	closedUnknown  = "unconfigured"
	closedAcked    = "acknowledged"
)

// Closed ends an incident.
type Closed struct {
	Incident string `json:"incident"`
	Reason   string `json:"reason"`
	// StartsAt is the beginning of the alert that was closed; it tells a late duplicate from a new alert.
	StartsAt time.Time `json:"starts_at"`
}

// Heard is what Alertmanager told of an alert while what was done for it was not proved yet: that it is over, or fires again. The alert of a
// node whose client is down for an action often ends, and proves nothing: the incident goes on until our own check has ended.
type Heard struct {
	Incident string `json:"incident"`
	// Over is why it is over, one of the reasons for which an incident is closed; empty when it fires again.
	Over string `json:"over,omitempty"`
	// StartsAt is the beginning of the alert that fires again.
	StartsAt time.Time `json:"starts_at,omitzero"`
}

// Answer is what one guard said.
type Answer struct {
	Guard string `json:"guard"`
	// Blocks is false for a guard that has nothing against the action.
	Blocks bool   `json:"blocks"`
	Why    string `json:"why"`
}

// Decision is why an incident's next step was or was not taken. It is written when it differs from the last one.
type Decision struct {
	Incident string   `json:"incident"`
	Node     string   `json:"node"`
	Step     int      `json:"step"`
	Action   string   `json:"action"`
	Verdict  string   `json:"verdict"`
	Answers  []Answer `json:"answers"`
}

// Verdicts of a Decision.
const (
	verdictWait    = "wait"
	verdictHealthy = "healthy"
	verdictWould   = "would_act"
	verdictAct     = "act"
)

// Skipped passes over a step that this node is not configured for.
type Skipped struct {
	Incident string `json:"incident"`
	Step     int    `json:"step"`
	Action   string `json:"action"`
	Why      string `json:"why"`
}

// Intent is on the disk before its effect begins.
type Intent struct {
	ID       string `json:"id"`
	Incident string `json:"incident"`
	Node     string `json:"node"`
	Playbook string `json:"playbook"`
	Step     int    `json:"step"`
	Action   string `json:"action"`
	// Client is consensus, execution or both, for a restart or a stop.
	Client string `json:"client,omitempty"`
	// Target is the unit, command, file or directory that is acted upon.
	Target string `json:"target"`
	// From and To are the checkpoint URLs before and after a failover.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Change is the change of a source that a failover makes, or an undo takes back.
	Change *source.Change `json:"change,omitempty"`
	// Moves are what is set aside of data directories by a resync or a reset, or put back by an undo.
	Moves []chaindata.Move `json:"moves,omitempty"`
	// Files is the replacement of a network's files by a reset, or what an undo takes back.
	Files *netfiles.Staged `json:"files,omitempty"`
	// Keeps tells that what taking the action back would need is kept until the node is well.
	Keeps bool `json:"keeps,omitempty"`
	// Undoes is the intent that an undo takes back.
	Undoes string `json:"undoes,omitempty"`
	// Before is what each client's run looked like, by consensus, execution and validator, so that after a crash one can tell whether
	// the effect took place.
	Before map[string]actuator.State `json:"before,omitempty"`
	// HeadSlot is the node's head before the effect; progress is counted from it.
	HeadSlot *uint64 `json:"head_slot,omitempty"`
	Reason   string  `json:"reason,omitempty"`
}

// Results of an Outcome.
const (
	// resultDone: the effect took place.
	resultDone = "done"
	// resultNotDone: it failed before any effect, and may be tried once more.
	resultNotDone = "failed_before_effect"
	// resultFailed: it failed during or after the effect, and is not repeated in this incident.
	resultFailed = "failed"
	// resultRefused: a guard spoke up between the intent and the effect; nothing was done.
	resultRefused = "refused"
	// resultUnknown: the program ended between intent and outcome, and it cannot be told what happened.
	resultUnknown = "unknown"
)

// Outcome closes an Intent.
type Outcome struct {
	Intent   string          `json:"intent"`
	Incident string          `json:"incident"`
	Result   string          `json:"result"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
	Error    string          `json:"error,omitempty"`
	Seconds  float64         `json:"seconds"`
	// Half tells that what failed could be neither ended nor taken back.
	Half bool `json:"half,omitempty"`
	// RestartNeeded tells, after a failover, that the client reads its new source only when restarted, and Why.
	RestartNeeded bool   `json:"restart_needed,omitempty"`
	Why           string `json:"why,omitempty"`
}

// Verified is how a step's check ended.
type Verified struct {
	Incident string `json:"incident"`
	Step     int    `json:"step"`
	OK       bool   `json:"ok"`
	// More tells that a later step is about something else, which this one only prepared.
	More bool `json:"more,omitempty"`
	// Evidence is the sentence of the last look.
	Evidence string `json:"evidence"`
}

// Observed is evidence that was collected, for people.
type Observed struct {
	Incident string `json:"incident"`
	Step     int    `json:"step"`
	Evidence
}

// Settled lets go of what taking an action back would have needed: the node is well.
type Settled struct {
	Intent   string `json:"intent"`
	Incident string `json:"incident"`
	// What was deleted.
	What string `json:"what"`
}

// Exhausted hands a node up to people.
type Exhausted struct {
	Incident string `json:"incident"`
	Node     string `json:"node"`
	Playbook string `json:"playbook"`
	Why      string `json:"why"`
}

// Cleared takes an Exhausted back.
type Cleared struct {
	Node     string `json:"node"`
	Playbook string `json:"playbook"`
	Why      string `json:"why"`
}

// Acked is a person's word that the node is theirs and has been seen to: calls for people, and what its actions count for in budgets and
// cooldowns, are taken back.
type Acked struct {
	Node string `json:"node"`
	// Playbook is empty for all.
	Playbook string `json:"playbook,omitempty"`
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Clock is a step of the wall clock, as seen against the monotonic one.
type Clock struct {
	// Seconds is by how much it stepped; negative is back.
	Seconds float64 `json:"seconds"`
}

// counters go through all files of a journal: names are made of them.
type counters struct {
	Opened  int `json:"opened"`
	Intents int `json:"intents"`
}

// payloadOf decodes a record into the type of its kind; nil for a kind that is not known.
func payloadOf(r journal.Record) (any, error) {
	var p any
	switch r.Kind {
	case kindStarted:
		p = &Started{}
	case kindOpened:
		p = &Opened{}
	case kindHeard:
		p = &Heard{}
	case kindClosed:
		p = &Closed{}
	case kindDecision:
		p = &Decision{}
	case kindSkipped:
		p = &Skipped{}
	case kindIntent:
		p = &Intent{}
	case kindOutcome:
		p = &Outcome{}
	case kindVerified:
		p = &Verified{}
	case kindObserved:
		p = &Observed{}
	case kindSettled:
		p = &Settled{}
	case kindExhausted:
		p = &Exhausted{}
	case kindCleared:
		p = &Cleared{}
	case kindAcked:
		p = &Acked{}
	case kindClock:
		p = &Clock{}
	case journal.KindRotated:
		p = &journal.Rotated{}
	default:
		return nil, nil
	}
	return p, json.Unmarshal(r.Payload, p)
}
