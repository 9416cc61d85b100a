package standalone

import (
	"context"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
)

// turns lets a notifier send one message at a time. Those of Telegram and
// PagerDuty write into themselves while they send, and groups of alerts are
// sent side by side.
type turns struct {
	notify.Notifier
	free chan struct{} // holds one token while nobody sends
}

func oneByOne[N notify.Notifier](n N, err error) (notify.Notifier, error) {
	if err != nil {
		return nil, err
	}
	t := turns{Notifier: n, free: make(chan struct{}, 1)}
	t.free <- struct{}{}
	return t, nil
}

// Notify waits for its turn, as long as ctx lasts.
func (t turns) Notify(ctx context.Context, alerts ...*alert.Alert) (retry bool, err error) {
	select {
	case <-t.free:
	case <-ctx.Done():
		return true, context.Cause(ctx)
	}
	defer func() { t.free <- struct{}{} }()
	return t.Notifier.Notify(ctx, alerts...)
}
