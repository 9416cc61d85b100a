package actuator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/moby/moby/client"
)

// DefaultComposeCommand is docker compose as its packages install it.
var DefaultComposeCommand = []string{"/usr/bin/docker", "compose"}

// Labels that compose gives its containers (docker/compose, pkg/api/labels.go; the older docker-compose, compose/const.py).
const (
	labelService   = "com.docker.compose.service"
	labelDirectory = "com.docker.compose.project.working_dir"
	labelOneOff    = "com.docker.compose.oneoff"
)

// Compose is a service of a compose project, with one container.
type Compose struct {
	dir, service string
	command      []string
	opts         DockerOptions
}

// NewCompose takes a project's absolute directory, the name of a service, and how to call compose: an absolute path and its first arguments,
// DefaultComposeCommand if there are none. Both docker compose and the older docker-compose will do. Nothing is run yet.
func NewCompose(dir, service string, command []string, opts DockerOptions) (*Compose, error) {
	if len(command) == 0 {
		command = DefaultComposeCommand
	}
	switch {
	case !filepath.IsAbs(dir) || filepath.Clean(dir) != dir:
		return nil, fmt.Errorf("compose project %q: want an absolute path", dir)
	case !containerName.MatchString(service):
		return nil, fmt.Errorf("compose service %q: want its name", service)
	case !filepath.IsAbs(command[0]) || filepath.Clean(command[0]) != command[0]:
		return nil, fmt.Errorf("compose command %q: want an absolute path first", command)
	case slices.ContainsFunc(append([]string{dir}, command...), func(s string) bool { return strings.ContainsRune(s, 0) }):
		return nil, fmt.Errorf("compose command %q in %q: a zero byte", command, dir)
	}
	opts, err := opts.check()
	if err != nil {
		return nil, fmt.Errorf("compose service %q: %w", service, err)
	}
	return &Compose{dir: dir, service: service, command: slices.Clone(command), opts: opts}, nil
}

func (p *Compose) String() string { return fmt.Sprintf("compose %s of %s", p.service, p.dir) }

// State is that of the service's container.
func (p *Compose) State(ctx context.Context) (State, error) {
	c, err := docker.Open(p.opts.Host)
	if err != nil {
		return State{}, err
	}
	defer func() { _ = c.Close() }()
	b, err := p.look(ctx, c)
	return b.State, err
}

// Restart runs compose up for the service alone, which creates its container anew if its configuration or its .env has changed (docker compose
// restart would read neither). A container that this leaves as it was is restarted. Like a compose up at the terminal it also puts a newer image of
// the same name to use, if one has been pulled. A service that was stopped is not started: ErrStopped.
func (p *Compose) Restart(ctx context.Context) (Outcome, error) {
	return p.do(ctx, "restart", func(ctx context.Context, c *client.Client, was box, out *Outcome) (bool, error) {
		if err := was.ours(); err != nil {
			return true, err
		}
		is, before, err := p.up(ctx, c, was, out)
		if err != nil {
			return before, err
		}
		if is.InvocationID == was.InvocationID {
			before, err := restart(ctx, c, is, out)
			return before, err
		}
		if is.ended() {
			return false, fmt.Errorf("%w: the new run ended at once (%s)", ErrNotRestarted, is.Result)
		}
		return false, nil
	})
}

// Stop stops the service's container and makes sure that it has ended. Nothing is done to one that has ended already.
func (p *Compose) Stop(ctx context.Context) (Outcome, error) { return p.do(ctx, "stop", stop) }

