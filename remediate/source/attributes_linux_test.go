package source_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// setAttribute sets an extended attribute where the filesystem has them.
func setAttribute(t *testing.T, path, name, value string) {
	t.Helper()
	if err := unix.Setxattr(path, name, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
}

func wantAttribute(t *testing.T, path, name, value string) {
	t.Helper()
	b := make([]byte, 100)
	n, err := unix.Getxattr(path, name, b)
	if errors.Is(err, unix.ENOTSUP) {
		return
	}
	if err != nil || string(b[:n]) != value {
		t.Errorf("attribute %s: %q, %v, want %q", name, b[:max(n, 0)], err, value)
	}
}
