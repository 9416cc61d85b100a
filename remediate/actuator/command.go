package actuator

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// DefaultCommandTimeout is how long a command may run.
const DefaultCommandTimeout = 2 * time.Minute

// Command restarts a client by a fixed list of arguments, without a shell. A client that the command itself starts must not keep the
// command's output open: it would lose it.
type Command struct {
	argv    []string
	timeout time.Duration
}

// NewCommand takes an absolute path and its arguments. A timeout of 0 means DefaultCommandTimeout.
func NewCommand(argv []string, timeout time.Duration) (*Command, error) {
	if len(argv) == 0 || !filepath.IsAbs(argv[0]) || filepath.Clean(argv[0]) != argv[0] {
		return nil, fmt.Errorf("command %q: want an absolute path first", argv)
	}
	for _, a := range argv {
		if strings.ContainsRune(a, 0) {
			return nil, fmt.Errorf("command %q: a zero byte in an argument", argv)
		}
	}
	switch {
	case timeout < 0:
		return nil, fmt.Errorf("command %q: negative timeout %v", argv, timeout)
	case timeout == 0:
		timeout = DefaultCommandTimeout
	}
	return &Command{argv: slices.Clone(argv), timeout: timeout}, nil
}

func (c *Command) String() string { return fmt.Sprintf("command %q", c.argv) }

// State is always Unknown: a command tells nothing of what it restarts.
func (c *Command) State(context.Context) (State, error) { return State{Active: Unknown}, nil }

// Restart runs the command to its end. It gets no input and a small fixed environment; its process group is killed when time is up.
func (c *Command) Restart(ctx context.Context) (Outcome, error) {
	out := Outcome{Actuator: c.String()}
	output := newTail(MaxOutput)
	began := time.Now()
	started, code, err := process{argv: c.argv, dir: "/", stdout: output, stderr: output, timeout: c.timeout}.run(ctx)
	if !started {
		return out, c.failed(true, err)
	}
	out.Took = time.Since(began)
	out.ExitCode = &code
	out.Output, out.OutputCut = output.text()
	if err != nil {
		return out, c.failed(false, err)
	}
	return out, nil
}

func (c *Command) failed(before bool, err error) error {
	return &Error{Verb: "restart", Actuator: c.String(), BeforeEffect: before, Err: err}
}