// Start runs compose up for the service alone, so that what has changed while it was stopped counts. Nothing is done to one that runs already. It is
// for a service that was stopped by Stop: one that somebody else stopped is not ours.
func (p *Compose) Start(ctx context.Context) (Outcome, error) {
	return p.do(ctx, "start", func(ctx context.Context, c *client.Client, was box, out *Outcome) (bool, error) {
		switch was.run {
		case docker.Running, docker.Restarting:
			out.After = out.Before
			return false, nil
		case docker.Paused:
			return true, fmt.Errorf("%w: it is paused", ErrStopped)
		case docker.Removing:
			return true, fmt.Errorf("%w: it is being removed", ErrBusy)
		}
		is, before, err := p.up(ctx, c, was, out)
		if err != nil {
			return before, err
		}
		if is.InvocationID == was.InvocationID || is.ended() {
			return false, fmt.Errorf("%w: it ended at once (%s)", ErrNotStarted, is.Result)
		}
		return false, nil
	})
}

// Logs reads the end of the log of the service's container.
func (p *Compose) Logs(ctx context.Context, n int) ([]string, error) {
	c, err := docker.Open(p.opts.Host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	id, err := p.container(ctx, c)
	if err != nil {
		return nil, err
	}
	return containerLogs(ctx, c, id, n)
}

func (p *Compose) do(ctx context.Context, verb string, act func(context.Context, *client.Client, box, *Outcome) (before bool, err error)) (Outcome, error) {
	return withEngine(ctx, p, verb, p.opts, func(ctx context.Context, c *client.Client, out *Outcome) (bool, error) {
		was, err := p.look(ctx, c)
		if err != nil {
			return true, err
		}
		out.Before = &was.State
		return act(ctx, c, was, out)
	})
}

// look finds the service's container, and inspects it.
func (p *Compose) look(ctx context.Context, c *client.Client) (box, error) {
	id, err := p.container(ctx, c)
	if err != nil {
		return box{}, err
	}
	return inspect(ctx, c, id)
}

// container is the id of the service's container.
func (p *Compose) container(ctx context.Context, c *client.Client) (string, error) {
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelService+"="+p.service)})
	if err != nil {
		return "", fmt.Errorf("look for the container of %s: %w", p, explainDocker(err))
	}
	var found []string
	for _, s := range list.Items {
		if p.in(s.Labels[labelDirectory]) && !strings.EqualFold(s.Labels[labelOneOff], "true") {
			found = append(found, s.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: no container of service %s of the project in %s", ErrNotThere, p.service, p.dir)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s has %d containers; only a service with one can be looked after", p, len(found))
}

// in tells whether a label names our directory, perhaps by another way to it.
func (p *Compose) in(label string) bool {
	if label == p.dir {
		return true
	}
	a, errA := os.Stat(label)
	b, errB := os.Stat(p.dir)
	return label != "" && errA == nil && errB == nil && os.SameFile(a, b)
}

// up runs compose up -d --no-deps SERVICE in the project's directory, and looks at the container there is then. before is true if it
// failed and left the container as it was.
func (p *Compose) up(ctx context.Context, c *client.Client, was box, out *Outcome) (is box, before bool, err error) {
	argv := append(slices.Clone(p.command), "up", "-d", "--no-deps", p.service)
	output := newTail(MaxOutput)
	began := time.Now()
	started, code, ranErr := process{argv: argv, dir: p.dir, env: p.environment(), stdout: output, stderr: output, timeout: p.opts.Timeout}.run(ctx)
	if !started {
		return box{}, true, ranErr
	}
	out.ExitCode = &code
	out.Output, out.OutputCut = output.text()
	is, err = p.look(ctx, c)
	if err == nil {
		out.After = &is.State
	}
	if ranErr != nil {
		// Killed, it may have left the engine at work.
		untouched := err == nil && code >= 0 && is.InvocationID == was.InvocationID && is.Active == was.Active
		return box{}, untouched, fmt.Errorf("%q in %s: %w after %v", argv, p.dir, ranErr, time.Since(began).Round(time.Millisecond))
	}
	return is, false, err
}

// environment points compose at the same engine as ours.
func (p *Compose) environment() []string {
	host, err := docker.Host(p.opts.Host)
	if err != nil {
		return nil
	}
	env := []string{"DOCKER_HOST=" + host}
	for _, name := range []string{client.EnvOverrideCertPath, client.EnvTLSVerify} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
