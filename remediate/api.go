package remediate

import (
	"cmp"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
)

// IncidentView is an incident as GET /api/v1/incidents shows it.
type IncidentView struct {
	ID          string     `json:"id"`
	Fingerprint string     `json:"fingerprint"`
	Alert       string     `json:"alert"`
	Node        string     `json:"node"`
	Playbook    string     `json:"playbook"`
	Stage       string     `json:"stage"`
	Step        int        `json:"step"`
	OpenedAt    time.Time  `json:"opened_at"`
	ClosedAt    *time.Time `json:"closed_at,omitempty"`
	Closed      string     `json:"closed,omitempty"`
	// Story is what was seen, decided and done, a line an event.
	Story []event `json:"story"`
}

// StateView is the answer of GET /api/v1/incidents.
type StateView struct {
	Mode    string `json:"mode"`
	Journal string `json:"journal"`
	// Incidents are the open ones, oldest first, and then the last closed ones, newest first.
	Incidents []IncidentView `json:"incidents"`
	Exhausted []Exhausted    `json:"exhausted"`
}

// View is what the engine knows, for people and for the status page.
func (e *Engine) View() StateView {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := StateView{Mode: e.cfg.Remediation.Mode, Journal: e.journal.Path(), Incidents: []IncidentView{}, Exhausted: []Exhausted{}}
	for _, i := range e.state.ordered() {
		v.Incidents = append(v.Incidents, i.view())
	}
	for _, i := range slices.Backward(e.state.recent) {
		v.Incidents = append(v.Incidents, i.view())
	}
	for _, x := range e.state.exhausted {
		v.Exhausted = append(v.Exhausted, x)
	}
	slices.SortFunc(v.Exhausted, func(a, b Exhausted) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Playbook, b.Playbook))
	})
	return v
}

func (i *incident) view() IncidentView {
	v := IncidentView{
		ID: i.Incident, Fingerprint: i.Fingerprint, Alert: i.Alert, Node: i.Node, Playbook: i.Playbook,
		Stage: string(i.Stage), Step: i.Step, OpenedAt: i.OpenedAt, Story: slices.Clone(i.Story),
	}
	if i.Closed != nil {
		v.Stage, v.Closed, v.ClosedAt = "closed", i.Closed.Reason, &i.ClosedAt
	}
	return v
}

func (r *Remediator) serveIncidents(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(r.engine.View()); err != nil {
		level.Debug(r.logger).Log("msg", "answer incidents", "err", err)
	}
}

// maxAck bounds the message of an acknowledgement, in bytes.
const maxAck = 4 << 10

// serveAck takes a person's word that a node has been seen to: {"node", "playbook", "by", "reason"}, all but the first optional. It answers
// 204, 400 for what is no such message, 404 for what is not configured, and 503 when it cannot be kept.
func (r *Remediator) serveAck(w http.ResponseWriter, req *http.Request) {
	// A page in somebody's browser cannot send this without being asked whether it may.
	if t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || t != "application/json" {
		http.Error(w, "want application/json", http.StatusBadRequest)
		return
	}
	var a Acked
	decoder := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxAck))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil || a.Node == "" {
		http.Error(w, `want {"node": "…", "playbook": "…", "by": "…", "reason": "…"}`, http.StatusBadRequest)
		return
	}
	switch err := r.engine.Ack(a); {
	case errors.Is(err, ErrNoNode):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		level.Error(r.logger).Log("msg", "keep an acknowledgement", "err", err)
		http.Error(w, "cannot be kept", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// shownURL is a URL without user and password, fit for a label, which has to be valid UTF-8.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	u.User = nil
	return strings.ToValidUTF8(u.String(), "?")
}
