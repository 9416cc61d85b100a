package remediate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/alertmanager/template"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
)

// catchUpEvery is how often Alertmanagers are asked for what their webhooks may not have delivered: an alert that resolves
// while it is silenced is never told of, and a restart can lose a notification.
const catchUpEvery = 5 * time.Minute

const (
	catchUpTimeout = 10 * time.Second
	catchUpBytes   = 16 << 20
)

// catchUp compares open incidents with what every Alertmanager knows. It owns the count of absences.
type catchUp struct {
	engine *Engine
	client *http.Client
	absent map[string]int // incident to reads in a row
}

func newCatchUp(e *Engine, transport http.RoundTripper) *catchUp {
	return &catchUp{engine: e, client: &http.Client{Timeout: catchUpTimeout, Transport: transport}, absent: map[string]int{}}
}

func (u *catchUp) run(ctx context.Context) {
	t := time.NewTicker(catchUpEvery)
	defer t.Stop()
	for {
		u.once(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// once asks every Alertmanager. Only when all of them answered is absence evidence of anything.
func (u *catchUp) once(ctx context.Context) {
	e := u.engine
	e.mu.Lock()
	peers := e.cfg.Remediation.Alertmanagers
	e.mu.Unlock()
	if len(peers) == 0 {
		return
	}
	present, all := map[string]bool{}, true
	for _, peer := range peers {
		alerts, err := u.ask(ctx, peer)
		if err != nil {
			all = false
			level.Warn(e.logger).Log("msg", "cannot ask Alertmanager for missed alerts", "alertmanager", peer, "err", err)
			continue
		}
		var active []receiver.Alert
		for _, a := range alerts {
			present[a.Fingerprint] = true
			if a.Status.State != "active" || a.Labels["playbook"] == "" {
				continue
			}
			kept, err := a.alert()
			if err != nil {
				level.Warn(e.logger).Log("msg", "Alertmanager holds an alert that cannot be read", "alertmanager", peer, "err", err)
				continue
			}
			active = append(active, kept)
		}
		if err := e.Keep(ctx, active); err != nil {
			level.Error(e.logger).Log("msg", "keep alerts that were missed", "err", err)
		}
	}
	if all {
		if err := u.closeAbsent(present); err != nil {
			level.Error(e.logger).Log("msg", "close incidents whose alert is gone", "err", err)
		}
	}
}

func (u *catchUp) closeAbsent(present map[string]bool) error {
	e := u.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range u.absent {
		if i := e.state.byID[id]; i == nil || present[i.Fingerprint] {
			delete(u.absent, id)
		}
	}
	var entries []journal.Entry
	for fp, i := range e.state.open {
		if present[fp] || i.RestartDue {
			i.memory.lastSeen = time.Now()
			continue
		}
		if u.absent[i.Incident]++; u.absent[i.Incident] < 2 {
			continue
		}
		switch {
		case i.unproved() && i.Over == "":
			entries = append(entries, journal.Entry{Kind: kindHeard, Payload: Heard{Incident: i.Incident, Over: closedAbsent}})
		case !i.unproved():
			entries = append(entries, journal.Entry{Kind: kindClosed, Payload: Closed{Incident: i.Incident, Reason: closedAbsent, StartsAt: i.StartsAt}})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return e.appendLocked(entries)
}

// standingAlert is an alert of Alertmanager's GET /api/v2/alerts, as far as we read it.
type standingAlert struct {
	Fingerprint string      `json:"fingerprint"`
	Labels      template.KV `json:"labels"`
	Annotations template.KV `json:"annotations"`
	StartsAt    time.Time   `json:"startsAt"`
	Status      struct {
		State string `json:"state"`
	} `json:"status"`
}

// alert is the same as a webhook would have delivered it, with the same bounds.
func (a standingAlert) alert() (receiver.Alert, error) {
	return receiver.Check(template.Alert{
		Fingerprint: a.Fingerprint, Status: string(receiver.Firing), Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
	})
}

func (u *catchUp) ask(ctx context.Context, peer string) ([]standingAlert, error) {
	address := strings.TrimRight(peer, "/") + "/api/v2/alerts?" + url.Values{"filter": {`playbook=~".+"`}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return decodeStanding(io.LimitReader(resp.Body, catchUpBytes))
}

func decodeStanding(r io.Reader) ([]standingAlert, error) {
	var alerts []standingAlert
	if err := json.NewDecoder(r).Decode(&alerts); err != nil {
		return nil, fmt.Errorf("decode alerts: %w", err)
	}
	return alerts, nil
}
