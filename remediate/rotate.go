package remediate

import (
	"fmt"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// rotateSize is how large a journal grows, in bytes, beyond what its beginning carries over. A year of a busy node's nights fits.
const rotateSize = 16 << 20

// rotate begins a new file when the journal has grown large. What still counts is carried over as it was written: the state after a replay of
// the new file alone is that of before.
func (e *Engine) rotate(c *config.Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.journal.Size()-e.journal.Head() < e.rotateAt {
		return nil
	}
	carried, err := e.carried(c)
	if err != nil {
		return fmt.Errorf("rotate the journal: %w", err)
	}
	archive, err := e.journal.Rotate(counters{Opened: e.state.opened, Intents: e.state.intents}, carried...)
	if e.rotateAt = rotateSize; archive == "" {
		e.rotateAt = e.journal.Size() - e.journal.Head() + rotateSize/16 // what failed is not tried every round
	}
	if archive != "" {
		level.Info(e.logger).Log("msg", "rotated the journal", "archive", archive, "carried", len(carried))
	}
	if err != nil {
		level.Error(e.logger).Log("msg", "rotate the journal", "err", err)
	}
	return nil
}

// carried are the entries of what still counts: all of open incidents, of calls for people and of what was set aside, and of what
// happened within the longest period of a guard. It is called with mu held.
func (e *Engine) carried(c *config.Config) ([]journal.Entry, error) {
	g := c.Remediation.Guards
	horizon := e.clock.now().Add(-max(g.Budget.Per.Std(), g.Cooldown.Std(), g.Flapping.Per.Std(), lateFor))
	live, files := map[string]bool{}, map[string]bool{}
	counts := func(in Intent) {
		live[in.Incident] = true
		if in.Change != nil {
			files[in.Change.File] = true
		}
	}
	for _, in := range e.state.kept {
		counts(in)
	}
	for _, in := range e.state.pending {
		counts(in)
	}
	for _, i := range e.state.open {
		for _, d := range i.Done {
			counts(d.Intent)
		}
	}
	for _, x := range e.state.exhausted {
		live[x.Incident] = true
	}
	// An incident can be as old as it likes; one record of it within the horizon makes all of it count, and so does a change of a file in which
	// another one is to be taken back.
	err := e.each(func(_, original journal.Record, payload any) {
		in, is := payload.(*Intent)
		if original.Time.After(horizon) || is && in.Change != nil && files[in.Change.File] {
			live[incidentOf(payload)] = true
		}
	})
	if err != nil {
		return nil, err
	}
	var out []journal.Entry
	nodes := map[string]bool{} // of which something is carried that a later word takes back
	err = e.each(func(r, original journal.Record, payload any) {
		incident := incidentOf(payload)
		open := e.state.byID[incident] != nil
		node, _ := belongs(payload)
		switch payload.(type) {
		case *Acked, *Cleared:
			if !nodes[node] && !original.Time.After(horizon) {
				return
			}
		case *Decision, *Observed:
			if !open {
				return
			}
		default:
			if !open && !(live[incident] && incident != "") {
				return
			}
			nodes[node] = true
		}
		out = append(out, journal.Carry(r))
	})
	return out, err
}

// each reads the journal: every record as it is, as it was first written, and what it says.
func (e *Engine) each(f func(r, original journal.Record, payload any)) error {
	for r, err := range e.journal.Records() {
		if err != nil {
			return err
		}
		original, err := r.Original()
		if err != nil {
			return err
		}
		payload, err := payloadOf(original)
		if err != nil {
			return fmt.Errorf("journal record %d: read %s: %w", r.Seq, original.Kind, err)
		}
		f(r, original, payload)
	}
	return nil
}
