// Package synctext holds text that one goroutine writes while another reads it: the output of a program under test.
package synctext

import (
	"strings"
	"sync"
)

// Buffer is an io.Writer whose text may be read at any time. The zero value is empty.
type Buffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
