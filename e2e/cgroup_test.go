//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const cgroupPrefix = "checkpoint-e2e-"

// makeCgroup makes a cgroup (version 2) for one machine, and removes those that a killed run has left empty.
func makeCgroup(tb testing.TB) string {
	tb.Helper()
	parent := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil {
		parent = "/sys/fs/cgroup/unified" // version 1 with the unified tree beside it
	}
	left, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	for _, dir := range left {
		_ = removeTree(dir) // fails while the cgroup is in use, which is as it should be
	}
	dir, err := os.MkdirTemp(parent, cgroupPrefix)
	if err != nil {
		tb.Fatalf("make a cgroup for a systemd of our own: %v", err)
	}
	return dir
}

// removeCgroup waits until the kernel has let go of the last process.
func removeCgroup(tb testing.TB, dir string) {
	tb.Helper()
	eventually(tb, 30*time.Second, "the cgroup of the test's systemd to be empty", func() error { return removeTree(dir) })
}

// removeTree removes a cgroup and those below it. Their files cannot be removed and go with the directories.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		if e := syscall.Rmdir(dirs[i]); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
