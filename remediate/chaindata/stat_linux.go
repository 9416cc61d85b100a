package chaindata

import (
	"os"

	"golang.org/x/sys/unix"
)

// statAt looks at a name in an open directory, or with "" at the directory itself. It follows no symbolic link and mounts nothing.
func statAt(dir *os.File, name string) (stat, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var s unix.Statx_t
	if err := unix.Statx(int(dir.Fd()), name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &s); err != nil {
		return stat{}, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	out := stat{inode: s.Ino, mode: uint32(s.Mode), uid: s.Uid, gid: s.Gid, bytes: s.Blocks * 512, device: unix.Mkdev(s.Dev_major, s.Dev_minor),
		mountPoint: name != "" && s.Attributes_mask&s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0}
	if s.Mask&unix.STATX_MNT_ID != 0 {
		out.mount = s.Mnt_id
	}
	return out, nil
}

// openDirectory opens a directory in an open directory; a symbolic link is none.
func openDirectory(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mayChange tells whether we may list a directory and change its entries.
func mayChange(dir *os.File) error {
	return unix.Faccessat(int(dir.Fd()), ".", unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// free is how much space, in bytes, we may still use in the file system of a directory.
func free(dir *os.File) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir.Name(), Err: err}
	}
	return s.Bavail * uint64(s.Bsize), nil
}
