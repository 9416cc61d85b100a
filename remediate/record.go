package remediate

import (
	"encoding/json"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// Kinds of journal records. The state of the remediator is what these records say, replayed; nothing else is remembered
// across a restart.
const (
	kindStarted   = "started"
	kindOpened    = "opened"
	kindClosed    = "closed"
	kindDecision  = "decision"
	kindSkipped   = "skipped"
	kindIntent    = "intent"
	kindOutcome   = "outcome"
	kindVerified  = "verified"
	kindExhausted = "exhausted"
	kindCleared   = "cleared"
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
)

// Closed ends an incident.
type Closed struct {
	Incident string `json:"incident"`
	Reason   string `json:"reason"`
	// StartsAt is the beginning of the alert that was closed; it tells a late duplicate from a new alert.
	StartsAt time.Time `json:"starts_at"`
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
	// Client is consensus or execution, for a restart.
	Client string `json:"client,omitempty"`
	// Target is the unit, command or file that is acted upon.
	Target string `json:"target"`
	// From and To are the checkpoint URLs before and after a failover.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Change is the file change that a failover makes, or an undo takes back.
	Change *source.Change `json:"change,omitempty"`
	// Before is what the target looked like, so that after a crash one can tell whether the effect took place.
	Before json.RawMessage `json:"before,omitempty"`
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
	// RestartNeeded tells, after a failover, that the client reads its new source only when restarted, and Why.
	RestartNeeded bool   `json:"restart_needed,omitempty"`
	Why           string `json:"why,omitempty"`
}

// Verified is how a step's check ended.
type Verified struct {
	Incident string `json:"incident"`
	Step     int    `json:"step"`
	OK       bool   `json:"ok"`
	// Evidence is the sentence of the last look.
	Evidence string `json:"evidence"`
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

// payloadOf decodes a record into the type of its kind; nil for a kind that is not known.
func payloadOf(r journal.Record) (any, error) {
	var p any
	switch r.Kind {
	case kindStarted:
		p = &Started{}
	case kindOpened:
		p = &Opened{}
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
	case kindExhausted:
		p = &Exhausted{}
	case kindCleared:
		p = &Cleared{}
	default:
		return nil, nil
	}
	return p, json.Unmarshal(r.Payload, p)
}
