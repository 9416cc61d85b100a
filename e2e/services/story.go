package services

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Alert is what Prometheus hands to an Alertmanager.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

const (
	stalled   = "A node has stopped syncing."
	slow      = "A node syncs too slowly to catch up soon."
	provider  = "A checkpoint provider cannot be asked."
	quorum    = "Too few checkpoint providers are usable and agree."
	reset     = "The network resets within a day."
	evaluated = "Alerts are evaluated and delivered."
)

// evil is a description that somebody else has written.
const evil = "<!channel> <b onclick='x'>&amp;</b>\n\nTo do: <https://evil.example|click> \u202e" + "🔥"

func about(name, severity, summary, description string, own ...string) Alert {
	a := Alert{
		Labels: map[string]string{"alertname": name, "severity": severity},
		Annotations: map[string]string{"summary": summary, "description": description,
			"runbook_url": "https://github.com/checkpoint-exporter/checkpoint_exporter/blob/main/docs/runbooks/" + name + ".md"},
		StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour),
	}
	for i := 0; i < len(own); i += 2 {
		a.Labels[own[i]] = own[i+1]
	}
	return a
}

// Story puts alerts into an Alertmanager that was configured by Configure, and follows them to every service: firing, grouped, inhibited and
// resolved.
func (s *Services) Story(tb testing.TB, put func(...Alert)) {
	tb.Helper()
	ends := []Alert{
		about("CheckpointNodeSyncStalled", "critical", stalled, "The head of node node-1 has not moved.", "node", "node-1", "playbook", "node_stalled"),
		about("CheckpointNodeSyncStalled", "critical", stalled, "The head of node node-2 has not moved. "+evil, "node", "node-2", "playbook", "node_stalled"),
		about("CheckpointNodeSyncSlow", "warning", slow, "Node node-1 is slow.", "node", "node-1"), // inhibited
	}
	put(append(slices.Clone(ends),
		about("CheckpointNodeSyncSlow", "warning", slow, "Node node-3 is slow.", "node", "node-3"),
		about("CheckpointProviderDown", "warning", provider, "Provider ethpandaops has not given a proper answer. "+evil, "provider", "ethpandaops"),
		about("CheckpointNoUsableQuorum", "critical", quorum, "Checkpoint providers that are usable and agree: 1."),
		about("CheckpointNetworkResetImminent", "info", reset, "The next iteration begins in 23h."),
		about("CheckpointNetworkResetWindowOver", "none", "Only inhibits.", "Nobody hears of this."),
		about("CheckpointWatchdog", "none", evaluated, "This alert always fires."),
	)...)

	for _, told := range []struct{ summary, service, urgency string }{
		{stalled, "pushover", "1"}, {stalled, "telegram", "🔴"}, {stalled, "pagerduty", "critical"}, {stalled, "opsgenie", "P1"}, {stalled, "slack", "danger"}, {stalled, "email", ""},
		{quorum, "pushover", "2"}, {quorum, "telegram", "🔴"}, {quorum, "pagerduty", "critical"}, {quorum, "opsgenie", "P1"}, {quorum, "slack", "danger"}, {quorum, "email", ""},
		{provider, "pushover", "0"}, {provider, "telegram", "🟠"}, {provider, "slack", "warning"}, {provider, "email", ""},
		{slow, "pushover", "0"}, {slow, "telegram", "🟠"}, {slow, "slack", "warning"}, {slow, "email", ""},
		{reset, "telegram", "🔵"}, {reset, "slack", "#439FE0"}, {reset, "email", ""},
	} {
		var both []string
		if told.summary == stalled {
			both = []string{"node-1", "node-2", "The consensus client is restarted"}
		}
		m := s.await(tb, told.service, told.summary, false, both...)
		if m.Urgency != told.urgency {
			tb.Errorf("%s: %q is as urgent as %q, not %q", told.service, told.summary, m.Urgency, told.urgency)
		}
		if loud := told.summary == stalled || told.summary == quorum; told.service == "telegram" && m.Silent == loud {
			tb.Errorf("telegram: %q makes a sound: %v", told.summary, !m.Silent)
		}
		runbook := "/docs/runbooks/Checkpoint"
		if (told.service == "pushover" || told.service == "pagerduty" || told.service == "slack" || told.service == "email") && !m.Mentions(runbook) {
			tb.Errorf("%s: %q names no runbook: %s", told.service, told.summary, m.Text)
		}
	}
	s.awaitWebhooks(tb, false, "CheckpointNodeSyncStalled node-1", "CheckpointNodeSyncStalled node-2")
	s.awaitHeartbeats(tb)

	slices.Reverse(ends) // what is inhibited ends first, or it would be told of after all
	for i := range ends {
		ends[i].EndsAt = time.Now()
	}
	put(ends...)
	for _, service := range Names {
		switch service {
		case "heartbeat":
		case "opsgenie", "pagerduty":
			fired := s.await(tb, service, stalled, false)
			s.eventually(tb, service+" to close what it opened", func() bool {
				return slices.ContainsFunc(s.Messages(service), func(m Message) bool { return m.Resolved && m.Key == fired.Key })
			})
		default:
			s.await(tb, service, stalled, true, "node-1", "node-2", "checkpoint journal tells it")
		}
	}
	s.awaitWebhooks(tb, true, "CheckpointNodeSyncStalled node-1", "CheckpointNodeSyncStalled node-2")
	s.checkSilence(tb)
	for _, problem := range s.Problems() {
		tb.Error(problem)
	}
}

