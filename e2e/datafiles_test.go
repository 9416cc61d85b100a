//go:build e2e

package e2e

import (
	"os/exec"
	"testing"
)

// Databases and network files are moved on real file systems, with mounts in the way and by users who may not.
func TestDataFiles(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags=e2e", "-count=1", "-run=E2E", "../remediate/chaindata", "../remediate/netfiles")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
