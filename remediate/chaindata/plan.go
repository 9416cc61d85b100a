package chaindata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Plan looks and checks, and changes nothing. Its errors are ErrNoDatabase, *RefusedError, *PermissionError, *SpaceError, or that
// something could not be looked at.
func Plan(o Options) (Move, error) {
	m, layout, err := o.begin()
	if err != nil {
		return Move{}, err
	}
	if err := m.collect(o, layout); err != nil {
		return Move{}, err
	}
	if err := m.inspect(o); err != nil {
		return Move{}, err
	}
	return m, nil
}

// begin checks what was asked for.
func (o Options) begin() (Move, client.Layout, error) {
	m := Move{Client: o.Client, Execution: o.Execution, Reset: o.Reset, Dir: o.Dir, Tag: o.Tag, Step: o.Step}
	layout, known := m.layout()
	refuse := func(reason, mend string) (Move, client.Layout, error) {
		return Move{}, client.Layout{}, &RefusedError{Path: o.Dir, Reason: reason, Mend: mend}
	}
	switch {
	case !tagPattern.MatchString(o.Tag):
		return Move{}, client.Layout{}, fmt.Errorf("move of %s: %q is no tag", o.Dir, o.Tag)
	case !known:
		return refuse(fmt.Sprintf("client %q is not known", o.Client), "name the client of the node")
	case o.Execution && !o.Reset:
		return refuse("an execution client's database is moved for a new iteration only", "")
	case o.SlashingProtection != "" && !o.Reset:
		return refuse("slashing protection is moved for a new iteration only", "")
	case o.SlashingProtection != "" && o.Execution:
		return refuse("an execution client has no slashing protection", "")
	case !filepath.IsAbs(o.Dir):
		return refuse("it is not an absolute path", "write where the client's data directory is")
	}
	if reason := System(filepath.Clean(o.Dir)); reason != "" {
		return refuse(reason, "write the client's own data directory")
	}
	real, err := filepath.EvalSymlinks(o.Dir)
	if err != nil {
		return Move{}, client.Layout{}, fmt.Errorf("look at data directory %s: %w", o.Dir, err)
	}
	if reason := System(real); reason != "" {
		return refuse(fmt.Sprintf("it leads to %s: %s", real, reason), "write the client's own data directory")
	}
	m.Real = real
	return m, layout, nil
}

// wanted is a path, or a pattern of its last part, that a move takes.
type wanted struct {
	parent, pattern string
	slashing        bool
}

// collect finds what is there of what the layout names.
func (m *Move) collect(o Options, layout client.Layout) error {
	if info, err := os.Lstat(m.Real); err != nil {
		return fmt.Errorf("look at data directory %s: %w", o.Dir, err)
	} else if !info.IsDir() {
		return &RefusedError{Path: o.Dir, Reason: "it is not a directory"}
	}
	var all []wanted
	add := func(names []string, slashing bool) {
		for _, n := range names {
			all = append(all, wanted{filepath.Join(m.Real, path.Dir(n)), path.Base(n), slashing})
		}
	}
	add(layout.Database, false)
	if o.Reset {
		add(layout.Iteration, false)
		add(layout.SlashingProtection, true)
	}
	if o.SlashingProtection != "" {
		extra, err := extraSlashingProtection(o.SlashingProtection)
		if err != nil {
			return err
		}
		all = append(all, extra...)
	}
	for _, w := range all {
		if err := m.take(w); err != nil {
			return err
		}
	}
	m.Places = slices.DeleteFunc(m.Places, func(p Place) bool { return len(p.Entries) == 0 })
	for _, n := range layout.Keep {
		if _, err := os.Lstat(filepath.Join(m.Real, n)); err == nil {
			m.Kept = append(m.Kept, filepath.Join(m.Real, n))
		}
	}
	if len(m.Places) > 0 {
		return nil
	}
	if len(m.Kept) > 0 {
		return fmt.Errorf("%s: %w", o.Dir, ErrNoDatabase)
	}
	return &RefusedError{Path: o.Dir, Reason: fmt.Sprintf("it does not look like a data directory of %s", m.Client),
		Mend: fmt.Sprintf("write the directory that holds %s", strings.Join(layout.Database, ", "))}
}

