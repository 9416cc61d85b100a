//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// What the README's first screen promises, from a machine with a node and nothing of ours: install the packages, set up, see the page, break the
// provider, see it mended, and get the message.
func TestNewUser(t *testing.T) {
	t.Parallel()
	clock := newStopwatch(t)
	built := filepath.Join(workDir(t), "dist")
	buildPackages(t, built)
	s := startSimulation(t)
	people := startPeople(t)
	exporter, page, remediator, alerts := local(freePort(t)), local(freePort(t)), local(freePort(t)), local(freePort(t))
	m := startMachine(t)
	packaged{t: t, m: m}.prepare()
	m.mustRun("rm", "-r", "/etc/systemd/system/checkpoint-exporter.service.d", "/etc/systemd/system/checkpoint-remediator.service.d", "/etc/systemd/system/checkpointd.service.d")

	// The network is simulated, so that this once the user has to say which; and its ports must be free ones.
	config, _, _ := strings.Cut(s.config(), "nodes:\n")
	m.write("/etc/checkpoint/checkpoint.yml", config, 0o644)
	m.write("/etc/default/checkpoint-exporter", "OPTIONS=--web.listen-address="+hostPort(exporter)+"\n", 0o644)
	routes := filepath.Join(workDir(t), "alertmanager.yml")
	copyWith(t, shipped("standalone/alertmanager.yml"), routes, map[string]string{
		"  - name: log\n": "  - name: log\n    webhook_configs: [{url: " + strconv.Quote(people.url) + "}]\n",
	})
	m.install(routes, "/etc/checkpoint/alertmanager.yml", 0o644)
	m.write("/etc/default/checkpointd", "OPTIONS=--alertmanager.config-file=/etc/checkpoint/alertmanager.yml"+
		" --exporter.listen-address="+hostPort(page)+" --remediator.listen-address="+hostPort(remediator)+" --web.listen-address="+hostPort(alerts)+"\n", 0o644)

	node := s.Node(sourced)
	m.write("/usr/local/bin/sleeper", "#!/bin/sh\nexec sleep infinity\n", 0o755)
	m.mustRun("ln", "-s", "sleeper", "/usr/local/bin/lighthouse")
	m.write("/etc/systemd/system/lighthouse.service", fmt.Sprintf("[Service]\nType=exec\nExecStart=/usr/local/bin/lighthouse bn --datadir /var/lib/lighthouse --http --http-port=%s\n[Install]\nWantedBy=multi-user.target\n",
		portOf(node.URL())), 0o644)
	m.write("/var/lib/lighthouse/beacon/chain_db/1.ldb", "blocks", 0o644)
	m.startUnit("lighthouse.service")
	m.write(inventoryInside, strings.Replace(setupInventory, " --allow-insecure-genesis-sync", "", 1), 0o640)
	clock.lap("a machine with a node")

	var debs []string
	for _, name := range []string{"checkpoint-exporter", "checkpointd"} {
		m.install(debOf(t, built, name), "/tmp/"+name+".deb", 0o644)
		debs = append(debs, "/tmp/"+name+".deb")
	}
	m.mustRun(append([]string{"dpkg", "--force-confold", "--install"}, debs...)...)
	clock.lap("installed")
	out, err := m.run("checkpoint", "setup", "--yes", "--services", "checkpointd", "--mode", "act", "--permissions", "write", "--timeout", "50")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.mustRun("chown", "-R", "checkpoint:checkpoint", filepath.Dir(inventoryInside))
	clock.lap("set up")
	eventually(t, 2*time.Minute, "the page to show the node", func() error {
		text, err := get(page + "/")
		if err == nil && (!strings.Contains(string(text), "ephemery-node1") || !strings.Contains(string(text), "alpha")) {
			err = fmt.Errorf("the page is\n%.2000s", text)
		}
		return err
	})

	used := ""
	eventually(t, 2*time.Minute, "the source that setup has chosen", func() error {
		used, err = pointsAt(remediator, "ephemery-node1")
		return err
	})
	if err := s.Provider(used).SetFault(simulate.Down()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Minute, "it to be mended", func() error { return helped(remediator, "ephemery-node1", "source_unusable") })
	clock.lap("its provider died, and another took its place")
	if now, err := pointsAt(remediator, "ephemery-node1"); err != nil || now == used {
		t.Errorf("the source is %s: %v", now, err)
	}
	eventually(t, 2*time.Minute, "the message to arrive", func() error { return people.heard("CheckpointNodeSourceUnusable") })
	if got := len(node.Restarts()); got != 0 {
		t.Errorf("the node was restarted %d times for a dead provider", got)
	}
	if out := m.mustRun("checkpoint", "journal"); !strings.Contains(out, "it helped") {
		t.Errorf("checkpoint journal says\n%s", out)
	}
}
