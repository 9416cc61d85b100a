//go:build e2e

package actuator_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/moby/moby/client"
)

// composeEnv is how to call compose, separated by spaces.
const composeEnv = "CHECKPOINT_E2E_COMPOSE"

const composeFile = `version: "3"
services:
  consensus:
    image: ${IMAGE}
    command: ["-checkpoint-sync-url=${CHECKPOINT_SYNC_URL}"]
    network_mode: none
    restart: unless-stopped
    volumes: ["consensus-data:/data"]
    depends_on: [execution]
  execution:
    image: ${IMAGE}
    network_mode: none
    restart: unless-stopped
volumes:
  consensus-data:
`

// project is a compose project like eth-docker's, up.
type project struct {
	engine
	dir     string
	command []string
}

func newProject(t *testing.T) project {
	t.Helper()
	p := project{engine: newEngine(t), dir: filepath.Join(t.TempDir(), fmt.Sprintf("p%d", time.Now().UnixNano())), command: strings.Fields(os.Getenv(composeEnv))}
	if len(p.command) == 0 {
		t.Fatalf("%s is not set", composeEnv)
	}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.write(t, "docker-compose.yml", composeFile)
	p.env(t, "http://one")
	p.compose(t, "up", "-d")
	t.Cleanup(func() { p.compose(t, "down", "-v", "-t", "1") })
	return p
}

func (p project) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p project) env(t *testing.T, url string) {
	t.Helper()
	p.write(t, ".env", "IMAGE="+p.image+"\nCHECKPOINT_SYNC_URL="+url+"\n")
}

func (p project) compose(t *testing.T, args ...string) {
	t.Helper()
	c, err := actuator.NewCommand(append(append([]string{"/usr/bin/env", "-C", p.dir, "DOCKER_HOST=" + p.host}, p.command...), args...), 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("%v\n%s", err, out.Output)
	}
}

func (p project) service(t *testing.T, name string) *actuator.Compose {
	t.Helper()
	s, err := actuator.NewCompose(p.dir, name, p.command, actuator.DockerOptions{Host: p.host})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p project) says(t *testing.T, s actuator.Service, url string) {
	t.Helper()
	got, err := s.Logs(t.Context(), 50)
	if err != nil || !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, `["-checkpoint-sync-url=`+url+`"]`) }) {
		t.Errorf("it does not say that it was called with %s: %q, %v", url, got, err)
	}
}

func TestE2EDockerComposeRestarts(t *testing.T) {
	p := newProject(t)
	s, execution := p.service(t, "consensus"), p.service(t, "execution")
	before, other := becomes(t, s, actuator.Active), becomes(t, execution, actuator.Active)
	p.says(t, s, "http://one")

	out, err := s.Restart(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Output)
	}
	same := becomes(t, s, actuator.Active)
	if same.InvocationID == before.InvocationID || same.InvocationID[:16] != before.InvocationID[:16] || out.ExitCode == nil || *out.ExitCode != 0 || out.After == nil || out.After.InvocationID != same.InvocationID {
		t.Errorf("nothing changed, so the same container is to be restarted: %+v, then %+v, outcome %+v", before, same, out)
	}

	p.env(t, "http://two")
	if out, err = s.Restart(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.Output)
	}
	anew := becomes(t, s, actuator.Active)
	if anew.InvocationID[:16] == same.InvocationID[:16] || out.After == nil || out.After.InvocationID != anew.InvocationID || out.Before.InvocationID != same.InvocationID {
		t.Errorf(".env changed, so another container is to run, and not be restarted again: %+v, then %+v, outcome %+v", same, anew, out)
	}
	p.says(t, s, "http://two")
	if now := becomes(t, execution, actuator.Active); now.InvocationID != other.InvocationID {
		t.Error("the execution client was restarted, too")
	}
}

func TestE2EDockerComposeStopsAndStarts(t *testing.T) {
	p := newProject(t)
	s := p.service(t, "consensus")
	before := becomes(t, s, actuator.Active)
	if out, err := s.Stop(t.Context()); err != nil || out.After.Active != actuator.Inactive {
		t.Fatalf("%+v, %v", out, err)
	}
	_, err := s.Restart(t.Context())
	wantError(t, err, true, actuator.ErrStopped)
	// What changed while it was stopped counts.
	p.env(t, "http://three")
	out, err := s.Start(t.Context())
	if err != nil || out.After == nil || out.After.InvocationID == before.InvocationID {
		t.Fatalf("%+v, %v\n%s", out, err, out.Output)
	}
	becomes(t, s, actuator.Active)
	p.says(t, s, "http://three")
	if out, err = s.Start(t.Context()); err != nil || out.ExitCode != nil {
		t.Errorf("start of what runs: %+v, %v", out, err)
	}
}

func TestE2EDockerComposeErrors(t *testing.T) {
	p := newProject(t)
	s := p.service(t, "consensus")
	before := becomes(t, s, actuator.Active)
	t.Run("no such service", func(t *testing.T) {
		_, err := p.service(t, "nope").Restart(t.Context())
		wantError(t, err, true, actuator.ErrNotThere)
	})
	t.Run("the file does not parse", func(t *testing.T) {
		p.write(t, "docker-compose.yml", "services: [")
		out, err := s.Restart(t.Context())
		wantError(t, err, true, nil)
		if out.ExitCode == nil || *out.ExitCode == 0 || out.Output == "" {
			t.Errorf("outcome %+v", out)
		}
		if now := becomes(t, s, actuator.Active); now.InvocationID != before.InvocationID {
			t.Error("it was touched")
		}
		p.write(t, "docker-compose.yml", composeFile)
	})
	t.Run("no such image", func(t *testing.T) {
		p.write(t, ".env", "IMAGE=checkpoint.invalid/nope:1\nCHECKPOINT_SYNC_URL=http://one\n")
		_, err := s.Restart(t.Context())
		wantError(t, err, true, nil)
		if now := becomes(t, s, actuator.Active); now.InvocationID != before.InvocationID {
			t.Error("it was touched")
		}
		p.env(t, "http://one")
	})
	t.Run("another program", func(t *testing.T) {
		missing, err := actuator.NewCompose(p.dir, "consensus", []string{"/nowhere/docker", "compose"}, actuator.DockerOptions{Host: p.host})
		if err != nil {
			t.Fatal(err)
		}
		_, err = missing.Restart(t.Context())
		wantError(t, err, true, actuator.ErrNotThere)
	})
	t.Run("by another way to the directory", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(p.dir, link); err != nil {
			t.Fatal(err)
		}
		l, err := actuator.NewCompose(link, "consensus", p.command, actuator.DockerOptions{Host: p.host})
		if err != nil {
			t.Fatal(err)
		}
		if state, err := l.State(t.Context()); err != nil || state.InvocationID != before.InvocationID {
			t.Errorf("%+v, %v", state, err)
		}
	})
	t.Run("two containers", func(t *testing.T) {
		p.compose(t, "up", "-d", "--scale", "consensus=2")
		_, err := s.Restart(t.Context())
		wantError(t, err, true, nil)
		if _, err := p.ContainerList(t.Context(), client.ContainerListOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}
