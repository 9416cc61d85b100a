//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// machine is a systemd of the test's own: PID 1 of its namespaces, on a throw-away overlay of this machine's root, in its own cgroup. It
// shares the network with the test, so units and tests meet on 127.0.0.1.
type machine struct {
	tb  testing.TB
	pid int
	bus *systemd.Conn
}

// startMachine brings a systemd up and waits until it has reached its default target. It needs root. The cleanup kills PID 1, which takes
// every process and mount of the namespaces with it, and removes the cgroup.
func startMachine(tb testing.TB) *machine {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Fatal("a systemd of our own needs root: namespaces, mounts, cgroups")
	}
	state := filepath.Join(workDir(tb), "systemd")
	if err := os.MkdirAll(state, 0o755); err != nil {
		tb.Fatal(err)
	}
	console, err := os.Create(filepath.Join(state, "console"))
	if err != nil {
		tb.Fatal(err)
	}
	defer console.Close()

	cgroup := makeCgroup(tb)
	dir, err := os.Open(cgroup)
	if err != nil {
		tb.Fatal(err)
	}
	defer dir.Close()

	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{initStateVar + "=" + state}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID,
		// These are unshared after the child has entered its cgroup: that is then the root of its cgroup namespace.
		Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP,
		UseCgroupFD:  true,
		CgroupFD:     int(dir.Fd()),
	}
	child, err := startChild(cmd)
	if err != nil {
		tb.Fatalf("start a systemd of our own: %v", err)
	}
	m := &machine{tb: tb, pid: cmd.Process.Pid}
	tb.Cleanup(func() {
		if tb.Failed() {
			m.keepJournal(filepath.Join(workDir(tb), "journal.log"))
		}
		if m.bus != nil {
			m.bus.Close()
		}
		_ = cmd.Process.Kill()
		<-child.done
		removeCgroup(tb, cgroup)
	})

	eventually(tb, time.Minute, "systemd of our own to be running", func() error {
		select {
		case <-child.done:
			text, _ := os.ReadFile(console.Name())
			return giveUp(fmt.Errorf("it ended: %s\n%s", cmd.ProcessState, text))
		default:
		}
		return m.connect()
	})
	return m
}

// connect opens the message bus of the namespace from outside. systemd's private socket would not do: it refuses peers whose PID it
// cannot see.
func (m *machine) connect() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if m.bus == nil {
		bus, err := systemd.NewConnection(func() (*dbus.Conn, error) {
			conn, err := dbus.Dial("unix:path=" + m.path("/run/dbus/system_bus_socket"))
			if err != nil {
				return nil, err
			}
			if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
				conn.Close()
				return nil, err
			}
			if err := conn.Hello(); err != nil {
				conn.Close()
				return nil, err
			}
			return conn, nil
		})
		if err != nil {
			return err
		}
		m.bus = bus
	}
	state, err := m.bus.SystemStateContext(ctx)
	if err != nil {
		return err
	}
	if got := state.Value.Value(); got != "running" {
		return fmt.Errorf("its state is %v", got)
	}
	return nil
}

// path names a file of the machine from outside.
func (m *machine) path(inside string) string { return fmt.Sprintf("/proc/%d/root%s", m.pid, inside) }

// install copies a file of this repository or of a build into the machine.
func (m *machine) install(from, inside string, mode os.FileMode) {
	m.tb.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.write(inside, string(text), mode)
}

func (m *machine) write(inside, text string, mode os.FileMode) {
	m.tb.Helper()
	path := m.path(inside)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.tb.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		m.tb.Fatal(err)
	}
}

// run executes a command inside and returns what it printed.
func (m *machine) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(m.pid), "--all", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "SYSTEMD_UNIT_PATH=" + unitPath}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

func (m *machine) mustRun(args ...string) string {
	m.tb.Helper()
	out, err := m.run(args...)
	if err != nil {
		m.tb.Fatalf("inside the machine: %v\n%s", err, out)
	}
	return out
}

// startUnit starts a unit and waits for the job's result.
func (m *machine) startUnit(name string) {
	m.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.bus.ReloadContext(ctx); err != nil {
		m.tb.Fatalf("daemon-reload: %v", err)
	}
	result := make(chan string, 1)
	if _, err := m.bus.StartUnitContext(ctx, name, "replace", result); err != nil {
		m.tb.Fatalf("start %s: %v", name, err)
	}
	select {
	case got := <-result:
		if got != "done" {
			m.tb.Fatalf("start %s: the job's result is %q\n%s", name, got, m.journal(name))
		}
	case <-ctx.Done():
		m.tb.Fatalf("start %s: %v\n%s", name, ctx.Err(), m.journal(name))
	}
}

// invocation is the id systemd gave to the unit's present run; it changes with each start.
func (m *machine) invocation(unit string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	property, err := m.bus.GetUnitPropertyContext(ctx, unit, "InvocationID")
	if err != nil {
		return "", err
	}
	id, ok := property.Value.Value().([]byte)
	if !ok || len(id) == 0 {
		return "", fmt.Errorf("%s has no invocation id: %v", unit, property.Value)
	}
	return fmt.Sprintf("%x", id), nil
}

func (m *machine) journal(unit string) string {
	out, _ := m.run("journalctl", "--no-pager", "--output=short-iso", "--unit="+unit)
	return out
}

func (m *machine) keepJournal(file string) {
	out, _ := m.run("journalctl", "--no-pager", "--output=short-iso")
	_ = os.WriteFile(file, []byte(out), 0o644)
}
