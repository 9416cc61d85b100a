//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The systemd source's own tests, inside a machine: units in its directories are changed, reloaded, restarted and taken back.
func TestSource(t *testing.T) {
	m := startMachine(t)
	binary := filepath.Join(workDir(t), "source.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-tags=e2e", "-c", "-o", binary, "../remediate/source").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	m.install(binary, "/opt/source.test", 0o755)
	out, err := m.run("env", "CHECKPOINT_E2E_MACHINE=1", "/opt/source.test", "-test.run=E2ESystemd", "-test.v")
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
