package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// planDropIn plans a drop-in that overrides the URL at p, which is in a file that is not ours to edit.
func (s *SystemdSource) planDropIn(u *unit, p unitPlace, url string) (Change, error) {
	if p.url == url {
		return Change{}, fmt.Errorf("%s:%d: %w", p.part.path, p.line, ErrUnchanged)
	}
	if err := notURL(p.part.path, p.place); err != nil {
		return Change{}, err
	}
	path, content, is, err := s.dropIn(u, p, url)
	if err != nil {
		return Change{}, err
	}
	c := Change{Source: s.String(), File: path, Key: is.key, Line: is.line, From: p.url, To: url, After: sum(content), Diff: fullDiff("/dev/null", path, nil, content)}
	_, err = os.Lstat(filepath.Dir(path))
	newDirectory := errors.Is(err, os.ErrNotExist)
	if c.Detail, err = json.Marshal(systemdDetail{Kind: inDropIn, NewDirectory: newDirectory}); err != nil {
		return Change{}, err
	}
	c.Backup, err = s.backups.placeCreated(path, c.After, s.opts.Now())
	return c, err
}

// dropIn is the drop-in that gives the URL at p another value, proved to change nothing else.
func (s *SystemdSource) dropIn(u *unit, p unitPlace, url string) (path string, content []byte, is unitPlace, err error) {
	path = filepath.Join(s.opts.Root, configDir, u.name+".d", DropIn)
	at := func(reason, mend string) error {
		return &PlaceError{File: p.part.path, Line: p.line, Reason: reason, Mend: mend}
	}
	switch {
	case p.kind == inEnvironmentFile:
		return "", nil, is, at("is a package's file, and no drop-in would override it", "give the unit an EnvironmentFile= of your own")
	case slices.ContainsFunc(u.parts, func(o *unitPart) bool { return o.path == path }):
		return "", nil, is, at("is not ours to edit, and overrides "+path, "take that file away, or edit the URL by hand")
	}
	content = u.dropIn(path, p, url)
	now, is, err := s.find(map[string][]byte{path: content}, path)
	if err != nil {
		return "", nil, is, err
	}
	switch {
	case is.part.path != path:
		return "", nil, is, &PlaceError{File: is.part.path, Line: is.line, Reason: "would override a drop-in " + path, Mend: "edit the URL by hand"}
	case is.url != url || is.key != p.key:
		return "", nil, is, at("the new URL would not be read back as it is", "")
	case !slices.Equal(u.without(p), now.without(is)):
		return "", nil, is, at("a drop-in would change something else", "")
	}
	return path, content, is, nil
}

// dropIn writes the text: the list of commands anew, byte for byte but for the URL, or the variable.
func (u *unit) dropIn(path string, p unitPlace, url string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Made by checkpoint_remediator: only the checkpoint URL differs from %s, line %d.\n", p.part.path, p.line)
	fmt.Fprintf(&out, "# To take it back: rm %s && systemctl daemon-reload\n[Service]\n", path)
	if key, ok := strings.CutPrefix(p.key, "Environment "); ok {
		fmt.Fprintf(&out, "Environment=\"%s=%s\"\n", key, p.text(url))
		return out.Bytes()
	}
	fmt.Fprintf(&out, "%s=\n", p.setting.key)
	for i, all := 0, u.commands[p.setting.key]; i < len(all); i++ {
		c := all[i]
		if i > 0 && all[i-1].logical == c.logical {
			continue
		}
		text := c.part.data[c.start:c.end]
		if c.logical == p.setting.logical {
			text = slices.Concat(c.part.data[c.start:p.start], []byte(p.text(url)), c.part.data[p.end:c.end])
		}
		out.Write(text)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// create makes the drop-in of a planned change.
func (s *SystemdSource) create(ctx context.Context, c Change) error {
	cond, err := s.lookCreated(ctx, c)
	if err != nil {
		return err
	}
	if cond != NotApplied {
		return ErrChanged
	}
	u, p, err := s.find(nil, "")
	if err != nil {
		return err
	}
	if p.url != c.From {
		return ErrChanged
	}
	path, content, _, err := s.dropIn(u, p, c.To)
	if err != nil {
		return err
	}
	if path != c.File || sum(content) != c.After {
		return ErrChanged
	}
	if err := s.backups.mark(c.Backup, path); err != nil {
		return err
	}
	return s.write.create(path, content, 0o644, nil)
}

// lookCreated tells whether the drop-in is there as we wrote it. It is never there in part.
func (s *SystemdSource) lookCreated(ctx context.Context, c Change) (Condition, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	info, err := os.Lstat(c.File)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return NotApplied, nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return Edited, nil
	}
	data, _, err := readFile(c.File)
	switch {
	case err != nil:
		return "", err
	case sum(data) != c.After:
		return Edited, nil
	}
	return Applied, nil
}

func (s *SystemdSource) removeCreated(ctx context.Context, c Change, d systemdDetail) error {
	cond, err := s.lookCreated(ctx, c)
	if err != nil {
		return err
	}
	switch cond {
	case Edited:
		return fmt.Errorf("restore %s: %w", c.File, ErrEditedByOther)
	case NotApplied:
		return nil
	}
	return s.write.remove(c.File, c.After, d.NewDirectory)
}
