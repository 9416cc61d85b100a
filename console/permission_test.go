package console_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
)

func TestPermitted(t *testing.T) {
	dir := t.TempDir()
	refused := &fs.PathError{Op: "open", Path: dir, Err: syscall.EACCES}
	must(t, os.Chmod(dir, 0o700))
	for _, path := range []string{dir, filepath.Join(dir, "not", "there")} {
		err := console.Permitted(refused, path, true)
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir+" is for ") || !strings.Contains(err.Error(), "sudo") {
			t.Error(err)
		}
	}
	if err := console.Permitted(&fs.PathError{Op: "open", Path: dir, Err: syscall.EROFS}, "/", true); !strings.Contains(err.Error(), "/ is for root: use sudo") {
		t.Error(err)
	}
	other := errors.New("other")
	if err := console.Permitted(other, dir, true); !errors.Is(err, other) || err.Error() != "other" {
		t.Error(err)
	}
	if os.Getuid() != 0 {
		return // only root can give a directory to a group
	}
	const mail = 8 // of Debian's base-passwd
	must(t, os.Chown(dir, 0, mail))
	must(t, os.Chmod(dir, 0o750))
	for write, want := range map[bool]string{false: "join the group (sudo usermod -aG mail $USER", true: "use sudo"} {
		if err := console.Permitted(refused, dir, write); !strings.Contains(err.Error(), want) || write == strings.Contains(err.Error(), "usermod") {
			t.Errorf("write %v: %v", write, err)
		}
	}
}

func TestPerson(t *testing.T) {
	me := console.Person(func(string) string { return "" })
	if me == "" || strings.Contains(me, "sudo") {
		t.Error(me)
	}
	if got := console.Person(func(key string) string { return map[string]string{"SUDO_USER": "anna"}[key] }); got != "anna (sudo as "+me+")" {
		t.Error(got)
	}
	if got := console.Person(func(string) string { return me }); got != me {
		t.Error(got)
	}
}
