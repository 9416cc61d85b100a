package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/google/go-cmp/cmp"
)

const (
	before = "# hosts\nall:\n  hosts:\n    node-1:\n      token: hunter2\n      checkpoint_sync_url: \"https://old.example\"  # ours\r\n    node-2:\n      checkpoint_sync_url: https://two.example"
	oldURL = "https://old.example"
	goodTo = "https://new.example:8443/with/a/longer/path"
)

var (
	after = strings.Replace(before, oldURL, goodTo, 1)
	noon  = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// bench is a file with a source on it.
type bench struct {
	dir, path, backups string
}

func newBench(t testing.TB) bench {
	t.Helper()
	dir := t.TempDir()
	b := bench{dir: filepath.Join(dir, "opt"), backups: filepath.Join(dir, "var", "backups")}
	b.path = filepath.Join(b.dir, "inventory.yaml")
	for _, d := range []string{b.dir, filepath.Dir(b.backups)} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.put(t, before)
	if err := os.Chmod(b.path, 0o640); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bench) put(t testing.TB, content string) {
	t.Helper()
	if err := os.WriteFile(b.path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

func (b bench) want(t testing.TB, content string) {
	t.Helper()
	got, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content, string(got)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

// alone makes sure that nothing of ours lies beside the file.
func (b bench) alone(t testing.TB, names ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(filepath.Dir(b.path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(append([]string{"inventory.yaml"}, names...), got); diff != "" {
		t.Errorf("directory (-want +got):\n%s", diff)
	}
}

func (b bench) source(t testing.TB, step func(string) error) *source.File {
	t.Helper()
	s, err := source.NewYAML(source.YAML{File: b.path, Key: "checkpoint_sync_url"}, "node-1",
		source.Options{Backups: b.backups, Now: func() time.Time { return noon }, Step: step})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func plan(t testing.TB, s source.Source, url string) source.Change {
	t.Helper()
	c, err := s.Plan(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func look(t testing.TB, s source.Source, c source.Change, want source.Condition) {
	t.Helper()
	got, err := s.Look(context.Background(), c)
	if err != nil || got != want {
		t.Errorf("Look: %s, %v, want %s", got, err, want)
	}
}

func TestChangeAndBack(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	s := b.source(t, nil)
	if got, err := s.Read(ctx); err != nil || got != oldURL {
		t.Fatalf("Read: %q, %v", got, err)
	}
	c := plan(t, s, goodTo)
	b.want(t, before)
	if _, err := os.Stat(b.backups); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Plan touched the disk: %v", err)
	}
	wantDiff := "--- " + b.path + "\n+++ " + b.path + "\n@@ -6 +6 @@\n-      checkpoint_sync_url: \"" + oldURL + "\"  # ours\n+      checkpoint_sync_url: \"" + goodTo + "\"  # ours\n"
	if diff := cmp.Diff(wantDiff, c.Diff); diff != "" {
		t.Errorf("Diff (-want +got):\n%s", diff)
	}
	if c.Key != "all.hosts.node-1.checkpoint_sync_url" || c.Line != 6 || c.From != oldURL || c.To != goodTo || c.Source != s.String() || c.File != b.path {
		t.Errorf("change %+v", c)
	}
	// The plan is carried out by whoever reads it from the journal.
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var read source.Change
	if err := json.Unmarshal(text, &read); err != nil || !cmp.Equal(read, c) {
		t.Fatalf("round trip: %+v, %v", read, err)
	}
	s = b.source(t, nil)
	look(t, s, c, source.NotApplied)
	if err := s.Apply(ctx, read); err != nil {
		t.Fatal(err)
	}
	b.want(t, after)
	b.alone(t)
	look(t, s, c, source.Applied)
	if kept, err := os.ReadFile(c.Backup); err != nil || string(kept) != before {
		t.Errorf("backup: %q, %v", kept, err)
	}
	if _, err := s.Plan(ctx, goodTo); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("Plan of what is there: %v, want ErrUnchanged", err)
	}
	if err := s.Apply(ctx, c); !errors.Is(err, source.ErrChanged) {
		t.Errorf("second Apply: %v, want ErrChanged", err)
	}
	if err := s.Restore(ctx, c); err != nil {
		t.Fatal(err)
	}
	b.want(t, before)
	b.alone(t)
	look(t, s, c, source.NotApplied)
	if err := s.Restore(ctx, c); err != nil {
		t.Errorf("Restore of what is restored: %v", err)
	}
}

func TestKeepsWhatTheFileIs(t *testing.T) {
	ctx := context.Background()
	owner := os.Getuid()
	if owner == 0 {
		owner = 65534
	}
	const attribute = "user.checkpoint_test"
	tests := map[string]struct {
		prepare func(t *testing.T, b bench)
		check   func(t *testing.T, b bench)
	}{
		"mode": {
			func(t *testing.T, b bench) { must(t, os.Chmod(b.path, 0o604)) },
			func(t *testing.T, b bench) {
				if m := stat(t, b.path).Mode(); m != 0o604 {
					t.Errorf("mode %v", m)
				}
			},
		},
		"owner": {
			func(t *testing.T, b bench) { must(t, os.Chown(b.path, owner, -1)) },
			func(t *testing.T, b bench) {
				if got := stat(t, b.path).Sys().(*syscall.Stat_t).Uid; int(got) != owner {
					t.Errorf("owner %d, want %d", got, owner)
				}
			},
		},
		"symbolic links": {
			func(t *testing.T, b bench) {
				must(t, os.Rename(b.path, b.path+".real"))
				must(t, os.Symlink("inventory.yaml.real", b.path+".link"))
				must(t, os.Symlink(b.path+".link", b.path))
			},
			func(t *testing.T, b bench) {
				if to, err := os.Readlink(b.path); err != nil || to != b.path+".link" {
					t.Errorf("link to %q, %v", to, err)
				}
				b.alone(t, "inventory.yaml.link", "inventory.yaml.real")
			},
		},
		"hard links": {
			func(t *testing.T, b bench) { must(t, os.Link(b.path, b.path+".other")) },
			func(t *testing.T, b bench) {
				if !os.SameFile(stat(t, b.path), stat(t, b.path+".other")) {
					t.Error("the link was broken")
				}
			},
		},
		"extended attributes": {
			func(t *testing.T, b bench) { setAttribute(t, b.path, attribute, "kept") },
			func(t *testing.T, b bench) { wantAttribute(t, b.path, attribute, "kept") },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tt.prepare(t, b)
			s := b.source(t, nil)
			c := plan(t, s, goodTo)
			must(t, s.Apply(ctx, c))
			b.want(t, after)
			tt.check(t, b)
			must(t, s.Restore(ctx, c))
			b.want(t, before)
			tt.check(t, b)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stat(t testing.TB, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info
}

// fails returns a Step that fails at the steps named.
func fails(err error, steps ...string) func(string) error {
	return func(step string) error {
		for _, s := range steps {
			if s == step {
				return err
			}
		}
		return nil
	}
}

func TestWritesInPlaceWhereItCannotRename(t *testing.T) {
	ctx := context.Background()
	tests := map[string]func(string) error{
		"bind mount":            fails(syscall.EBUSY, source.StepRename),
		"another filesystem":    fails(syscall.EXDEV, source.StepRename),
		"directory not ours":    fails(syscall.EACCES, source.StepTemporary),
		"directory read-only":   fails(syscall.EROFS, source.StepTemporary),
		"owner cannot be given": fails(syscall.EPERM, source.StepAttributes),
	}
	for name, step := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			inode := stat(t, b.path)
			s := b.source(t, step)
			c := plan(t, s, goodTo)
			must(t, s.Apply(ctx, c))
			b.want(t, after)
			b.alone(t)
			must(t, s.Restore(ctx, c)) // the shorter content: the rest must be cut
			b.want(t, before)
			b.alone(t)
			if !os.SameFile(inode, stat(t, b.path)) {
				t.Error("it is another file now")
			}
		})
	}
}

func TestFailureLeavesTheFile(t *testing.T) {
	ctx := context.Background()
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	for _, step := range []string{source.StepBackup, source.StepTemporary, source.StepAttributes, source.StepSync, source.StepRename} {
		t.Run(step, func(t *testing.T) {
			b := newBench(t)
			c := plan(t, b.source(t, nil), goodTo)
			if err := b.source(t, fails(full, step)).Apply(ctx, c); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), b.path) {
				t.Fatalf("Apply: %v", err)
			}
			b.want(t, before)
			b.alone(t)
			look(t, b.source(t, nil), c, source.NotApplied)
			must(t, b.source(t, nil).Apply(ctx, c))
			b.want(t, after)
		})
	}
	for _, step := range []string{source.StepInPlace, source.StepTear, source.StepTruncate, source.StepSync} {
		t.Run("in place "+step, func(t *testing.T) {
			b := newBench(t)
			must(t, os.Link(b.path, b.path+".other"))
			c := plan(t, b.source(t, nil), goodTo)
			if err := b.source(t, fails(full, step)).Apply(ctx, c); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Apply: %v", err)
			}
			b.want(t, before) // written back
		})
	}
}

func TestChangedUnderneath(t *testing.T) {
	ctx := context.Background()
	edited := before + "\n# a remark\n"
	tests := map[string]struct {
		content string
		step    string // when; "" is before Apply
	}{
		"before":              {edited, ""},
		"to our URL":          {strings.Replace(before, oldURL, goodTo, 1) + "\n", ""},
		"emptied":             {"", ""},
		"while backed up":     {edited, source.StepBackup},
		"just before renamed": {edited, source.StepSync},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := b.source(t, func(step string) error {
				if step == tt.step {
					b.put(t, tt.content)
				}
				return nil
			})
			c := plan(t, s, goodTo)
			if tt.step == "" {
				b.put(t, tt.content)
			}
			if err := s.Apply(ctx, c); !errors.Is(err, source.ErrChanged) {
				t.Fatalf("Apply: %v, want ErrChanged", err)
			}
			b.want(t, tt.content)
			b.alone(t)
			look(t, s, c, source.Edited)
			if err := s.Restore(ctx, c); !errors.Is(err, source.ErrEditedByOther) {
				t.Errorf("Restore: %v, want ErrEditedByOther", err)
			}
			b.want(t, tt.content)
		})
	}
}

func TestRestoreLeavesOthersEditsAlone(t *testing.T) {
	ctx := context.Background()
	tests := map[string]func(t *testing.T, b bench, c source.Change){
		"one byte more": func(t *testing.T, b bench, _ source.Change) { b.put(t, after+"\n") },
		"other URL": func(t *testing.T, b bench, _ source.Change) {
			b.put(t, strings.Replace(before, oldURL, "https://third", 1))
		},
		"gone":            func(t *testing.T, b bench, _ source.Change) { must(t, os.Remove(b.path)) },
		"link elsewhere":  func(t *testing.T, b bench, _ source.Change) { must(t, relink(b)) },
		"just the prefix": func(t *testing.T, b bench, _ source.Change) { b.put(t, after[:20]) },
	}
	for name, harm := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := b.source(t, nil)
			c := plan(t, s, goodTo)
			must(t, s.Apply(ctx, c))
			harm(t, b, c)
			was, _ := os.ReadFile(b.path)
			if err := s.Restore(ctx, c); !errors.Is(err, source.ErrEditedByOther) {
				t.Fatalf("Restore: %v, want ErrEditedByOther", err)
			}
			if is, _ := os.ReadFile(b.path); string(is) != string(was) {
				t.Error("Restore touched it")
			}
		})
	}
	t.Run("damaged backup", func(t *testing.T) {
		b := newBench(t)
		s := b.source(t, nil)
		c := plan(t, s, goodTo)
		must(t, s.Apply(ctx, c))
		must(t, os.WriteFile(c.Backup, []byte("x"), 0o600))
		if err := s.Restore(ctx, c); err == nil || !strings.Contains(err.Error(), c.Backup) {
			t.Errorf("Restore from a damaged backup: %v", err)
		}
		b.want(t, after)
	})
}

