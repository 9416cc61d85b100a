package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// The guards that need nobody to be asked. They are read when a step is due, and again between intent and effect.
func (e *Engine) standingAnswers(c *config.Config, i *incident, now time.Time) []Answer {
	g := c.Remediation.Guards
	answers := []Answer{e.pauseAnswer(g.PauseFile)}

	quiet := Answer{Guard: "quiet", Why: "no reset is near"}
	if in, until := c.NetworkSpec().Quiet(now, g.Quiet.BeforeReset.Std(), g.Quiet.AfterGenesis.Std()); in {
		quiet.Blocks, quiet.Why = true, "the network resets or has just done so; quiet until "+until.UTC().Format(time.RFC3339)
	}
	answers = append(answers, quiet)

	e.mu.Lock()
	defer e.mu.Unlock()
	n, last := e.state.since(i.Node, now.Add(-g.Budget.Per.Std()))
	cooldown := Answer{Guard: "cooldown", Why: "no action on this node is recent"}
	budget := Answer{Guard: "budget", Why: fmt.Sprintf("%d of %d actions in %s are used", n, g.Budget.Actions, g.Budget.Per)}
	// The second half of a step that has begun is neither held up nor counted against.
	if !i.RestartDue && i.Stage == stageOpen {
		if end := last.Add(g.Cooldown.Std()); !last.IsZero() && now.Before(end) {
			cooldown.Blocks, cooldown.Why = true, "the last action on this node was at "+last.UTC().Format(time.RFC3339)+"; cooldown until "+end.UTC().Format(time.RFC3339)
		}
		if n >= g.Budget.Actions {
			budget.Blocks = true
		}
	}
	return append(answers, cooldown, budget, e.fleetAnswer(c, i))
}

// lastAnswers are read between an intent and its effect, from the configuration in force by then.
func (e *Engine) lastAnswers(ctx context.Context, i *incident) []Answer {
	e.mu.Lock()
	c, over := e.cfg, i.Closed != nil
	e.mu.Unlock()
	answers := e.standingAnswers(c, i, time.Now())
	return append(answers,
		Answer{Guard: "mode", Blocks: c.Remediation.Mode != config.Act, Why: "the mode is " + c.Remediation.Mode},
		Answer{Guard: "alert", Blocks: over, Why: "whether the alert still fires"},
		Answer{Guard: "shutdown", Blocks: ctx.Err() != nil, Why: "whether the program ends"})
}

func (e *Engine) pauseAnswer(file string) Answer {
	a := Answer{Guard: "pause", Why: "not paused"}
	if file == "" {
		return a
	}
	reason, err := os.ReadFile(file)
	switch {
	case err == nil:
		a.Blocks, a.Why = true, "paused by "+file
		if text := strings.TrimSpace(string(reason[:min(len(reason), 200)])); text != "" {
			a.Why += ": " + text
		}
	case !errors.Is(err, fs.ErrNotExist):
		// A pause file that is there but cannot be read was put there for a reason.
		a.Blocks, a.Why = true, err.Error()
	}
	return a
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
