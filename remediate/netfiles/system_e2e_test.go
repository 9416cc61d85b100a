//go:build e2e

package netfiles_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
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
				group := uint32(gid)
				for _, call := range [][4]uintptr{
					{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
					{unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(&group)), 0},
					{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
				} {
					if _, _, e := syscall.RawSyscall(call[0], call[1], call[2], call[3]); e != 0 {
						return e
					}
				}
			}
			return do()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

const (
	clientUser, clientGroup = 4001, 4001
	ourUser, ourGroup       = 4002, 4002
)

// The user of ours may be a member of the group that owns the network's files; what it brings then belongs to that group.
func TestE2EFilesOfAnother(t *testing.T) {
	body := archive(t, entriesOf(release(166), "")...)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer srv.Close()
	for _, tc := range []struct {
		name      string
		gid       int
		up, mode  fs.FileMode // of the parent, and of the directory
		permitted bool
	}{
		{"a member of the group", clientGroup, 0o775, 0o750, true},
		{"a member, where the owner alone may read", clientGroup, 0o775, 0o700, false},
		{"a stranger", ourGroup, 0o755, 0o755, false},
		{"a stranger who may write the parent", ourGroup, 0o777, 0o755, true},
		{"a stranger, where others may not read", ourGroup, 0o777, 0o750, false},
	} {
		dir := present(t, 165)
		for up := filepath.Dir(dir); len(up) > len(os.TempDir()); up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := filepath.WalkDir(filepath.Dir(dir), func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, clientUser, clientGroup))
		})
		if err := errors.Join(err, os.Chmod(filepath.Dir(dir), tc.up), os.Chmod(dir, tc.mode)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, filepath.Dir(dir))
		own(t, ourUser, tc.gid, func() error {
			ctx := context.Background()
			unix.Umask(0o077) // as a hardened unit may have it; of this thread alone
			s, err := netfiles.Fetch(ctx, netfiles.Options{URL: srv.URL, Chain: chain(166), Dir: dir})
			if !tc.permitted {
				if err == nil {
					t.Errorf("%s: it says nothing", tc.name)
				}
				return nil
			}
			if err == nil {
				err = s.Apply(ctx)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", tc.name, err)
			}
			info, err := os.Stat(dir)
			if err != nil {
				return err
			}
			if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != tc.mode || tc.gid == clientGroup && st.Gid != clientGroup {
				t.Errorf("%s: it is %s of group %d", tc.name, info.Mode(), st.Gid)
			}
			if info, err := os.Stat(filepath.Join(dir, "genesis.json")); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("%s: a file is %s: %v", tc.name, info.Mode(), err)
			}
			return s.Restore(ctx)
		})
		if diff := cmp.Diff(before, tree(t, filepath.Dir(dir))); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func TestE2EVolumeOfFiles(t *testing.T) {
	body := archive(t, entriesOf(release(166), "")...)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer srv.Close()
	dir := present(t, 165)
	before := tree(t, filepath.Dir(dir))
	own(t, 0, 0, func() error {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return err
		}
		var refused *netfiles.RefusedError
		if _, err := netfiles.Fetch(context.Background(), netfiles.Options{URL: srv.URL, Chain: chain(166), Dir: dir}); !errors.As(err, &refused) {
			t.Errorf("it says %v", err)
		}
		if err := unix.Unmount(dir, 0); err != nil {
			return err
		}
		// A bind mount of the same file system shows itself only when it is to be renamed. Nothing is lost by then.
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		s, err := netfiles.Fetch(context.Background(), netfiles.Options{URL: srv.URL, Chain: chain(166), Dir: dir})
		if err != nil {
			return nil
		}
		if err := s.Apply(context.Background()); err == nil {
			t.Error("a mount point was replaced")
		}
		return s.Restore(context.Background())
	})
	if diff := cmp.Diff(before, tree(t, filepath.Dir(dir))); diff != "" {
		t.Error(diff)
	}
}
