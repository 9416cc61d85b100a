package docker_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker/dockertest"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

func TestHost(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	if got, err := docker.Host(""); err != nil || got != "unix:///var/run/docker.sock" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
	if got, err := docker.Host(""); err != nil || got != "tcp://10.0.0.1:2376" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := docker.Host("unix:///run/user/1000/docker.sock"); err != nil || got != "unix:///run/user/1000/docker.sock" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"docker.sock", "unix://", "unix://docker.sock", "tcp://10.0.0.1", "ssh://me@there", "npipe:////./pipe/docker", "http://a:1"} {
		if got, err := docker.Host(bad); err == nil {
			t.Errorf("Host(%q) = %q", bad, got)
		}
	}
}

// The states are those that a real engine was seen in; TestE2EDockerTellsStoppedFromFailed brings one into them.
func TestJudge(t *testing.T) {
	const began, ended = "2026-11-22T19:18:59.241906949Z", "2026-11-22T19:20:00.5Z"
	exited := func(code int) *container.State {
		return &container.State{Status: "exited", ExitCode: code, StartedAt: began, FinishedAt: ended}
	}
	never := container.RestartPolicy{Name: "no"}
	always := container.RestartPolicy{Name: "always"}
	unless := container.RestartPolicy{Name: "unless-stopped"}
	often := func(n int) container.RestartPolicy {
		return container.RestartPolicy{Name: "on-failure", MaximumRetryCount: n}
	}
	oom := exited(137)
	oom.OOMKilled = true
	failed := &container.State{Status: "created", Error: "no such file", ExitCode: 127}
	tests := map[string]struct {
		state    *container.State
		policy   container.RestartPolicy
		restarts int
		events   []string
		want     docker.Run
		result   string
	}{
		"running":                          {&container.State{Status: "running", Running: true}, always, 0, nil, docker.Running, ""},
		"between two attempts":             {&container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 1}, always, 7, nil, docker.Restarting, "exit-code 1"},
		"paused":                           {&container.State{Status: "paused", Running: true, Paused: true}, always, 0, nil, docker.Paused, ""},
		"being removed":                    {&container.State{Status: "removing"}, always, 0, nil, docker.Removing, ""},
		"could not be removed":             {&container.State{Status: "dead"}, always, 0, nil, docker.Removing, ""},
		"never started":                    {&container.State{Status: "created"}, always, 0, nil, docker.Stopped, ""},
		"could not be started":             {failed, always, 0, nil, docker.Failed, "start-failed"},
		"would have been started again":    {exited(1), always, 0, []string{"die"}, docker.Stopped, "exit-code 1"},
		"the same, unless stopped":         {exited(101), unless, 0, nil, docker.Stopped, "exit-code 101"},
		"the same, on failure":             {exited(1), often(0), 3, nil, docker.Stopped, "exit-code 1"},
		"the same, attempts left":          {exited(1), often(3), 2, nil, docker.Stopped, "exit-code 1"},
		"no attempts left":                 {exited(1), often(3), 3, []string{"die"}, docker.Failed, "exit-code 1"},
		"success":                          {exited(0), never, 0, nil, docker.Stopped, "success"},
		"interrupted":                      {exited(130), never, 0, nil, docker.Stopped, "exit-code 130"},
		"terminated, in Java":              {exited(143), never, 0, nil, docker.Stopped, "exit-code 143"},
		"killed":                           {exited(137), never, 0, nil, docker.Stopped, "exit-code 137"},
		"killed for memory":                {oom, never, 0, nil, docker.Failed, "oom-kill"},
		"crashed":                          {exited(1), never, 0, []string{"die"}, docker.Failed, "exit-code 1"},
		"crashed, and nothing is recalled": {exited(139), never, 0, nil, docker.Failed, "exit-code 139"},
		"a signal by hand":                 {exited(2), never, 0, []string{"kill", "die"}, docker.Stopped, "exit-code 2"},
		"an exit code of its own on stop":  {exited(2), never, 0, []string{"kill", "die", "stop"}, docker.Stopped, "exit-code 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := dockertest.New(t)
			e.Answer("GET /events", func(w http.ResponseWriter, r *http.Request) {
				if since, until := r.URL.Query().Get("since"), r.URL.Query().Get("until"); since != "1795375139.241906949" || until != "1795375201.500000000" {
					t.Errorf("asked for the events from %s to %s", since, until)
				}
				for _, action := range tt.events {
					fmt.Fprintf(w, `{"Type":"container","Action":%q,"Actor":{"ID":"c"},"time":1795375140}`+"\n", action)
				}
			})
			c, err := docker.Open(e.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			run, result, err := docker.Judge(t.Context(), c, container.InspectResponse{ID: "c", State: tt.state, RestartCount: tt.restarts, HostConfig: &container.HostConfig{RestartPolicy: tt.policy}})
			if err != nil || run != tt.want || result != tt.result {
				t.Errorf("%s (%s), %v; want %s (%s)", run, result, err, tt.want, tt.result)
			}
		})
	}
	c, err := docker.Open("unix:///nowhere")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, s := range map[string]*container.State{"none": nil, "a new one": {Status: "dreaming"}, "no engine to ask": exited(1)} {
		if run, _, err := docker.Judge(t.Context(), c, container.InspectResponse{ID: "c", State: s}); err == nil {
			t.Errorf("%s: %s", name, run)
		}
	}
}

