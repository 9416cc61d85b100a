package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// sighting is what the running programs tell at one moment. A part that could not be asked has its zero value.
type sighting struct {
	at        time.Time
	providers collector.Providers
	nodes     collector.Nodes
	alerts    []alert
	incidents remediate.StateView
}

// alert is one of GET /api/v2/alerts.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Fingerprint string            `json:"fingerprint"`
	Status      struct {
		State string `json:"state"`
	} `json:"status"`
}

// subject is whom an alert is about; empty for one about the whole network.
func (a alert) subject() string {
	if n := a.Labels["node"]; n != "" {
		return n
	}
	return a.Labels["provider"]
}

func (s sighting) provider(name string) collector.Provider {
	for _, p := range s.providers.Providers {
		if p.Name == name {
			return p
		}
	}
	return collector.Provider{}
}

func (s sighting) node(name string) collector.Node {
	for _, n := range s.nodes.Nodes {
		if n.Name == name {
			return n
		}
	}
	return collector.Node{}
}

func (s sighting) firing(name, subject string) bool {
	for _, a := range s.alerts {
		if a.Labels["alertname"] == name && a.subject() == subject && a.Status.State == "active" {
			return true
		}
	}
	return false
}

// incident is the first of a node and playbook.
func (s sighting) incident(node, playbook string) remediate.IncidentView {
	for _, i := range s.incidents.Incidents {
		if i.Node == node && i.Playbook == playbook {
			return i
		}
	}
	return remediate.IncidentView{}
}

// look asks everybody.
func (p place) look(ctx context.Context) (sighting, error) {
	s := sighting{at: time.Now()}
	return s, errors.Join(
		p.ask(ctx, p.exporter+"/api/v1/providers", &s.providers),
		p.ask(ctx, p.exporter+"/api/v1/nodes", &s.nodes),
		p.ask(ctx, p.api+"/api/v2/alerts", &s.alerts),
		p.ask(ctx, p.remediator+"/api/v1/incidents", &s.incidents),
	)
}

const (
	askTimeout = 5 * time.Second
	askBytes   = 4 << 20
)

func (p place) ask(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, askBytes)).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}
