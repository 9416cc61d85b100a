package standalone

import (
	"context"
	"log/slog"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
)

// always makes an integration tell of resolved alerts as well.
type always struct{}

func (always) SendResolved() bool { return true }

// logNotifier writes one line an alert, so that a machine without any receiver
// still tells in its journal what Alertmanager would have told people.
type logNotifier struct{ logger *slog.Logger }

// Notify never fails.
func (n logNotifier) Notify(ctx context.Context, alerts ...*alert.Alert) (bool, error) {
	for _, a := range alerts {
		level := slog.LevelInfo
		if !a.Resolved() {
			level = severityLevel(a.Labels["severity"])
		}
		args := []any{"alert", a.Name(), "status", string(a.Status())}
		for _, name := range []model.LabelName{"severity", "provider", "node", "playbook"} {
			if v := a.Labels[name]; v != "" {
				args = append(args, string(name), string(v))
			}
		}
		for _, name := range []model.LabelName{"summary", "description"} {
			if v := a.Annotations[name]; v != "" {
				args = append(args, string(name), string(v))
			}
		}
		n.logger.Log(ctx, level, "notification", args...)
	}
	return false, nil
}

func severityLevel(severity model.LabelValue) slog.Level {
	switch severity {
	case "critical":
		return slog.LevelError
	case "warning":
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
