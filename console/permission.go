package console

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// permitted adds to an error about a path who may do what was refused. Any other error is returned as it is.
func permitted(err error, path string, write bool) error {
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		return err
	}
	return fmt.Errorf("%w: %s", err, whoMay(path, write))
}

// whoMay tells who may read a path, or write there.
func whoMay(path string, write bool) string {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil && path != "/" && path != "." {
			continue
		}
		if err != nil {
			return "use sudo"
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "use sudo"
		}
		owner, group := userName(stat.Uid), groupName(stat.Gid)
		need := fs.FileMode(0o040)
		if write {
			need = 0o020
		}
		if info.Mode().Perm()&need != 0 && stat.Gid != 0 {
			return fmt.Sprintf("%s is for user %s and group %s: use sudo, or join the group (sudo usermod -aG %s $USER, then log in again)", path, owner, group, group)
		}
		if stat.Uid == 0 {
			return fmt.Sprintf("%s is for root: use sudo", path)
		}
		return fmt.Sprintf("%s is for user %s: use sudo, or sudo -u %s", path, owner, owner)
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// Person is who is at the terminal: the name that sudo was called by, if it was.
func Person(env func(string) string) string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := env("SUDO_USER"); by != "" && by != name {
		return by + " (sudo as " + name + ")"
	}
	return name
}
