package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Restored is what Backups.Restore did.
type Restored struct {
	// File is the file that was put back, or removed if we had created it.
	File string `json:"file"`
	// Diff is the change as a unified diff without context. It is of the whole file: there may be secrets in it.
	Diff string `json:"diff"`
	// Kept is the backup of what was there before; "" if there was nothing.
	Kept string `json:"kept,omitempty"`
	// Reload tells that systemd reads the file: systemctl daemon-reload is due.
	Reload bool `json:"reload,omitempty"`
}

// ErrNoBackup is wrapped by Restore's error when the path is not that of a backup.
var ErrNoBackup = errors.New("not a backup of ours")

// Restore puts the content of the backup at path back where it came from, after backing up what is there now. Owner, mode and attributes of
// the file stay; a file that is gone comes back with those of the backup. Of a file that we had created the backup is of nothing: it is
// removed, if it is still as we wrote it, else ErrEditedByOther. ErrUnchanged: the file has that content already.
func (b Backups) Restore(ctx context.Context, path string, now time.Time) (Restored, error) {
	if err := ctx.Err(); err != nil {
		return Restored{}, err
	}
	kept, err := b.named(path)
	if err != nil {
		return Restored{}, fmt.Errorf("restore %s: %w", path, err)
	}
	out := Restored{File: kept.File, Reload: IsUnitFile(kept.File)}
	if err := b.putBack(kept, now, &out); err != nil {
		return Restored{}, fmt.Errorf("restore %s: %w", kept.File, err)
	}
	return out, nil
}

// named is the backup at path: one that List would show, and neither it nor its directory a symbolic link.
func (b Backups) named(path string) (Backup, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Backup{}, err
	}
	root, err := filepath.Abs(b.Dir)
	if err != nil {
		return Backup{}, err
	}
	b.Dir = root
	if filepath.Dir(filepath.Dir(abs)) != root {
		return Backup{}, fmt.Errorf("%w: it is not in %s", ErrNoBackup, root)
	}
	for _, p := range []string{filepath.Dir(abs), abs} {
		info, err := os.Lstat(p)
		if err != nil {
			return Backup{}, fmt.Errorf("%w: %w", ErrNoBackup, err)
		}
		if info.Mode()&os.ModeSymlink != 0 {
			return Backup{}, fmt.Errorf("%w: %s is a symbolic link", ErrNoBackup, p)
		}
	}
	all, err := b.List()
	if err != nil {
		return Backup{}, err
	}
	i := slices.IndexFunc(all, func(k Backup) bool { return k.Path == abs })
	if i < 0 {
		return Backup{}, ErrNoBackup
	}
	return all[i], nil
}

func (b Backups) putBack(kept Backup, now time.Time, out *Restored) error {
	present, err := b.present(kept.File)
	if err != nil {
		return err
	}
	if present != nil {
		if out.Kept, err = b.place(kept.File, sum(present), now); err != nil {
			return err
		}
	}
	if kept.Created {
		switch {
		case present == nil:
			return ErrUnchanged
		case sum(present) != kept.Hash:
			return ErrEditedByOther
		}
		if err := b.save(out.Kept, kept.File, sum(present)); err != nil {
			return err
		}
		out.Diff = fullDiff(kept.File, "/dev/null", present, nil)
		return b.steps.remove(kept.File, kept.Hash, true)
	}
	content, err := b.load(kept.Path, kept.Hash)
	if err != nil {
		return err
	}
	if present == nil {
		out.Diff = fullDiff("/dev/null", kept.File, nil, content)
		return b.bringBack(kept, content)
	}
	if sum(present) == kept.Hash {
		return ErrUnchanged
	}
	if err := b.save(out.Kept, kept.File, sum(present)); err != nil {
		return err
	}
	out.Diff = fullDiff(kept.File, kept.File, present, content)
	if err := b.steps.replace(kept.File, present, content); err != nil {
		return err
	}
	is, _, err := readFile(kept.File)
	if err != nil {
		return err
	}
	if sum(is) != kept.Hash {
		return fmt.Errorf("read back: %w", ErrEditedByOther)
	}
	return nil
}

// present is the content of a file now; nil if there is none. Backups are of files themselves, never of links to them.
func (b Backups) present(file string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Lstat(file); err == nil {
			return nil, errors.New("it is a symbolic link to nothing now")
		}
		return nil, nil
	case err != nil:
		return nil, err
	case real != file:
		return nil, fmt.Errorf("there is a symbolic link on its path now, to %s", real)
	}
	data, _, err := readFile(file)
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

// bringBack makes a file anew that is gone.
func (b Backups) bringBack(kept Backup, content []byte) error {
	info, err := os.Stat(kept.Path)
	if err != nil {
		return err
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	return b.steps.create(kept.File, content, info.Mode().Perm(), owner)
}

// mark keeps the word that file was made by us, with the content that hash is of.
func (b Backups) mark(path, file string) error {
	if err := b.steps.step(StepBackup); err != nil {
		return fmt.Errorf("mark %s as created: %w", file, err)
	}
	if err := b.write(path, nil, nil); err != nil {
		return fmt.Errorf("mark %s as created: %w", file, err)
	}
	return nil
}

// placeCreated is the path of the mark of a file that is made with that content.
func (b Backups) placeCreated(file, hash string, now time.Time) (string, error) {
	dir, err := b.directory(file)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, now.UTC().Format(backupTime)+"-"+createdMark+hash), nil
}

// fullDiff is a unified diff without context in one hunk: from the first line that differs to the last one.
func fullDiff(from, to string, before, after []byte) string {
	a, b := splitLines(before), splitLines(after)
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	a, b = a[head:len(a)-tail], b[head:len(b)-tail]
	if len(a)+len(b) == 0 {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n@@ -%s +%s @@\n", from, to, hunk(head, len(a)), hunk(head, len(b)))
	for _, l := range a {
		fmt.Fprintf(&out, "-%s\n", shown(l))
	}
	for _, l := range b {
		fmt.Fprintf(&out, "+%s\n", shown(l))
	}
	return out.String()
}

func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// hunk is a range of a unified diff: of none it is the line before.
func hunk(head, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", head)
	case 1:
		return fmt.Sprint(head + 1)
	}
	return fmt.Sprintf("%d,%d", head+1, n)
}
