package actuator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/moby/moby/client"
)

// containerName is what the engine takes as a name (moby daemon/names/names.go).
var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// DockerOptions of NewDocker and NewCompose. The zero value is the host's engine.
type DockerOptions struct {
	// Host is the engine's address, unix:///PATH or tcp://HOST:PORT; "" is $DOCKER_HOST, or unix:///var/run/docker.sock.
	Host string
	// Timeout bounds a restart, a stop and a start; 0 is DefaultJobTimeout.
	Timeout time.Duration
}

func (o DockerOptions) check() (DockerOptions, error) {
	switch {
	case o.Timeout < 0:
		return o, fmt.Errorf("negative timeout %v", o.Timeout)
	case o.Timeout == 0:
		o.Timeout = DefaultJobTimeout
	}
	_, err := docker.Host(o.Host)
	return o, err
}

// Docker is a container, through the Docker Engine's API.
type Docker struct {
	name string
	opts DockerOptions
}

// NewDocker takes a container's name. No connection is made yet.
func NewDocker(name string, opts DockerOptions) (*Docker, error) {
	if !containerName.MatchString(name) {
		return nil, fmt.Errorf("container %q: want its name, as docker ps shows it", name)
	}
	opts, err := opts.check()
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", name, err)
	}
	return &Docker{name: name, opts: opts}, nil
}

func (d *Docker) String() string { return "docker " + d.name }

// State inspects the container. See docker.Judge for how a stopped one is told from one that failed.
func (d *Docker) State(ctx context.Context) (State, error) {
	c, err := docker.Open(d.opts.Host)
	if err != nil {
		return State{}, err
	}
	defer func() { _ = c.Close() }()
	b, err := inspect(ctx, c, d.name)
	return b.State, err
}

// Restart restarts the container, and makes sure that another run has begun. One that was stopped or paused is not started: ErrStopped. A
// container that is stopped between the look and the restart is started, because the engine has no way to restart only what runs.
func (d *Docker) Restart(ctx context.Context) (Outcome, error) { return d.do(ctx, "restart", restart) }

// Stop stops the container and makes sure that it has ended. Nothing is done to one that has ended already.
func (d *Docker) Stop(ctx context.Context) (Outcome, error) { return d.do(ctx, "stop", stop) }

// Start starts the container and makes sure that it runs. Nothing is done to one that runs already. It is for a container that was
// stopped by Stop: one that somebody else stopped is not ours.
func (d *Docker) Start(ctx context.Context) (Outcome, error) { return d.do(ctx, "start", start) }

// Logs reads the end of the container's log, if its logging driver keeps one.
func (d *Docker) Logs(ctx context.Context, n int) ([]string, error) {
	c, err := docker.Open(d.opts.Host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return containerLogs(ctx, c, d.name, n)
}

func (d *Docker) do(ctx context.Context, verb string, act func(context.Context, *client.Client, box, *Outcome) (before bool, err error)) (Outcome, error) {
	return withEngine(ctx, d, verb, d.opts, func(ctx context.Context, c *client.Client, out *Outcome) (bool, error) {
		was, err := inspect(ctx, c, d.name)
		if err != nil {
			return true, err
		}
		out.Before = &was.State
		return act(ctx, c, was, out)
	})
}

// withEngine opens a client, and acts within the timeout. before is true if act failed before anything was done.
func withEngine(ctx context.Context, a Actuator, verb string, opts DockerOptions, act func(context.Context, *client.Client, *Outcome) (before bool, err error)) (Outcome, error) {
	out := Outcome{Actuator: a.String()}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, opts.Timeout, fmt.Errorf("the Docker Engine had not finished after %v", opts.Timeout))
	defer cancel()
	before, err := func() (bool, error) {
		c, err := docker.Open(opts.Host)
		if err != nil {
			return true, err
		}
		defer func() { _ = c.Close() }()
		return act(ctx, c, &out)
	}()
	out.Took = time.Since(began)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w (%w)", context.Cause(ctx), ctx.Err(), err)
		}
		return out, &Error{Verb: verb, Actuator: a.String(), BeforeEffect: before, Err: err}
	}
	return out, nil
}

// box is a container's State with what decides what may be done to it.
type box struct {
	State
	id    string
	run   docker.Run
	grace *int // seconds; nil: the container has its own
}

// activities are how systemd would call it.
var activities = map[docker.Run]struct {
	active Activity
	sub    string
}{
	docker.Running:    {Active, "running"},
	docker.Restarting: {Activating, "auto-restart"},
	docker.Paused:     {Inactive, "paused"},
	docker.Stopped:    {Inactive, "dead"},
	docker.Failed:     {Failed, "failed"},
	docker.Removing:   {Deactivating, "removing"},
}

