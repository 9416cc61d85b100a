//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installUnits puts the shipped units, user and polkit rule where a package would, with some programs of this build. The rule is told of
// one unit, and to let systemd read its units again.
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
	text := string(rule)
	for shipped, ours := range map[string]string{"var units = [];": `var units = ["` + restartable + `"];`, "var reload = false;": "var reload = true;"} {
		if !strings.Contains(text, shipped) {
			tb.Fatalf("the polkit rule no longer says %s", shipped)
		}
		text = strings.Replace(text, shipped, ours, 1)
	}
	m.write("/etc/polkit-1/rules.d/50-checkpoint.rules", text, 0o644)
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

// The remediator's user may restart, stop and start the units that the polkit rule names, let systemd read its units again, and do nothing
// else, to no other unit.
func TestPolkitRule(t *testing.T) {
	m := startMachine(t)
	installUnits(t, m, "node.service")
	for _, unit := range []string{"node.service", "other.service"} {
		m.write("/etc/systemd/system/"+unit, "[Service]\nExecStart=/bin/sh -c 'echo hello from "+unit+"; exec sleep infinity'\n", 0o644)
		m.startUnit(unit)
	}
	for _, test := range []struct {
		args    string
		allowed bool
	}{
		{"restart node.service", true},
		{"stop node.service", true},
		{"start node.service", true},
		{"reset-failed node.service", true},
		{"daemon-reload", true},
		{"try-restart node.service", false},
		{"reload-or-restart node.service", false},
		{"kill node.service", false},
		{"set-property --runtime node.service CPUWeight=50", false},
		{"mask --runtime node.service", false},
		{"disable node.service", false},
		{"restart other.service", false},
		{"stop other.service", false},
		{"start other.service", false},
		{"stop multi-user.target", false},
		{"daemon-reexec", true}, // one and the same action of polkit's
		{"set-environment A=b", false},
		{"poweroff", false},
	} {
		t.Run(test.args, func(t *testing.T) {
			out, err := m.run(append([]string{"setpriv", "--reuid=checkpoint", "--regid=checkpoint", "--clear-groups", "--",
				"systemctl", "--no-ask-password"}, strings.Fields(test.args)...)...)
			if (err == nil) != test.allowed {
				t.Errorf("allowed is %t, want %t: %v\n%s", err == nil, test.allowed, err, out)
			}
		})
	}

	// Our own code, as that user: with the group that may read the journal, and without.
	binary := filepath.Join(workDir(t), "actuator.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags=e2e", "-o", binary, "../remediate/actuator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.install(binary, "/usr/bin/actuator.test", 0o755)
	m.mustRun("systemd-tmpfiles", "--create", "--prefix=/run/log/journal") // as at boot: the group gets its right
	for name, groups := range map[string]string{"with the group systemd-journal": "--groups=systemd-journal", "without a group": "--clear-groups"} {
		t.Run(name, func(t *testing.T) {
			out, err := m.run("setpriv", "--reuid=checkpoint", "--regid=checkpoint", groups, "--",
				"env", "CHECKPOINT_E2E_USER_UNITS=node.service,other.service", "/usr/bin/actuator.test", "-test.v", "-test.run=^TestAsUserOfThePolkitRule$")
			if err != nil || !strings.Contains(out, "--- PASS: TestAsUserOfThePolkitRule") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
