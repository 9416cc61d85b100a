//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
)

// The runner itself is held to what it promises: a real manager, and nothing left of it.
func TestSystemdOfOurOwn(t *testing.T) {
	var dir string
	t.Run("runs units", func(t *testing.T) {
		dir = workDir(t)
		m := startMachine(t)
		m.write("/etc/systemd/system/sleeper.service", "[Service]\nExecStart=/bin/sleep infinity\nDynamicUser=yes\nProtectSystem=strict\n", 0o644)
		m.startUnit("sleeper.service")
		before, err := m.invocation("sleeper.service")
		if err != nil {
			t.Fatal(err)
		}
		m.mustRun("systemctl", "restart", "sleeper.service")
		after, err := m.invocation("sleeper.service")
		if err != nil {
			t.Fatal(err)
		}
		if before == after {
			t.Errorf("the invocation id is %s before and after a restart", before)
		}
		if got := m.mustRun("systemctl", "list-units", "--failed", "--plain", "--no-legend"); got != "" {
			t.Errorf("failed units: %s", got)
		}
		if log := m.journal("sleeper.service"); !strings.Contains(log, "Started sleeper.service") {
			t.Errorf("the journal does not tell of the start: %s", log)
		}
	})
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left under %s", dir)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
