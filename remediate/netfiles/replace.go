package netfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// permission says what to grant if err is a lack of permission.
func permission(dir string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	parent := filepath.Dir(dir)
	return &PermissionError{Path: parent, err: err,
		Grant: fmt.Sprintf("grant group write on %s and on %s, such as by chmod g+w, or setfacl -m u:%d:rwx", parent, dir, os.Geteuid())}
}

// maxLook bounds how many files of the present directory are looked at.
const maxLook = 20000

// replaceable refuses a directory that holds more than a network's files: all that is in it goes.
func (s *Staged) replaceable(parent *os.Root) error {
	info, err := parent.Lstat(s.base())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return permission(s.Dir, err)
	}
	if !info.IsDir() {
		return &RefusedError{Path: s.Dir, Reason: "it is not a directory"}
	}
	root, err := parent.OpenRoot(s.base())
	if err != nil {
		return permission(s.Dir, err)
	}
	own := device(info)
	if above, err := parent.Stat("."); err != nil {
		return errors.Join(err, root.Close())
	} else if device(above) != own {
		return errors.Join(&RefusedError{Path: s.Dir, Reason: "it is a file system of its own", Mend: "write a directory below it"}, root.Close())
	}
	seen := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return permission(s.Dir, err)
		}
		if seen++; seen > maxLook {
			return &RefusedError{Path: s.Dir, Reason: fmt.Sprintf("it holds more than %d files", maxLook), Mend: "write a directory of the network's files alone"}
		}
		if foreign(d.Name()) {
			return &RefusedError{Path: filepath.Join(s.Dir, name), Reason: "it is no file of a network's release, and would go with the rest",
				Mend: "write a directory of the network's files alone"}
		}
		if info, err := d.Info(); err == nil && d.IsDir() && device(info) != own {
			return &RefusedError{Path: filepath.Join(s.Dir, name), Reason: "it is a file system of its own", Mend: "unmount it"}
		}
		return nil
	})
	return errors.Join(err, root.Close())
}

func device(info fs.FileInfo) uint64 {
	if st, ok := statOf(info); ok {
		return uint64(st.Dev)
	}
	return 0
}

func statOf(info fs.FileInfo) (*syscall.Stat_t, bool) {
	if info == nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

// foreign tells whether a name is of something that no release has and nobody wants to lose: keys, secrets, slashing protection, a client's
// data.
func foreign(name string) bool {
	n := strings.ToLower(name)
	switch n {
	case "validators", "validator_keys", "validator.db", "validator-db", "slashprotection", "beacon", "beaconchaindata", "chain-db", "db", "geth", "chaindata",
		"nethermind_db", "database", "nodekey", "discovery-secret", "key", "accounts":
		return true
	}
	for _, part := range []string{"jwt", "secret", "keystore", "wallet", "slashing_protection", "slashing-protection"} {
		if strings.Contains(n, part) {
			return true
		}
	}
	return false
}

// likeTheOld gives the new directory the owner and the mode of the old one, so that whoever read that reads this. Files are readable by
// everybody who may enter it.
func (s *Staged) likeTheOld(parent, root *os.Root) error {
	info, err := parent.Lstat(s.base())
	old, mode := &syscall.Stat_t{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}, fs.FileMode(0o755)
	switch st, ok := statOf(info); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return permission(s.Dir, err)
	case err == nil && ok:
		old, mode = st, info.Mode().Perm()|info.Mode()&(fs.ModeSetgid|fs.ModeSticky)
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var own fs.FileMode = 0o644
		if d.IsDir() {
			own = 0o755
		}
		if err := root.Chmod(name, own); err != nil {
			return err
		}
		if err := root.Lchown(name, int(old.Uid), int(old.Gid)); err == nil {
			return nil
		}
		// Another's file cannot be made, but one of another's group can by a member.
		if err := root.Lchown(name, -1, int(old.Gid)); err != nil && mode.Perm()&0o005 != 0o005 {
			return &RefusedError{Path: s.Dir, Reason: fmt.Sprintf("only its owner and group may read it, and new files could not be given to them: %v", err),
				Mend: "run as its owner, or as a member of its group"}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if int(old.Uid) != os.Geteuid() && os.Geteuid() != 0 && mode.Perm()&0o050 != 0o050 && mode.Perm()&0o005 != 0o005 {
		return &RefusedError{Path: s.Dir, Reason: "only its owner may read it, and new files would not be the owner's", Mend: "chmod g+rx it"}
	}
	return root.Chmod(".", mode)
}
