//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"testing"
)

// The actuator's own tests against a real systemd, which they fill with units of every kind of failure.
func TestActuator(t *testing.T) {
	m := startMachine(t)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags=e2e", "-count=1", "-run=E2ESystemd", "../remediate/actuator")
	cmd.Env = append(os.Environ(), "CHECKPOINT_E2E_SYSTEMD_BUS=unix:path="+m.path("/run/dbus/system_bus_socket"),
		"CHECKPOINT_E2E_SYSTEMD_JOURNAL="+m.path("/run/log/journal"))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
