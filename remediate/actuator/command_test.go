package actuator_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/google/go-cmp/cmp"
)

func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restart")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func command(t testing.TB, timeout time.Duration, argv ...string) *actuator.Command {
	t.Helper()
	c, err := actuator.NewCommand(argv, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantError checks what an action failed with, and whether before its effect.
func wantError(t testing.TB, err error, before bool, is error) {
	t.Helper()
	var e *actuator.Error
	if !errors.As(err, &e) || e.BeforeEffect != before || (is != nil && !errors.Is(err, is)) {
		t.Errorf("error %v, want BeforeEffect %v and %v", err, before, is)
	}
}

func TestCommandEvidence(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	t.Setenv("SECRET", "x")
	tests := map[string]struct {
		script string
		args   []string
		code   int
		output string
	}{
		"nothing":         {"exit 0", nil, 0, ""},
		"output of both":  {"echo out; echo err >&2", nil, 0, "out\nerr\n"},
		"exit code":       {"echo no such container; exit 7", nil, 7, "no such container\n"},
		"signal":          {"kill -9 $$", nil, -1, ""},
		"arguments as is": {`for a; do echo "[$a]"; done`, []string{"a b", "$HOME", "; reboot", "*", ""}, 0, "[a b]\n[$HOME]\n[; reboot]\n[*]\n[]\n"},
		"environment":     {"env | grep -v -e ^PWD= -e ^_= -e ^OLDPWD= -e ^SHLVL= | sort", nil, 0, "HOME=/home/somebody\nLANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"},
		"no input":        {"cat", nil, 0, ""},
		"in the root":     {"pwd", nil, 0, "/\n"},
		"not text":        {`printf 'a\377b\n'`, nil, 0, "a?b\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := command(t, 0, append([]string{script(t, tt.script)}, tt.args...)...)
			out, err := c.Restart(context.Background())
			if tt.code == 0 && err != nil {
				t.Fatal(err)
			}
			if tt.code != 0 {
				wantError(t, err, false, nil)
			}
			if out.ExitCode == nil || *out.ExitCode != tt.code {
				t.Errorf("exit code %v, want %d", out.ExitCode, tt.code)
			}
			if diff := cmp.Diff(tt.output, out.Output); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if out.Actuator != c.String() || out.OutputCut != 0 {
				t.Errorf("outcome %+v", out)
			}
		})
	}
}

func TestCommandOutputIsBounded(t *testing.T) {
	out, err := command(t, 0, script(t, "yes 0123456789 | head -c 10000000; echo the end")).Restart(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Output) != actuator.MaxOutput || !strings.HasSuffix(out.Output, "the end\n") || out.OutputCut != 10_000_008-actuator.MaxOutput {
		t.Errorf("%d bytes kept, %d cut, ending %q", len(out.Output), out.OutputCut, out.Output[max(0, len(out.Output)-20):])
	}
}

func TestCommandThatDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("\x00\x01"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path string
		is   error
	}{
		"missing":        {filepath.Join(dir, "none"), actuator.ErrNotThere},
		"not executable": {plain, os.ErrPermission},
		"directory":      {dir, os.ErrPermission},
		"no program":     {garbage, syscall.ENOEXEC},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := command(t, 0, tt.path).Restart(context.Background())
			wantError(t, err, true, tt.is)
		})
	}
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		flag := filepath.Join(dir, "flag")
		_, err := command(t, 0, script(t, "touch "+flag)).Restart(ctx)
		wantError(t, err, true, context.Canceled)
		if _, err := os.Stat(flag); err == nil {
			t.Error("it ran")
		}
	})
}

// The whole group dies, grandchildren that hold the output open included.
func TestCommandTimeout(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	path := script(t, "echo begun; sleep 1000 & echo $! > "+pid+"; wait")
	tests := map[string]func() (actuator.Outcome, error){
		"own timeout": func() (actuator.Outcome, error) {
			return command(t, time.Second, path).Restart(context.Background())
		},
		"caller's": func() (actuator.Outcome, error) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return command(t, 0, path).Restart(ctx)
		},
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := run()
			wantError(t, err, false, nil)
			if out.ExitCode == nil || *out.ExitCode != -1 || out.Output != "begun\n" {
				t.Errorf("outcome %+v", out)
			}
			text, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			child, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the grandchild dies", func() bool { return gone(child) })
		})
	}
}

// gone tells whether a process has ended, reaped or not.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		case <-tick.C:
		}
	}
}

// A command that starts the client itself may leave it running.
func TestCommandLeavesADaemon(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	out, err := command(t, 0, script(t, "sleep 1000 & echo $! > "+pid+"; echo started")).Restart(context.Background())
	if err != nil || out.Output != "started\n" {
		t.Errorf("%+v, %v", out, err)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if gone(child) {
		t.Error("the daemon was killed")
	}
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestNewCommandRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		argv    []string
		timeout time.Duration
	}{
		"nothing":          {nil, 0},
		"empty":            {[]string{""}, 0},
		"relative":         {[]string{"restart"}, 0},
		"relative path":    {[]string{"./restart"}, 0},
		"dots in it":       {[]string{"/usr/../bin/true"}, 0},
		"zero byte":        {[]string{"/bin/true", "a\x00b"}, 0},
		"negative timeout": {[]string{"/bin/true"}, -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := actuator.NewCommand(tt.argv, tt.timeout); err == nil {
				t.Errorf("NewCommand = %v", c)
			}
		})
	}
	argv := []string{"/bin/true", "a"}
	c := command(t, 0, argv...)
	argv[1] = "b"
	if c.String() != `command ["/bin/true" "a"]` {
		t.Errorf("String() = %s: it changed with the caller's slice", c)
	}
	if s, err := c.State(context.Background()); err != nil || s.Active != actuator.Unknown {
		t.Errorf("State: %+v, %v", s, err)
	}
}
