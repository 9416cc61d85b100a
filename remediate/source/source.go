// Package source knows where a consensus client's checkpoint URL is written, and changes it there so that nothing else changes
// and everything can be put back.
//
// A change is planned first. The plan is data: it can be journalled, shown, and carried out or taken back by another process
// later, because it holds the hashes of the file before and after and the place of the backup.
package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Source is one place where a client's checkpoint URL lives. String names it as the configuration does.
type Source interface {
	fmt.Stringer
	// Read returns the URL that is written there, "" if the text is empty. It need not be a valid URL.
	Read(ctx context.Context) (string, error)
	// Plan works out the change to url without doing anything. ErrUnchanged: it is there already.
	Plan(ctx context.Context, url string) (Change, error)
	// Apply carries out a planned change: backup, then replacement, then reading back. ErrChanged: the place is no longer as it was
	// planned from; nothing was done. After any other error Look tells whether there was an effect.
	Apply(ctx context.Context, c Change) error
	// Look tells how far a change has got, whoever began it.
	Look(ctx context.Context, c Change) (Condition, error)
	// Restore takes an applied change back. It does nothing if it was not applied. ErrEditedByOther: somebody changed the place
	// afterwards, and it is left alone.
	Restore(ctx context.Context, c Change) error
}

// Recreating is a Source that cannot change without the client being restarted: a container's own configuration. Apply and Restore
// restart the client, so they are for one that has to read its source anyway.
type Recreating interface {
	Source
	// Settle lets go of what Restore would need: the change has proved itself. It may be repeated.
	Settle(ctx context.Context, c Change) error
}

var (
	// ErrUnchanged is returned by Plan when the URL is there already.
	ErrUnchanged = errors.New("the URL is there already")
	// ErrChanged is returned by Apply when the place is not as it was when planned. Nothing was done; plan again.
	ErrChanged = errors.New("changed since it was planned")
	// ErrEditedByOther is returned by Restore when the place is neither as it was before nor as we left it.
	ErrEditedByOther = errors.New("edited by someone else since")
)

// Change is a planned replacement of one URL. It survives a round trip through JSON.
type Change struct {
	// Source is the String of the Source that planned it.
	Source string `json:"source"`
	// File is the file itself, symbolic links resolved.
	File string `json:"file,omitempty"`
	// Key is the place within File, such as all.hosts.node-1.checkpoint_sync_url.
	Key string `json:"key,omitempty"`
	// Line is that of the URL in File, from 1.
	Line int `json:"line,omitempty"`
	// From and To are the URLs.
	From string `json:"from"`
	To   string `json:"to"`
	// Before and After are the SHA-256 of the whole content, in lower-case hex. Before is "" where File is created.
	Before string `json:"before"`
	After  string `json:"after"`
	// Diff is the change as a unified diff without context, so that no neighbouring secret gets into it.
	Diff string `json:"diff"`
	// Detail is what the kind of source needs beside; nobody else reads it.
	Detail json.RawMessage `json:"detail,omitempty"`
	// Backup is where Apply keeps the content that Before is the hash of, or a mark that there was none.
	Backup string `json:"backup"`
}

// Condition is how far a Change has got.
type Condition string

const (
	// NotApplied: as it was before.
	NotApplied Condition = "not_applied"
	// Applied: as planned.
	Applied Condition = "applied"
	// Half: partly written, by a process that stopped while it wrote in place. Restore mends it.
	Half Condition = "half"
	// Edited: something else. It belongs to whoever did that.
	Edited Condition = "edited"
)

// PlaceError says what in a file cannot be worked with, and the mend.
type PlaceError struct {
	File   string
	Line   int // from 1; 0: the file as a whole
	Reason string
	Mend   string
}

// Error begins with file and line.
func (e *PlaceError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Mend == "" {
		return at + ": " + e.Reason
	}
	return at + ": " + e.Reason + ": " + e.Mend
}

// maxURL bounds a checkpoint URL, in bytes.
const maxURL = 2048

// CheckURL tells why s cannot be written as a checkpoint URL. Only http and https with a host are, and of the characters only
// those that RFC 3986 (section 2) allows: no space, quote, brace or line break gets into anybody's file.
func CheckURL(s string) error {
	if len(s) > maxURL {
		return fmt.Errorf("checkpoint URL has %d bytes, more than %d", len(s), maxURL)
	}
	const extra = "-._~:/?@!$&'()*+,;=%[]"
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(extra, r) {
			return fmt.Errorf("checkpoint URL %q: character %q is not allowed there", s, r)
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("checkpoint URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("checkpoint URL %q: want http:// or https://", s)
	}
	if u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("checkpoint URL %q lacks a host or its port", s)
	}
	return nil
}
