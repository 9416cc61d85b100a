package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/matcher/compat"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/rules"
)

// API serves the parts of Alertmanager's and Prometheus' HTTP APIs that
// something in use asks for: amtool and the remediator the one, Grafana and
// curl the other. Answers have the shapes of the real ones.
type API struct {
	Alertmanager *Alertmanager
	Prometheus   *Prometheus
}

// Routes adds all of it.
func (a API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v2/alerts", a.alerts)
	mux.HandleFunc("GET /api/v2/silences", a.silences)
	mux.HandleFunc("POST /api/v2/silences", a.silence)
	mux.HandleFunc("GET /api/v2/silence/{id}", a.oneSilence)
	mux.HandleFunc("DELETE /api/v2/silence/{id}", a.unsilence)
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /api/v1/query", a.query)
		mux.HandleFunc(method+" /api/v1/query_range", a.queryRange)
		mux.HandleFunc(method+" /api/v1/labels", a.labelNames)
	}
	mux.HandleFunc("GET /api/v1/label/{name}/values", a.labelValues)
}

// Questions is the part that the remediator asks: silences, and the alerts, and with
// them those that are about to fire, in the state unprocessed: an alert that
// fired before a restart and waits out its `for` again has not ended. The
// answer is 503 while an absence means nothing yet.
func (a API) Questions(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v2/silences", a.silences)
	mux.HandleFunc("POST /api/v2/silences", a.silence)
	mux.HandleFunc("DELETE /api/v2/silence/{id}", a.unsilence)
	mux.HandleFunc("GET /api/v2/alerts", func(w http.ResponseWriter, r *http.Request) {
		if !a.Prometheus.Settled(time.Now()) {
			http.Error(w, "the rules have not been evaluated for long enough", http.StatusServiceUnavailable)
			return
		}
		a.listAlerts(w, r, a.Prometheus.Pending())
	})
}

type apiAlert struct {
	Labels       model.LabelSet `json:"labels"`
	Annotations  model.LabelSet `json:"annotations"`
	StartsAt     time.Time      `json:"startsAt"`
	EndsAt       time.Time      `json:"endsAt"`
	UpdatedAt    time.Time      `json:"updatedAt"`
	Fingerprint  string         `json:"fingerprint"`
	GeneratorURL string         `json:"generatorURL"`
	Receivers    []apiName      `json:"receivers"`
	Status       struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
		MutedBy     []string `json:"mutedBy"`
	} `json:"status"`
}

type apiName struct {
	Name string `json:"name"`
}

func newAPIAlert(s AlertStatus) apiAlert {
	a := apiAlert{
		Labels: s.Labels, Annotations: s.Annotations, StartsAt: s.StartsAt, EndsAt: s.EndsAt, UpdatedAt: s.UpdatedAt,
		Fingerprint: s.Fingerprint().String(), GeneratorURL: s.GeneratorURL, Receivers: []apiName{},
	}
	for _, name := range s.Receivers {
		a.Receivers = append(a.Receivers, apiName{name})
	}
	a.Status.State = string(alert.AlertStateActive)
	if len(s.SilencedBy)+len(s.InhibitedBy) > 0 {
		a.Status.State = string(alert.AlertStateSuppressed)
	}
	a.Status.SilencedBy = append([]string{}, s.SilencedBy...)
	a.Status.InhibitedBy = append([]string{}, s.InhibitedBy...)
	a.Status.MutedBy = []string{}
	return a
}

func newPendingAlert(p *rules.Alert) apiAlert {
	set := labelSet(p.Labels)
	a := newAPIAlert(AlertStatus{Alert: &alert.Alert{Alert: model.Alert{Labels: set, Annotations: labelSet(p.Annotations), StartsAt: p.ActiveAt}}})
	a.Status.State = string(alert.AlertStateUnprocessed)
	return a
}

func (a API) alerts(w http.ResponseWriter, r *http.Request) { a.listAlerts(w, r, nil) }

func (a API) listAlerts(w http.ResponseWriter, r *http.Request, pending []*rules.Alert) {
	match, err := filters(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	want := func(name string) bool { return r.FormValue(name) != "false" }
	found := []apiAlert{}
	for _, s := range a.Alertmanager.Alerts(r.Context(), match...) {
		silenced, inhibited := len(s.SilencedBy) > 0, len(s.InhibitedBy) > 0
		if silenced && !want("silenced") || inhibited && !want("inhibited") || !silenced && !inhibited && !want("active") {
			continue
		}
		found = append(found, newAPIAlert(s))
	}
	for _, p := range pending {
		if waiting := newPendingAlert(p); match.Matches(waiting.Labels) {
			found = append(found, waiting)
		}
	}
	slices.SortFunc(found, func(a, b apiAlert) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
	answer(w, found)
}

// filters reads the parameters named filter, each a matcher such as
// alertname="X".
func filters(r *http.Request) (amlabels.Matchers, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	var all amlabels.Matchers
	for _, text := range r.Form["filter"] {
		match, err := compat.Matchers(text, "api")
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", strconv.Quote(text), err)
		}
		all = append(all, match...)
	}
	return all, nil
}

func answer(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // whoever asked has gone
}

// maxBody bounds what a client may send.
const maxBody = 1 << 20

func decode(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}