func TestWhatTheEngineRefused(t *testing.T) {
	e := dockertest.New(t)
	try := func(host string) error {
		c, err := docker.Open(host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.ContainerRestart(t.Context(), "x", client.ContainerRestartOptions{})
		return err
	}
	tests := map[string]struct {
		answer  http.HandlerFunc
		refused bool
		is      error
	}{
		"no such container":           {nil, true, docker.ErrNotThere},
		"another thing is missing":    {dockertest.JSON(404, map[string]string{"message": "network abc not found"}), false, docker.ErrNotThere},
		"does not start":              {dockertest.JSON(400, map[string]string{"message": "exec: not found"}), false, nil},
		"trouble":                     {dockertest.JSON(500, map[string]string{"message": "trouble"}), false, nil},
		"the connection breaks":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, nil},
		"more than anybody can read ": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = io.Copy(w, endless{}) }, false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e.Answer("POST /containers/x/restart", tt.answer)
			err := try(e.Host)
			if got := docker.Refused(err); got != tt.refused {
				t.Errorf("Refused(%.200v) = %v", err, got)
			}
			if tt.is != nil && !errors.Is(docker.Explain(err), tt.is) {
				t.Errorf("Explain = %v", docker.Explain(err))
			}
		})
	}
	err := try("unix:///nowhere/docker.sock")
	if !errors.Is(docker.Explain(err), docker.ErrNoEngine) {
		t.Errorf("no engine: %v", docker.Explain(err))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", len(p))), nil }

// An engine cannot make us read without end.
func TestAnswersAreBounded(t *testing.T) {
	e := dockertest.New(t)
	e.Answer("GET /containers/x/json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"Id":"`)
		_, _ = io.Copy(w, endless{})
	})
	c, err := docker.Open(e.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ContainerInspect(t.Context(), "x", client.ContainerInspectOptions{}); err == nil || !strings.Contains(err.Error(), "sent more than") {
		t.Errorf("%v", err)
	}
}

func TestCreate(t *testing.T) {
	e := dockertest.New(t)
	c, err := docker.Open(e.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		t.Fatal(err)
	}
	e.Answer("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Query().Get("name") != "a-b" || string(body) != `{"NewInTheFuture":1}` {
			t.Errorf("%s %s", r.URL, body)
		}
		dockertest.JSON(201, map[string]any{"Id": "abc", "Warnings": nil})(w, r)
	})
	if id, err := docker.Create(t.Context(), c, "a-b", map[string]int{"NewInTheFuture": 1}); err != nil || id != "abc" {
		t.Errorf("%q, %v", id, err)
	}
	e.Answer("POST /containers/create", dockertest.JSON(409, map[string]string{"message": "the name is taken"}))
	if _, err := docker.Create(t.Context(), c, "a-b", nil); err == nil || !strings.Contains(err.Error(), "the name is taken") {
		t.Error(err)
	}
}
