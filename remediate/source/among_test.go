package source_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

const (
	fleet = "all:\n  hosts:\n    node-1: {checkpoint_sync_url: 'https://a.example'} # one\n    node-2:\n      checkpoint_sync_url: https://b.example\n    node-3: {checkpoint_sync_url: https://c.example}\n"
	elseC = "https://else.example"
)

// inventory is a file with the URLs of several nodes.
type inventory struct {
	testing.TB
	path, backups string
	step          func(string) error
}

func newInventory(t testing.TB) *inventory {
	dir := t.TempDir()
	i := &inventory{TB: t, path: filepath.Join(dir, "inventory.yaml"), backups: filepath.Join(dir, "backups")}
	must(t, os.WriteFile(i.path, []byte(fleet), 0o640))
	return i
}

func (i *inventory) node(name string) *source.File {
	i.Helper()
	s, err := source.NewYAML(source.YAML{File: i.path, Key: "checkpoint_sync_url"}, name, source.Options{Backups: i.backups, Step: i.step})
	must(i, err)
	return s
}

func (i *inventory) change(name, url string) source.Change {
	i.Helper()
	s := i.node(name)
	c := plan(i, s, url)
	must(i, s.Apply(context.Background(), c))
	return c
}

func (i *inventory) edit(old, new string) {
	i.Helper()
	data, err := os.ReadFile(i.path)
	must(i, err)
	if !strings.Contains(string(data), old) {
		i.Fatalf("%q is not in %s", old, data)
	}
	must(i, os.WriteFile(i.path, []byte(strings.Replace(string(data), old, new, 1)), 0o640))
}

func TestRestoreAmong(t *testing.T) {
	ctx := context.Background()
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(fleet) }
	for name, tt := range map[string]struct {
		// later is what happens after node-1 was switched to elseC; it returns what the journal has.
		later func(i *inventory) []source.Change
		cond  source.Condition
		want  string // after node-1 is taken back; "" if that is refused
	}{
		"nothing": {func(*inventory) []source.Change { return nil }, source.Applied, fleet},
		"another node": {func(i *inventory) []source.Change {
			return []source.Change{i.change("node-2", elseC)}
		}, source.Applied, swap("https://b.example", elseC)},
		"two others": {func(i *inventory) []source.Change {
			return []source.Change{i.change("node-2", elseC), i.change("node-3", elseC)}
		}, source.Applied, swap("https://b.example", elseC, "https://c.example", elseC)},
		"another, twice": {func(i *inventory) []source.Change {
			return []source.Change{i.change("node-2", elseC), i.change("node-2", "https://more.example")}
		}, source.Applied, swap("https://b.example", "https://more.example")},
		"another, taken back": {func(i *inventory) []source.Change {
			a, b := i.change("node-2", elseC), i.change("node-3", elseC)
			must(i, source.RestoreAmong(ctx, i.node("node-2"), a, []source.Change{b}))
			return []source.Change{a, b}
		}, source.Applied, swap("https://c.example", elseC)},
		"our own, too": {func(i *inventory) []source.Change {
			return []source.Change{i.change("node-2", elseC), i.change("node-1", "https://more.example")}
		}, source.Edited, ""},
		"taken back already": {func(i *inventory) []source.Change {
			i.edit(elseC, "https://a.example")
			return []source.Change{i.change("node-2", elseC)}
		}, source.NotApplied, swap("https://b.example", elseC)},
		"another not journalled": {func(i *inventory) []source.Change {
			i.change("node-2", elseC)
			return nil
		}, source.Edited, ""},
		"somebody's URL": {func(i *inventory) []source.Change {
			c := i.change("node-2", elseC)
			i.edit(elseC+"\n", "https://mine.example\n")
			return []source.Change{c}
		}, source.Edited, ""},
		"a comment beside": {func(i *inventory) []source.Change {
			c := i.change("node-2", elseC)
			i.edit("# one", "# two")
			return []source.Change{c}
		}, source.Edited, ""},
		"other quotes": {func(i *inventory) []source.Change {
			c := i.change("node-2", elseC)
			i.edit("url: "+elseC, "url: '"+elseC+"'")
			return []source.Change{c}
		}, source.Edited, ""},
		"a place that is gone": {func(i *inventory) []source.Change {
			c := i.change("node-3", elseC)
			i.edit("    node-3: {checkpoint_sync_url: "+elseC+"}\n", "")
			return []source.Change{c}
		}, source.Edited, ""},
		"of another file": {func(i *inventory) []source.Change {
			c := i.change("node-2", elseC)
			c.File += ".other"
			return []source.Change{c}
		}, source.Edited, ""},
		"not a key": {func(i *inventory) []source.Change {
			c := i.change("node-2", elseC)
			c.Key = "..\""
			return []source.Change{c}
		}, source.Edited, ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInventory(t)
			first := i.change("node-1", elseC)
			others := tt.later(i)
			was, err := os.ReadFile(i.path)
			must(t, err)
			s := i.node("node-1")
			if got, err := source.LookAmong(ctx, s, first, others); err != nil || got != tt.cond {
				t.Errorf("LookAmong: %s, %v, want %s", got, err, tt.cond)
			}
			if len(others) > 0 {
				look(t, s, first, source.Edited) // by the whole file
			}
			err = source.RestoreAmong(ctx, s, first, others)
			if tt.want == "" {
				if !errors.Is(err, source.ErrEditedByOther) {
					t.Errorf("RestoreAmong: %v", err)
				}
				wantFile(t, i.path, string(was))
				return
			}
			must(t, err)
			wantFile(t, i.path, tt.want)
			if info := stat(t, i.path); info.Mode() != 0o640 {
				t.Errorf("mode %v", info.Mode())
			}
			must(t, source.RestoreAmong(ctx, s, first, others))
			wantFile(t, i.path, tt.want)
		})
	}
}

