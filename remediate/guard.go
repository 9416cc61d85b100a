package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// limits are the guards that say how much has been done already. One that blocks is no reason to wait: people are called.
var limits = map[string]bool{"budget": true, "resyncs": true, "flapping": true}

// The guards that need nobody to be asked. They are read when a step is due, and again between intent and effect. What takes an action
// back is no new attempt, and is not held up by how many there were.
func (e *Engine) standingAnswers(c *config.Config, i *incident, action string) []Answer {
	g, now := c.Remediation.Guards, e.clock.now()
	answers := []Answer{e.pauseAnswer(g.PauseFile)}

	quiet := Answer{Guard: "quiet", Why: "no reset is near"}
	if in, until := c.NetworkSpec().Quiet(now, g.Quiet.BeforeReset.Std(), g.Quiet.AfterGenesis.Std()); in {
		quiet.Blocks, quiet.Why = true, "the network resets or has just done so; quiet until "+until.UTC().Format(time.RFC3339)
	}
	answers = append(answers, quiet, calendarAnswer(g, now), e.clock.answer())

	e.mu.Lock()
	defer e.mu.Unlock()
	fleet := e.fleetAnswer(c, i)
	// The second half of a step that has begun is neither held up nor counted against.
	if action == actionUndo || i.RestartDue || i.Stage != stageOpen {
		return append(answers, fleet)
	}
	n, resyncs, last := e.state.since(i.Node, now.Add(-g.Budget.Per.Std()))
	cooldown := Answer{Guard: "cooldown", Why: "no action on this node is recent"}
	if end := last.Add(g.Cooldown.Std()); !last.IsZero() && now.Before(end) {
		cooldown.Blocks, cooldown.Why = true, "the last action on this node was at "+last.UTC().Format(time.RFC3339)+"; cooldown until "+end.UTC().Format(time.RFC3339)
	}
	budget := Answer{Guard: "budget", Blocks: n >= g.Budget.Actions, Why: fmt.Sprintf("%d of %d actions in %s are used", n, g.Budget.Actions, g.Budget.Per)}
	answers = append(answers, cooldown, fleet, budget)
	if action == actionResync {
		answers = append(answers, Answer{Guard: "resyncs", Blocks: resyncs >= g.Budget.Resyncs, Why: fmt.Sprintf("%d of %d resyncs in %s are used", resyncs, g.Budget.Resyncs, g.Budget.Per)})
	}
	cured := e.state.cured(i.Node, i.Playbook, now.Add(-g.Flapping.Per.Std()))
	return append(answers, Answer{Guard: "flapping", Blocks: cured >= g.Flapping.Times,
		Why: fmt.Sprintf("it recovered from this %d times in %s, and %d are allowed", cured, g.Flapping.Per, g.Flapping.Times)})
}

// calendarAnswer says whether the time of day and year is one in which something may be done.
func calendarAnswer(g config.Guards, now time.Time) Answer {
	within := func(intervals []config.TimeInterval) bool {
		return slices.ContainsFunc(intervals, func(t config.TimeInterval) bool { return t.ContainsTime(now.UTC()) })
	}
	a := Answer{Guard: "calendar", Why: "nothing in the calendar speaks against it"}
	switch {
	case within(g.MuteTimeIntervals):
		a.Blocks, a.Why = true, "it is one of mute_time_intervals"
	case len(g.ActiveTimeIntervals) > 0 && !within(g.ActiveTimeIntervals):
		a.Blocks, a.Why = true, "it is none of active_time_intervals"
	}
	return a
}

// lastAnswers are read between an intent and its effect, from the configuration in force by then.
func (e *Engine) lastAnswers(ctx context.Context, i *incident, action string) []Answer {
	e.mu.Lock()
	c := e.cfg
	over := i.Closed != nil || i.Over != "" && !i.RestartDue && action != actionUndo
	e.mu.Unlock()
	return append(e.standingAnswers(c, i, action), modeAnswer(c),
		Answer{Guard: "alert", Blocks: over, Why: "whether the alert still fires"},
		Answer{Guard: "shutdown", Blocks: ctx.Err() != nil, Why: "whether the program ends"})
}

func modeAnswer(c *config.Config) Answer {
	return Answer{Guard: "mode", Blocks: c.Remediation.Mode != config.Act, Why: "the mode is " + c.Remediation.Mode}
}

func (e *Engine) pauseAnswer(file string) Answer {
	a := Answer{Guard: "pause", Why: "not paused"}
	if file == "" {
		return a
	}
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		reason, until := pauseOf(text)
		if !until.IsZero() && e.clock.now().After(until) {
			a.Why = "a pause was over at " + until.UTC().Format(time.RFC3339)
			return a
		}
		a.Blocks, a.Why = true, "paused by "+file
		if reason != "" {
			a.Why += ": " + reason
		}
	case !errors.Is(err, fs.ErrNotExist):
		// A pause file that is there but cannot be read was put there for a reason.
		a.Blocks, a.Why = true, err.Error()
	}
	return a
}

// pauseOf reads a pause file: the first line is the reason, a line "until: TIME" (RFC 3339) its end. One without a readable end has none.
func pauseOf(text []byte) (reason string, until time.Time) {
	const most = 200
	for k, line := range strings.Split(string(text[:min(len(text), 4096)]), "\n") {
		if at, is := strings.CutPrefix(line, "until: "); is {
			if t, err := time.Parse(time.RFC3339, strings.TrimSpace(at)); err == nil {
				until = t
			}
		} else if k == 0 {
			reason = strings.ToValidUTF8(strings.TrimSpace(line[:min(len(line), most)]), "")
		}
	}
	return reason, until
}

// fleetAnswer bounds how many nodes are under remediation at once. It is called with mu held.
func (e *Engine) fleetAnswer(c *config.Config, i *incident) Answer {
	g := c.Remediation.Guards
	a := Answer{Guard: "concurrent", Why: "no other node is under remediation"}
	busy := e.state.busy(i)
	if i.RestartDue {
		a.Why = "this node is under remediation already"
		return a
	}
	if busy[i.Node] {
		a.Blocks, a.Why = true, "another incident of this node is being worked on"
		return a
	}
	n := len(busy)
	if n == 0 {
		return a
	}
	a.Why = fmt.Sprintf("%d of %d nodes are under remediation", n, len(c.Nodes))
	share := float64(n+1) / float64(len(c.Nodes))
	a.Blocks = n >= g.ConcurrentNodes || share > g.MaxShare
	return a
}

// quorumAnswer says whether enough providers agree for a change of source.
func quorumAnswer(g config.Guards, j provider.Judgement) Answer {
	a := Answer{Guard: "quorum", Why: fmt.Sprintf("%d usable providers agree on epoch %d, %d are needed", j.Quorum.Providers, j.Quorum.Epoch, g.Quorum)}
	a.Blocks = j.Quorum.Providers < g.Quorum
	return a
}

func blocked(answers []Answer) []Answer {
	var out []Answer
	for _, a := range answers {
		if a.Blocks {
			out = append(out, a)
		}
	}
	return out
}

func guardsOf(answers []Answer) string {
	names := make([]string, 0, len(answers))
	for _, a := range answers {
		names = append(names, a.Guard+": "+a.Why)
	}
	return strings.Join(names, "; ")
}
