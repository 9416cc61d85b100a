package services

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// takePagerDuty is POST /v2/enqueue of PagerDuty's Events API v2.
func (s *Services) takePagerDuty(r *http.Request) (*Message, answer, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" {
		return nil, answer{}, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	var b struct {
		RoutingKey  string `json:"routing_key"`
		EventAction string `json:"event_action"`
		DedupKey    string `json:"dedup_key"`
		Client      string `json:"client"`
		ClientURL   string `json:"client_url"`
		Payload     struct {
			Summary       string         `json:"summary"`
			Source        string         `json:"source"`
			Severity      string         `json:"severity"`
			Timestamp     string         `json:"timestamp"`
			Component     string         `json:"component"`
			Group         string         `json:"group"`
			Class         string         `json:"class"`
			CustomDetails map[string]any `json:"custom_details"`
		} `json:"payload"`
		Links []struct {
			HRef string `json:"href"`
			Text string `json:"text"`
		} `json:"links"`
		Images []any `json:"images"`
	}
	if err := decode(r, &b); err != nil {
		return nil, answer{}, err
	}
	if b.RoutingKey != secret("pagerduty-routing-key") {
		return nil, answer{}, fmt.Errorf("routing_key %q", b.RoutingKey)
	}
	if !slices.Contains([]string{"trigger", "resolve"}, b.EventAction) {
		return nil, answer{}, fmt.Errorf("event_action %q", b.EventAction)
	}
	if !slices.Contains([]string{"critical", "error", "warning", "info"}, b.Payload.Severity) {
		return nil, answer{}, fmt.Errorf("payload.severity %q", b.Payload.Severity)
	}
	err := within(limit{"dedup_key", b.DedupKey, 1, 255}, limit{"payload.summary", b.Payload.Summary, 1, 1024}, limit{"payload.source", b.Payload.Source, 1, 255})
	m := Message{Title: b.Payload.Summary, Urgency: b.Payload.Severity, Key: b.DedupKey, Resolved: b.EventAction == "resolve"}
	for name, detail := range b.Payload.CustomDetails {
		switch detail := detail.(type) {
		case string:
			m.Text += strings.TrimSpace(detail) + "\n"
		case nil, float64: // nothing, or how many there are
		default:
			err = errors.Join(err, fmt.Errorf("the detail %q has become %v", name, detail))
		}
	}
	for _, l := range b.Links {
		if !strings.HasPrefix(l.HRef, "https://") || l.Text == "" {
			err = errors.Join(err, fmt.Errorf("the link %q has the text %q", l.HRef, l.Text))
		}
		m.Text += l.HRef + "\n"
	}
	return &m, answer{http.StatusAccepted, "application/json", fmt.Sprintf(`{"status":"success","message":"Event processed","dedup_key":%q}`, b.DedupKey)}, err
}

