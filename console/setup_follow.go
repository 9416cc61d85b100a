package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

const (
	// lookEvery is the time between two looks at a node, tellEvery that between two lines where they are not written over each other.
	lookEvery = 2 * time.Second
	tellEvery = 10 * time.Second
	barWidth  = 30
)

// follow shows the node's sync until it is at the head, or time is up.
func (r *setupRun) follow(ctx context.Context, record *setup.Record) error {
	if r.q.Timeout <= 0 && !r.q.Monitor || r.node.Consensus.URL == "" {
		return nil
	}
	r.printf("\nFollowing %s", clean(r.node.Name))
	if r.q.Monitor {
		r.printf(" until Ctrl-C")
	} else {
		r.printf(" for %s at most", span(r.q.Timeout))
	}
	r.printf("\n")
	var told time.Time
	phase := progress.Phase("")
	synced := false
	w := setup.Watch{
		Node: r.node, Network: r.config.Config.NetworkSpec(), Timeout: r.q.Timeout, On: r.q.Monitor, Every: lookEvery, Dial: r.q.Dial, Now: r.Now, Wait: r.q.Wait,
		Show: func(s progress.Status) {
			line := r.bar(s)
			if r.Asks {
				r.printf("\r\x1b[K%s", line)
				return
			}
			if now := r.Now(); s.Phase != phase || now.Sub(told) >= tellEvery {
				r.printf("%s\n", line)
				told, phase = now, s.Phase
			}
		},
		Reached: func() {
			synced = true
			if r.Asks {
				r.printf("\n")
			}
			r.printf("%s\n", r.paint(green, clean(r.node.Name+" is at the head of the chain.")))
		},
	}
	err := w.Follow(ctx)
	r.view.Synced = &synced
	if errors.Is(err, setup.ErrNotSynced) {
		if r.Asks {
			r.printf("\n")
		}
		if ctx.Err() != nil {
			return ErrNotFine
		}
		r.printf("%s\n", clean(fmt.Sprintf("%s is not synced after %s. It goes on by itself: checkpoint status, or checkpoint setup --monitor, shows how far it is.", r.node.Name, span(r.q.Timeout))))
		return ErrNotFine
	}
	if err != nil {
		return err
	}
	return r.discard(ctx, record)
}

// bar is a node's progress on one line.
func (t *Terminal) bar(s progress.Status) string {
	var parts []string
	if s.Ratio != nil {
		full := min(int(*s.Ratio*barWidth), barWidth)
		parts = append(parts, "["+strings.Repeat("#", full)+strings.Repeat("-", barWidth-full)+"]", fmt.Sprintf("%3d %%", int(*s.Ratio*100)))
	}
	parts = append(parts, string(s.Phase))
	if s.Distance != nil {
		parts = append(parts, count(*s.Distance, "slot", "slots")+" behind")
	}
	if s.Speed != nil {
		parts = append(parts, fmt.Sprintf("%.1f slots/s", *s.Speed))
	}
	switch {
	case s.ETA != nil:
		parts = append(parts, fmt.Sprintf("ready in %s to %s", span(s.ETA.P10), span(s.ETA.P90)))
	case s.Phase == progress.Syncing:
		parts = append(parts, "when it is ready cannot be told yet")
	}
	if s.BackfillRemaining != nil && *s.BackfillRemaining > 0 {
		parts = append(parts, count(*s.BackfillRemaining, "slot", "slots")+" of history to fetch")
	}
	return strings.Join(parts, "  ")
}

// discard offers to delete the old database, now that the node is well.
func (r *setupRun) discard(ctx context.Context, record *setup.Record) error {
	if record == nil || record.Reset == nil {
		return nil
	}
	m := record.Reset.Move
	where := make([]string, 0, len(m.Places))
	for _, p := range m.Places {
		where = append(where, p.Aside)
	}
	if !r.Asks || r.q.Yes {
		r.printf("The old database (%s) is still in %s. checkpoint setup --undo puts it back; delete it when you no longer want it.\n", bytesOf(m.Bytes), clean(strings.Join(where, ", ")))
		return nil
	}
	if !r.question(fmt.Sprintf("The old database (%s) is no longer needed. Delete it?", bytesOf(m.Bytes))) {
		r.printf("It stays in %s; checkpoint setup --undo puts it back.\n", clean(strings.Join(where, ", ")))
		return nil
	}
	if err := r.q.Store.Discard(ctx, record); err != nil {
		return err
	}
	r.did("deleted the old database")
	return nil
}
