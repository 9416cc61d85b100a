package chaindata

import (
	"io/fs"
	"os"
	"syscall"
)

// stat is what the kernel says of a file.
type stat struct {
	inode  uint64
	mode   uint32 // as stat(2) has it
	uid    uint32
	gid    uint32
	bytes  uint64 // on disk
	device uint64
	// mount is the mount that the file was reached through, 0 where the kernel does not tell; mountPoint tells that it is the top of one.
	mount      uint64
	mountPoint bool
}

func (s stat) directory() bool { return s.mode&syscall.S_IFMT == syscall.S_IFDIR }
func (s stat) symlink() bool   { return s.mode&syscall.S_IFMT == syscall.S_IFLNK }
func (s stat) sticky() bool    { return s.mode&syscall.S_ISVTX != 0 }

// elsewhere tells whether a file is on another file system than a directory above it, or is the top of a mount. The device number of a
// file that is no directory proves nothing: overlayfs gives such files those of the layer that they are in (Documentation/filesystems/overlayfs.rst
// of Linux), and a file has another mount if it is one.
func (s stat) elsewhere(top stat) bool {
	return s.mountPoint || s.mount != top.mount || s.device != top.device && (s.directory() || s.mount == 0)
}

// statOf is what of a stat is known from a fs.FileInfo.
func statOf(info fs.FileInfo) stat {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat{inode: s.Ino, mode: uint32(s.Mode), uid: s.Uid, gid: s.Gid, device: uint64(s.Dev)}
	}
	return stat{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}
}
