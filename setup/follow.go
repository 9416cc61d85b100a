package setup

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// ErrNotSynced is returned by Follow when time is up before the node has come to the head.
var ErrNotSynced = errors.New("not synced")

// Watch follows a node's sync.
type Watch struct {
	Node    config.Node
	Network network.Network
	// Timeout is how long it may take to come to the head. On goes on after that, or after it has come there, until the context ends.
	Timeout time.Duration
	On      bool
	// Every is the time between two looks.
	Every time.Duration
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Now   func() time.Time
	// Wait waits for so long, or until the context ends; nil means by the clock.
	Wait func(ctx context.Context, d time.Duration) error
	// Show is told of every look.
	Show func(progress.Status)
	// Reached is called once, when the node has come to the head.
	Reached func()
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Follow looks at the node again and again. It returns nil when the node has come to the head, or, with On, when the context ends after that, and
// ErrNotSynced if it has not come there in time.
func (w Watch) Follow(ctx context.Context) error {
	c, err := node.New(node.Options{ConsensusURL: w.Node.Consensus.URL, MetricsURL: w.Node.Consensus.MetricsURL, UserAgent: "checkpoint", Dial: w.Dial, Now: w.Now})
	if err != nil {
		return err
	}
	defer c.CloseIdle()
	if w.Wait == nil {
		w.Wait = wait
	}
	f := progress.New(progress.Options{StallAfter: w.Node.StallAfter.Std()})
	end := w.Now().Add(w.Timeout)
	reached, late := false, false
	for {
		f.Observe(c.Look(ctx, w.Network).Sample())
		now := w.Now()
		s := f.Status(now)
		if ctx.Err() == nil {
			w.Show(s)
		}
		if arrived(s) && !reached {
			reached = true
			if w.Reached != nil {
				w.Reached()
			}
		}
		late = late || !reached && !now.Before(end)
		if reached && !w.On {
			return nil
		}
		if late && !w.On {
			return ErrNotSynced
		}
		if err := w.Wait(ctx, w.Every); err != nil {
			if reached {
				return nil
			}
			return ErrNotSynced
		}
	}
}

// arrived tells whether the head is the chain's. Whether the history before the checkpoint is there too is another matter.
func arrived(s progress.Status) bool {
	return s.Phase == progress.Synced || s.Phase == progress.Backfilling
}
