package actuator_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker/dockertest"
	"github.com/google/go-cmp/cmp"
)

// pretended is a container of a made-up engine's.
type pretended struct {
	*dockertest.Engine
	mu     sync.Mutex
	id     string
	status string
	code   int
	starts int // of which StartedAt is made
	policy string
	labels map[string]string
}

func newContainer(t *testing.T, status string) *pretended {
	c := &pretended{Engine: dockertest.New(t), id: strings.Repeat("0a", 32), status: status, starts: 1, policy: "no"}
	inspect := func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		started := time.Date(2026, 11, 22, 19, 0, c.starts, 5, time.UTC).Format(time.RFC3339Nano)
		dockertest.JSON(200, map[string]any{"Id": c.id, "Name": "/cl", "RestartCount": 2, "Config": map[string]any{"Labels": c.labels},
			"HostConfig": map[string]any{"RestartPolicy": map[string]any{"Name": c.policy}},
			"State":      map[string]any{"Status": c.status, "Running": c.status == "running", "Pid": 7 * c.starts, "ExitCode": c.code, "StartedAt": started, "FinishedAt": "2026-11-22T20:00:00Z"}})(w, r)
	}
	c.Answer("GET /containers/cl/json", inspect)
	c.Answer("GET /containers/"+c.id+"/json", inspect)
	c.Answer("GET /events", dockertest.JSON(200, nil))
	for verb, do := range map[string]func(){
		"restart": func() { c.status, c.starts = "running", c.starts+1 },
		"start":   func() { c.status, c.starts = "running", c.starts+1 },
		"stop":    func() { c.status = "exited" },
	} {
		c.Answer("POST /containers/"+c.id+"/"+verb, func(w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if grace := r.URL.Query().Get("t"); verb != "start" && grace != "90" {
				t.Errorf("%s with a grace of %q", verb, grace)
			}
			do()
			w.WriteHeader(http.StatusNoContent)
		})
	}
	return c
}

func (c *pretended) actuator(t *testing.T) *actuator.Docker {
	t.Helper()
	d, err := actuator.NewDocker("cl", actuator.DockerOptions{Host: c.Host})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is done to a container in each state.
func TestDockerDecides(t *testing.T) {
	tests := []struct {
		status, policy string
		code           int
		active         actuator.Activity
		sub            string
		restart        string // what is asked of the engine; an error else
		stop, start    string
	}{
		{"running", "no", 0, actuator.Active, "running", "restart", "stop", ""},
		{"restarting", "always", 1, actuator.Activating, "auto-restart", "restart", "stop", ""},
		{"exited", "no", 1, actuator.Failed, "failed", "restart", "", "start"},
		{"exited", "no", 143, actuator.Inactive, "dead", "ErrStopped", "", "start"},
		{"exited", "always", 1, actuator.Inactive, "dead", "ErrStopped", "", "start"},
		{"created", "no", 0, actuator.Inactive, "dead", "ErrStopped", "", "start"},
		{"paused", "no", 0, actuator.Inactive, "paused", "ErrStopped", "error", "ErrStopped"},
		{"removing", "no", 0, actuator.Deactivating, "removing", "ErrBusy", "stop", "ErrBusy"},
	}
	known := map[string]error{"ErrStopped": actuator.ErrStopped, "ErrBusy": actuator.ErrBusy, "error": nil}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %d, %s", tt.status, tt.code, tt.policy), func(t *testing.T) {
			for verb, want := range map[string]string{"restart": tt.restart, "stop": tt.stop, "start": tt.start} {
				c := newContainer(t, tt.status)
				c.policy, c.code = tt.policy, tt.code
				d := c.actuator(t)
				before, err := d.State(t.Context())
				if err != nil || before.Active != tt.active || before.Sub != tt.sub {
					t.Fatalf("State: %+v, %v", before, err)
				}
				do := map[string]func(context.Context) (actuator.Outcome, error){"restart": d.Restart, "stop": d.Stop, "start": d.Start}[verb]
				out, err := do(t.Context())
				if is, refuses := known[want]; refuses {
					wantError(t, err, true, is)
					if asked := c.Asked(); len(asked) > 0 {
						t.Errorf("%s: asked %q", verb, asked)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", verb, err)
					continue
				}
				var asked []string
				if want != "" {
					asked = []string{"POST /containers/" + c.id + "/" + want}
				}
				if diff := cmp.Diff(asked, c.Asked()); diff != "" {
					t.Errorf("%s asked (-want +got):\n%s", verb, diff)
				}
				if out.Before == nil || out.After == nil || out.Before.InvocationID != before.InvocationID {
					t.Errorf("%s: %+v", verb, out)
				}
			}
		})
	}
}

