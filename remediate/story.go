package remediate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// Line is one record of the journal in words.
type Line struct {
	// Seq and Time are those of the record's first writing.
	Seq  uint64
	Time time.Time
	Kind string
	// Incident, Node and Playbook are whose it is; empty for one that belongs to none.
	Incident, Node, Playbook string
	// Text is the record as a sentence, in the words of GET /api/v1/incidents.
	Text string
	// Evidence is what the record holds beside, a line a fact, and Logs are the clients' last lines, oldest first. Both can hold what strangers
	// wrote.
	Evidence, Logs []string
	// Record is the payload: a pointer to the type of its kind, such as *Opened; nil for a kind that this version does not know.
	Record any
	// Payload is the same as it stands in the journal.
	Payload json.RawMessage
}

// Teller puts the records of a journal into words, in their order. What one says can depend on those before it.
type Teller struct {
	state *state
	first uint64          // Seq of the first record
	told  map[uint64]bool // carried records from before it
}

// NewTeller makes a Teller that has heard nothing.
func NewTeller() *Teller { return &Teller{state: newState(), told: map[uint64]bool{}} }

// Tell is a record in words. It is not fresh when it is one that was carried over from an earlier file and has been told from there.
func (t *Teller) Tell(r journal.Record) (line Line, fresh bool, err error) {
	if t.first == 0 {
		t.first = r.Seq
	}
	original, err := r.Original()
	if err != nil {
		return Line{}, false, err
	}
	if r.Kind == journal.KindCarried {
		if original.Seq >= t.first || t.told[original.Seq] {
			return Line{}, false, nil
		}
		t.told[original.Seq] = true
	}
	payload, err := payloadOf(original)
	if err != nil {
		return Line{}, false, fmt.Errorf("journal record %d: read %s: %w", original.Seq, original.Kind, err)
	}
	in := t.intent(payload)
	before := t.incident(payload)
	if err := t.state.apply(r); err != nil {
		return Line{}, false, err
	}
	if before == nil {
		before = t.incident(payload)
	}
	line = Line{
		Seq: original.Seq, Time: original.Time, Kind: original.Kind, Incident: incidentOf(payload), Record: payload, Payload: original.Payload,
		Evidence: evidenceOf(payload),
	}
	if o, ok := payload.(*Observed); ok {
		for _, client := range slices.Sorted(maps.Keys(o.Logs)) {
			for _, l := range o.Logs[client] {
				line.Logs = append(line.Logs, client+": "+l)
			}
		}
	}
	line.Node, line.Playbook = belongs(payload)
	if before != nil {
		line.Node, line.Playbook = before.Node, before.Playbook
	}
	line.Text = told(before, original)
	if line.Text == "" {
		line.Text = plainly(payload, original.Kind, in)
	}
	return line, true, nil
}

// incident is the open one that a record is about.
func (t *Teller) incident(payload any) *incident { return t.state.byID[incidentOf(payload)] }

// intent is the one that a record closes.
func (t *Teller) intent(payload any) Intent {
	if p, ok := payload.(*Outcome); ok {
		return t.state.pending[p.Intent]
	}
	return Intent{}
}

// told is what an incident's story says of a record; empty if it says nothing.
func told(i *incident, r journal.Record) string {
	if i == nil || len(i.Story) == 0 {
		return ""
	}
	if last := i.Story[len(i.Story)-1]; last.Kind == r.Kind && last.At.Equal(r.Time) {
		return last.Text
	}
	return ""
}

// Stage is where an open incident stands, in one of the words of GET /api/v1/incidents; empty for one that is not open.
func (t *Teller) Stage(incident string) string {
	if i := t.state.byID[incident]; i != nil {
		return string(i.Stage)
	}
	return ""
}

// Pending are the intents without an outcome, in their order: what is being done, or was when the program ended.
func (t *Teller) Pending() []Intent { return sortedIntents(t.state.pending) }

// Kept are the done intents of which what taking them back would need is still kept, in their order.
func (t *Teller) Kept() []Intent { return sortedIntents(t.state.kept) }

func sortedIntents(m map[string]Intent) []Intent {
	return slices.SortedFunc(maps.Values(m), func(a, b Intent) int { return compareIDs(a.ID, b.ID) })
}

// belongs are node and playbook of a record that names them itself.
func belongs(payload any) (node, playbook string) {
	switch p := payload.(type) {
	case *Opened:
		return p.Node, p.Playbook
	case *Decision:
		return p.Node, ""
	case *Intent:
		return p.Node, p.Playbook
	case *Exhausted:
		return p.Node, p.Playbook
	case *Cleared:
		return p.Node, p.Playbook
	case *Acked:
		return p.Node, p.Playbook
	}
	return "", ""
}