// takeOpsgenie is POST /v2/alerts and POST /v2/alerts/{alias}/close of https://docs.opsgenie.com/docs/alert-api.
func (s *Services) takeOpsgenie(r *http.Request) (*Message, answer, error) {
	accepted := answer{http.StatusAccepted, "application/json", `{"result":"Request will be processed","took":0.302,"requestId":"43a29c5c-3dbf-4fa4-9c26-f4f71023e120"}`}
	if got := r.Header.Get("Authorization"); got != "GenieKey "+secret("opsgenie-api-key") {
		return nil, answer{}, fmt.Errorf("the authorization is %q", got)
	}
	if alias, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/alerts/"), "/close"); ok && r.Method == http.MethodPost {
		if got := r.URL.Query().Get("identifierType"); got != "alias" {
			return nil, answer{}, fmt.Errorf("identifierType is %q", got)
		}
		var b struct {
			Source string `json:"source"`
			User   string `json:"user"`
			Note   string `json:"note"`
		}
		err := decode(r, &b)
		return &Message{Key: alias, Resolved: true}, accepted, errors.Join(err, within(limit{"source", b.Source, 0, 100}))
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v2/alerts" {
		return nil, answer{}, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	var b struct {
		Message     string            `json:"message"`
		Alias       string            `json:"alias"`
		Description string            `json:"description"`
		Responders  []any             `json:"responders"`
		VisibleTo   []any             `json:"visibleTo"`
		Actions     []string          `json:"actions"`
		Tags        []string          `json:"tags"`
		Details     map[string]string `json:"details"`
		Entity      string            `json:"entity"`
		Source      string            `json:"source"`
		Priority    string            `json:"priority"`
		User        string            `json:"user"`
		Note        string            `json:"note"`
	}
	if err := decode(r, &b); err != nil {
		return nil, answer{}, err
	}
	err := within(limit{"message", b.Message, 1, 130}, limit{"alias", b.Alias, 1, 512}, limit{"description", b.Description, 0, 15000},
		limit{"entity", b.Entity, 0, 512}, limit{"source", b.Source, 0, 100})
	if !slices.Contains([]string{"P1", "P2", "P3", "P4", "P5"}, b.Priority) {
		err = errors.Join(err, fmt.Errorf("priority %q", b.Priority))
	}
	if len(b.Tags) > 20 {
		err = errors.Join(err, fmt.Errorf("%d tags", len(b.Tags)))
	}
	for _, tag := range b.Tags {
		err = errors.Join(err, within(limit{"tag", tag, 1, 50}))
	}
	return &Message{Title: b.Message, Text: b.Description, Urgency: b.Priority, Key: b.Alias}, accepted, err
}

// webhook is version 4 of what Alertmanager posts, https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, and what
// the oldest that we know posts of it.
type webhook struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Reason            string            `json:"notification_reason"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	RouteLabels       map[string]string `json:"routeLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
		Fingerprint  string            `json:"fingerprint"`
	} `json:"alerts"`
}

func readWebhook(r *http.Request) (*Message, webhook, error) {
	var b webhook
	if err := decode(r, &b); err != nil {
		return nil, b, err
	}
	if r.Method != http.MethodPost || b.Version != "4" || b.GroupKey == "" || b.TruncatedAlerts != 0 || len(b.Alerts) == 0 {
		return nil, b, fmt.Errorf("%s with version %q, group key %q, %d alerts and %d truncated", r.Method, b.Version, b.GroupKey, len(b.Alerts), b.TruncatedAlerts)
	}
	m := &Message{Resolved: b.Status == "resolved"}
	for _, a := range b.Alerts {
		if a.Fingerprint == "" || a.StartsAt.IsZero() || a.Status != "firing" && a.Status != "resolved" {
			return nil, b, fmt.Errorf("the alert %+v", a)
		}
		m.Alerts = append(m.Alerts, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["node"]))
		m.Key = a.Fingerprint
	}
	return m, b, nil
}

// takeWebhook is the remediator's: it takes one alert a message, with a playbook, from who knows the token.
func (s *Services) takeWebhook(r *http.Request) (*Message, answer, error) {
	if got := r.Header.Get("Authorization"); got != "Bearer "+secret("token") || r.URL.Path != "/api/v1/alerts" {
		return nil, answer{}, fmt.Errorf("%s with the authorization %q", r.URL.Path, got)
	}
	m, b, err := readWebhook(r)
	if err == nil && (len(b.Alerts) != 1 || b.CommonLabels["playbook"] == "" || b.CommonLabels["node"] == "") {
		err = fmt.Errorf("%d alerts about %v", len(b.Alerts), b.CommonLabels)
	}
	return m, answer{http.StatusOK, "text/plain", ""}, err
}

// takeHeartbeat takes a ping: nothing counts but that it arrives at the URL.
func (s *Services) takeHeartbeat(r *http.Request) (*Message, answer, error) {
	if "https://"+r.Host+r.URL.Path != secret("heartbeat-url") {
		return nil, answer{}, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	m, _, err := readWebhook(r)
	return m, answer{http.StatusOK, "text/plain", "OK"}, err
}
