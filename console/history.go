package console

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// history is what a journal tells of what can be put back.
type history struct {
	// uses are the changes before which a backup was taken, or found to be there, by the backup's path.
	uses map[string][]Use
	// begun is when each intent was.
	begun map[string]time.Time
	kept  []remediate.Intent
	// pending are those that are being carried out.
	pending []remediate.Intent
	// problem is why it cannot be told, or not all of it.
	problem error
}

// Use is a change before which a backup was taken.
type Use struct {
	Time     time.Time `json:"time"`
	Intent   string    `json:"intent"`
	Incident string    `json:"incident"`
	Node     string    `json:"node"`
	Action   string    `json:"action"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
}

func (t *Terminal) history(path string) *history {
	h := &history{uses: map[string][]Use{}, begun: map[string]time.Time{}}
	teller := remediate.NewTeller()
	damage, err := t.tell(teller, path, journal.ScanAll(path, time.Time{}), func(l remediate.Line) error {
		in, ok := l.Record.(*remediate.Intent)
		if !ok {
			return nil
		}
		h.begun[in.ID] = l.Time
		if in.Change != nil && in.Change.Backup != "" && in.Undoes == "" {
			backup := filepath.Clean(in.Change.Backup)
			h.uses[backup] = append(h.uses[backup], Use{
				Time: l.Time.UTC(), Intent: in.ID, Incident: in.Incident, Node: in.Node, Action: in.Action, From: in.From, To: in.To,
			})
		}
		return nil
	})
	h.kept, h.pending, h.problem = teller.Kept(), teller.Pending(), cmp.Or(damage, err)
	if errors.Is(h.problem, fs.ErrNotExist) {
		h.problem = nil // no journal, no change
	}
	return h
}

// Kept is a backup, and what it was taken for.
type Kept struct {
	ID string `json:"id"`
	source.Backup
	Uses []Use `json:"uses"`
}

// idLength is how much of a hash names a backup.
const idLength = 8

// backups are all of them, newest first.
func (h *history) backups(dir string) ([]Kept, error) {
	all, err := source.Backups{Dir: dir}.List()
	if err != nil {
		return nil, permitted(err, dir, false)
	}
	out := make([]Kept, 0, len(all))
	for _, b := range all {
		uses := h.uses[filepath.Clean(b.Path)]
		out = append(out, Kept{ID: b.Hash[:min(len(b.Hash), idLength)], Backup: b, Uses: append([]Use{}, uses...)})
	}
	return out, nil
}

// moment is a time just before which a file had the content of a backup.
type moment struct {
	at   time.Time
	kept Kept
}

// moments of a file in the order of time. One content is kept once, however often the file came back to it; the journal knows how often.
func moments(all []Kept, file string) []moment {
	var out []moment
	for _, k := range all {
		if k.File != file {
			continue
		}
		out = append(out, moment{k.Time, k})
		for _, u := range k.Uses {
			if u.Time.After(k.Time) {
				out = append(out, moment{u.Time, k})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b moment) int { return a.at.Compare(b.at) })
	return out
}

// choose finds the backup that is meant: by its path, by what its hash begins with, or by the file, and then the latest that is not what the file is now,
// or the one of what it was at a time.
func choose(all []Kept, what string, at time.Time, t *Terminal) (Kept, error) {
	if k := slices.IndexFunc(all, func(k Kept) bool { return k.Path == what }); k >= 0 {
		return all[k], nil
	}
	if filepath.IsAbs(what) {
		return chooseOf(all, what, at, t)
	}
	var found []Kept
	const shortest = 4
	for _, k := range all {
		if len(what) >= shortest && strings.HasPrefix(k.Hash, strings.ToLower(what)) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if abs, err := filepath.Abs(what); err == nil && slices.ContainsFunc(all, func(k Kept) bool { return k.File == abs }) {
			return chooseOf(all, abs, at, t)
		}
		return Kept{}, fmt.Errorf("there is no backup %q, and none of a file of that name; checkpoint restore --list shows what there is", what)
	}
	return Kept{}, &UsageError{fmt.Sprintf("%q could be any of %d backups", what, len(found)), "write more of it, or the backup's path"}
}

func chooseOf(all []Kept, file string, at time.Time, t *Terminal) (Kept, error) {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	of := moments(all, file)
	switch {
	case len(of) == 0:
		return Kept{}, fmt.Errorf("there is no backup of %s; checkpoint restore --list shows what there is", file)
	case at.IsZero():
		return latest(of, file), nil
	}
	i := slices.IndexFunc(of, func(m moment) bool { return !m.at.Before(at) })
	if i < 0 {
		return Kept{}, fmt.Errorf("%s was not changed by the remediator after %s, so there is no backup of what it was then; the last is of before %s",
			file, t.at(at), t.at(of[len(of)-1].at))
	}
	return of[i].kept, nil
}

// latest is the last moment at which a file was not as it is now, so that a restore can be taken back by another; the last one of all if there is
// none.
func latest(of []moment, file string) Kept {
	present, err := readRegular(file)
	gone := err != nil
	hash := fmt.Sprintf("%x", sha256.Sum256(present))
	for _, m := range slices.Backward(of) {
		asNow := m.kept.Hash == hash && !gone
		if m.kept.Created {
			asNow = gone
		}
		if !asNow {
			return m.kept
		}
	}
	return of[len(of)-1].kept
}
