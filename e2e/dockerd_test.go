//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// dockerdStateVar tells a copy of the test binary that it is the first process of fresh namespaces and is to become dockerd; its value is a
// directory of the host for everything that dockerd keeps.
const dockerdStateVar = "CHECKPOINT_E2E_DOCKERD"

// boxedImage is the image of e2e/boxed.
const boxedImage = "checkpoint/boxed:e2e"

// dockerd is a Docker Engine of the test's own, in its own PID, mount, network and IPC namespaces: its bridge and its rules for iptables are
// nobody else's, and its containers end with it.
type dockerd struct {
	host   string // unix:///PATH, reachable from outside
	client *client.Client
}

// startDockerd brings an engine up that has the image of e2e/boxed. It needs root. The cleanup kills the namespace's PID 1, which takes containerd and all
// containers with it, and removes the cgroups.
func startDockerd(tb testing.TB) *dockerd {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Fatal("a dockerd of our own needs root: namespaces, mounts, cgroups")
	}
	state := filepath.Join(workDir(tb), "docker")
	if err := os.MkdirAll(state, 0o711); err != nil {
		tb.Fatal(err)
	}
	log, err := os.Create(filepath.Join(workDir(tb), "dockerd.log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{dockerdStateVar + "=" + state, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC}
	child, err := startChild(cmd)
	if err != nil {
		tb.Fatalf("start a dockerd of our own: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-child.done
		removeDockerCgroups(tb, filepath.Base(cgroupOf(state)))
	})

	d := &dockerd{host: "unix://" + filepath.Join(state, "docker.sock")}
	if d.client, err = client.New(client.WithHost(d.host)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.client.Close() })
	eventually(tb, time.Minute, "dockerd of our own to answer", func() error {
		select {
		case <-child.done:
			return giveUp(fmt.Errorf("it ended: %s\n%s", cmd.ProcessState, tail(log.Name(), 30)))
		default:
		}
		_, err := d.client.Ping(tb.Context(), client.PingOptions{})
		return err
	})
	d.importBoxed(tb)
	return d
}

// importBoxed builds e2e/boxed without cgo, and makes an image of nothing else. /data is a volume of it.
func (d *dockerd) importBoxed(tb testing.TB) {
	tb.Helper()
	binary := filepath.Join(workDir(tb), "boxed")
	build := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./boxed")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		tb.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"data/", "tmp/", "etc/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "boxed", Mode: 0o755, Size: int64(len(text))}); err != nil {
		tb.Fatal(err)
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		tb.Fatal(err)
	}
	out, err := d.client.ImageImport(tb.Context(), client.ImageImportSource{Source: &layer, SourceName: "-"}, boxedImage, client.ImageImportOptions{
		Changes: []string{`ENTRYPOINT ["/boxed"]`, "ENV FROM_IMAGE=yes", "VOLUME /data", "LABEL from=image"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	_, err = io.Copy(io.Discard, out)
	if err := errors.Join(err, out.Close()); err != nil {
		tb.Fatal(err)
	}
}

// cgroupOf is the parent of the containers' cgroups.
func cgroupOf(state string) string {
	return "/" + cgroupPrefix + "docker-" + strings.ToLower(filepath.Base(filepath.Dir(state)))
}

// removeDockerCgroups removes what dockerd made below each hierarchy: one in version 2, many in version 1.
func removeDockerCgroups(tb testing.TB, name string) {
	tb.Helper()
	roots, _ := filepath.Glob("/sys/fs/cgroup/*")
	for _, root := range append(roots, "/sys/fs/cgroup") {
		dir := filepath.Join(root, name)
		if _, err := os.Stat(dir); err == nil {
			removeCgroup(tb, dir)
		}
	}
}

// runDockerd turns the process, already alone in new namespaces, into dockerd. It returns only with an error.
func runDockerd(state string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	err := errors.Join(
		mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""),
		// Whatever dockerd and containerd would leave on the host.
		mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"),
		mount("tmpfs", "/etc/docker", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"),
		mount("tmpfs", "/opt", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"),
		loopbackUp(),
	)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0); errno != 0 {
		return fmt.Errorf("die with the parent: %w", errno)
	}
	program, err := exec.LookPath("dockerd")
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(state, name) }
	return fmt.Errorf("exec dockerd: %w", syscall.Exec(program, []string{
		"dockerd", "--host=unix://" + in("docker.sock"), "--data-root=" + in("data"), "--exec-root=" + in("exec"), "--pidfile=" + in("dockerd.pid"),
		"--cgroup-parent=" + cgroupOf(state), "--userland-proxy=false",
	}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}))
}

// loopbackUp sets the loopback interface of a fresh network namespace up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// composeCommand is how compose is called here: the older program of its own, or the plugin.
func composeCommand() string {
	if path, err := exec.LookPath("docker-compose"); err == nil {
		return path
	}
	return strings.Join(actuator.DefaultComposeCommand, " ")
}

// TestDocker runs the tests of the actuators and sources that need an engine.
func TestDocker(t *testing.T) {
	t.Parallel()
	d := startDockerd(t)
	for _, pkg := range []string{"../remediate/actuator", "../remediate/source"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		cmd := exec.CommandContext(ctx, "go", "test", "-tags=e2e", "-count=1", "-run=E2EDocker", pkg)
		cmd.Env = append(os.Environ(), "CHECKPOINT_E2E_DOCKER="+d.host, "CHECKPOINT_E2E_DOCKER_IMAGE="+boxedImage,
			"CHECKPOINT_E2E_COMPOSE="+composeCommand())
		out, err := cmd.CombinedOutput()
		cancel()
		t.Logf("%s", out)
		if err != nil {
			t.Error(err)
		}
	}
}
