package actuator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// MaxOutput bounds what is kept of a command's output, in bytes.
const MaxOutput = 64 << 10

// DefaultCommandTimeout is how long a command may run.
const DefaultCommandTimeout = 2 * time.Minute

// outputGrace is how long the output is waited for once the command has ended: a process that it left behind may hold it open.
const outputGrace = 5 * time.Second

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
	if err := ctx.Err(); err != nil {
		return out, c.failed(true, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("still running after %v, killed", c.timeout))
	defer cancel()
	tail := new(tail)
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env = environment()
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = tail, tail
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputGrace
	began := time.Now()
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrNotThere, err)
		}
		return out, c.failed(true, err)
	}
	err := cmd.Wait()
	out.Took = time.Since(began)
	code := cmd.ProcessState.ExitCode()
	out.ExitCode = &code
	out.Output, out.OutputCut = tail.text()
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		err = nil // it left a process behind that holds the output open, which is its business
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		return out, c.failed(false, err)
	}
	return out, nil
}

func (c *Command) failed(before bool, err error) error {
	return &Error{Actuator: c.String(), BeforeEffect: before, Err: err}
}

// environment has nothing of ours but HOME, where docker and others keep their configuration.
func environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	if home := os.Getenv("HOME"); home != "" {
		env = append(env, "HOME="+home)
	}
	return env
}

// tail keeps the last MaxOutput bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
	cut int64
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - MaxOutput; over > 0 {
		t.cut += int64(over)
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) text() (string, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.buf), "?"), t.cut
}
