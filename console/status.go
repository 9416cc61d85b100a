package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// Status is how things are, as the programs that run tell it.
type Status struct {
	At time.Time `json:"at"`
	// Fine is false if anything stands in Problems.
	Fine bool `json:"fine"`
	// Problems are what is not as it should be, one sentence each.
	Problems []string `json:"problems"`
	// Network, Nodes, Quorum and Providers are the exporter's answers; empty if it does not answer.
	Network   *collector.Network   `json:"network,omitempty"`
	Nodes     []collector.Node     `json:"nodes"`
	Quorum    *collector.Quorum    `json:"quorum,omitempty"`
	Providers []collector.Provider `json:"providers"`
	// Mode, Incidents (the open ones) and Exhausted are the remediator's.
	Mode      string                   `json:"mode,omitempty"`
	Incidents []remediate.IncidentView `json:"incidents"`
	Exhausted []remediate.Exhausted    `json:"exhausted"`
	Pause     *Pause                   `json:"pause,omitempty"`
}

// openIncidents are those that are not closed.
func openIncidents(s remediate.StateView) []remediate.IncidentView {
	return slices.DeleteFunc(slices.Clone(s.Incidents), func(i remediate.IncidentView) bool { return i.ClosedAt != nil })
}

// Status asks the exporter and the remediator how things are. It returns ErrNotFine if something is not as it should be: one of them does not
// answer, a node does not follow the chain, no quorum is reached, people are needed, or everything is paused.
func (t *Terminal) Status(ctx context.Context, exporter, remediator *Remote, pauseFile string) error {
	s := t.gather(ctx, exporter, remediator, pauseFile)
	if t.JSON {
		if err := t.json(s); err != nil {
			return err
		}
	} else {
		t.status(s)
	}
	if !s.Fine {
		return ErrNotFine
	}
	return nil
}

func (t *Terminal) gather(ctx context.Context, exporter, remediator *Remote, pauseFile string) Status {
	var (
		nodes                             collector.Nodes
		providers                         collector.Providers
		state                             remediate.StateView
		nodesErr, providersErr, remoteErr error
		all                               sync.WaitGroup
		now                               = t.Now()
		s                                 = Status{At: now.UTC(), Problems: []string{}, Nodes: []collector.Node{}, Providers: []collector.Provider{}}
		problem                           = func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
		ask                               = func(from *Remote, path string, into any, err *error) {
			all.Go(func() { *err = from.Get(ctx, path, into) })
		}
		needed = func(x remediate.Exhausted) { problem("people are needed for %s, %s: %s", x.Node, x.Playbook, x.Why) }
	)
	ask(exporter, "/api/v1/nodes", &nodes, &nodesErr)
	ask(exporter, "/api/v1/providers", &providers, &providersErr)
	ask(remediator, "/api/v1/incidents", &state, &remoteErr)
	all.Wait()
	switch err := cmp.Or(nodesErr, providersErr); {
	case err != nil:
		problem("%v", err)
	default:
		s.Network, s.Quorum, s.Nodes, s.Providers = &nodes.Network, &providers.Quorum, nodes.Nodes, providers.Providers
		s.judge(problem)
	}
	s.Mode, s.Incidents, s.Exhausted = state.Mode, append([]remediate.IncidentView{}, openIncidents(state)...), append([]remediate.Exhausted{}, state.Exhausted...)
	slices.SortFunc(s.Exhausted, func(a, b remediate.Exhausted) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Playbook, b.Playbook))
	})
	if remoteErr != nil {
		problem("%v", remoteErr)
	}
	for _, x := range s.Exhausted {
		needed(x)
	}
	if pauseFile != "" {
		pause, err := ReadPause(pauseFile)
		switch {
		case err != nil:
			problem("paused, it seems: %v", err)
		case pause != nil && !pause.over(now):
			s.Pause = pause
			problem("paused %s", t.pauseWords(pause))
		}
	}
	s.Fine = len(s.Problems) == 0
	return s
}

