package receiver

import (
	"context"
	"sync"
)

// gather lets messages that arrive while others are being kept share the next call of keep, and so its one fsync.
type gather struct {
	keep func(context.Context, []Alert) error

	mu      sync.Mutex
	pending *batch
	turn    chan struct{} // holds one value while nobody calls keep
}

func newGather(keep func(context.Context, []Alert) error) *gather {
	g := &gather{keep: keep, turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g
}

type batch struct {
	alerts []Alert
	done   bool // with the turn
	err    error
}

// Keep returns when the alerts are kept, or could not be. Alerts of one message stay together and in order.
func (g *gather) Keep(ctx context.Context, alerts []Alert) error {
	g.mu.Lock()
	if g.pending == nil {
		g.pending = new(batch)
	}
	b := g.pending
	b.alerts = append(b.alerts, alerts...)
	g.mu.Unlock()

	<-g.turn
	defer func() { g.turn <- struct{}{} }()
	if !b.done {
		g.mu.Lock()
		g.pending = nil
		g.mu.Unlock()
		b.err = g.keep(context.WithoutCancel(ctx), b.alerts) // others wait for it, too
		b.done = true
	}
	return b.err
}
