//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child is a started command. It dies with the test binary, however that ends.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the command has ended
}

// startChild starts the command from a thread that lives as long as the command does: the kernel sends the parent-death signal when that
// thread ends, not when the process does.
func startChild(cmd *exec.Cmd) (*child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in ProcessState
		}
		close(c.done)
	}()
	return c, <-started
}

// process is a program beside the test, with its log in the test's work directory.
type process struct {
	*child
	name string
	log  string
}

// start is launch where nothing can go on without the program.
func start(tb testing.TB, name, program string, args ...string) *process {
	tb.Helper()
	p, err := launch(tb, name, program, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// launch runs a program until the test ends, or until its stop is called. The log is appended to, so that a program started twice keeps
// the first one's words. It may be called from any goroutine.
func launch(tb testing.TB, name, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(workDir(tb), name+".log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	fmt.Fprintf(log, "\n%s %s %s\n", time.Now().Format(time.RFC3339), program, strings.Join(args, " "))
	cmd := exec.Command(program, args...)
	cmd.Dir = workDir(tb)
	cmd.Stdout, cmd.Stderr = log, log
	p.child, err = startChild(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	tb.Cleanup(p.stop)
	return p, nil
}

// stop asks the program to end, and makes it after a while. It may be called twice.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a stopped program cannot hear anything else
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ended tells whether the program has ended, as an error that says how.
func (p *process) ended() error {
	select {
	case <-p.done:
		return giveUp(fmt.Errorf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, tail(p.log, 30)))
	default:
		return nil
	}
}

// output runs a program to its end and returns what it printed.
func output(tb testing.TB, program string, args ...string) (string, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// tail returns the last lines of a file.
func tail(file string, lines int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// final marks an error that waiting longer will not mend.
type final struct{ error }

func giveUp(err error) error { return final{err} }

// attempt calls ok until it returns nil. The limit is there to end a broken run, not to measure: it is generous, and a busy machine does
// not fail a test.
func attempt(within time.Duration, what string, ok func() error) error {
	began := time.Now()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if f := (final{}); errors.As(err, &f) || time.Since(began) > within {
			return fmt.Errorf("waited %s for %s: %w", time.Since(began).Round(time.Second), what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// eventually is attempt where nothing can go on without it.
func eventually(tb testing.TB, within time.Duration, what string, ok func() error) {
	tb.Helper()
	if err := attempt(within, what, ok); err != nil {
		tb.Fatal(err)
	}
}

// firstError runs the checks in order and stops at the first that fails.
func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}