func inspect(ctx context.Context, c *client.Client, container string) (box, error) {
	got, err := c.ContainerInspect(ctx, container, client.ContainerInspectOptions{})
	if err != nil {
		return box{}, fmt.Errorf("inspect container %s: %w", container, explainDocker(err))
	}
	in := got.Container
	run, result, err := docker.Judge(ctx, c, in)
	if err != nil {
		return box{}, err
	}
	if _, err := hex.DecodeString(in.ID); err != nil || len(in.ID) != 64 {
		return box{}, fmt.Errorf("inspect container %s: its id is %.100q", container, in.ID)
	}
	as := activities[run]
	b := box{id: in.ID, run: run, State: State{
		Active: as.active, Sub: as.sub, Result: result,
		Restarts: uint32(max(in.RestartCount, 0)), MainPID: uint32(max(in.State.Pid, 0)),
	}}
	began, ended := docker.Time(in.State.StartedAt), docker.Time(in.State.FinishedAt)
	if !began.IsZero() {
		// One run of one container: an id is made anew with the container, and a start's time with each start.
		b.InvocationID = fmt.Sprintf("%s%016x", in.ID[:16], began.UnixNano())
	}
	b.Since = began
	if run != docker.Running && run != docker.Paused {
		b.Since = ended
	}
	b.grace = docker.Grace(in)
	return b, nil
}

// ours tells why the container is not to be restarted.
func (b box) ours() error {
	switch b.run {
	case docker.Stopped:
		return fmt.Errorf("%w (%s)", ErrStopped, orNever(b.Result))
	case docker.Paused:
		return fmt.Errorf("%w: it is paused", ErrStopped)
	case docker.Removing:
		return fmt.Errorf("%w: it is being removed", ErrBusy)
	}
	return nil
}

func orNever(result string) string {
	if result == "" {
		return "it was never started"
	}
	return result
}

// anew looks at the container after something was done to it.
func anew(ctx context.Context, c *client.Client, id string, out *Outcome) (box, error) {
	is, err := inspect(ctx, c, id)
	if err != nil {
		return is, err
	}
	out.After = &is.State
	return is, nil
}

func restart(ctx context.Context, c *client.Client, was box, out *Outcome) (before bool, err error) {
	if err := was.ours(); err != nil {
		return true, err
	}
	if _, err := c.ContainerRestart(ctx, was.id, client.ContainerRestartOptions{Timeout: was.grace}); err != nil {
		return docker.Refused(err), explainDocker(err)
	}
	is, err := anew(ctx, c, was.id, out)
	switch {
	case err != nil:
		return false, err
	case is.InvocationID == was.InvocationID:
		return false, fmt.Errorf("%w: the run since %v goes on", ErrNotRestarted, is.Since)
	case is.ended():
		return false, fmt.Errorf("%w: the new run ended at once (%s)", ErrNotRestarted, is.Result)
	}
	return false, nil
}

func stop(ctx context.Context, c *client.Client, was box, out *Outcome) (before bool, err error) {
	switch was.run {
	case docker.Stopped, docker.Failed:
		out.After = out.Before
		return false, nil
	case docker.Paused:
		return true, errors.New("it is paused by somebody, and would have to go on before it can end")
	}
	if _, err := c.ContainerStop(ctx, was.id, client.ContainerStopOptions{Timeout: was.grace}); err != nil {
		return docker.Refused(err), explainDocker(err)
	}
	is, err := anew(ctx, c, was.id, out)
	switch {
	case err != nil:
		return false, err
	case !is.ended():
		return false, fmt.Errorf("%w: it is %s (%s)", ErrNotStopped, is.Active, is.Sub)
	}
	return false, nil
}

func start(ctx context.Context, c *client.Client, was box, out *Outcome) (before bool, err error) {
	switch was.run {
	case docker.Running, docker.Restarting:
		out.After = out.Before
		return false, nil
	case docker.Paused:
		return true, fmt.Errorf("%w: it is paused", ErrStopped)
	case docker.Removing:
		return true, fmt.Errorf("%w: it is being removed", ErrBusy)
	}
	if _, err := c.ContainerStart(ctx, was.id, client.ContainerStartOptions{}); err != nil {
		return docker.Refused(err), fmt.Errorf("%w: %w", ErrNotStarted, explainDocker(err))
	}
	is, err := anew(ctx, c, was.id, out)
	switch {
	case err != nil:
		return false, err
	case is.InvocationID == was.InvocationID, is.ended():
		return false, fmt.Errorf("%w: it ended at once (%s)", ErrNotStarted, is.Result)
	}
	return false, nil
}

// explainDocker gives the engine's refusals the words of this package.
func explainDocker(err error) error {
	err = docker.Explain(err)
	if errors.Is(err, docker.ErrNotThere) {
		return fmt.Errorf("%w: %w", ErrNotThere, err)
	}
	return err
}
