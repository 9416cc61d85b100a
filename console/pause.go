package console

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// Pause is what a pause file says.
type Pause struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
	// By is who paused; empty if the file does not tell.
	By    string    `json:"by,omitempty"`
	Since time.Time `json:"since"`
	// Until is when the pause ends by itself; zero for one that does not.
	Until time.Time `json:"until,omitzero"`
}

// over tells whether the pause has ended by itself.
func (p *Pause) over(now time.Time) bool { return !p.Until.IsZero() && !now.Before(p.Until) }

// maxPause bounds how much of a pause file is read, in bytes, and maxReason the reason that we write.
const (
	maxPause  = 4 << 10
	maxReason = 500
)

// ReadPause reads a pause file; nil for none. The first line is the reason; lines that begin with by:, since: and until: tell the rest. Any other
// file, such as an empty one, pauses as well.
func ReadPause(file string) (*Pause, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, permitted(err, file, false)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPause))
	if err != nil {
		return nil, err
	}
	p := &Pause{File: file, Since: info.ModTime().UTC()}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for first := true; lines.Scan(); first = false {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		value = strings.TrimSpace(value)
		at, err := time.Parse(time.RFC3339, value)
		switch {
		case key == "until" && err == nil:
			p.Until = at
		case first:
			p.Reason = strings.TrimSpace(lines.Text())
		case key == "by":
			p.By = value
		case key == "since" && err == nil:
			p.Since = at
		}
	}
	return p, nil
}

func (p *Pause) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nby: %s\nsince: %s\n", p.Reason, p.By, p.Since.UTC().Format(time.RFC3339))
	if !p.Until.IsZero() {
		fmt.Fprintf(&b, "until: %s\n", p.Until.UTC().Format(time.RFC3339))
	}
	return b.Bytes()
}

// pauseWords are the pause in a sentence without its subject.
func (t *Terminal) pauseWords(p *Pause) string {
	text := "since " + t.at(p.Since)
	if p.By != "" {
		text = "by " + p.By + " " + text
	}
	if !p.Until.IsZero() {
		text += " until " + t.at(p.Until)
	}
	return text + ": " + cmp.Or(p.Reason, "no reason is given")
}

// PauseRequest is what Pause is to write.
type PauseRequest struct {
	// File is guards.pause_file.
	File, Reason, By string
	// For is how long the pause lasts; 0: until it is taken back.
	For time.Duration
}

// Pause stops everything that the remediator does, and tells what that holds up, if the remediator answers. A pause that is in force already
// stays, and is not shortened: that is an error.
func (t *Terminal) Pause(ctx context.Context, q PauseRequest, remediator *Remote) error {
	now := t.Now().UTC().Truncate(time.Second)
	reason := strings.TrimSpace(clean(q.Reason))
	switch {
	case reason == "":
		return &UsageError{"no reason", "say why in --reason: whoever reads it at night is to know"}
	case len(reason) > maxReason:
		return &UsageError{fmt.Sprintf("a reason of %d bytes", len(reason)), fmt.Sprintf("say it in %d", maxReason)}
	case strings.HasPrefix(reason, "until:"):
		return &UsageError{"a reason that begins like the end of a pause", "say until when in --for"}
	case q.File == "":
		return errors.New("remediation.guards.pause_file is empty: there is no file to pause by")
	}
	p := &Pause{File: q.File, Reason: reason, By: clean(q.By), Since: now}
	if q.For > 0 {
		p.Until = now.Add(q.For).Truncate(time.Second)
	}
	is, err := ReadPause(q.File)
	if err != nil {
		return err
	}
	if is != nil && !is.over(now) {
		switch {
		case is.Reason == p.Reason && is.Until.Equal(p.Until):
			return t.paused(ctx, is, "Paused already", remediator)
		case is.Until.IsZero() && !p.Until.IsZero(), !p.Until.IsZero() && p.Until.Before(is.Until):
			return fmt.Errorf("paused already, and for longer, %s; nothing is changed: `checkpoint resume` takes that back", t.pauseWords(is))
		}
		if !t.JSON {
			t.printf("It was paused %s\n", clean(t.pauseWords(is)))
		}
	}
	if err := writePause(p); err != nil {
		return permitted(fmt.Errorf("pause: %w", err), filepath.Dir(q.File), true)
	}
	return t.paused(ctx, p, "Paused", remediator)
}

func writePause(p *Pause) error {
	dir := filepath.Dir(p.File)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(p.File, p.text(), 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
}

// paused tells of a pause, and of what it holds up.
func (t *Terminal) paused(ctx context.Context, p *Pause, word string, remediator *Remote) error {
	if t.JSON {
		return t.json(struct {
			Paused bool `json:"paused"`
			*Pause
		}{true, p})
	}
	t.printf("%s %s\n", word, clean(t.pauseWords(p)))
	var s remediate.StateView
	if err := remediator.Get(ctx, "/api/v1/incidents", &s); err != nil {
		t.printf("What it holds up is not known (%s). The pause counts all the same.\n", clean(err.Error()))
	} else {
		t.holdsUp(s)
	}
	t.printf("Alerts are still taken and kept. To go on: checkpoint resume\n")
	return nil
}

func (t *Terminal) holdsUp(s remediate.StateView) {
	open := openIncidents(s)
	if len(open) == 0 {
		t.printf("No incident is open: nothing is under way.\n")
	}
	for _, i := range open {
		does := "waits until then"
		switch i.Stage {
		case "acting":
			does = "what is being done is finished first; nothing more is begun until then"
		case "verifying":
			does = "it is still looked whether the last step helped; nothing more is begun until then"
		case "settled":
			does = "it helped, and waits for its alert to resolve"
		case "exhausted":
			does = "people are needed"
		}
		t.printf("  %s\n", clean(fmt.Sprintf("%s, %s (%s): %s", i.Node, i.Playbook, i.ID, does)))
	}
	if s.Mode == "observe" {
		t.printf("The mode is observe: nothing would have been done anyway.\n")
	}
}

// Resume takes a pause back.
func (t *Terminal) Resume(file string) error {
	if file == "" {
		return errors.New("remediation.guards.pause_file is empty: there is no file to pause by")
	}
	was, err := ReadPause(file)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return permitted(fmt.Errorf("resume: %w", err), filepath.Dir(file), true)
	}
	if t.JSON {
		return t.json(struct {
			Paused bool   `json:"paused"`
			Was    *Pause `json:"was,omitempty"`
		}{false, was})
	}
	switch {
	case was == nil:
		t.printf("It was not paused.\n")
	case was.over(t.Now()):
		t.printf("The pause was over already. It was made %s\n", clean(t.pauseWords(was)))
	default:
		t.printf("Resumed after %s. It was paused %s\n", span(t.Now().Sub(was.Since)), clean(t.pauseWords(was)))
	}
	return nil
}
