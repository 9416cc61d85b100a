// Package chaindata sets a client's chain database aside, so that the client starts anew, puts it back, or deletes it once it is no
// longer wanted.
//
// A move is planned first. The plan is data: it can be journalled, shown, and carried out, taken back or looked at by another process
// later. Everything is done by renaming within one directory, so that nothing is copied, owner and mode stay, and each step either
// happened or did not. The client must not run meanwhile.
package chaindata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Options say what to plan.
type Options struct {
	// Dir is the client's data directory, an absolute path.
	Dir string
	// Client is one of config.ConsensusClients, or with Execution of config.ExecutionClients.
	Client    string
	Execution bool
	// Reset takes along what belongs to an iteration of the network, slashing protection with it. An execution client's database is moved
	// for a reset only.
	Reset bool
	// SlashingProtection is the absolute path of a slashing protection database, a file or a directory, that is not in Dir; for a reset
	// only, and "" for none.
	SlashingProtection string
	// Tag, with the client's name, makes the name of the directory that things are set aside in. No two moves of one client share one.
	Tag string
	// MinFree is how much space, in bytes, the new database needs; 0: as much as the present one takes.
	MinFree uint64
	// Step, if set, is called with a Step… name before each step that changes the disk. An error makes that step fail, which lets a test
	// stop at every point.
	Step func(step string) error
}

// Steps that Options.Step sees.
const (
	StepMakeAside = "chaindata: make the directory aside"
	StepManifest  = "chaindata: write the manifest"
	StepAside     = "chaindata: set an entry aside"
	StepNew       = "chaindata: set aside what the client has made anew"
	StepBack      = "chaindata: put an entry back"
	StepSync      = "chaindata: sync a directory"
	StepSettle    = "chaindata: rename what is to be removed"
	StepRemove    = "chaindata: remove"
)

// Move is a planned move. It survives a round trip through JSON.
type Move struct {
	Client    string `json:"client"`
	Execution bool   `json:"execution,omitempty"`
	Reset     bool   `json:"reset,omitempty"`
	// Dir is the data directory as it was named, Real what it is without symbolic links.
	Dir  string `json:"dir"`
	Real string `json:"real"`
	Tag  string `json:"tag"`
	// Places are the directories in which something is moved. None holds another's entries.
	Places []Place `json:"places"`
	// Bytes is the space that the entries take on disk, Free what was free beside, Needed what the new database was held to need.
	Bytes  uint64 `json:"bytes"`
	Free   uint64 `json:"free"`
	Needed uint64 `json:"needed"`
	// Kept are paths in the data directory that stay: keys, peers, validators.
	Kept []string `json:"kept,omitempty"`
	// Step is Options.Step.
	Step func(step string) error `json:"-"`
}

// Place is one directory of which entries are moved.
type Place struct {
	// Parent is the directory, without symbolic links, and Inode its number: another directory by that name is not it.
	Parent string `json:"parent"`
	Inode  uint64 `json:"inode"`
	// Aside is the directory in Parent that the entries are moved into.
	Aside   string  `json:"aside"`
	Entries []Entry `json:"entries"`
	// Names are patterns of path.Match for all that a client makes of this kind in Parent, whether it was there or not. Slashing are those
	// of slashing protection.
	Names    []string `json:"names,omitempty"`
	Slashing []string `json:"slashing,omitempty"`
}

// Entry is one file or directory that is moved.
type Entry struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Inode, Mode (as stat(2) has it), UID and GID are those of From when it was planned.
	Inode uint64 `json:"inode"`
	Mode  uint32 `json:"mode"`
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	// Bytes is the space that it takes on disk.
	Bytes uint64 `json:"bytes"`
}

// Condition is how far a Move has got.
type Condition string

const (
	// NotApplied: everything is where it was, or is there again.
	NotApplied Condition = "not_applied"
	// Half: some of it is aside, or only the directory aside has been made. Apply goes on, Restore puts back.
	Half Condition = "half"
	// Applied: all of it is aside.
	Applied Condition = "applied"
	// Restored: everything is back. What the client made anew is still to be removed, which Restore does; slashing protection that it made
	// anew is kept for good, in a directory .checkpoint-restored-CLIENT-TAG.
	Restored Condition = "restored"
	// Deleted: it is gone, or was being deleted, which Delete ends.
	Deleted Condition = "deleted"
)

