//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binVar names a directory of programs built before, to be tested in the place of a fresh build: a release, for instance.
const binVar = "CHECKPOINT_E2E_BIN"

// module is where each of our programs is built: the directory of its module, and the package in it.
var module = map[string][2]string{
	"checkpoint":            {".", "./cmd/checkpoint"},
	"checkpoint_exporter":   {".", "./cmd/checkpoint_exporter"},
	"checkpoint_remediator": {".", "./cmd/checkpoint_remediator"},
	"checkpointd":           {"standalone", "./cmd/checkpointd"},
}

var built struct {
	sync.Mutex
	programs map[string]string
}

// ourProgram is the path of one of this repository's programs, built once in a run.
func ourProgram(tb testing.TB, name string) string {
	tb.Helper()
	if dir := os.Getenv(binVar); dir != "" {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	built.Lock()
	defer built.Unlock()
	if path, ok := built.programs[name]; ok {
		return path
	}
	path := filepath.Join(repository(), ".cache", "e2e-bin", name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, module[name][1])
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does, so that both share what they compile
	cmd.Dir = filepath.Join(repository(), module[name][0])
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", name, err, out)
	}
	if built.programs == nil {
		built.programs = map[string]string{}
	}
	built.programs[name] = path
	return path
}

var tools struct {
	sync.Mutex
	dirs map[string]string
}

// tool is the path of a program that tools/SET pins, built when the cache does not hold it.
func tool(tb testing.TB, set, program string) string {
	tb.Helper()
	tools.Lock()
	defer tools.Unlock()
	dir, ok := tools.dirs[set]
	if !ok {
		cmd := exec.Command(filepath.Join(repository(), "tools", "build.sh"), set)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			tb.Fatalf("build tools/%s: %v", set, err)
		}
		dir = strings.TrimSpace(string(out))
		if tools.dirs == nil {
			tools.dirs = map[string]string{}
		}
		tools.dirs[set] = dir
	}
	path := filepath.Join(dir, program)
	if !exists(path) {
		tb.Fatalf("tools/%s has no program %s", set, program)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
