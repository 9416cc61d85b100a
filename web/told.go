package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AlertsView is what Alertmanager tells.
type AlertsView struct {
	// Firing counts those that fire and are not held back; Rest tells of the others.
	Firing int
	Rest   string
	Rows   []AlertView
	// Silence tells that what is shown is old.
	Silence string
}

// AlertView is one alert.
type AlertView struct {
	Name, About, Summary, Description, Runbook string
	State                                      Badge
	Since                                      *Moment
}

// alertsView is nil when no Alertmanager ever answered.
func alertsView(n news[[]alert], now time.Time) *AlertsView {
	if n.at.IsZero() {
		return nil
	}
	out := &AlertsView{Silence: silence(n.silent, n.at, now, "Alertmanager")}
	sorted := slices.Clone(n.value)
	slices.SortStableFunc(sorted, func(a, b alert) int {
		return cmp.Or(cmp.Compare(severity(a), severity(b)), a.StartsAt.Compare(b.StartsAt), strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	pending, held := 0, 0
	for _, a := range sorted {
		if a.Labels["severity"] == "none" { // it fires only to hold others back
			continue
		}
		row := AlertView{
			Name: a.Labels["alertname"], About: cmp.Or(a.Labels["node"], a.Labels["provider"]),
			Summary: a.Annotations["summary"], Description: a.Annotations["description"], Runbook: a.Annotations["runbook_url"],
			Since: momentOf(&a.StartsAt, now),
		}
		switch {
		case len(a.Status.SilencedBy) > 0:
			row.State = Badge{idle, "silenced", ""}
			held++
		case a.Status.State == "suppressed":
			row.State = Badge{idle, "held back by another", ""}
			held++
		case a.Status.State == "unprocessed":
			row.State = Badge{busy, "about to fire", ""}
			pending++
		case severity(a) == 0:
			row.State = Badge{bad, "critical", ""}
			out.Firing++
		case a.Labels["severity"] == "info":
			row.State = Badge{idle, "for information", ""}
		default:
			row.State = Badge{warn, "warning", ""}
			out.Firing++
		}
		out.Rows = append(out.Rows, row)
	}
	var rest []string
	if pending > 0 {
		rest = append(rest, fmt.Sprintf("%d about to fire", pending))
	}
	if held > 0 {
		rest = append(rest, fmt.Sprintf("%d held back", held))
	}
	out.Rest = strings.Join(rest, ", ")
	return out
}

func severity(a alert) int {
	switch {
	case a.Status.State != "active":
		return 3
	case a.Labels["severity"] == "critical":
		return 0
	case a.Labels["severity"] == "info":
		return 2
	default:
		return 1
	}
}

// silence is a sentence about somebody who answers no more.
func silence(silent bool, at, now time.Time, who string) string {
	if !silent {
		return ""
	}
	return fmt.Sprintf("%s does not answer; this is as of %s UTC.", who, moment(at, now).Text)
}

// IncidentsView is what the remediator tells.
type IncidentsView struct {
	Open int
	// Mode is a sentence about what the remediator may do.
	Mode        string
	NeedsPerson []string
	Rows        []IncidentView
	Silence     string
}

// IncidentView is one incident and its story.
type IncidentView struct {
	ID, Alert, Node, Playbook string
	State                     Badge
	Open                      bool
	OpenedAt, ClosedAt        *Moment
	Closed                    string
	Story                     []Event
	Earlier                   int
}

// Event is a line of a story.
type Event struct {
	At   *Moment
	Text string
}

const (
	// maxClosed and maxStory bound what is shown; the journal has it all.
	maxClosed = 10
	maxStory  = 40
)

// incidentsView is nil when no remediator ever answered.
func incidentsView(n news[incidents], now time.Time) *IncidentsView {
	if n.at.IsZero() {
		return nil
	}
	out := &IncidentsView{Mode: "mode " + n.value.Mode, Silence: silence(n.silent, n.at, now, "The remediator")}
	switch n.value.Mode {
	case "observe":
		out.Mode = "it only notes what it would do"
	case "act":
		out.Mode = "it acts by itself"
	}
	for _, x := range n.value.Exhausted {
		if !slices.Contains(out.NeedsPerson, x.Node) {
			out.NeedsPerson = append(out.NeedsPerson, x.Node)
		}
	}
	closed := 0
	for _, i := range n.value.Incidents {
		row := IncidentView{
			ID: i.ID, Alert: i.Alert, Node: i.Node, Playbook: strings.ReplaceAll(i.Playbook, "_", " "), State: stageBadge(i.Stage),
			Open: i.ClosedAt == nil, OpenedAt: moment(i.OpenedAt, now), ClosedAt: momentOf(i.ClosedAt, now), Closed: i.Closed,
		}
		if row.Open {
			out.Open++
		} else if closed++; closed > maxClosed {
			continue
		}
		row.Earlier = max(0, len(i.Story)-maxStory)
		for _, e := range i.Story[row.Earlier:] {
			row.Story = append(row.Story, Event{moment(e.At, now), e.Text})
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}
