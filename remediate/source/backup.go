package source

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// Backups is a directory of files as they were before we changed them: Dir/ESCAPED-PATH/TIME-HASH, one for each content, and
// Dir/ESCAPED-PATH/TIME-created-HASH, which is empty, for a file that we made.
type Backups struct {
	// Dir is made when first needed, for its owner alone.
	Dir   string
	steps writer
}

// Backup is one kept content.
type Backup struct {
	// Path is that of the backup itself.
	Path string `json:"path"`
	// File is the file that it is a backup of.
	File string `json:"file"`
	// Time is when the change that it was taken for was planned.
	Time time.Time `json:"time"`
	// Hash is the SHA-256 of the content, in lower-case hex; of a file that we created, that of what we wrote.
	Hash string `json:"hash"`
	// Created tells that there was no File: we made it.
	Created bool `json:"created,omitempty"`
	// Size is that of the content, in bytes.
	Size int64 `json:"size"`
}

// createdMark stands before the hash in the name of a backup of nothing.
const createdMark = "created-"

// backupTime is RFC 3339 without what is awkward in file names.
const backupTime = "20060102T150405.000000000Z"

// maxName bounds a directory entry (NAME_MAX), in bytes.
const maxName = 255

// List returns the backups, newest first. A directory that is not there holds none.
func (b Backups) List() ([]Backup, error) {
	dirs, err := os.ReadDir(b.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var all []Backup
	for _, d := range dirs {
		file, err := url.PathUnescape(d.Name())
		if err != nil || !d.IsDir() || !filepath.IsAbs(file) {
			continue
		}
		of, err := b.of(file)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	slices.SortStableFunc(all, func(a, b Backup) int { return b.Time.Compare(a.Time) })
	return all, nil
}

// of returns the backups of one file in the order of their names, which is that of time.
func (b Backups) of(file string) ([]Backup, error) {
	dir, err := b.directory(file)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var out []Backup
	for _, e := range entries {
		at, hash, ok := strings.Cut(e.Name(), "-")
		taken, err := time.Parse(backupTime, at)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		hash, created := strings.CutPrefix(hash, createdMark)
		out = append(out, Backup{Path: filepath.Join(dir, e.Name()), File: file, Time: taken, Hash: hash, Created: created, Size: info.Size()})
	}
	return out, nil
}

func (b Backups) directory(file string) (string, error) {
	name := url.PathEscape(file)
	if len(name) > maxName {
		return "", fmt.Errorf("backup of %s: its path is too long to keep a backup under", file)
	}
	return filepath.Join(b.Dir, name), nil
}

// place is the path of the backup of file with that content: one that is there already, or a new one.
func (b Backups) place(file, hash string, now time.Time) (string, error) {
	have, err := b.of(file)
	if err != nil {
		return "", err
	}
	for _, h := range have {
		if h.Hash == hash && !h.Created {
			return h.Path, nil
		}
	}
	dir, err := b.directory(file)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, now.UTC().Format(backupTime)+"-"+hash), nil
}

// save makes sure that path holds the content of file, whose hash is given, with its mode, and with its owner if we may.
func (b Backups) save(path, file, hash string) error {
	if _, err := b.load(path, hash); err == nil {
		return nil
	}
	if err := b.steps.step(StepBackup); err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	data, info, err := readFile(file)
	if err != nil {
		return err
	}
	if sum(data) != hash {
		return fmt.Errorf("back up %s: %w", file, ErrChanged)
	}
	if err := b.write(path, data, info); err != nil {
		return fmt.Errorf("back up %s: %w", file, err)
	}
	_, err = b.load(path, hash)
	return err
}

// write makes the backup at path with the mode and owner of info, which is nil for a mark.
func (b Backups) write(path string, data []byte, info os.FileInfo) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir))
	if err != nil {
		return err
	}
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Cleanup())
	}
	mode := os.FileMode(0o600)
	if info != nil {
		mode = info.Mode()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = tmp.Chown(int(stat.Uid), int(stat.Gid)) // an unprivileged remediator keeps the content under its own name
		}
	}
	if err := tmp.Chmod(mode); err != nil {
		return errors.Join(err, tmp.Cleanup())
	}
	if err := tmp.CloseAtomicallyReplace(); err != nil {
		return errors.Join(err, tmp.Cleanup())
	}
	for _, d := range []string{dir, b.Dir, filepath.Dir(b.Dir)} {
		if err := syncDirectory(d); err != nil {
			return err
		}
	}
	return nil
}

// load reads a backup and checks that it is what its change took.
func (b Backups) load(path, hash string) ([]byte, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if sum(data) != hash {
		return nil, fmt.Errorf("backup %s does not hold what it was named for", path)
	}
	return data, nil
}
