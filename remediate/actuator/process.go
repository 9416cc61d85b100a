package actuator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// MaxOutput bounds what is kept of a command's output, in bytes.
const MaxOutput = 64 << 10

// outputGrace is how long the output is waited for once the command has ended: a process that it left behind may hold it open.
const outputGrace = 5 * time.Second

// process is a program with fixed arguments. It is run without a shell and without input, and with a small fixed environment.
type process struct {
	argv []string
	dir  string   // its working directory
	env  []string // beside environment()
	// stdout and stderr may be the same.
	stdout, stderr *tail
	timeout        time.Duration
}

// run runs it to its end. Its process group is killed when time is up. started is false if nothing was done; code is its exit code, -1
// if a signal ended it.
func (p process) run(ctx context.Context) (started bool, code int, err error) {
	if err := ctx.Err(); err != nil {
		return false, 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("still running after %v, killed", p.timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Env = append(environment(), p.env...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputGrace
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrNotThere, err)
		}
		return false, 0, err
	}
	err = cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		err = nil // it left a process behind that holds the output open, which is its business
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return true, cmd.ProcessState.ExitCode(), err
}

// environment has nothing of ours but HOME, where docker and others keep their configuration.
func environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	if home := os.Getenv("HOME"); home != "" {
		env = append(env, "HOME="+home)
	}
	return env
}

// tail keeps the last bytes written to it.
type tail struct {
	max int
	mu  sync.Mutex
	buf []byte
	cut int64
}

func newTail(max int) *tail { return &tail{max: max} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
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
