package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-kit/log"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

const anIncident = `{"mode": "act", "journal": "/x", "incidents": [{
	"id": "4d69-1", "alert": "CheckpointNodeSyncStalled", "node": "node-1", "playbook": "node_stalled", "stage": "verifying", "opened_at": "2026-11-22T11:50:00Z",
	"story": [{"at": "2026-11-22T11:50:00Z", "kind": "opened", "text": "it fires"}, {"at": "2026-11-22T11:51:00Z", "kind": "intent", "text": "will restart"}]},
	{"id": "4d69-0", "alert": "CheckpointNodeDown", "node": "node-2", "playbook": "node_down", "stage": "closed", "opened_at": "2026-11-21T11:50:00Z",
	"closed_at": "2026-11-21T12:50:00Z", "closed": "resolved", "story": []}],
	"exhausted": [{"node": "node-3", "playbook": "no_peers"}, {"node": "node-3", "playbook": "node_down"}]}`

func anAlert(fingerprint, severity, state, more string) string {
	return fmt.Sprintf(`{"fingerprint": %q, "labels": {"alertname": "Checkpoint%s", "severity": %q, "node": "node-1"}, "startsAt": "2026-11-22T11:55:00Z",
		"annotations": {"summary": "summary of %s", "runbook_url": "https://runbooks.example/%s"}, "status": {"state": %q%s}}`,
		fingerprint, fingerprint, severity, fingerprint, fingerprint, state, more)
}

// peer is a server whose answer can be changed.
type peer struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

func newPeer(t *testing.T, body string) *peer {
	t.Helper()
	p := &peer{}
	p.says(body)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		if r.Method != http.MethodGet {
			t.Errorf("it is asked by %s", r.Method)
		}
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *peer) does(h http.HandlerFunc) { p.answer.Store(&h) }
func (p *peer) says(body string) {
	p.does(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
}

func TestIncidentsAndAlertsAreShown(t *testing.T) {
	remediator := newPeer(t, anIncident)
	alertmanager := newPeer(t, "["+strings.Join([]string{
		anAlert("Waits", "warning", "unprocessed", ""), anAlert("Quiet", "warning", "suppressed", `, "silencedBy": ["x"]`),
		anAlert("Held", "warning", "suppressed", `, "inhibitedBy": ["x"]`), anAlert("Known", "info", "active", ""), anAlert("Odd", "warning", "active", ""),
		anAlert("Worst", "critical", "active", ""), anAlert("Window", "none", "active", ""),
	}, ",")+"]")
	var query atomic.Value
	inner := *alertmanager.answer.Load()
	alertmanager.does(func(w http.ResponseWriter, r *http.Request) { query.Store(r.URL.Query().Get("filter")); inner(w, r) })
	p := pageOf(t, ordinary(), fmt.Sprintf("alertmanagers: [%q]", alertmanager.URL), Options{Remediator: remediator.URL + "/"})
	p.ask.once(t.Context())
	body := get(t, handler(p), "GET", "/").Body.String()
	contains(t, body, "node-1: CheckpointNodeSyncStalled", "verifying", "Playbook node stalled.", "will restart", "it acts by itself", "A person is needed for node-3.",
		"Closed: resolved.", "21 Nov 11:50", `<details id="incident-4d69-1" open>`, `<details id="incident-4d69-0">`,
		`href="https://runbooks.example/Worst" rel="noreferrer"`, "1 about to fire, 2 held back", "about to fire", "silenced", "held back by another", "for information",
		`href="#alerts"`, `href="#incidents"`)
	lacks(t, body, "summary of Window", " hidden>")
	if worst, odd := strings.Index(body, "summary of Worst"), strings.Index(body, "summary of Odd"); worst > odd {
		t.Error("the worst does not come first")
	}
	if !strings.Contains(body, `<dt><a href="#alerts">Alerts</a></dt><dd><span class="value">2</span>`) || !strings.Contains(body, `<dt><a href="#incidents">Open incidents</a></dt><dd><span class="value">1</span>`) {
		t.Error("the counts are wrong")
	}
	if query.Load() != `alertname=~"Checkpoint.+"` {
		t.Error("others' alerts are asked for:", query.Load())
	}

	// Whoever falls silent is said to have; what they told stays.
	gone := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }
	remediator.does(gone)
	alertmanager.does(gone)
	p.ask.once(t.Context())
	contains(t, get(t, handler(p), "GET", "/").Body.String(), "will restart", "summary of Worst", "The remediator does not answer; this is as of", "Alertmanager does not answer; this is as of")

	// Others in the configuration are others.
	p.Reload(parse(t, fmt.Sprintf("alertmanagers: [%q]", alertmanager.URL)))
	contains(t, get(t, handler(p), "GET", "/").Body.String(), "summary of Worst")
	p.Reload(parse(t, "alertmanagers: []"))
	lacks(t, get(t, handler(p), "GET", "/").Body.String(), "summary of Worst")
}

