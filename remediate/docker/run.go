package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Run is how a container runs, or why it does not.
type Run string

// The values of Run.
const (
	Running Run = "running"
	// Restarting: it ended, and the engine waits before it starts it again by its restart policy.
	Restarting Run = "restarting"
	// Paused: its processes are frozen, by somebody.
	Paused Run = "paused"
	// Stopped: somebody stopped it, or never started it, or it ended with success.
	Stopped Run = "stopped"
	// Failed: it ended by itself, or could not be started.
	Failed Run = "failed"
	// Removing: it is being removed, or that was tried in vain.
	Removing Run = "removing"
)

// Exit codes of a process that a signal ended, by which docker stop and people end containers: 128 and the signal's number.
const (
	exitInterrupted = 128 + 2
	exitKilled      = 128 + 9
	exitTerminated  = 128 + 15
)

// Judge tells how a container came to run or not, and in a word how its last run ended. The engine knows whether somebody stopped a
// container (HasBeenManuallyStopped in its own state), but does not tell, so this concludes it, in doubt to Stopped:
//
//   - What could not be started has an error in its state.
//   - What the restart policy would have started again, and is not being started again, was stopped (moby restartmanager/restartmanager.go,
//     ShouldRestart).
//   - 0, 130, 137 and 143 are how clients end on a signal. 137 is a failure if the kernel killed it for memory.
//   - Any other exit code is a failure, unless the engine remembers that it sent that run a signal. It remembers its last 256 events
//     (moby daemon/events/events.go), health checks among them, so it need not.
func Judge(ctx context.Context, c *client.Client, in container.InspectResponse) (run Run, result string, err error) {
	s := in.State
	if s == nil {
		return "", "", fmt.Errorf("inspect %s: the engine tells nothing of its state", in.ID)
	}
	switch s.Status {
	case container.StateRunning:
		return Running, "", nil
	case container.StatePaused:
		return Paused, "", nil
	case container.StateRestarting:
		return Restarting, ended(s), nil
	case container.StateRemoving, container.StateDead:
		return Removing, "", nil
	case container.StateCreated, container.StateExited:
	default:
		return "", "", fmt.Errorf("inspect %s: unknown state %q", in.ID, s.Status)
	}
	if s.Error != "" {
		return Failed, "start-failed", nil
	}
	if s.Status == container.StateCreated {
		return Stopped, "", nil
	}
	var policy container.RestartPolicy
	if in.HostConfig != nil {
		policy = in.HostConfig.RestartPolicy
	}
	switch {
	case policy.IsAlways(), policy.IsUnlessStopped():
		return Stopped, ended(s), nil
	case policy.IsOnFailure() && (policy.MaximumRetryCount == 0 || in.RestartCount < policy.MaximumRetryCount):
		return Stopped, ended(s), nil
	case s.ExitCode == exitKilled && s.OOMKilled:
		return Failed, ended(s), nil
	case s.ExitCode == 0, s.ExitCode == exitInterrupted, s.ExitCode == exitKilled, s.ExitCode == exitTerminated:
		return Stopped, ended(s), nil
	}
	signalled, err := signalled(ctx, c, in.ID, s)
	if err != nil {
		return "", "", err
	}
	if signalled {
		return Stopped, ended(s), nil
	}
	return Failed, ended(s), nil
}

// ended is how a run ended in systemd's words for Result, where it has one.
func ended(s *container.State) string {
	switch {
	case s.OOMKilled && s.ExitCode == exitKilled:
		return "oom-kill"
	case s.ExitCode == 0:
		return "success"
	}
	return "exit-code " + strconv.Itoa(s.ExitCode)
}

// signalled asks for the engine's memory of a signal sent during the last run.
func signalled(ctx context.Context, c *client.Client, id string, s *container.State) (bool, error) {
	since, until := Time(s.StartedAt), Time(s.FinishedAt)
	if since.IsZero() || until.Before(since) {
		return false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stamp := func(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
	told := c.Events(ctx, client.EventsListOptions{
		Since: stamp(since), Until: stamp(until.Add(time.Second)), // the event of docker stop itself comes after the end
		Filters: make(client.Filters).Add("container", id).Add("event", string(events.ActionKill), string(events.ActionStop), string(events.ActionDie)),
	})
	found := false
	for {
		select {
		case m := <-told.Messages:
			found = found || m.Action == events.ActionKill || m.Action == events.ActionStop
		case err := <-told.Err:
			if err != nil && !errors.Is(err, io.EOF) {
				return false, fmt.Errorf("ask for the events of %s: %w", id, Explain(err))
			}
			return found, nil
		}
	}
}

// Time parses the engine's times; the zero time is that of what has not happened.
func Time(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}
