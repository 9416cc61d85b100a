package source_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/google/go-cmp/cmp"
)

func TestRestoreOfABackup(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	must(t, os.Chmod(b.path, 0o604))
	setAttribute(t, b.path, "user.checkpoint_test", "kept")
	s := b.source(t, nil)
	c := plan(t, s, goodTo)
	must(t, s.Apply(ctx, c))
	edited := strings.Replace(after, "hunter2", "hunter3", 1) + "\n# more\n"
	b.put(t, edited)
	list := source.Backups{Dir: b.backups}
	got, err := list.Restore(ctx, c.Backup, noon.Add(time.Hour))
	must(t, err)
	b.want(t, before)
	b.alone(t)
	want := source.Restored{File: b.path, Kept: got.Kept, Diff: "--- " + b.path + "\n+++ " + b.path + "\n@@ -5,5 +5,4 @@\n" +
		"-      token: hunter3\n-      checkpoint_sync_url: \"" + goodTo + "\"  # ours\n-    node-2:\n-      checkpoint_sync_url: https://two.example\n-# more\n" +
		"+      token: hunter2\n+      checkpoint_sync_url: \"" + oldURL + "\"  # ours\n+    node-2:\n+      checkpoint_sync_url: https://two.example\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Restored (-want +got):\n%s", diff)
	}
	if m := stat(t, b.path).Mode(); m != 0o604 {
		t.Errorf("mode %v", m)
	}
	wantAttribute(t, b.path, "user.checkpoint_test", "kept")
	if _, err := list.Restore(ctx, c.Backup, noon); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("again: %v", err)
	}
	// What was there before is a backup itself.
	must1(list.Restore(ctx, got.Kept, noon.Add(2*time.Hour)))(t)
	b.want(t, edited)
	// A file that is gone comes back.
	must(t, os.Remove(b.path))
	back, err := list.Restore(ctx, c.Backup, noon)
	must(t, err)
	b.want(t, before)
	if m := stat(t, b.path).Mode(); m != 0o604 || back.Kept != "" || !strings.HasPrefix(back.Diff, "--- /dev/null\n") {
		t.Errorf("mode %v, %+v", m, back)
	}
}

func must1[T any](_ T, err error) func(testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		must(t, err)
	}
}

func TestRestoreOfABackupRefuses(t *testing.T) {
	ctx := context.Background()
	for name, tt := range map[string]struct {
		harm func(t *testing.T, b bench, c source.Change) string // returns the path to restore
		say  string
	}{
		"another path":  {func(t *testing.T, b bench, _ source.Change) string { return b.path }, "it is not in"},
		"the directory": {func(t *testing.T, b bench, c source.Change) string { return filepath.Dir(c.Backup) }, "it is not in"},
		"up and out": {func(t *testing.T, b bench, c source.Change) string {
			return c.Backup + "/../../../../opt/inventory.yaml"
		}, "it is not in"},
		"not there": {func(t *testing.T, b bench, c source.Change) string { return c.Backup + "0" }, "no such file"},
		"a stray file": {func(t *testing.T, b bench, c source.Change) string {
			p := filepath.Join(filepath.Dir(c.Backup), "x")
			must(t, os.WriteFile(p, nil, 0o600))
			return p
		}, "not a backup of ours"},
		"a link": {func(t *testing.T, b bench, c source.Change) string {
			must(t, os.Rename(c.Backup, c.Backup+".real"))
			must(t, os.Symlink(c.Backup+".real", c.Backup))
			return c.Backup
		}, "is a symbolic link"},
		"a linked directory": {func(t *testing.T, b bench, c source.Change) string {
			dir := filepath.Dir(c.Backup)
			must(t, os.Rename(dir, b.dir+"/real"))
			must(t, os.Symlink(b.dir+"/real", dir))
			return c.Backup
		}, "is a symbolic link"},
		"damaged": {func(t *testing.T, b bench, c source.Change) string {
			must(t, os.WriteFile(c.Backup, []byte("x"), 0o600))
			return c.Backup
		}, "does not hold what it was named for"},
		"the file is a link now": {func(t *testing.T, b bench, c source.Change) string {
			must(t, relink(b))
			return c.Backup
		}, "there is a symbolic link on its path now"},
		"a link to nothing now": {func(t *testing.T, b bench, c source.Change) string {
			must(t, os.Remove(b.path))
			must(t, os.Symlink("nowhere", b.path))
			return c.Backup
		}, "symbolic link to nothing"},
		"a directory now": {func(t *testing.T, b bench, c source.Change) string {
			must(t, os.Remove(b.path))
			must(t, os.Mkdir(b.path, 0o755))
			return c.Backup
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := b.source(t, nil)
			c := plan(t, s, goodTo)
			must(t, s.Apply(ctx, c))
			path := tt.harm(t, b, c)
			was, _ := os.ReadFile(b.path)
			if got, err := (source.Backups{Dir: b.backups}).Restore(ctx, path, noon); err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("Restore: %+v, %v, want %q", got, err, tt.say)
			}
			if is, _ := os.ReadFile(b.path); string(is) != string(was) {
				t.Error("the file was touched")
			}
		})
	}
}

func TestRestoreOfWhatWeCreated(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, map[string]string{vendor: "[Service]\nExecStart=/x --checkpoint-sync-url=" + oldURL + "\n"})
	s := h.lighthouse()
	c := plan(t, s, goodTo)
	must(t, s.Apply(ctx, c))
	list := source.Backups{Dir: filepath.Join(h.root, "var/backups")}
	all, err := list.List()
	must(t, err)
	if len(all) != 1 || !all[0].Created || all[0].File != c.File || all[0].Hash != c.After || all[0].Path != c.Backup || all[0].Size != 0 {
		t.Fatalf("List: %+v", all)
	}
	wrote := h.text(ourDrop)
	h.put(ourDrop, wrote+"# mine\n")
	if _, err := list.Restore(ctx, c.Backup, noon); !errors.Is(err, source.ErrEditedByOther) {
		t.Errorf("Restore of an edited file: %v", err)
	}
	h.put(ourDrop, wrote)
	got, err := list.Restore(ctx, c.Backup, noon)
	must(t, err)
	if h.text(ourDrop) != "" || !strings.Contains(got.Diff, "+++ /dev/null\n") || got.Kept == "" {
		t.Errorf("%+v", got)
	}
	h.reads(s, oldURL)
	if _, err := list.Restore(ctx, c.Backup, noon); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("again: %v", err)
	}
	// And back: the removed file is a backup, too.
	if _, err := list.Restore(ctx, got.Kept, noon); err != nil {
		t.Errorf("bring it back: %v", err)
	}
	h.reads(s, goodTo)
}

func TestRestoreTellsWhatSystemdReads(t *testing.T) {
	for file, want := range map[string]bool{"/etc/systemd/system/a.service.d/90-checkpoint.conf": true, "/usr/lib/systemd/system/a.service": true, "/opt/a.yaml": false, "/etc/default/a": false} {
		if got := source.IsUnitFile(file); got != want {
			t.Errorf("%s: %t", file, got)
		}
	}
}
