package standalone_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/silence"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// The remediator's leases are silences as the real engine understands them: they quiet what a restart makes of a node, and neither the
// alert that drives it nor the call for people.
func TestLeases(t *testing.T) {
	t.Parallel()
	api, h := newAPI(t)
	put(t, api.Alertmanager, model.AlertFiring, "NodeDown", "CheckpointRemediationExhausted")
	questions := http.NewServeMux()
	standalone.API{Alertmanager: api.Alertmanager, Prometheus: api.Prometheus}.Questions(questions)
	server := httptest.NewServer(questions)
	t.Cleanup(server.Close)
	node := alertsOf(t, h, "")["NodeDown"].Labels["node"]
	if node == "" {
		t.Fatal("the alerts are about no node")
	}
	state := func(name string) string { return alertsOf(t, h, "")[name].Status.State }

	leases := begin(t, server.URL)
	leases.Hold(t.Context(), node, "deadbeef-1")
	eventually(t, "silenced", func() bool { return state("NodeDown") == "suppressed" })
	if got := state("CheckpointRemediationExhausted"); got != "active" {
		t.Errorf("the call for people is %s", got)
	}
	// Half of its time is over at once, so it is extended, again and again.
	seen := map[string]bool{}
	eventually(t, "extended", func() bool {
		for _, id := range alertsOf(t, h, "")["NodeDown"].Status.SilencedBy {
			seen[id] = true
		}
		return len(seen) > 1
	})

	// Another start of the program knows it, and ends it.
	leases.stop()
	again := begin(t, server.URL)
	again.Release(t.Context(), node)
	eventually(t, "loud again", func() bool { return state("NodeDown") == "active" })
}

type started struct {
	*silence.Leases
	stop func()
}

func begin(t *testing.T, url string) started {
	l := silence.New(silence.Options{Config: silence.Config{Alertmanagers: []string{url}, For: 4 * time.Second}, Logger: log.NewNopLogger()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	s := started{l, func() { cancel(); <-done }}
	t.Cleanup(s.stop)
	return s
}