func TestDockerEvidence(t *testing.T) {
	c := newContainer(t, "running")
	out, err := c.actuator(t).Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := func(second int) time.Time { return time.Date(2026, 11, 22, 19, 0, second, 5, time.UTC) }
	run := func(second int) *actuator.State {
		return &actuator.State{Active: actuator.Active, Sub: "running", Restarts: 2, MainPID: uint32(7 * second), Since: at(second),
			InvocationID: fmt.Sprintf("0a0a0a0a0a0a0a0a%016x", at(second).UnixNano())}
	}
	out.Took = 0
	if diff := cmp.Diff(actuator.Outcome{Actuator: "docker cl", Before: run(1), After: run(2)}, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDockerFailures(t *testing.T) {
	tests := map[string]struct {
		answer http.HandlerFunc
		before bool
		is     error
	}{
		"the same run goes on":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false, actuator.ErrNotRestarted},
		"it is gone":                 {dockertest.JSON(404, map[string]string{"message": "No such container: cl"}), true, actuator.ErrNotThere},
		"it stops, but cannot start": {dockertest.JSON(400, map[string]string{"message": "exec: not found"}), false, nil},
		"its network is gone":        {dockertest.JSON(404, map[string]string{"message": "network x not found"}), false, nil},
		"the connection breaks":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, "running")
			c.Answer("POST /containers/"+c.id+"/restart", tt.answer)
			out, err := c.actuator(t).Restart(t.Context())
			wantError(t, err, tt.before, tt.is)
			if out.Before == nil {
				t.Errorf("%+v", out)
			}
		})
	}
	t.Run("it ends at once", func(t *testing.T) {
		c := newContainer(t, "exited")
		c.Answer("POST /containers/"+c.id+"/start", func(w http.ResponseWriter, _ *http.Request) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.starts++
			w.WriteHeader(204)
		})
		_, err := c.actuator(t).Start(t.Context())
		wantError(t, err, false, actuator.ErrNotStarted)
	})
	t.Run("it does not end", func(t *testing.T) {
		c := newContainer(t, "running")
		c.Answer("POST /containers/"+c.id+"/stop", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
		_, err := c.actuator(t).Stop(t.Context())
		wantError(t, err, false, actuator.ErrNotStopped)
		if !strings.HasPrefix(err.Error(), "stop docker cl: failed during or after") {
			t.Errorf("it reads %q", err)
		}
	})
	t.Run("no engine", func(t *testing.T) {
		d, err := actuator.NewDocker("cl", actuator.DockerOptions{Host: "unix:///nowhere/docker.sock"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Restart(t.Context())
		wantError(t, err, true, docker.ErrNoEngine)
	})
	t.Run("time is up", func(t *testing.T) {
		c := newContainer(t, "running")
		c.Answer("POST /containers/"+c.id+"/restart", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		d, err := actuator.NewDocker("cl", actuator.DockerOptions{Host: c.Host, Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Restart(t.Context())
		wantError(t, err, false, context.DeadlineExceeded)
	})
}

func frame(stream byte, text string) []byte {
	b := make([]byte, 8, 8+len(text))
	b[0] = stream
	binary.BigEndian.PutUint32(b[4:], uint32(len(text)))
	return append(b, text...)
}

func TestDockerLogs(t *testing.T) {
	long := strings.Repeat("ä", actuator.MaxLogLine)
	tests := map[string]struct {
		stream []byte
		want   []string
		fails  bool
	}{
		"nothing":            {nil, nil, false},
		"both streams":       {slices.Concat(frame(1, "one\n"), frame(2, "two\n"), frame(1, "three\n")), []string{"one", "two", "three"}, false},
		"more than asked":    {slices.Concat(frame(1, "0\n1\n2\n"), frame(1, "3\n")), []string{"1", "2", "3"}, false},
		"line in two frames": {slices.Concat(frame(1, "one "), frame(1, "line\n")), []string{"one line"}, false},
		"colours, controls":  {frame(1, "\x1b[1;32mINFO\x1b[0m a\tb\x07\x1b]0;title\x07c\r\n"), []string{"INFO a\tbc"}, false},
		"not text":           {frame(1, "a\xff\xfeb\n"), []string{"a?b"}, false},
		"long":               {frame(1, long+"\n"), []string{long[:actuator.MaxLogLine]}, false},
		"cut short":          {append(frame(1, "one\n"), frame(1, "two\n")[:10]...), []string{"one", "tw"}, false},
		"the engine's error": {slices.Concat(frame(1, "one\n"), frame(3, "the file is gone")), nil, true},
		"no log":             {[]byte("<html>nonsense</html>"), nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, "running")
			c.Answer("GET /containers/"+c.id+"/logs", func(w http.ResponseWriter, r *http.Request) {
				if q := r.URL.Query(); q.Get("tail") != "3" || q.Get("stdout") != "1" || q.Get("stderr") != "1" || q.Get("follow") != "" {
					t.Errorf("asked %s", r.URL)
				}
				_, _ = w.Write(tt.stream)
			})
			got, err := c.actuator(t).Logs(t.Context(), 3)
			if (err != nil) != tt.fails {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What anybody's program writes cannot make us hold more than the bounds, nor reach a terminal as more than text.
func FuzzDockerLogs(f *testing.F) {
	f.Add(frame(1, "one\n"), 3)
	f.Add(slices.Concat(frame(1, "a\x1b[2J\n"), frame(2, "\xff\n\n")), 1)
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'a'}, 500)
	f.Fuzz(func(t *testing.T, stream []byte, n int) { actuator.CheckLog(t, bytes.NewReader(stream), n) })
}

func TestDockerNames(t *testing.T) {
	for _, bad := range []string{"", "a", "/cl", "-cl", "c l", "cl\n", "ü", "a/b", "../cl"} {
		if d, err := actuator.NewDocker(bad, actuator.DockerOptions{}); err == nil {
			t.Errorf("NewDocker(%q) = %v", bad, d)
		}
	}
	for _, bad := range []actuator.DockerOptions{{Timeout: -1}, {Host: "ssh://there"}} {
		if d, err := actuator.NewDocker("cl", bad); err == nil {
			t.Errorf("NewDocker(%+v) = %v", bad, d)
		}
	}
}

func TestCompose(t *testing.T) {
	dir := t.TempDir()
	newCompose := func(t *testing.T, c *pretended, script string) *actuator.Compose {
		t.Helper()
		path := filepath.Join(t.TempDir(), "docker")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		p, err := actuator.NewCompose(dir, "consensus", []string{path, "compose"}, actuator.DockerOptions{Host: c.Host})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	project := func(t *testing.T, status string, labels ...map[string]string) *pretended {
		c := newContainer(t, status)
		if len(labels) == 0 {
			labels = []map[string]string{{"com.docker.compose.project.working_dir": dir, "com.docker.compose.service": "consensus"}}
		}
		var all []map[string]any
		for _, l := range labels {
			all = append(all, map[string]any{"Id": c.id, "Labels": l})
		}
		c.Answer("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
			if q := r.URL.Query(); q.Get("all") != "1" || !strings.Contains(q.Get("filters"), "com.docker.compose.service=consensus") {
				t.Errorf("asked %s", r.URL)
			}
			dockertest.JSON(200, all)(w, r)
		})
		return c
	}
	t.Run("the container that compose leaves is restarted", func(t *testing.T) {
		c := project(t, "running")
		out, err := newCompose(t, c, `echo "$@"; pwd; echo $DOCKER_HOST`).Restart(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := "compose up -d --no-deps consensus\n" + dir + "\n" + c.Host + "\n"; out.Output != want {
			t.Errorf("it was called as %q, want %q", out.Output, want)
		}
		if asked := c.Asked(); len(asked) != 1 || !strings.HasSuffix(asked[0], "/restart") {
			t.Errorf("asked %q", asked)
		}
	})
	t.Run("compose fails", func(t *testing.T) {
		c := project(t, "running")
		out, err := newCompose(t, c, "echo no such variable >&2; exit 15").Restart(t.Context())
		wantError(t, err, true, nil)
		if out.ExitCode == nil || *out.ExitCode != 15 || out.Output != "no such variable\n" || len(c.Asked()) > 0 {
			t.Errorf("%+v, asked %q", out, c.Asked())
		}
	})
	t.Run("compose fails on the way", func(t *testing.T) {
		c := project(t, "running")
		marker := filepath.Join(t.TempDir(), "ran")
		c.Answer("GET /containers/"+c.id+"/json", func(w http.ResponseWriter, r *http.Request) {
			status := "running"
			if _, err := os.Stat(marker); err == nil {
				status = "exited"
			}
			dockertest.JSON(200, map[string]any{"Id": c.id, "Name": "/cl", "Config": map[string]any{}, "HostConfig": map[string]any{}, "State": map[string]any{"Status": status, "StartedAt": "2026-11-22T19:00:00Z"}})(w, r)
		})
		_, err := newCompose(t, c, "touch "+marker+"; exit 1").Restart(t.Context())
		wantError(t, err, false, nil)
	})
	t.Run("stopped", func(t *testing.T) {
		c := project(t, "exited")
		out, err := newCompose(t, c, "exit 0").Restart(t.Context())
		wantError(t, err, true, actuator.ErrStopped)
		if out.ExitCode != nil {
			t.Errorf("compose was run: %+v", out)
		}
	})
	t.Run("somebody else's projects", func(t *testing.T) {
		for name, l := range map[string]map[string]string{
			"in another directory": {"com.docker.compose.project.working_dir": "/elsewhere"},
			"by hand":              {"com.docker.compose.project.working_dir": dir, "com.docker.compose.oneoff": "True"},
			"without a directory":  {},
		} {
			_, err := newCompose(t, project(t, "running", l), "exit 0").Restart(t.Context())
			wantError(t, err, true, actuator.ErrNotThere)
			if !errors.Is(err, actuator.ErrNotThere) {
				t.Error(name)
			}
		}
	})
	t.Run("two containers", func(t *testing.T) {
		l := map[string]string{"com.docker.compose.project.working_dir": dir}
		_, err := newCompose(t, project(t, "running", l, l), "exit 0").Restart(t.Context())
		wantError(t, err, true, nil)
	})
	for _, bad := range []struct {
		dir, service string
		command      []string
	}{
		{"relative", "consensus", nil}, {"/a/../b", "consensus", nil}, {"/p", "", nil}, {"/p", "-d", nil}, {"/p", "a b", nil},
		{"/p", "consensus", []string{"docker", "compose"}}, {"/p", "consensus", []string{"/usr/bin/docker", "a\x00"}}, {"/p\x00", "consensus", nil},
	} {
		if p, err := actuator.NewCompose(bad.dir, bad.service, bad.command, actuator.DockerOptions{}); err == nil {
			t.Errorf("NewCompose(%q) = %v", bad, p)
		}
	}
}