func TestRestoreAmongOfEnv(t *testing.T) {
	ctx := context.Background()
	path, one := envFile(t, "A_URL=https://a.example\nCHECKPOINT_SYNC_URL='https://b.example'\n")
	two, err := source.NewEnv(source.Env{File: path, Key: "A_URL"}, source.Options{Backups: filepath.Join(filepath.Dir(path), "backups")})
	must(t, err)
	a := plan(t, one, elseC)
	must(t, one.Apply(ctx, a))
	b := plan(t, two, elseC)
	must(t, two.Apply(ctx, b))
	must(t, source.RestoreAmong(ctx, one, a, []source.Change{b}))
	wantFile(t, path, "A_URL="+elseC+"\nCHECKPOINT_SYNC_URL='https://b.example'\n")
	must(t, source.RestoreAmong(ctx, two, b, []source.Change{a}))
	wantFile(t, path, "A_URL=https://a.example\nCHECKPOINT_SYNC_URL='https://b.example'\n")
}

// Two services that share an environment file.
func TestRestoreAmongServices(t *testing.T) {
	ctx := context.Background()
	const unit, shared = "[Service]\nEnvironmentFile=/etc/shared\nExecStart=/x --checkpoint-sync-url=${", "A=https://a.example\nB=https://b.example\n"
	h := newHost(t, map[string]string{"etc/systemd/system/a.service": unit + "A}\n", "etc/systemd/system/b.service": unit + "B}\n", "etc/shared": shared})
	a, b := h.source(source.Systemd{Unit: "a.service", Client: "teku"}), h.source(source.Systemd{Unit: "b.service", Client: "teku"})
	first := plan(t, a, elseC)
	must(t, a.Apply(ctx, first))
	second := plan(t, b, elseC)
	must(t, b.Apply(ctx, second))
	if err := a.Restore(ctx, first); !errors.Is(err, source.ErrEditedByOther) {
		t.Errorf("Restore: %v", err)
	}
	must(t, source.RestoreAmong(ctx, a, first, []source.Change{second}))
	if got := h.text("etc/shared"); got != "A=https://a.example\nB="+elseC+"\n" {
		t.Errorf("%q", got)
	}
}

// Death while one change is taken back among others, in place, leaves something that can be told from somebody else's edit.
func TestDeathWhileRestoringAmong(t *testing.T) {
	ctx := context.Background()
	type death struct{}
	halves := 0
	for n := 1; ; n++ {
		i := newInventory(t)
		must(t, os.Link(i.path, i.path+".other")) // written in place
		first := i.change("node-1", "https://a-much-longer-name.example")
		others := []source.Change{i.change("node-2", elseC)}
		want := strings.Replace(fleet, "https://b.example", elseC, 1)
		steps := 0
		i.step = func(string) error {
			if steps++; steps == n {
				panic(death{})
			}
			return nil
		}
		died := func() (died bool) {
			defer func() {
				if r := recover(); r != nil {
					if died = r == (death{}); !died {
						panic(r)
					}
				}
			}()
			must(t, source.RestoreAmong(ctx, i.node("node-1"), first, others))
			return false
		}()
		i.step = nil
		s := i.node("node-1")
		cond, err := source.LookAmong(ctx, s, first, others)
		if err != nil || cond == source.Edited {
			t.Fatalf("step %d: %s, %v", n, cond, err)
		}
		if cond == source.Half {
			halves++
		}
		if err := source.RestoreAmong(ctx, s, first, others); err != nil {
			t.Fatalf("step %d, %s: %v", n, cond, err)
		}
		wantFile(t, i.path, want)
		if !died {
			break
		}
	}
	if halves == 0 {
		t.Error("no half-written file was found")
	}
}
