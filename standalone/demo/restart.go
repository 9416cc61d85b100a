package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// RestartCommand is the first argument with which checkpointd is the demo's service manager: the next two are the address of
// the simulation's control endpoint and a node's name.
const RestartCommand = "demo-restart"

const restartTimeout = 30 * time.Second

// Restart asks a running demo to restart a node. It is what the remediator runs as a command, as it would run systemctl.
func Restart(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: want the address of a demo and a node, got %d arguments", RestartCommand, len(args))
	}
	target, err := url.JoinPath(args[0], "nodes", url.PathEscape(args[1]), "restart")
	if err != nil {
		return fmt.Errorf("%s: %w", RestartCommand, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", RestartCommand, err)
	}
	client := &http.Client{Timeout: restartTimeout}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", RestartCommand, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough
		return fmt.Errorf("%s: %s: %s", RestartCommand, resp.Status, why)
	}
	return nil
}
