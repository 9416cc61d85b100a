package netfiles

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// exchange swaps two names in a directory. errors.ErrUnsupported: this file system or kernel cannot.
func exchange(parent *os.Root, a, b string) error {
	d, err := parent.Open(".")
	if err != nil {
		return err
	}
	fd := int(d.Fd())
	err = unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		err = errors.ErrUnsupported
	}
	if err != nil {
		err = fmt.Errorf("exchange %s and %s: %w", a, b, err)
	}
	return errors.Join(err, d.Close())
}
