package remediate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
)

// peer is an Alertmanager's GET /api/v2/alerts.
func peer(t *testing.T, answer *string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/alerts" || r.URL.Query().Get("filter") != `playbook=~".+"` {
			t.Errorf("asked %s", r.URL)
		}
		if *answer == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, *answer)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

const standing = `[{"fingerprint":"a1b2c3d4e5f60718","startsAt":"2026-01-01T00:00:00Z","status":{"state":"%s","silencedBy":[],"inhibitedBy":[]},
 "labels":{"alertname":"CheckpointNodeSyncStalled","node":"node-1","playbook":"node_stalled"},"annotations":{"summary":"s"}}]`

func TestCatchUp(t *testing.T) {
	a, b := "[]", "[]"
	w := newWorld(t)
	w.cfg.Remediation.Alertmanagers = []string{peer(t, &a), peer(t, &b)}
	w.start()
	t.Cleanup(w.stop)
	u := newCatchUp(w.engine, nil)
	once := func(wantOpen int) {
		t.Helper()
		u.once(t.Context())
		open := 0
		for _, i := range w.engine.View().Incidents {
			if i.Closed == "" {
				open++
			}
		}
		if open != wantOpen {
			t.Errorf("%d incidents are open, want %d", open, wantOpen)
		}
	}
	once(0)
	a = fmt.Sprintf(standing, "suppressed")
	once(0) // silenced or inhibited: not ours to open
	a = fmt.Sprintf(standing, "active")
	once(1) // its webhook was lost
	once(1)
	a = "[]"
	b = fmt.Sprintf(standing, "active")
	once(1) // one of two peers still knows it
	b = "[]"
	once(1) // absent once
	b = ""
	once(1) // a peer that does not answer is evidence of nothing
	b = "[]"
	once(0) // absent twice
	if got := w.incident("node-1").Closed; got != closedAbsent {
		t.Errorf("closed %q", got)
	}
	// Absence may be a mistake, so the same alert may open an incident again.
	if err := w.engine.Keep(t.Context(), []receiver.Alert{{Fingerprint: "a1b2c3d4e5f60718", Status: receiver.Firing, StartsAt: time.Unix(0, 0),
		Labels: map[string]string{"alertname": "A", "node": "node-1", "playbook": "node_stalled"}}}); err != nil {
		t.Error(err)
	}
	b = fmt.Sprintf(standing, "active")
	once(1)
}

func FuzzDecodeStanding(f *testing.F) {
	f.Add(fmt.Sprintf(standing, "active"))
	f.Add("[]")
	f.Add("{}")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = decodeStanding(strings.NewReader(s)) })
}
