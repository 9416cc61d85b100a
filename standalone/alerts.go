package standalone

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/marker"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

//go:embed alertmanager.yml
var defaultAlertmanagerConfig string

// LoadAlertmanagerConfig reads a file in the format of Alertmanager, or what
// this program does without one when path is empty. Relative paths in the file
// start at its directory.
func LoadAlertmanagerConfig(path string) (*amconfig.Config, error) {
	if path == "" {
		c, err := amconfig.Load(defaultAlertmanagerConfig)
		if err != nil {
			return nil, fmt.Errorf("embedded alertmanager.yml: %w", err)
		}
		return c, nil
	}
	c, err := amconfig.LoadFile(path)
	if err != nil {
		return nil, fmt.Errorf("alertmanager configuration %s: %w", path, oneLine{err})
	}
	return c, nil
}

// oneLine is an error told on one line, as a log wants it.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e oneLine) Unwrap() error { return e.error }

// ReachesRemediator reports whether some route of c ends at the remediator of
// this process. Without one nothing would ever be remediated.
func ReachesRemediator(c *amconfig.Config) bool {
	var walk func(*amconfig.Route) bool
	walk = func(r *amconfig.Route) bool {
		if r.Receiver == ReceiverRemediator {
			return true
		}
		for _, child := range r.Routes {
			if walk(child) {
				return true
			}
		}
		return false
	}
	return walk(c.Route)
}

// AlertStatus is one alert that has not ended, and what keeps it from being
// sent, if anything.
type AlertStatus struct {
	*alert.Alert
	Receivers   []string // in the order of their routes
	SilencedBy  []string // ids of silences
	InhibitedBy []string // fingerprints of alerts
}

// Alerts returns the alerts whose labels match all of match and that have not
// ended, in no particular order.
func (a *Alertmanager) Alerts(ctx context.Context, match ...*amlabels.Matcher) []AlertStatus {
	a.mu.Lock()
	current := a.current
	a.mu.Unlock()

	var found []AlertStatus
	now := time.Now()
	it := a.alerts.GetPending()
	defer it.Close()
	for pending := range it.Next() {
		al := pending.Data
		if al.ResolvedAt(now) || !amlabels.Matchers(match).Matches(al.Labels) {
			continue
		}
		marks := marker.NewAlertMarker()
		marked := marker.WithContext(ctx, marks)
		current.inhibitor.Mutes(marked, al.Labels)
		a.silencer.Mutes(marked, al.Labels)
		status := marks.Status(al.Fingerprint())
		s := AlertStatus{Alert: al, SilencedBy: status.SilencedBy, InhibitedBy: status.InhibitedBy}
		for _, r := range current.route.Match(al.Labels) {
			s.Receivers = append(s.Receivers, r.RouteOpts.Receiver)
		}
		found = append(found, s)
	}
	return found
}

// Notify returns what hands the alerts of rules to a. Between two servers this
// hop is an HTTP request. api is where generatorURL leads people.
func (a *Alertmanager) Notify(api string, logger *slog.Logger) rules.NotifyFunc {
	return func(ctx context.Context, expr string, fired ...*rules.Alert) {
		alerts := make([]*alert.Alert, 0, len(fired))
		for _, f := range fired {
			al := &alert.Alert{Alert: model.Alert{
				Labels:       labelSet(f.Labels),
				Annotations:  labelSet(f.Annotations),
				StartsAt:     f.FiredAt,
				EndsAt:       f.ResolvedAt,
				GeneratorURL: api + "/api/v1/query?query=" + url.QueryEscape(expr),
			}}
			if f.ResolvedAt.IsZero() {
				al.EndsAt, al.Timeout = f.ValidUntil, true
			}
			alerts = append(alerts, al)
		}
		if err := a.Put(ctx, alerts...); err != nil {
			logger.Error("alerts lost", "err", err)
		}
	}
}

func labelSet(from labels.Labels) model.LabelSet {
	to := make(model.LabelSet, from.Len())
	from.Range(func(l labels.Label) { to[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return to
}