func relink(b bench) error {
	other := filepath.Join(b.dir, "other.yaml")
	return errors.Join(os.Rename(b.path, other), os.Symlink(other, b.path))
}

func TestCannotBeRead(t *testing.T) {
	ctx := context.Background()
	tests := map[string]struct {
		prepare func(b bench) error
		reason  string
	}{
		"missing":        {func(b bench) error { return os.Remove(b.path) }, "no such file"},
		"directory":      {func(b bench) error { return errors.Join(os.Remove(b.path), os.Mkdir(b.path, 0o755)) }, "not a regular file"},
		"fifo":           {func(b bench) error { return errors.Join(os.Remove(b.path), syscall.Mkfifo(b.path, 0o600)) }, "not a regular file"},
		"dangling link":  {func(b bench) error { return errors.Join(os.Remove(b.path), os.Symlink("nowhere", b.path)) }, "no such file"},
		"link to itself": {func(b bench) error { return errors.Join(os.Remove(b.path), os.Symlink(b.path, b.path)) }, "too many links"},
		"too large":      {func(b bench) error { return os.Truncate(b.path, source.MaxFile+1) }, "larger than"},
		"not YAML":       {func(b bench) error { return os.WriteFile(b.path, []byte("a: b\n\t- c: [\n"), 0o600) }, "inventory.yaml:2: is not YAML"},
		"a template": {func(b bench) error {
			return os.WriteFile(b.path, []byte("checkpoint_sync_url: \"{{ url }}\"\n"), 0o600)
		}, `inventory.yaml:1: checkpoint_sync_url is "{{ url }}", which is not a URL`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			must(t, tt.prepare(b))
			s := b.source(t, nil)
			_, err := s.Plan(ctx, goodTo)
			if err == nil || !strings.Contains(err.Error(), tt.reason) || !strings.Contains(err.Error(), b.path) {
				t.Errorf("Plan: %v, want %q and the path", err, tt.reason)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := b.source(t, nil).Read(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Read: %v", err)
		}
	})
	t.Run("not a URL to write", func(t *testing.T) {
		if _, err := newBench(t).source(t, nil).Plan(ctx, "https://a\nevil: yes"); err == nil {
			t.Error("Plan passed")
		}
	})
}

func TestRefusesAPathTooLongToBackUp(t *testing.T) {
	b := newBench(t)
	long := filepath.Join(b.dir, strings.Repeat("n", 255))
	must(t, os.Rename(b.path, long))
	must(t, os.Symlink(long, b.path))
	if _, err := b.source(t, nil).Plan(context.Background(), goodTo); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("Plan: %v", err)
	}
}

func TestNewYAMLRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		y       source.YAML
		backups string
	}{
		"no file":           {source.YAML{Key: "k"}, "b"},
		"no key":            {source.YAML{File: "f"}, "b"},
		"host and path":     {source.YAML{File: "f", Path: "a.b", Host: "h"}, "b"},
		"bad path":          {source.YAML{File: "f", Path: "a..b"}, "b"},
		"no backups":        {source.YAML{File: "f", Key: "k"}, ""},
		"unclosed in path ": {source.YAML{File: "f", Path: `"a`}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := source.NewYAML(tt.y, "n", source.Options{Backups: tt.backups}); err == nil {
				t.Errorf("NewYAML = %v", s)
			}
		})
	}
}

func TestBackups(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	list := source.Backups{Dir: b.backups}
	if got, err := list.List(); err != nil || len(got) != 0 {
		t.Errorf("List of none: %v, %v", got, err)
	}
	now := noon
	s, err := source.NewYAML(source.YAML{File: b.path, Key: "checkpoint_sync_url"}, "node-1",
		source.Options{Backups: b.backups, Now: func() time.Time { now = now.Add(time.Minute); return now }})
	must(t, err)
	first := plan(t, s, goodTo)
	must(t, s.Apply(ctx, first))
	second := plan(t, s, "https://third.example")
	must(t, s.Apply(ctx, second))
	must(t, s.Restore(ctx, second))
	must(t, s.Restore(ctx, first))
	again := plan(t, s, goodTo)
	if again.Backup != first.Backup {
		t.Errorf("the same content is kept twice: %s and %s", first.Backup, again.Backup)
	}
	must(t, s.Apply(ctx, again))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(first.Backup), ".stray"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(b.backups, "stray"), 0o700))
	want := []source.Backup{
		{Path: second.Backup, File: b.path, Time: noon.Add(2 * time.Minute), Hash: second.Before, Size: int64(len(after))},
		{Path: first.Backup, File: b.path, Time: noon.Add(time.Minute), Hash: first.Before, Size: int64(len(before))},
	}
	got, err := list.List()
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if m := stat(t, b.backups).Mode().Perm(); m != 0o700 {
		t.Errorf("directory of backups has mode %v", m)
	}
	if m := stat(t, first.Backup).Mode().Perm(); m != 0o640 {
		t.Errorf("backup has mode %v, the file 0640", m)
	}
}

