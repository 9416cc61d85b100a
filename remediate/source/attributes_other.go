//go:build !linux

package source

import "os"

// copyAttributes does nothing: extended attributes are kept on Linux only.
func copyAttributes(string, *os.File) error { return nil }
