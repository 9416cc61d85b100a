//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	if state := os.Getenv(initStateVar); state != "" {
		fmt.Fprintln(os.Stderr, runInit(state))
		os.Exit(1)
	}
	if state := os.Getenv(dockerdStateVar); state != "" {
		fmt.Fprintln(os.Stderr, runDockerd(state))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// repository is the root of the module.
var repository = sync.OnceValue(func() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
})

// workDir is where a test keeps its configuration, data and logs: .cache/e2e/NAME in the repository. It starts empty, goes away when the
// test passes, and stays when it fails.
func workDir(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(repository(), ".cache", "e2e", strings.ReplaceAll(tb.Name(), "/", "_"))
	workDirs.Lock()
	defer workDirs.Unlock()
	if workDirs.seen[tb.Name()] {
		return dir
	}
	if err := os.RemoveAll(dir); err != nil {
		tb.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	workDirs.seen[tb.Name()] = true
	tb.Cleanup(func() {
		if !tb.Failed() {
			_ = os.RemoveAll(dir)
			return
		}
		logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, log := range logs {
			tb.Logf("the end of %s:\n%s", log, tail(log, 25))
		}
	})
	return dir
}

var workDirs = struct {
	sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{}}