func TestAlertmanagersAreMerged(t *testing.T) {
	a := newPeer(t, "["+anAlert("Both", "warning", "active", "")+"]")
	b := newPeer(t, "["+anAlert("Both", "warning", "active", "")+","+anAlert("Second", "warning", "active", "")+"]")
	gone := newPeer(t, "")
	p := pageOf(t, ordinary(), fmt.Sprintf("alertmanagers: [%q, %q, %q]", a.URL, gone.URL, b.URL), Options{})
	p.ask.once(t.Context())
	alerts, _ := p.ask.told()
	if len(alerts.value) != 2 || alerts.silent {
		t.Errorf("%+v", alerts)
	}
}

// TestWhoNeverAnswersIsNotSpokenOf: most exporters have neither remediator nor Alertmanager beside them, or something else.
func TestWhoNeverAnswersIsNotSpokenOf(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	follow := newPeer(t, anIncident)
	for name, answer := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"a web page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			for range maxAnswer/1000 + 10 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1000))); err != nil {
					return
				}
			}
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, follow.URL, http.StatusFound)
		},
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newPeer(t, "")
			server.does(answer)
			p := pageOf(t, ordinary(), fmt.Sprintf("alertmanagers: [%q, %q]", server.URL, closed.URL), Options{Remediator: server.URL})
			p.ask.once(t.Context())
			if server.asked.Load() != 2 {
				t.Error("asked", server.asked.Load())
			}
			lacks(t, get(t, handler(p), "GET", "/").Body.String(), "Open incidents", "Alerts</a></dt>", `href="#alerts"`)
		})
	}
	if follow.asked.Load() != 0 {
		t.Error("a redirect is followed")
	}
}

// FuzzTold: whatever the remediator and Alertmanager answer, the page is made.
func FuzzTold(f *testing.F) {
	f.Add(anIncident, "["+anAlert("A", "critical", "active", "")+"]")
	f.Add(`{"incidents": [{}]}`, `[{}, {"startsAt": "0001-01-01T00:00:00Z"}]`)
	f.Add(`null`, `[null]`)
	f.Fuzz(func(t *testing.T, story, list string) {
		var told incidents
		var alerts []alert
		if json.Unmarshal([]byte(story), &told) != nil || json.Unmarshal([]byte(list), &alerts) != nil {
			return
		}
		w := ordinary()
		p := page(&testing.T{}, w)
		p.logger = log.NewNopLogger()
		keep(p.ask, &p.ask.incidents, told, nil, "", "")
		keep(p.ask, &p.ask.alerts, alerts, nil, "", "")
		parts, err := p.view(w.look(), nil).render()
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if strings.Contains(part.html, "<script") || strings.Contains(strings.ToLower(part.html), `href="javascript:`) {
				t.Error(part.html)
			}
		}
	})
}
