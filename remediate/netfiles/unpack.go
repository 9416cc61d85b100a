package netfiles

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxNesting bounds how deep an archive's directories are nested.
const maxNesting = 8

// markerName stands in a directory of ours and says where its files are from.
const markerName = ".checkpoint-network.json"

// unpack writes a .tar.gz into an empty directory: plain files and directories only, none of which may be outside of it, there twice, or
// more than the limits allow. Owners, modes and times in the archive are ignored. Every file is on the disk when it returns.
func unpack(root *os.Root, archive io.Reader, limits Limits) (files int, size int64, err error) {
	zipped, err := gzip.NewReader(archive)
	if err != nil {
		return 0, 0, fmt.Errorf("it is no gzip: %w", err)
	}
	left := &bounded{r: zipped, left: limits.Unpacked + int64(limits.Entries)*1024 + 1<<20} // headers and padding
	reader := tar.NewReader(left)
	for entries := 0; ; entries++ {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, fmt.Errorf("it is no tar archive: %w", err)
		}
		if entries >= limits.Entries {
			return 0, 0, fmt.Errorf("it has more than %d entries", limits.Entries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := entryName(h)
		if err != nil {
			return 0, 0, err
		}
		if h.Typeflag == tar.TypeDir {
			if err := root.MkdirAll(name, 0o755); err != nil {
				return 0, 0, fmt.Errorf("entry %q: %w", clip(h.Name), err)
			}
			continue
		}
		if h.Size > limits.Unpacked-size {
			return 0, 0, fmt.Errorf("it has more than %d bytes", limits.Unpacked)
		}
		n, err := writeEntry(root, name, reader, h.Size)
		if err != nil {
			return 0, 0, fmt.Errorf("entry %q: %w", clip(h.Name), err)
		}
		files, size = files+1, size+n
	}
	if files == 0 {
		return 0, 0, errors.New("it is empty")
	}
	// The checksum of a gzip stream stands at its end.
	if _, err := io.Copy(io.Discard, left); err != nil {
		return 0, 0, fmt.Errorf("it is damaged: %w", err)
	}
	return files, size, syncTree(root, ".")
}

// entryName is where an entry goes.
func entryName(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink, tar.TypeLink:
		return "", fmt.Errorf("entry %q is a link", clip(h.Name))
	default:
		return "", fmt.Errorf("entry %q is neither a file nor a directory", clip(h.Name))
	}
	name := path.Clean(h.Name)
	switch {
	case !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00\\"):
		return "", fmt.Errorf("entry %q leads out", clip(h.Name))
	case strings.Count(name, "/") >= maxNesting:
		return "", fmt.Errorf("entry %q is nested too deeply", clip(h.Name))
	case name == markerName:
		return "", fmt.Errorf("entry %q has a name of ours", clip(h.Name))
	}
	return name, nil
}

func writeEntry(root *os.Root, name string, r io.Reader, size int64) (int64, error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return 0, err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, io.LimitReader(r, size))
	return n, errors.Join(err, f.Sync(), f.Close())
}

// syncTree makes the entries of a directory and all below it last.
func syncTree(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	if err := errors.Join(err, d.Sync(), d.Close()); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := syncTree(root, path.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// errTooLarge is the error of a bounded reader that has reached its bound.
var errTooLarge = errors.New("it is larger than is accepted")

// bounded reads at most so many bytes, and fails where io.LimitReader would say that there are no more.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One more byte tells whether that was all.
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
