//go:build e2e

package actuator_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// dockerEnv is the address of a real Docker Engine that may be filled with containers, and imageEnv its image of e2e/boxed.
const (
	dockerEnv = "CHECKPOINT_E2E_DOCKER"
	imageEnv  = "CHECKPOINT_E2E_DOCKER_IMAGE"
)

// engine is a client of the test's own.
type engine struct {
	*client.Client
	host, image string
}

func newEngine(t *testing.T) engine {
	t.Helper()
	e := engine{host: os.Getenv(dockerEnv), image: os.Getenv(imageEnv)}
	if e.host == "" || e.image == "" {
		t.Fatalf("%s or %s is not set", dockerEnv, imageEnv)
	}
	var err error
	if e.Client, err = client.New(client.WithHost(e.host)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// run starts a container of the image.
func (e engine) run(t *testing.T, name string, policy container.RestartPolicy, args ...string) string {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
	made, err := e.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name,
		Config: &container.Config{Image: e.image, Cmd: args}, HostConfig: &container.HostConfig{RestartPolicy: policy, NetworkMode: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = e.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	})
	if _, err := e.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func (e engine) actuator(t *testing.T, name string) *actuator.Docker {
	t.Helper()
	d, err := actuator.NewDocker(name, actuator.DockerOptions{Host: e.host})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// becomes waits until a container is in a state, and its program has said that it is ready if it runs.
func becomes(t *testing.T, s actuator.Service, want actuator.Activity) actuator.State {
	t.Helper()
	var state actuator.State
	eventually(t, fmt.Sprintf("%s is %s", s, want), func() bool {
		var err error
		if state, err = s.State(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state.Active != want || want != actuator.Active {
			return state.Active == want
		}
		said, err := s.Logs(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return len(said) == 1 && said[0] == "ready"
	})
	return state
}

func dockerStop(t *testing.T, e engine, name string) {
	t.Helper()
	if _, err := e.ContainerStop(t.Context(), name, client.ContainerStopOptions{}); err != nil {
		t.Fatal(err)
	}
}

var (
	never     = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	always    = container.RestartPolicy{Name: container.RestartPolicyAlways}
	onFailure = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 2}
)

func TestE2EDockerRestartsWhatRuns(t *testing.T) {
	e := newEngine(t)
	d := e.actuator(t, e.run(t, "runs", never))
	before := becomes(t, d, actuator.Active)
	out, err := d.Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := becomes(t, d, actuator.Active)
	if out.Before == nil || out.After == nil || out.Before.InvocationID != before.InvocationID || out.After.InvocationID != after.InvocationID ||
		before.InvocationID == after.InvocationID || len(after.InvocationID) != 32 || before.MainPID == after.MainPID || after.Since.IsZero() {
		t.Errorf("before %+v, after %+v, outcome %+v", before, after, out)
	}
	if before.InvocationID[:16] != after.InvocationID[:16] {
		t.Errorf("it is another container: %s, %s", before.InvocationID, after.InvocationID)
	}
}

func TestE2EDockerStopsAndStarts(t *testing.T) {
	e := newEngine(t)
	for name, args := range map[string][]string{"a client": nil, "a client in Java": {"-exit-on-term=143"}} {
		for policy, p := range map[string]container.RestartPolicy{"never": never, "always": always, "on failure": onFailure} {
			t.Run(name+", "+policy, func(t *testing.T) {
				d := e.actuator(t, e.run(t, "service", p, args...))
				running := becomes(t, d, actuator.Active)
				out, err := d.Start(t.Context())
				if err != nil || out.After == nil || out.After.InvocationID != running.InvocationID {
					t.Errorf("start of what runs: %+v, %v", out, err)
				}
				if out, err = d.Stop(t.Context()); err != nil || out.After == nil || out.After.Active != actuator.Inactive || out.After.MainPID != 0 {
					t.Fatalf("stop: %+v, %v", out, err)
				}
				becomes(t, d, actuator.Inactive)
				if out, err = d.Stop(t.Context()); err != nil || out.After == nil {
					t.Errorf("stop of what is stopped: %+v, %v", out, err)
				}
				if out, err = d.Start(t.Context()); err != nil || out.After == nil || out.After.InvocationID == running.InvocationID {
					t.Fatalf("start: %+v, %v", out, err)
				}
				becomes(t, d, actuator.Active)
			})
		}
	}
}

// Every way in which a container can have ended, and whether it may be restarted.
func TestE2EDockerTellsStoppedFromFailed(t *testing.T) {
	e := newEngine(t)
	term := func(t *testing.T, name string) { dockerStop(t, e, name) }
	signal := func(s string) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			if _, err := e.ContainerKill(t.Context(), name, client.ContainerKillOptions{Signal: s}); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		policy container.RestartPolicy
		args   []string
		do     func(*testing.T, string)
		want   actuator.Activity
	}{
		"stopped":                          {never, nil, term, actuator.Inactive},
		"stopped, an exit code of its own": {never, []string{"-exit-on-term=7"}, term, actuator.Inactive},
		"stopped, restarts always":         {always, []string{"-exit-on-term=1"}, term, actuator.Inactive},
		"stopped, restarts on failure":     {onFailure, []string{"-exit-on-term=1"}, term, actuator.Inactive},
		"killed by somebody":               {never, nil, signal("KILL"), actuator.Inactive},
		"a signal, an exit code":           {never, []string{"-exit-on-term=9"}, signal("TERM"), actuator.Inactive},
		"crashed":                          {never, []string{"-crash=1"}, nil, actuator.Failed},
		"panicked":                         {never, []string{"-crash=101"}, nil, actuator.Failed},
		"ended with success":               {never, []string{"-crash=0"}, nil, actuator.Inactive},
		"crashed too often":                {onFailure, []string{"-crash=1"}, nil, actuator.Failed},
		"crash loop":                       {always, []string{"-crash=1"}, nil, actuator.Activating},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			box := e.run(t, "ends", tt.policy, tt.args...)
			d := e.actuator(t, box)
			if tt.do != nil {
				becomes(t, d, actuator.Active)
				tt.do(t, box)
			}
			state := becomes(t, d, tt.want)
			if tt.want == actuator.Activating {
				if state.Sub != "auto-restart" {
					t.Errorf("sub-state %q", state.Sub)
				}
				return
			}
			out, err := d.Restart(t.Context())
			if tt.want == actuator.Inactive {
				wantError(t, err, true, actuator.ErrStopped)
				if now := becomes(t, d, tt.want); now.InvocationID != state.InvocationID || out.After != nil {
					t.Errorf("it was touched: %+v, outcome %+v", now, out)
				}
				return
			}
			// Allowed, if in vain: it crashes again, at once or a moment later.
			if err != nil {
				wantError(t, err, false, actuator.ErrNotRestarted)
			}
			if now, err := d.State(t.Context()); err != nil || now.InvocationID == state.InvocationID {
				t.Errorf("it was not restarted: %+v, %v", now, err)
			}
		})
	}
}

func TestE2EDockerLoopsPausesAndWhatIsNotThere(t *testing.T) {
	e := newEngine(t)
	t.Run("a loop is stopped", func(t *testing.T) {
		d := e.actuator(t, e.run(t, "loops", always, "-crash=1"))
		becomes(t, d, actuator.Activating)
		if out, err := d.Stop(t.Context()); err != nil || out.After.Active != actuator.Inactive {
			t.Errorf("%+v, %v", out, err)
		}
	})
	t.Run("paused", func(t *testing.T) {
		name := e.run(t, "paused", always)
		d := e.actuator(t, name)
		before := becomes(t, d, actuator.Active)
		if _, err := e.ContainerPause(t.Context(), name, client.ContainerPauseOptions{}); err != nil {
			t.Fatal(err)
		}
		if s := becomes(t, d, actuator.Inactive); s.Sub != "paused" || s.InvocationID != before.InvocationID {
			t.Errorf("%+v", s)
		}
		for _, act := range []func(context.Context) (actuator.Outcome, error){d.Restart, d.Stop, d.Start} {
			_, err := act(t.Context())
			wantError(t, err, true, nil)
		}
	})
	t.Run("does not start", func(t *testing.T) {
		made, err := e.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: fmt.Sprintf("nothing-%d", time.Now().UnixNano()),
			Config: &container.Config{Image: e.image, Entrypoint: []string{"/nothing"}}, HostConfig: &container.HostConfig{NetworkMode: "none"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = e.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		})
		d := e.actuator(t, made.ID)
		becomes(t, d, actuator.Inactive) // never started
		_, err = d.Start(t.Context())
		wantError(t, err, false, actuator.ErrNotStarted)
		if s := becomes(t, d, actuator.Failed); s.Result != "start-failed" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("no such container", func(t *testing.T) {
		d := e.actuator(t, "checkpoint-nope")
		for _, act := range []func(context.Context) (actuator.Outcome, error){d.Restart, d.Stop, d.Start} {
			_, err := act(t.Context())
			wantError(t, err, true, actuator.ErrNotThere)
		}
		if _, err := d.State(t.Context()); !errors.Is(err, actuator.ErrNotThere) {
			t.Errorf("State: %v", err)
		}
		if _, err := d.Logs(t.Context(), 1); !errors.Is(err, actuator.ErrNotThere) {
			t.Errorf("Logs: %v", err)
		}
	})
	t.Run("does not end in time", func(t *testing.T) {
		name := e.run(t, "stubborn", always, "-exit-on-term=-1")
		becomes(t, e.actuator(t, name), actuator.Active)
		d, err := actuator.NewDocker(name, actuator.DockerOptions{Host: e.host, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Restart(t.Context())
		wantError(t, err, false, context.DeadlineExceeded)
	})
}

func TestE2EDockerLogs(t *testing.T) {
	e := newEngine(t)
	d := e.actuator(t, e.run(t, "talks", never, "-checkpoint-sync-url=http://a", "-complain"))
	eventually(t, "both streams are in the log", func() bool {
		got, err := d.Logs(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got) // of two streams the order is by chance
		return cmp.Equal([]string{`called with ["-checkpoint-sync-url=http://a" "-complain"]`, "ready", "this is an error"}, got)
	})
	if got, err := d.Logs(t.Context(), 1); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

// Run as a user that may not write to the socket.
func TestE2EDockerNotPermitted(t *testing.T) {
	e := newEngine(t)
	path := strings.TrimPrefix(e.host, "unix://")
	if os.Getuid() != 0 {
		t.Fatal("this test is for root")
	}
	d := e.actuator(t, e.run(t, "private", never))
	before := becomes(t, d, actuator.Active)
	asNobody(t, func() {
		c, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			_ = c.Close()
			t.Fatal("the socket can be opened by everybody")
		}
		_, err = d.Restart(t.Context())
		wantError(t, err, true, docker.ErrNotPermitted)
		if _, err := d.State(t.Context()); !errors.Is(err, docker.ErrNotPermitted) {
			t.Errorf("State: %v", err)
		}
	})
	if after := becomes(t, d, actuator.Active); after.InvocationID != before.InvocationID {
		t.Error("it was restarted")
	}
}

// asNobody runs do with the rights of a user that has none, in this process: the connections that do makes are that user's.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(-1, nobody, -1), syscall.Setresuid(-1, nobody, -1)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(syscall.Setresuid(-1, 0, -1), syscall.Setresgid(-1, 0, -1)); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}
