//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// helped tells, as nil, that the remediator acted on a node by a playbook and then saw for itself that it helped.
func helped(remediator, node, playbook string) error {
	var view struct {
		Incidents []struct {
			Node     string `json:"node"`
			Playbook string `json:"playbook"`
			Stage    string `json:"stage"`
			Story    []struct {
				Text string `json:"text"`
			} `json:"story"`
		} `json:"incidents"`
	}
	if err := getJSON(remediator+"/api/v1/incidents", &view); err != nil {
		return err
	}
	var told []string
	for _, incident := range view.Incidents {
		told = append(told, fmt.Sprintf("%s %s, %s:", incident.Node, incident.Playbook, incident.Stage))
		for _, event := range incident.Story {
			if incident.Node == node && incident.Playbook == playbook && strings.HasPrefix(event.Text, "it helped") {
				return nil
			}
			told = append(told, "  "+event.Text)
		}
	}
	return fmt.Errorf("no incident says that it helped:\n%s", strings.Join(told, "\n"))
}

// pointsAt is the provider that the remediator says a node's configuration points at.
func pointsAt(remediator, node string) (string, error) {
	m, err := scrape(remediator)
	if err != nil {
		return "", err
	}
	provider := m.label("provider", "checkpoint_node_source_info", "node", node)
	if provider == "" {
		return "", fmt.Errorf("checkpoint_node_source_info names no provider for %s", node)
	}
	return provider, nil
}
