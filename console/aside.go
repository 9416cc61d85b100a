package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
)

// Aside is a client's data that a resync or a reset has set aside.
type Aside struct {
	// Intent names it.
	Intent   string    `json:"intent"`
	Incident string    `json:"incident"`
	Node     string    `json:"node"`
	Action   string    `json:"action"`
	Time     time.Time `json:"time"`
	Dir      string    `json:"dir"`
	// Bytes is what it takes on disk.
	Bytes uint64 `json:"bytes"`
	// Condition is whether it is still there, as it is found now: a chaindata.Condition; empty where that cannot be told, and Problem says why.
	Condition chaindata.Condition `json:"condition,omitempty"`
	Problem   string              `json:"problem,omitempty"`
	Places    []chaindata.Place   `json:"places"`
}

// asides are what the journal knows to be set aside, and neither put back nor deleted.
func (h *history) asides() []Aside {
	var out []Aside
	for _, in := range slices.Concat(h.pending, h.kept) {
		if in.Undoes != "" {
			continue
		}
		for _, m := range in.Moves {
			a := Aside{Intent: in.ID, Incident: in.Incident, Node: in.Node, Action: in.Action, Time: h.begun[in.ID].UTC(), Dir: m.Dir, Bytes: m.Bytes, Places: m.Places}
			c, err := m.Look()
			a.Condition = c
			if err != nil {
				a.Problem = err.Error()
			}
			out = append(out, a)
		}
	}
	return out
}

func (t *Terminal) asides(all []Aside) {
	rows := make([][]cell, 0, len(all))
	for _, a := range all {
		state := map[chaindata.Condition]string{
			chaindata.NotApplied: "in its place", chaindata.Half: "partly aside", chaindata.Applied: "aside", chaindata.Restored: "put back", chaindata.Deleted: "deleted",
		}[a.Condition]
		if a.Problem != "" {
			state = "cannot be told: " + a.Problem
		}
		rows = append(rows, []cell{{a.Intent, bold}, {a.Node, plain}, {a.Action, plain}, {t.at(a.Time), plain}, {a.Dir, plain}, {bytesOf(a.Bytes), plain}, {state, dim}})
	}
	t.headed([]string{"SET ASIDE", "NODE", "BY", "AT", "DATA OF", "SIZE", "NOW"}, rows)
	t.printf("\nThe remediator puts it back by itself if the node does not come up, and deletes it once the node is well.\n" +
		"To put it back by hand: checkpoint pause, stop the node's clients, checkpoint restore NAME, start them.\n")
}

// putBack puts back what an intent set aside. The remediator must not work meanwhile, and the clients must not run.
func (t *Terminal) putBack(ctx context.Context, q RestoreRequest, in remediate.Intent) error {
	pause, err := ReadPause(q.Config.Remediation.Guards.PauseFile)
	if err != nil {
		return err
	}
	if pause == nil || pause.over(t.Now()) {
		return errors.New("the remediator could act on the node meanwhile: first `checkpoint pause --reason …`")
	}
	unsure, err := q.stopped(ctx, in)
	if err != nil {
		return err
	}
	if !t.JSON {
		for _, m := range in.Moves {
			for _, p := range m.Places {
				for _, e := range p.Entries {
					t.printf("%s\n", clean(fmt.Sprintf("%s → %s (%s)", e.To, e.From, bytesOf(e.Bytes))))
				}
			}
		}
		t.printf("What the clients have made anew in the place of these is deleted.\n")
	}
	if q.DryRun {
		if !t.JSON {
			t.printf("Nothing was changed.\n")
			return nil
		}
		return t.json(putBackView{Intent: in.ID, Node: in.Node})
	}
	question := fmt.Sprintf("Put the data of %s back?", in.Node)
	if len(unsure) > 0 {
		question = fmt.Sprintf("It cannot be told whether %s runs, and it must not. Put the data of %s back?", strings.Join(unsure, ", "), in.Node)
	}
	if err := t.agreed(q.Yes, question); err != nil {
		return err
	}
	if in.Files != nil {
		if err := in.Files.Restore(ctx); err != nil {
			return fmt.Errorf("put the network's files back: %w", err)
		}
	}
	for _, m := range slices.Backward(in.Moves) {
		if err := m.Restore(ctx); err != nil {
			return permitted(err, m.Dir, true)
		}
	}
	if t.JSON {
		return t.json(putBackView{Intent: in.ID, Node: in.Node, Restored: true})
	}
	t.printf("The data of %s is back. Start its clients, look that they are well, and then: checkpoint resume\n", clean(in.Node))
	return nil
}

type putBackView struct {
	Intent   string `json:"intent"`
	Node     string `json:"node"`
	Restored bool   `json:"restored"`
}

// stopped makes sure that no client of an intent runs. It returns those of which that cannot be told.
func (q RestoreRequest) stopped(ctx context.Context, in remediate.Intent) (unsure []string, err error) {
	n, ok := q.Config.Node(in.Node)
	if !ok {
		return nil, fmt.Errorf("node %q is no longer configured: whether its clients run cannot be told", in.Node)
	}
	clients := map[string]*config.Restart{"consensus": n.Restart, "execution": n.RestartExecution}
	if n.Validator != nil {
		clients["validator"] = n.Validator.Restart
	}
	for _, client := range []string{"execution", "consensus", "validator"} {
		if _, touched := in.Before[client]; !touched {
			continue
		}
		r := clients[client]
		if r == nil {
			unsure = append(unsure, "the "+client+" client")
			continue
		}
		s, err := q.State(ctx, *r)
		switch {
		case err != nil || s.Active == actuator.Unknown:
			unsure = append(unsure, "the "+client+" client")
		case s.Active != actuator.Inactive && s.Active != actuator.Failed:
			return nil, fmt.Errorf("the %s client of %s runs (%s): its data is not moved under it; stop it first", client, n.Name, s.Active)
		}
	}
	return unsure, nil
}