// checkSilence holds what was told to what nobody should have been.
func (s *Services) checkSilence(tb testing.TB) {
	tb.Helper()
	for _, service := range Names {
		for _, m := range s.Messages(service) {
			switch {
			case service == "heartbeat":
				if !slices.Equal(m.Alerts, []string{"CheckpointWatchdog"}) {
					tb.Errorf("heartbeat: beats for %v", m.Alerts)
				}
			case m.Mentions("node-1 is slow"):
				tb.Errorf("%s: was told of an alert that is inhibited: %s", service, m.Text)
			case m.Mentions(evaluated), m.Mentions("Only inhibits"):
				tb.Errorf("%s: was told of %s", service, m.Title)
			case (service == "pagerduty" || service == "opsgenie") && (m.Mentions(provider) || m.Mentions(reset)), service == "pushover" && m.Mentions(reset):
				tb.Errorf("%s: rang for %s", service, m.Title)
			case strings.Contains(m.Title, "\n"):
				tb.Errorf("%s: a title of two lines: %q", service, m.Title)
			}
		}
	}
}

// await waits for a message of a service with a summary in its title that mentions everything else as well.
func (s *Services) await(tb testing.TB, service, summary string, resolved bool, mentions ...string) Message {
	tb.Helper()
	var found Message
	s.eventually(tb, fmt.Sprintf("%s to be told %q, resolved: %v, with %q", service, summary, resolved, mentions), func() bool {
		for _, m := range s.Messages(service) {
			unsaid := func(words string) bool { return !m.Mentions(words) }
			if m.Resolved == resolved && strings.Contains(m.Title, summary) && !slices.ContainsFunc(mentions, unsaid) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// awaitWebhooks waits until each alert has come to the remediator by itself.
func (s *Services) awaitWebhooks(tb testing.TB, resolved bool, alerts ...string) {
	tb.Helper()
	for _, alert := range alerts {
		s.eventually(tb, fmt.Sprintf("the remediator to hear of %s, resolved: %v", alert, resolved), func() bool {
			return slices.ContainsFunc(s.Messages("webhook"), func(m Message) bool { return m.Resolved == resolved && slices.Equal(m.Alerts, []string{alert}) })
		})
	}
}

func (s *Services) awaitHeartbeats(tb testing.TB) {
	tb.Helper()
	s.eventually(tb, "a second heartbeat", func() bool { return len(s.Messages("heartbeat")) >= 2 })
}

func (s *Services) eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.After(90 * time.Second); !ok(); {
		select {
		case <-again.C:
		case <-end:
			tb.Fatalf("waited in vain for %s; the services found wrong: %s", what, strings.Join(s.Problems(), "\n"))
		}
	}
}