var (
	// ErrNoDatabase is returned by Plan when Dir looks as it should but holds nothing to move: the client starts anew anyway.
	ErrNoDatabase = errors.New("there is no database")
	// ErrChanged is returned by Apply when something is not as it was when planned. Nothing was done; plan again.
	ErrChanged = errors.New("changed since it was planned")
	// ErrDeleted is returned by Restore when there is nothing left to put back.
	ErrDeleted = errors.New("it has been deleted")
	// ErrNotApplied is returned by Delete unless everything is aside. Nothing was done.
	ErrNotApplied = errors.New("it is not all set aside")
)

// RefusedError says what about a path forbids moving it, and the mend. Nothing was done.
type RefusedError struct {
	Path   string
	Reason string
	Mend   string
}

// Error begins with the path.
func (e *RefusedError) Error() string {
	if e.Mend == "" {
		return e.Path + ": " + e.Reason
	}
	return e.Path + ": " + e.Reason + ": " + e.Mend
}

// PermissionError says what must be granted. Nothing was done.
type PermissionError struct {
	Path  string
	Grant string
}

// Error begins with the path.
func (e *PermissionError) Error() string { return e.Path + ": we may not move it: " + e.Grant }

// Is makes it an os.ErrPermission.
func (e *PermissionError) Is(target error) bool { return target == os.ErrPermission }

// SpaceError says how much space is missing. Nothing was done.
type SpaceError struct {
	Path         string
	Free, Needed uint64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %d MiB are free, and the new database is held to need %d MiB while the old one stays: make room, or delete the old one by hand",
		e.Path, e.Free>>20, e.Needed>>20)
}

// The names of our directories begin with these; client and tag follow.
const (
	asidePrefix    = ".checkpoint-aside-"
	deletedPrefix  = ".checkpoint-deleted-"
	restoredPrefix = ".checkpoint-restored-"
)

// What stands in a directory aside besides the entries.
const (
	manifestName = "manifest.json"
	newName      = "made-anew"
	slashingName = "slashing-protection-made-anew"
)

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// valid checks what a journal may have handed us: every path is where Plan would have put it.
func (m Move) valid() error {
	if !tagPattern.MatchString(m.Tag) {
		return fmt.Errorf("move of %s: %q is no tag", m.Dir, m.Tag)
	}
	if _, known := m.layout(); !known {
		return fmt.Errorf("move of %s: client %q is not known", m.Dir, m.Client)
	}
	if len(m.Places) == 0 {
		return fmt.Errorf("move of %s: it has no places", m.Dir)
	}
	for _, p := range m.Places {
		if !filepath.IsAbs(p.Parent) || filepath.Clean(p.Parent) != p.Parent || p.Aside != filepath.Join(p.Parent, asidePrefix+m.name()) || len(p.Entries) == 0 {
			return fmt.Errorf("move of %s: %s is no place of it", m.Dir, p.Parent)
		}
		if reason := System(p.Parent); reason != "" {
			return &RefusedError{Path: p.Parent, Reason: reason}
		}
		for _, e := range p.Entries {
			name := filepath.Base(e.From)
			if filepath.Join(p.Parent, name) != e.From || filepath.Join(p.Aside, name) != e.To || reserved(name) {
				return fmt.Errorf("move of %s: %s is no entry of it", m.Dir, e.From)
			}
		}
	}
	return nil
}

// reserved tells whether a name is ours.
func reserved(name string) bool {
	return name == "." || name == ".." || name == "/" || name == manifestName || name == newName || name == slashingName || strings.HasPrefix(name, ".checkpoint-")
}

// name distinguishes the move from others in the same directory.
func (m Move) name() string { return m.Client + "-" + m.Tag }

func (m Move) layout() (client.Layout, bool) {
	if m.Execution {
		return client.ExecutionLayout(m.Client)
	}
	return client.ConsensusLayout(m.Client)
}

func (m Move) step(name string) error {
	if m.Step == nil {
		return nil
	}
	return m.Step(name)
}

// systemTrees are directories below which no client keeps its data; systemDirs are directories that hold other people's.
var (
	systemTrees = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr"}
	systemDirs  = []string{"/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var", "/var/lib", "/var/log", "/var/cache", "/var/tmp",
		"/var/run", "/var/spool", "/var/lib/docker", "/var/lib/docker/volumes"}
)

// System tells why a directory, an absolute path without symbolic links, cannot be one of a client's, whatever is in it; "" if it can.
func System(dir string) string {
	if strings.Count(dir, "/") < 2 || dir == "/" {
		return "it is too near to the root of the file system"
	}
	for _, d := range systemDirs {
		if dir == d {
			return "it is a directory of the system"
		}
	}
	for _, d := range systemTrees {
		if dir == d || strings.HasPrefix(dir, d+"/") {
			return "it belongs to the system"
		}
	}
	return ""
}
