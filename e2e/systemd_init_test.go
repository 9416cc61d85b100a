//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// initStateVar tells a copy of the test binary that it is the first process of a fresh PID namespace; its value is a directory of the host
// for the overlay's mount point and the console.
const initStateVar = "CHECKPOINT_E2E_INIT"

const (
	// unitDir holds the only units of the machine itself that this systemd may know; those under test go to /etc/systemd/system.
	unitDir = "/run/e2e/units"
	// unitPath replaces systemd's search path, so that no service of the host can start: /usr/lib/systemd/system is not in it.
	unitPath = "/etc/systemd/system.control:/run/systemd/system.control:/run/systemd/transient:/etc/systemd/system:/run/systemd/system:" + unitDir
)

// runInit turns the process, already alone in new PID, mount, UTS, IPC and cgroup namespaces, into systemd on a throw-away overlay of
// the host's root. It returns only with an error.
func runInit(state string) error {
	root, err := mountRoot(state)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(root string) error
	}{
		{"mount the kernel's file systems", mountKernel},
		{"fill /dev", func(root string) error { return fillDev(root, filepath.Join(state, "console")) }},
		{"lay out the units", layUnits},
		{"set the machine up", setUp},
		{"enter the new root", enter},
	} {
		if err := step.do(root); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	// The signal that tells of the parent's death belongs to a thread, and the one that calls exec need not be the one it was set for.
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0); errno != 0 {
		return fmt.Errorf("die with the parent: %w", errno)
	}
	return fmt.Errorf("exec systemd: %w", syscall.Exec("/usr/lib/systemd/systemd",
		[]string{"systemd", "--system", "--log-target=journal", "--show-status=no"},
		[]string{
			// Without it systemd takes itself for the machine's own and sets kernel parameters.
			"container=checkpoint-e2e",
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
			"SYSTEMD_UNIT_PATH=" + unitPath,
			"SYSTEMD_GENERATOR_PATH=/run/e2e/none", "SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/e2e/none",
		}))
}

// mountRoot mounts an overlay of "/" whose changes live in memory, and returns its mount point.
func mountRoot(state string) (string, error) {
	layers := filepath.Join(state, "layers")
	if err := mount("tmpfs", layers, "tmpfs", 0, "mode=755"); err != nil {
		return "", err
	}
	upper, work, root := filepath.Join(layers, "upper"), filepath.Join(layers, "work"), filepath.Join(layers, "root")
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	return root, mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work)
}

func mountKernel(root string) error {
	const quiet = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	return errors.Join(
		mount("proc", root+"/proc", "proc", quiet, ""),
		mount("sysfs", root+"/sys", "sysfs", quiet|syscall.MS_RDONLY, ""),
		mount("cgroup2", root+"/sys/fs/cgroup", "cgroup2", quiet, ""),
		mount("tmpfs", root+"/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"),
		mount("tmpfs", root+"/tmp", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777"),
		mount("tmpfs", root+"/dev", "tmpfs", syscall.MS_NOSUID, "mode=755"),
		mount("tmpfs", root+"/etc/systemd/system", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"),
	)
}

// fillDev makes a /dev of its own: journald puts its socket there, which must not land in the host's.
func fillDev(root, console string) error {
	dev := root + "/dev"
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindFile("/dev/"+name, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	if err := bindFile(console, filepath.Join(dev, "console")); err != nil {
		return err
	}
	for link, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, link)); err != nil {
			return err
		}
	}
	return errors.Join(
		mount("tmpfs", dev+"/shm", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777"),
		mount("devpts", dev+"/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620"),
	)
}

// layUnits copies the targets, the journal, the message bus and polkit. The .wants directories stay behind, and with them whatever the
// machine starts by itself.
func layUnits(root string) error {
	const from = "/usr/lib/systemd/system"
	units, err := filepath.Glob(from + "/*.target")
	if err != nil {
		return err
	}
	for _, name := range []string{
		"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
		"dbus.service", "dbus.socket", "polkit.service", "user.slice", "machine.slice",
		"systemd-exit.service", "systemd-poweroff.service", "systemd-halt.service", "systemd-reboot.service",
	} {
		units = append(units, filepath.Join(from, name))
	}
	to := root + unitDir
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(unit)), text, 0o644); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{
		"default.target":                                       "multi-user.target",
		"sockets.target.wants/dbus.socket":                     "../dbus.socket",
		"sockets.target.wants/systemd-journald.socket":         "../systemd-journald.socket",
		"sockets.target.wants/systemd-journald-dev-log.socket": "../systemd-journald-dev-log.socket",
		"sysinit.target.wants/systemd-journald.service":        "../systemd-journald.service",
	} {
		path := filepath.Join(to, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	return nil
}

// setUp gives the namespace its own identity and a journal that stays in memory.
func setUp(root string) error {
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(root + "/var/log/journal"); err != nil {
		return err
	}
	for path, text := range map[string]string{
		"/etc/machine-id":            strings.ReplaceAll(string(id), "-", ""),
		"/etc/hostname":              "checkpoint-e2e\n",
		"/etc/systemd/journald.conf": "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\n",
	} {
		if err := os.WriteFile(root+path, []byte(text), 0o444); err != nil {
			return err
		}
	}
	return syscall.Sethostname([]byte("checkpoint-e2e"))
}

func enter(root string) error {
	old := filepath.Join(root, ".host")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := syscall.PivotRoot(root, old); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := syscall.Unmount("/.host", syscall.MNT_DETACH); err != nil {
		return err
	}
	// systemd expects its root to be shared, and hands credentials to services through mounts that would not spread otherwise.
	return syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, "")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

func bindFile(source, target string) error {
	if err := os.WriteFile(target, nil, 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", source, target, err)
	}
	return nil
}
