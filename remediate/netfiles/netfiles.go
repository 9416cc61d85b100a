// Package netfiles brings the files of a network's new iteration (genesis.json, config.yaml, genesis.ssz and the others of a release)
// to where the clients read them, proves that they are of the iteration that is wanted, and can put the old ones back.
package netfiles

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Options say what to fetch.
type Options struct {
	// URL is that of a .tar.gz; {iteration} stands for the chain's number. Of ephemery-genesis it is
	// https://github.com/ephemery-testnet/ephemery-genesis/releases/download/ephemery-{iteration}/testnet-all.tar.gz.
	URL string
	// Chain is what the files must be of.
	Chain network.Chain
	// Dir is the directory that the files will replace, an absolute path. It need not be there yet; its parent must be.
	Dir string
	// Client fetches; nil for one of our own.
	Client *http.Client
	// Timeout bounds the whole download; 0 means 10 minutes.
	Timeout time.Duration
	// Limits bound what is accepted; the zero value means defaults.
	Limits Limits
	// Step, if set, is called with a Step… name before each step that changes the disk. An error makes that step fail.
	Step func(step string) error
}

// Limits bound an archive.
type Limits struct {
	// Compressed and Unpacked are in bytes, 256 MiB and 1 GiB if 0; Entries is a number of files and directories, 4096 if 0. A release of
	// Ephemery has some 30 files, of which a genesis state of 30,000 validators is the largest.
	Compressed, Unpacked int64
	Entries              int
}

func (l Limits) filled() Limits {
	if l.Compressed == 0 {
		l.Compressed = 256 << 20
	}
	if l.Unpacked == 0 {
		l.Unpacked = 1 << 30
	}
	if l.Entries == 0 {
		l.Entries = 4096
	}
	return l
}

// Steps that Options.Step sees.
const (
	StepSweep    = "netfiles: remove what an earlier attempt left"
	StepUnpack   = "netfiles: unpack"
	StepStage    = "netfiles: give the unpacked files their name"
	StepExchange = "netfiles: exchange the directories"
	StepOldAway  = "netfiles: move the old directory away"
	StepNewIn    = "netfiles: move the new directory in"
	StepBack     = "netfiles: move the old directory back"
	StepRemove   = "netfiles: remove"
	StepSync     = "netfiles: sync a directory"
)

// Staged are files that have been fetched and proved, in a directory beside the present one. It survives a round trip through JSON.
type Staged struct {
	// Dir is the directory that they will replace, without symbolic links, and Staging where they are.
	Dir     string `json:"dir"`
	Staging string `json:"staging"`
	// Iteration is that of the chain; 0 for a network that does not reset.
	Iteration uint64 `json:"iteration"`
	// URL is where they are from, without a password; SHA256 that of the archive, in lower-case hex.
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	// Files and Bytes are what was unpacked.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// New and Old are the inode numbers of the two directories; Old is 0 if there is none yet.
	New uint64 `json:"new"`
	Old uint64 `json:"old"`
	// Step is Options.Step.
	Step func(step string) error `json:"-"`
	// apart makes Apply rename twice, as where directories cannot be exchanged.
	apart bool
}

// Condition is how far Staged.Apply has got.
type Condition string

const (
	// NotApplied: the old files are in their place, or there again.
	NotApplied Condition = "not_applied"
	// Half: the old files are away and the new ones not in yet. Restore mends it.
	Half Condition = "half"
	// Applied: the new files are in their place. The old ones are beside them until Settle.
	Applied Condition = "applied"
	// Edited: the directory is neither the old nor the new one. It belongs to whoever did that.
	Edited Condition = "edited"
)

var (
	// ErrNotReleased is returned by Fetch when the server has no such files (404 or 410). For up to two hours around a reset this is normal:
	// the old iteration has expired, and the new one's release is still to come.
	ErrNotReleased = errors.New("not released yet")
	// ErrChanged is returned by Apply when a directory is not the one that was planned with. Nothing was done; fetch again.
	ErrChanged = errors.New("changed since it was fetched")
	// ErrNotApplied is returned by Settle when the new files are not in their place. Nothing was done.
	ErrNotApplied = errors.New("the new files are not in place")
	// ErrEdited is returned by Restore when somebody else has replaced the directory.
	ErrEdited = errors.New("replaced by someone else since")
)

// RefusedError says what forbids replacing a directory, or taking an archive, and the mend. Nothing was done.
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
	err   error
}

// Error begins with the path.
func (e *PermissionError) Error() string { return fmt.Sprintf("%s: %v: %s", e.Path, e.err, e.Grant) }

// Is makes it an os.ErrPermission.
func (e *PermissionError) Is(target error) bool { return target == os.ErrPermission }

// MismatchError says what shows that files are not of the chain that is wanted, or that nothing shows that they are.
type MismatchError struct {
	Dir string
	// Why is one reason a contradiction, such as "genesis.json: config.chainId is 39438165, not 39438166".
	Why []string
}

// Error names every contradiction.
func (e *MismatchError) Error() string {
	text := e.Dir + " does not hold the files of the wanted iteration"
	for i, w := range e.Why {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text += sep + w
	}
	return text
}