// extraSlashingProtection is a database outside of the data directory.
func extraSlashingProtection(name string) ([]wanted, error) {
	if !filepath.IsAbs(name) {
		return nil, &RefusedError{Path: name, Reason: "it is not an absolute path", Mend: "write where the slashing protection is"}
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(filepath.Clean(name)))
	if err != nil {
		return nil, fmt.Errorf("look at slashing protection %s: %w", name, err)
	}
	if reason := System(parent); reason != "" {
		return nil, &RefusedError{Path: parent, Reason: reason, Mend: "write where the slashing protection is"}
	}
	base := filepath.Base(name)
	info, err := os.Lstat(filepath.Join(parent, base))
	if err != nil {
		return nil, fmt.Errorf("look at slashing protection %s: %w", name, err)
	}
	if strings.ContainsAny(base, `*?[\`) || reserved(base) {
		return nil, &RefusedError{Path: name, Reason: "this is no name for it"}
	}
	out := []wanted{{parent, base, true}}
	if !info.IsDir() {
		for _, more := range []string{"-wal", "-shm", "-journal"} {
			out = append(out, wanted{parent, base + more, true})
		}
	}
	return out, nil
}

// take adds to the move what is there of w.
func (m *Move) take(w wanted) error {
	if err := noLinks(m.Real, w.parent); err != nil {
		return err
	}
	names, err := matches(w.parent, w.pattern)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := m.place(w.parent)
	if err != nil {
		return err
	}
	if slices.Contains(p.Names, w.pattern) || slices.Contains(p.Slashing, w.pattern) {
		return nil
	}
	if w.slashing {
		p.Slashing = append(p.Slashing, w.pattern)
	} else {
		p.Names = append(p.Names, w.pattern)
	}
	for _, name := range names {
		p.Entries = append(p.Entries, Entry{From: filepath.Join(w.parent, name), To: filepath.Join(p.Aside, name)})
	}
	return nil
}

// place is the one for a parent directory.
func (m *Move) place(parent string) (*Place, error) {
	for i := range m.Places {
		if m.Places[i].Parent == parent {
			return &m.Places[i], nil
		}
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, lacking(parent, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix) {
			return nil, &RefusedError{Path: filepath.Join(parent, e.Name()), Reason: "a database has been set aside before and is still there",
				Mend: "put it back or delete it first"}
		}
	}
	m.Places = append(m.Places, Place{Parent: parent, Aside: filepath.Join(parent, asidePrefix+m.name())})
	return &m.Places[len(m.Places)-1], nil
}

// noLinks refuses a symbolic link on the way from the data directory to an entry's parent.
func noLinks(dir, parent string) error {
	rel, err := filepath.Rel(dir, parent)
	if err != nil || !filepath.IsLocal(rel) {
		return nil // outside, and resolved already
	}
	at := dir
	for part := range strings.SplitSeq(rel, "/") {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return lacking(at, err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return &RefusedError{Path: at, Reason: "it is a symbolic link", Mend: "write the data directory that it leads to, or move the database by hand"}
		}
	}
	return nil
}

// matches are the names in a directory that match a pattern, which may be a plain name.
func matches(parent, pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		switch _, err := os.Lstat(filepath.Join(parent, pattern)); {
		case err == nil:
			return []string{pattern}, nil
		case errors.Is(err, fs.ErrNotExist):
			_, err := os.Lstat(parent)
			return nil, err
		default:
			return nil, lacking(parent, err)
		}
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, lacking(parent, err)
	}
	var names []string
	for _, e := range entries {
		if ok, err := path.Match(pattern, e.Name()); err == nil && ok {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