// plainly is a record that is part of no incident known, as a sentence.
func plainly(payload any, kind string, in Intent) string {
	switch p := payload.(type) {
	case *Started:
		return fmt.Sprintf("the remediator started: version %s, mode %s", p.Version, p.Mode)
	case *Cleared:
		return fmt.Sprintf("people are no longer needed for %s, %s: %s", p.Node, p.Playbook, p.Why)
	case *Acked:
		return p.String()
	case *Clock:
		return fmt.Sprintf("the clock stepped by %s", time.Duration(p.Seconds*float64(time.Second)).Round(time.Millisecond))
	case *journal.Rotated:
		return "the journal goes on from " + p.Archive
	case *Outcome:
		return p.sentence(in)
	case *Intent:
		return "will " + p.String()
	case *Settled:
		return "the node is well: " + p.What
	case *Exhausted:
		return "people are needed: " + p.Why
	case *Closed:
		return "closed: " + p.Reason
	case *Verified:
		return "checked: " + p.Evidence
	case fmt.Stringer:
		return p.String()
	}
	return kind
}

// evidenceOf is what a record holds beyond its sentence.
func evidenceOf(payload any) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch p := payload.(type) {
	case *Opened:
		if p.Summary != "" {
			add("%s", p.Summary)
		}
	case *Intent:
		if p.Reason != "" && p.Action != actionReset {
			add("%s", p.Reason)
		}
		if p.HeadSlot != nil {
			add("head before: slot %d", *p.HeadSlot)
		}
		if p.Change != nil && p.Action != actionUndo {
			add("in %s", p.Change.File)
			for l := range strings.SplitSeq(p.Change.Diff, "\n") {
				if strings.HasPrefix(l, "-") && !strings.HasPrefix(l, "--- ") || strings.HasPrefix(l, "+") && !strings.HasPrefix(l, "+++ ") {
					add("%s", l)
				}
			}
		}
	case *Outcome:
		if p.Seconds > 0 {
			add("took %s", time.Duration(p.Seconds*float64(time.Second)).Round(100*time.Millisecond))
		}
		if len(p.Evidence) > 0 {
			var v any
			if json.Unmarshal(p.Evidence, &v) == nil {
				if m, ok := v.(map[string]any); ok {
					delete(m, "took_ns") // told above
				}
				flatten("", v, add)
			}
		}
	case *Observed:
		for _, what := range slices.Sorted(maps.Keys(p.Disk)) {
			const gib = 1 << 30
			add("disk of %s: %.1f of %.1f GiB free", what, float64(p.Disk[what].Free)/gib, float64(p.Disk[what].Total)/gib)
		}
		for _, what := range slices.Sorted(maps.Keys(p.API)) {
			flatten(what, plainJSON(p.API[what]), add)
		}
		for _, what := range slices.Sorted(maps.Keys(p.Problems)) {
			add("not seen: %s: %s", what, p.Problems[what])
		}
	}
	return out
}

// plainJSON is a value as it is in JSON: it may have been put there by this process.
func plainJSON(v any) any {
	var out any
	if text, err := json.Marshal(v); err != nil || json.Unmarshal(text, &out) != nil {
		return nil
	}
	return out
}

// flatten tells a JSON value as lines of path and value, an object that holds plain values on one. What is empty is left out.
func flatten(path string, v any, add func(string, ...any)) {
	under := func(key string) string { return strings.TrimSpace(path + " " + strings.ReplaceAll(key, "_", " ")) }
	switch v := v.(type) {
	case map[string]any:
		var words []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			text, is := scalar(k, v[k])
			switch {
			case !is:
				flatten(under(k), v[k], add)
			case text == "":
			case path == "":
				add("%s: %s", word(k), text)
			default:
				words = append(words, word(k)+" "+text)
			}
		}
		if len(words) > 0 {
			add("%s: %s", path, strings.Join(words, ", "))
		}
	case []any:
		for i, e := range v {
			flatten(under(strconv.Itoa(i+1)), e, add)
		}
	default:
		if text, _ := scalar("", v); text != "" {
			add("%s: %s", path, text)
		}
	}
}

const nanoseconds = "_ns"

// word is a JSON key as people read it.
func word(key string) string {
	return strings.ReplaceAll(strings.TrimSuffix(key, nanoseconds), "_", " ")
}

// scalar is a JSON value that is no object and no array, as people read it; empty for nothing.
func scalar(key string, v any) (text string, is bool) {
	switch v := v.(type) {
	case map[string]any, []any:
		return "", false
	case nil:
		return "", true
	case string:
		return v, true
	case float64:
		if strings.HasSuffix(key, nanoseconds) {
			return time.Duration(v).Round(time.Millisecond).String(), true
		}
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return fmt.Sprint(v), true
}
