//go:build e2e

package chaindata_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// own runs do on a thread with mounts of its own, so that none outlives it, and with a user and groups of its own if uid is not 0. The
// thread ends with it.
func own(t *testing.T, uid, gid int, do func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return fmt.Errorf("these tests need root: %w", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if uid != 0 {
				groups := []uint32{uint32(gid)}
				if _, _, e := syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); e != 0 {
					return e
				}
				if err := rawSetgroups(groups); err != nil {
					return err
				}
				if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
					return e
				}
			}
			return do()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// The client's user and group, and a user of ours in that group and one outside of it.
const (
	clientUser, clientGroup = 4001, 4001
	ourUser, ourGroup       = 4002, 4002
)

// owned is a data directory that belongs to the client's user, as deep as its parents can be entered by others.
func owned(t *testing.T, name string, mode os.FileMode) machine {
	t.Helper()
	m := newMachine(t, name, false)
	for dir := filepath.Dir(m.dir); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.Walk(m.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = os.Chmod(path, mode)
		}
		return errors.Join(err, os.Lchown(path, clientUser, clientGroup))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestE2EMounts(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		mount      func(dir string) error
	}{
		{"an entry is another file system", "mount point", func(dir string) error {
			return unix.Mount("tmpfs", dir+"/beacon/chain_db", "tmpfs", 0, "")
		}},
		{"an entry is a bind mount of the same file system", "mount point", func(dir string) error {
			return unix.Mount(dir+"/own", dir+"/beacon/chain_db", "", unix.MS_BIND, "")
		}},
		{"a directory in an entry", "mount point", func(dir string) error {
			return unix.Mount(dir+"/own", dir+"/beacon/chain_db/deep/er", "", unix.MS_BIND, "")
		}},
		{"a file in an entry", "mount point", func(dir string) error {
			return unix.Mount(dir+"/README", dir+"/beacon/chain_db/CURRENT", "", unix.MS_BIND, "")
		}},
		{"no space", "make room", func(dir string) error {
			if err := unix.Mount("tmpfs", dir+"/beacon", "tmpfs", 0, "size=1m"); err != nil {
				return err
			}
			if err := os.Mkdir(dir+"/beacon/chain_db", 0o700); err != nil {
				return err
			}
			return os.WriteFile(dir+"/beacon/chain_db/1.ldb", make([]byte, 700<<10), 0o600)
		}},
	} {
		m := newMachine(t, "lighthouse", false)
		before := tree(t, m.dir)
		own(t, 0, 0, func() error {
			if err := tc.mount(m.dir); err != nil {
				return err
			}
			o := m.options(false)
			o.MinFree = 0
			if _, err := chaindata.Plan(o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: it says %v", tc.name, err)
			}
			return nil
		})
		if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

// The data directory, or the directory of the database in it, may well be a volume.
func TestE2EVolumes(t *testing.T) {
	for _, volume := range []string{"", "/beacon"} {
		m := newMachine(t, "lighthouse", false)
		own(t, 0, 0, func() error {
			if err := unix.Mount("tmpfs", m.dir+volume, "tmpfs", 0, ""); err != nil {
				return err
			}
			m.fill(t, m.layout.Database)
			before := tree(t, m.dir)
			move, err := chaindata.Plan(m.options(false))
			if err != nil {
				return err
			}
			if err := errors.Join(move.Apply(context.Background()), move.Restore(context.Background())); err != nil {
				return err
			}
			if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
				return errors.New(diff)
			}
			return nil
		})
	}
}

// What is mounted into a database that has been set aside is not deleted with it.
func TestE2EDeleteStopsAtMounts(t *testing.T) {
	m := newMachine(t, "lighthouse", false)
	files(t, m.dir, "own/precious")
	own(t, 0, 0, func() error {
		move, err := chaindata.Plan(m.options(false))
		if err != nil {
			return err
		}
		if err := move.Apply(context.Background()); err != nil {
			return err
		}
		if err := unix.Mount(m.dir+"/own", move.Places[0].Aside+"/chain_db/deep", "", unix.MS_BIND, ""); err != nil {
			return err
		}
		var refused *chaindata.RefusedError
		if err := move.Delete(context.Background()); !errors.As(err, &refused) {
			return fmt.Errorf("it says %v", err)
		}
		_, err = os.Stat(m.dir + "/own/precious")
		return err
	})
}

// A user that may not move the database is told what to grant, before anything is moved.
func TestE2EPermissions(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mode    os.FileMode
		gid     int
		prepare func(m machine) error
		want    string // "" if it is allowed
	}{
		{"another's directories", 0o755, ourGroup, nil, "grant group write on"},
		{"a member of a group that may only read", 0o755, clientGroup, nil, "grant group write on"},
		{"another's secret directories", 0o700, ourGroup, nil, "grant"},
		{"a member of a group that may write", 0o2770, clientGroup, nil, ""},
		{"one that may write all but a directory deep inside", 0o2770, clientGroup, func(m machine) error {
			return os.Chmod(filepath.Join(m.dir, "beacon/chain_db/deep/er"), 0o700)
		}, "grant group write on"},
		{"one that may only read a directory deep inside", 0o2770, clientGroup, func(m machine) error {
			return os.Chmod(filepath.Join(m.dir, "beacon/chain_db/deep/er"), 0o750)
		}, "grant group write on"},
		{"a sticky bit", 0o2770, clientGroup, func(m machine) error {
			return os.Chmod(filepath.Join(m.dir, "beacon"), 0o770|os.ModeSticky)
		}, "sticky bit"},
	} {
		m := owned(t, "lighthouse", 0)
		if err := filepath.Walk(m.dir, func(path string, info os.FileInfo, err error) error {
			if err == nil && info.IsDir() {
				err = unix.Chmod(path, uint32(tc.mode))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if tc.prepare != nil {
			if err := tc.prepare(m); err != nil {
				t.Fatal(err)
			}
		}
		before := tree(t, m.dir)
		own(t, ourUser, tc.gid, func() error {
			move, err := chaindata.Plan(m.options(false))
			if tc.want != "" {
				if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: it says %v", tc.name, err)
				}
				return nil
			}
			if err != nil {
				return err
			}
			if err := errors.Join(move.Apply(context.Background()), move.Restore(context.Background())); err != nil {
				return err
			}
			if diff := cmp.Diff(before, tree(t, m.dir)); diff != "" {
				return errors.New(diff)
			}
			return errors.Join(move.Apply(context.Background()), move.Delete(context.Background()))
		})
		after := tree(t, m.dir)
		if tc.want == "" {
			before = without(before, m.goes(false)...)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

// rawSetgroups changes the groups of this thread alone.
func rawSetgroups(groups []uint32) error {
	if _, _, e := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); e != 0 {
		return e
	}
	return nil
}
