//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// installUnits puts the shipped units, user and polkit rule where a package would, with some programs of this build, and a unit in the
// place of those that the rule lists.
func installUnits(tb testing.TB, m *machine, restartable string, programs ...string) {
	tb.Helper()
	deploy := filepath.Join(repository(), "deploy")
	units, err := filepath.Glob(filepath.Join(deploy, "systemd", "*.service"))
	if err != nil || len(units) == 0 {
		tb.Fatalf("no units in deploy/systemd: %v", err)
	}
	for _, unit := range units {
		m.install(unit, "/etc/systemd/system/"+filepath.Base(unit), 0o644)
	}
	for _, program := range programs {
		m.install(ourProgram(tb, program), "/usr/bin/"+program, 0o755)
	}
	m.install(filepath.Join(deploy, "systemd", "checkpoint.sysusers"), "/usr/lib/sysusers.d/checkpoint.conf", 0o644)
	m.mustRun("systemd-sysusers", "checkpoint.conf")

	rule, err := os.ReadFile(filepath.Join(deploy, "polkit", "50-checkpoint.rules"))
	if err != nil {
		tb.Fatal(err)
	}
	const shipped = `["lighthouse.service", "geth.service"]`
	if !strings.Contains(string(rule), shipped) {
		tb.Fatalf("the polkit rule no longer lists %s", shipped)
	}
	m.write("/etc/polkit-1/rules.d/50-checkpoint.rules",
		strings.Replace(string(rule), shipped, `["`+restartable+`"]`, 1), 0o644)
}

func TestShippedUnits(t *testing.T) {
	m := startMachine(t)
	installUnits(t, m, "lighthouse.service", "checkpoint_exporter", "checkpoint_remediator", "checkpointd")
	for _, unit := range []string{"checkpoint-exporter.service", "checkpoint-remediator.service", "checkpointd.service"} {
		out, err := m.run("systemd-analyze", "verify", "--man=no", "/etc/systemd/system/"+unit)
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("systemd-analyze verify %s: %v\n%s", unit, err, out)
		}
		// At most 2 of its 10 points: what is left is the network, which the programs are for, and the user that owns the inventory.
		if out, err := m.run("systemd-analyze", "security", "--no-pager", "--threshold=20", unit); err != nil {
			t.Errorf("%s is exposed: %v\n%s", unit, err, out)
		}
	}
}

// The remediator's user may restart the units that the polkit rule names and do nothing else, to no other unit.
func TestPolkitRule(t *testing.T) {
	m := startMachine(t)
	installUnits(t, m, "node.service")
	for _, unit := range []string{"node.service", "other.service"} {
		m.write("/etc/systemd/system/"+unit, "[Service]\nExecStart=/bin/sleep infinity\n", 0o644)
		m.startUnit(unit)
	}
	for _, test := range []struct {
		verb, unit string
		allowed    bool
	}{
		{"restart", "node.service", true},
		{"reset-failed", "node.service", true},
		{"stop", "node.service", false},
		{"start", "node.service", false},
		{"restart", "other.service", false},
	} {
		t.Run(test.verb+" "+test.unit, func(t *testing.T) {
			out, err := m.run("setpriv", "--reuid=checkpoint", "--regid=checkpoint", "--clear-groups", "--",
				"systemctl", "--no-ask-password", test.verb, test.unit)
			if (err == nil) != test.allowed {
				t.Errorf("allowed is %t, want %t: %v\n%s", err == nil, test.allowed, err, out)
			}
		})
	}
}