// Whatever step the process dies at, the file is whole or can be told to be half-written by us, and is brought back.
func TestDeathAtEveryStep(t *testing.T) {
	ctx := context.Background()
	type death struct{}
	// run calls do, and tells whether it died at step number n.
	run := func(b bench, n int, do func(source.Source) error) (died bool, err error) {
		steps := 0
		s := b.source(t, func(string) error {
			if steps++; steps == n {
				panic(death{})
			}
			return nil
		})
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(death); !ok {
					panic(r)
				}
				died = true
			}
		}()
		return false, do(s)
	}
	for _, way := range []string{"rename", "in place"} {
		points := map[source.Condition]int{}
		prepare := func() bench {
			b := newBench(t)
			if way == "in place" {
				must(t, os.Link(b.path, filepath.Join(b.dir, "other")))
			}
			return b
		}
		for n := 1; ; n++ {
			b := prepare()
			c := plan(t, b.source(t, nil), goodTo)
			died, err := run(b, n, func(s source.Source) error { return s.Apply(ctx, c) })
			must(t, err)
			s := b.source(t, nil)
			cond, err := s.Look(ctx, c)
			must(t, err)
			if cond == source.Edited {
				t.Fatalf("%s: after death at step %d of Apply our own work looks like someone else's", way, n)
			}
			if !died {
				break
			}
			points[cond]++
			must(t, s.Restore(ctx, c))
			b.want(t, before)
			must(t, s.Apply(ctx, c))
			b.want(t, after)
			if way == "rename" {
				b.alone(t) // what the dead left was swept away
			}
		}
		for n := 1; ; n++ {
			b := prepare()
			c := plan(t, b.source(t, nil), goodTo)
			must(t, b.source(t, nil).Apply(ctx, c))
			died, err := run(b, n, func(s source.Source) error { return s.Restore(ctx, c) })
			must(t, err)
			if !died {
				break
			}
			s := b.source(t, nil)
			cond, err := s.Look(ctx, c)
			must(t, err)
			points[cond]++
			if err := s.Restore(ctx, c); err != nil {
				t.Fatalf("%s: Restore after death at step %d of Restore: %v", way, n, err)
			}
			b.want(t, before)
		}
		t.Logf("%s: conditions found after death: %v", way, points)
		if points[source.Edited] > 0 || (way == "in place") != (points[source.Half] > 0) {
			t.Errorf("%s: conditions found after death: %v", way, points)
		}
	}
}

func ExampleChange() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte("all:\n  hosts:\n    node-1:\n      checkpoint_sync_url: 'https://old.example' # ours\n"), 0o600); err != nil {
		panic(err)
	}
	s, err := source.NewYAML(source.YAML{File: file, Key: "checkpoint_sync_url"}, "node-1", source.Options{Backups: filepath.Join(dir, "backups")})
	if err != nil {
		panic(err)
	}
	c, err := s.Plan(context.Background(), "https://new.example")
	if err != nil {
		panic(err)
	}
	fmt.Print(strings.ReplaceAll(c.Diff, dir, ""))
	// Output:
	// --- /inventory.yaml
	// +++ /inventory.yaml
	// @@ -4 +4 @@
	// -      checkpoint_sync_url: 'https://old.example' # ours
	// +      checkpoint_sync_url: 'https://new.example' # ours
}
