//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// setupInventory is what the scripts left behind.
const setupInventory = `# by hand
ephemery:
  hosts:
    ephemery-node1:
      el: geth
      cl: lighthouse
      use_checkpoint_sync: false   # it often failed
      checkpoint_sync_url: "http://127.0.0.1:1"
      cl_extra_opts: "--target-peers=100 --allow-insecure-genesis-sync"
      el_extra_opts: >-
        --maxpeers=60
`

// A machine with a node and with what the scripts installed is set up by one command, as root, under a real systemd; and one command takes that back.
func TestSetup(t *testing.T) {
	t.Parallel()
	clock := newStopwatch(t)
	s := startSimulation(t)
	m := startMachine(t)
	installUnits(t, m, "never.service", "checkpoint", "checkpoint_exporter", "checkpoint_remediator")
	exporter, remediator := local(freePort(t)), local(freePort(t))
	m.write("/etc/default/checkpoint-exporter", "OPTIONS=--web.listen-address="+hostPort(exporter)+"\n", 0o644)
	m.write("/etc/default/checkpoint-remediator", "OPTIONS=--web.listen-address="+hostPort(remediator)+"\n", 0o644)
	config, _, _ := strings.Cut(s.config(), "nodes:\n")
	m.write("/etc/checkpoint/checkpoint.yml", config, 0o644)
	m.write("/etc/checkpoint/token", token+"\n", 0o640)
	m.mustRun("chgrp", "checkpoint", "/etc/checkpoint/token")
	m.write(inventoryInside, setupInventory, 0o640)
	m.mustRun("chown", "-R", "checkpoint:checkpoint", "/opt/ephemery")
	m.write("/var/lib/lighthouse/beacon/chain_db/1.ldb", "blocks", 0o644)
	m.write("/var/lib/lighthouse/beacon/network/key", "key", 0o600)

	// The clients are names alone; what answers at their ports is the simulation.
	m.write("/usr/local/bin/sleeper", "#!/bin/sh\nexec sleep infinity\n", 0o755)
	m.mustRun("ln", "-s", "sleeper", "/usr/local/bin/lighthouse")
	m.mustRun("ln", "-s", "sleeper", "/usr/local/bin/geth")
	node := s.Node(sourced)
	old := []string{"checkpoint-fallback.service", "checkpoint-monitor.service"}
	for name, command := range map[string]string{
		"lighthouse.service": fmt.Sprintf("/usr/local/bin/lighthouse bn --datadir /var/lib/lighthouse --http --http-port=%s", portOf(node.URL())),
		"geth.service":       fmt.Sprintf("/usr/local/bin/geth --datadir=/var/lib/geth --http --http.port %s", portOf(node.ExecutionURL())),
		old[0]:               "/usr/local/bin/sleeper", old[1]: "/usr/local/bin/sleeper",
	} {
		m.write("/etc/systemd/system/"+name, "[Service]\nType=exec\nExecStart="+command+"\n[Install]\nWantedBy=multi-user.target\n", 0o644)
		m.startUnit(name)
		m.mustRun("systemctl", "enable", name)
	}
	files := []string{"/etc/checkpoint/checkpoint.yml", inventoryInside, "/etc/polkit-1/rules.d/50-checkpoint.rules"}
	before := map[string]string{}
	for _, file := range files {
		before[file] = m.read(file)
	}
	clock.lap("a node and the scripts' services run")

	out, err := m.run("checkpoint", "setup", "--yes")
	if err == nil || !strings.Contains(out, inventoryInside+":9: cl_extra_opts has --allow-insecure-genesis-sync") {
		t.Errorf("what stops Lighthouse is not refused: %v\n%s", err, out)
	}
	if out := m.mustRun("checkpoint", "setup", "--dry-run", "--take-out"); !strings.Contains(out, "Nothing was changed.") || !strings.Contains(out, "+    restart: {systemd: lighthouse.service}") {
		t.Errorf("a dry run says\n%s", out)
	}
	for file, text := range before {
		if m.read(file) != text {
			t.Errorf("%s was changed:\n%s", file, m.read(file))
		}
	}

	out, err = m.run("checkpoint", "setup", "--yes", "--take-out", "--permissions", "write", "--timeout", "50")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	clock.lap("it is set up")
	if !strings.Contains(out, "ephemery-node1 is at the head of the chain.") {
		t.Errorf("the sync was not followed to its end:\n%s", out)
	}
	for _, name := range []string{"checkpoint-exporter.service", "checkpoint-remediator.service"} {
		if got := m.standing(name); got != "active enabled" {
			t.Errorf("%s is %s\n%s", name, got, m.journal(name))
		}
	}
	for _, name := range old {
		if got := m.standing(name); got != "inactive disabled" {
			t.Errorf("%s is %s", name, got)
		}
	}
	eventually(t, 30*time.Second, "the exporter to follow the node", func() error {
		return is(exporter, 1, "checkpoint_node_up", "node", "ephemery-node1")
	})
	eventually(t, 30*time.Second, "the remediator to read the inventory", func() error {
		_, err := pointsAt(remediator, "ephemery-node1")
		return err
	})
	now := m.read(inventoryInside)
	if !strings.Contains(now, "use_checkpoint_sync: true   # it often failed") || strings.Contains(now, "insecure") || strings.Contains(now, "127.0.0.1:1\"") ||
		!strings.Contains(now, `cl_extra_opts: "--target-peers=100 --checkpoint-sync-url-timeout=300 --execution-timeout-multiplier=5"`) {
		t.Errorf("the inventory is\n%s", now)
	}
	// What was granted counts: the remediator's user may restart the client, and write where the inventory is.
	m.mustRun("setpriv", "--reuid=checkpoint", "--regid=checkpoint", "--clear-groups", "--", "systemctl", "--no-ask-password", "restart", "lighthouse.service")
	if got := m.mustRun("systemctl", "show", "--property=ReadWritePaths", "checkpoint-remediator.service"); !strings.Contains(got, "/opt/ephemery") {
		t.Errorf("the drop-in does not count: %s", got)
	}

	invocation, err := m.invocation("lighthouse.service")
	if err != nil {
		t.Fatal(err)
	}
	out, err = m.run("checkpoint", "setup", "--force", "--reset", "--permissions", "write", "--timeout", "50")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	clock.lap("it is reset")
	if after, err := m.invocation("lighthouse.service"); err != nil || after == invocation {
		t.Errorf("the client was not stopped and started: %v", err)
	}
	if _, err := os.Stat(m.path("/var/lib/lighthouse/beacon/chain_db/1.ldb")); !os.IsNotExist(err) {
		t.Errorf("the database is not aside: %v\n%s", err, out)
	}
	if m.read("/var/lib/lighthouse/beacon/network/key") != "key" {
		t.Error("the key is gone")
	}

	for range 2 {
		if out, err = m.run("checkpoint", "setup", "--undo", "--yes"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	clock.lap("it is taken back")
	if m.read("/var/lib/lighthouse/beacon/chain_db/1.ldb") != "blocks" {
		t.Error("the database is not back")
	}
	for file, text := range before {
		if m.read(file) != text {
			t.Errorf("%s is not as it was:\n%s", file, m.read(file))
		}
	}
	for _, name := range old {
		if got := m.standing(name); got != "active enabled" {
			t.Errorf("%s is %s", name, got)
		}
	}
	for _, name := range []string{"checkpoint-exporter.service", "checkpoint-remediator.service"} {
		if got := m.standing(name); got != "inactive disabled" {
			t.Errorf("%s is %s", name, got)
		}
	}
	if got := m.mustRun("stat", "--format=%U:%G %a", inventoryInside); got != "checkpoint:checkpoint 640\n" {
		t.Errorf("owner and mode of the inventory are %s", got)
	}
	if out, err = m.run("checkpoint", "setup", "--undo", "--yes"); err == nil {
		t.Errorf("there is more to take back:\n%s", out)
	}
}

// read is the content of a file in the machine.
func (m *machine) read(inside string) string {
	m.tb.Helper()
	text, err := os.ReadFile(m.path(inside))
	if err != nil {
		m.tb.Fatal(err)
	}
	return string(text)
}

// standing is whether a unit runs, and whether it starts at boot.
func (m *machine) standing(unit string) string {
	active, _ := m.run("systemctl", "is-active", unit) // it fails for what does not run
	enabled, _ := m.run("systemctl", "is-enabled", unit)
	return strings.TrimSpace(active) + " " + strings.TrimSpace(enabled)
}
