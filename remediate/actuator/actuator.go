// Package actuator restarts clients, stops and starts them, and reads their logs: through systemd, through the Docker Engine, or by a
// fixed command. It is the only place of this project that starts other programs. Nothing that an alert says gets here.
package actuator

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Actuator restarts one client. String names it as the configuration does.
type Actuator interface {
	fmt.Stringer
	// Restart restarts the client and waits until that is done, or has failed. It starts nothing that somebody stopped. The error is an
	// *Error, and the Outcome holds the evidence there is, beside an error too.
	Restart(ctx context.Context) (Outcome, error)
	// State looks, and changes nothing.
	State(ctx context.Context) (State, error)
}

// Service is a client that can also be stopped and started, and whose log can be read: a systemd unit, a container.
type Service interface {
	Actuator
	// Stop stops the client and waits until it has ended. It does nothing to one that is stopped already.
	Stop(ctx context.Context) (Outcome, error)
	// Start starts the client and waits until it runs. It does nothing to one that runs already.
	Start(ctx context.Context) (Outcome, error)
	// Logs returns the last n lines of the client's log, oldest first, each cut to MaxLogLine bytes of valid UTF-8.
	Logs(ctx context.Context, n int) ([]string, error)
}

// MaxLogLine bounds a line of Logs, in bytes; MaxLogLines how many are ever returned.
const (
	MaxLogLine  = 1 << 10
	MaxLogLines = 500
)

var (
	// ErrStopped: the client was stopped by somebody, and is not ours to start.
	ErrStopped = errors.New("it was stopped by somebody")
	// ErrBusy: somebody else is starting or stopping it.
	ErrBusy = errors.New("somebody else is starting or stopping it")
	// ErrNotThere: there is no such unit, container or program.
	ErrNotThere = errors.New("it does not exist")
	// ErrNotRestarted: the restart was reported done, and yet the same run goes on or nothing runs.
	ErrNotRestarted = errors.New("it was not restarted")
	// ErrNotStopped and ErrNotStarted: that was reported done, and yet it runs, or does not.
	ErrNotStopped = errors.New("it was not stopped")
	ErrNotStarted = errors.New("it was not started")
)

// Error is a failed action.
type Error struct {
	// Verb is what was tried: restart, stop or start.
	Verb string
	// Actuator is its String.
	Actuator string
	// BeforeEffect is true if nothing had been done when it failed, so that it may be tried again. Otherwise something may have happened.
	BeforeEffect bool
	// Err is why.
	Err error
}

func (e *Error) Error() string {
	when := "during or after its effect"
	if e.BeforeEffect {
		when = "before any effect"
	}
	return fmt.Sprintf("%s %s: failed %s: %v", e.Verb, e.Actuator, when, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Activity is whether a client runs, in systemd's words for ActiveState.
type Activity string

// The values that State.Active takes, beside others of systemd's.
const (
	Active       Activity = "active"
	Activating   Activity = "activating"
	Reloading    Activity = "reloading"
	Deactivating Activity = "deactivating"
	Inactive     Activity = "inactive"
	Failed       Activity = "failed"
	// Unknown: this kind of actuator cannot tell.
	Unknown Activity = "unknown"
)

// State is what is known of a client's run.
type State struct {
	Active Activity `json:"active"`
	// Sub is systemd's SubState, such as running or auto-restart; a container that the engine is about to start again has the latter, too.
	Sub string `json:"sub,omitempty"`
	// InvocationID is of one run, in hex; another run has another one.
	InvocationID string `json:"invocation_id,omitempty"`
	// Restarts counts those that systemd, or the engine, made by itself since the unit, or the container, was last started or reset.
	Restarts uint32 `json:"restarts,omitempty"`
	MainPID  uint32 `json:"main_pid,omitempty"`
	// Result is how the last run ended, such as success, exit-code or start-limit-hit.
	Result string `json:"result,omitempty"`
	// Since is when Active took its value.
	Since time.Time `json:"since,omitzero"`
}

// ended tells whether nothing runs, nor is about to.
func (s State) ended() bool { return s.Active == Inactive || s.Active == Failed }

// Outcome is the evidence of a restart, stop or start. Before and After are nil where it got no further.
type Outcome struct {
	Actuator string        `json:"actuator"`
	Took     time.Duration `json:"took_ns"`
	Before   *State        `json:"before,omitempty"`
	After    *State        `json:"after,omitempty"`
	// Job is the result of systemd's job, such as done or failed.
	Job string `json:"job,omitempty"`
	// ExitCode is the command's; -1 if a signal ended it.
	ExitCode *int `json:"exit_code,omitempty"`
	// Output is the end of what the command wrote, at most MaxOutput bytes, as valid UTF-8.
	Output string `json:"output,omitempty"`
	// OutputCut is how many bytes before Output were left out.
	OutputCut int64 `json:"output_cut,omitempty"`
}
