package chaindata

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// maxDepth bounds how deep a database's directories are nested; Prysm's blobs, the deepest, have four levels.
const maxDepth = 32

// inspect looks at every file that would be moved, and fills in what it finds.
func (m *Move) inspect(o Options) error {
	m.Bytes = 0
	for i := range m.Places {
		p := &m.Places[i]
		dir, err := os.Open(p.Parent)
		if err != nil {
			return lacking(p.Parent, err)
		}
		err = p.inspect(dir, m.Reset)
		if err == nil && i == 0 {
			m.Free, err = free(dir)
		}
		if err := errors.Join(err, dir.Close()); err != nil {
			return err
		}
		for _, e := range p.Entries {
			m.Bytes += e.Bytes
		}
	}
	if m.Needed = o.MinFree; m.Needed == 0 {
		m.Needed = m.Bytes
	}
	if m.Free < m.Needed {
		return &SpaceError{Path: m.Places[0].Parent, Free: m.Free, Needed: m.Needed}
	}
	return nil
}

// inspect looks at the entries of one place, of which dir is the parent.
func (p *Place) inspect(dir *os.File, reset bool) error {
	parent, err := statAt(dir, "")
	if err != nil {
		return fmt.Errorf("look at %s: %w", p.Parent, err)
	}
	p.Inode = parent.inode
	if err := mayChange(dir); err != nil {
		return &PermissionError{Path: p.Parent, Grant: grant(p.Parent, parent)}
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		name := filepath.Base(e.From)
		s, err := statAt(dir, name)
		if err != nil {
			return lacking(e.From, err)
		}
		if s.sticksIn(parent) {
			return &PermissionError{Path: e.From, Grant: fmt.Sprintf("%s has the sticky bit, so that only an owner may: run as %s, or chmod -t %s",
				p.Parent, userName(s.uid), p.Parent)}
		}
		w := walker{top: parent, slashing: reset && p.slashing(name)}
		if err := w.look(dir, e.From, s, 0); err != nil {
			return err
		}
		e.Inode, e.Mode, e.UID, e.GID, e.Bytes = s.inode, s.mode, s.uid, s.gid, w.bytes
	}
	return nil
}

// slashing tells whether a name in the place is one of slashing protection.
func (p Place) slashing(name string) bool { return anyMatches(p.Slashing, name) }

// ours tells whether a name in the place is of the kind that is moved.
func (p Place) ours(name string) bool { return anyMatches(p.Names, name) || p.slashing(name) }

func anyMatches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}

// walker goes through one entry and refuses what must not be moved or could not be deleted.
type walker struct {
	top      stat // that of the entry's parent
	slashing bool // the entry is slashing protection, and may go
	bytes    uint64
}

// look is called with the directory that holds the file, the whole path of the file, and what it is.
func (w *walker) look(dir *os.File, name string, s stat, depth int) error {
	if s.elsewhere(w.top) {
		return &RefusedError{Path: name, Reason: "it is a file system of its own, or a mount point", Mend: "move the database by hand, or unmount it"}
	}
	if s.symlink() {
		return &RefusedError{Path: name, Reason: "it is a symbolic link", Mend: "move the database by hand, or put in its place what it leads to"}
	}
	base := filepath.Base(name)
	if holdsKeys(base) {
		return &RefusedError{Path: name, Reason: "it looks like a validator's keys or secrets", Mend: "keep them outside of the database"}
	}
	if holdsSlashingProtection(base) && !w.slashing {
		return &RefusedError{Path: name, Reason: "it looks like slashing protection, which goes with an iteration of the network only, and from its usual place"}
	}
	w.bytes += s.bytes
	if !s.directory() {
		return nil
	}
	if depth > maxDepth {
		return &RefusedError{Path: name, Reason: "directories are nested too deeply for a database"}
	}
	sub, err := openDirectory(dir, base)
	if errors.Is(err, fs.ErrNotExist) && depth > 0 {
		return nil // a client that still runs compacts and prunes
	}
	if errors.Is(err, fs.ErrPermission) {
		return &PermissionError{Path: name, Grant: grant(name, s)}
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	err = w.lookInto(sub, name, s, depth)
	return errors.Join(err, sub.Close())
}

func (w *walker) lookInto(sub *os.File, name string, s stat, depth int) error {
	// To move a directory elsewhere is to write its entry "..", and to delete it is to write its others.
	if err := mayChange(sub); err != nil {
		return &PermissionError{Path: name, Grant: grant(name, s)}
	}
	for {
		names, err := sub.Readdirnames(1024)
		for _, n := range names {
			inner, err := statAt(sub, n)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return lacking(filepath.Join(name, n), err)
			}
			if err := w.look(sub, filepath.Join(name, n), inner, depth+1); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", name, err)
		}
	}
}

// holdsKeys tells whether a file or directory of that name is one in which the known clients and wallets keep keys (EIP-2335 keystores,
// Lighthouse's account_manager, Prysm's validator/accounts, Teku's and Nimbus' validators and secrets, geth's accounts/keystore).
func holdsKeys(name string) bool {
	n := strings.ToLower(name)
	switch n {
	case "secrets", "validators", "validator_keys", "validator-keys", "validator_definitions.yml", "voting-keystore.json", "keymanageropts.json",
		"wallet", "wallets", "keystore", "keystores", "accounts":
		return true
	}
	if strings.HasPrefix(n, "wallet-") || strings.HasPrefix(n, "prysm-wallet") || strings.HasPrefix(n, "utc--") {
		return true
	}
	return strings.HasSuffix(n, ".keystore") || strings.HasSuffix(n, ".keystore.json") || strings.HasPrefix(n, "keystore-") && strings.HasSuffix(n, ".json")
}

// holdsSlashingProtection tells whether a file or directory of that name is one in which the known validator clients, and EIP-3076's
// interchange files, keep it.
func holdsSlashingProtection(name string) bool {
	n := strings.ToLower(name)
	switch n {
	case "slashprotection", "slashing-protection", "validator.db", "validator-db":
		return true
	}
	return strings.HasPrefix(n, "slashing_protection") || strings.HasPrefix(n, "slashing-protection")
}

// sticksIn tells whether the sticky bit of its directory keeps us from moving a file.
func (s stat) sticksIn(parent stat) bool {
	me := uint32(os.Geteuid())
	return parent.sticky() && me != 0 && me != s.uid && me != parent.uid
}

// lacking says what to grant when err is a lack of permission.
func lacking(name string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			return &PermissionError{Path: name, Grant: grant(dir, statOf(info))}
		} else if dir == "/" || dir == "." {
			return &PermissionError{Path: name, Grant: "grant access to it"}
		}
	}
}

// grant says how to let us write a directory and what is below it.
func grant(dir string, s stat) string {
	me := userName(uint32(os.Geteuid()))
	return fmt.Sprintf("grant group write on %s and all that is below it (chmod -R g+rwX %s, with %s in the group %s), or the same to %s alone "+
		"(setfacl -R -m u:%s:rwX,d:u:%s:rwX %s), or run as %s, its owner", dir, dir, me, groupName(s.gid), me, me, me, dir, userName(s.uid))
}

func userName(id uint32) string {
	n := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(n); err == nil {
		return u.Username
	}
	return n
}

func groupName(id uint32) string {
	n := strconv.FormatUint(uint64(id), 10)
	if g, err := user.LookupGroupId(n); err == nil {
		return g.Name
	}
	return n
}