// judge names what is wrong with nodes and providers.
func (s *Status) judge(problem func(string, ...any)) {
	for _, n := range s.Nodes {
		switch {
		case !n.Looked:
			problem("%s has yet to be looked at", n.Name)
		case slices.Contains([]string{"unreachable", "bootstrapping", "stalled", "wrong_network", "old_iteration"}, n.Phase):
			text := n.Name + " is " + strings.ReplaceAll(n.Phase, "_", " ")
			switch {
			case n.Phase == "wrong_network":
				text = n.Name + " is on the wrong network"
			case n.Phase == "old_iteration":
				text = n.Name + " is on an old iteration of the network"
			case n.Error != nil:
				text += ": " + n.Error.Text
			}
			problem("%s", text)
		}
		if n.Execution != nil && !n.Execution.Up {
			text := "the execution client of " + n.Name + " does not answer"
			if n.Execution.Error != nil {
				text += ": " + n.Execution.Error.Text
			}
			problem("%s", text)
		}
	}
	if !s.Quorum.Complete || !s.Quorum.Reached {
		problem("%s", quorumWords(*s.Quorum))
	}
}

func (t *Terminal) status(s Status) {
	if s.Network != nil {
		t.printf("%s\n", clean(t.networkWords(*s.Network)))
	}
	if s.Mode != "" {
		t.printf("%s\n", clean("Remediation: "+modeWords(s.Mode)))
	}
	if len(s.Nodes) > 0 {
		t.printf("\n")
		t.headed([]string{"NODE", "PHASE", "DISTANCE", "PEERS", "READY IN", "CLIENTS"}, nodeRows(s.Nodes))
	}
	if len(s.Providers) > 0 {
		t.printf("\n")
		t.providers(s.Providers)
		t.printf("%s\n", quorumWords(*s.Quorum))
	}
	if len(s.Incidents) > 0 {
		t.printf("\n")
		rows := make([][]cell, 0, len(s.Incidents))
		for _, i := range s.Incidents {
			rows = append(rows, cells(i.ID, i.Node, i.Playbook, span(s.At.Sub(i.OpenedAt)), fmt.Sprint(i.Step+1), cmp.Or(standings[i.Stage], i.Stage)))
		}
		t.headed([]string{"INCIDENT", "NODE", "PLAYBOOK", "OPEN FOR", "STEP", "STANDING"}, rows)
	}
	t.printf("\n")
	if s.Fine {
		t.printf("%s\n", t.paint(green, "All is well."))
		return
	}
	t.printf("%s\n", t.paint(bold, "Not well:"))
	for _, p := range s.Problems {
		t.printf("  %s\n", t.paint(red, clean(p)))
	}
}

func modeWords(mode string) string {
	switch mode {
	case "observe":
		return "observe: it writes down what it would do, and does nothing"
	case "act":
		return "act: it does what the playbooks say"
	}
	return mode
}

func (t *Terminal) networkWords(n collector.Network) string {
	text := "Network " + n.Name
	if n.Iteration > 0 {
		text += fmt.Sprintf(", iteration %d", n.Iteration)
	}
	if n.Epoch != nil && n.Slot != nil {
		text += fmt.Sprintf(", epoch %d, slot %d", *n.Epoch, *n.Slot)
	}
	if n.ResetAt != nil {
		text += "; resets at " + t.at(*n.ResetAt)
	}
	if n.Quiet {
		text += "; in the quiet window around a reset"
	}
	return text
}

func nodeRows(nodes []collector.Node) [][]cell {
	var rows [][]cell
	for _, n := range nodes {
		phase := cell{cmp.Or(n.Phase, "unknown"), yellow}
		switch n.Phase {
		case "synced":
			phase.style = green
		case "unreachable", "stalled", "wrong_network", "old_iteration":
			phase.style = red
		}
		distance, peers, eta := "-", "-", "-"
		if n.DistanceSlots != nil {
			distance = count(*n.DistanceSlots, "slot", "slots")
		}
		if p, ok := n.Peers["connected"]; ok {
			peers = fmt.Sprint(p)
		}
		switch {
		case n.Phase == "synced":
			eta = "now"
		case n.ETA != nil:
			eta = span(time.Duration(n.ETA.P10*float64(time.Second))) + " to " + span(time.Duration(n.ETA.P90*float64(time.Second)))
		}
		rows = append(rows, []cell{{n.Name, plain}, phase, {distance, plain}, {peers, plain}, {eta, plain}, {clientWords(n), dim}})
	}
	return rows
}

func clientWords(n collector.Node) string {
	var words []string
	if n.Client != nil {
		words = append(words, n.Client.Name+" "+n.Client.Version)
	}
	if n.Execution != nil && n.Execution.Client != nil {
		words = append(words, n.Execution.Client.Name+" "+n.Execution.Client.Version)
	}
	return strings.Join(words, ", ")
}
