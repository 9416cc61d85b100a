//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// strayed is the node of the resync's story: its database is another network's.
const strayed = "node-3"

// A node whose database is another network's, run by a real systemd as a user of its own. The shipped remediator, as its own user and in
// its shipped unit, sets the database aside with no more rights than docs/security.md grants, and deletes it when the node is well.
func TestResync(t *testing.T) {
	t.Parallel()
	s := startSimulation(t)
	node, err := s.AddNode(strayed, simulate.NodeOptions{Client: simulate.Lighthouse, Database: true, Source: simulate.FixedSource(s.providers[0].URL()),
		Faults: []simulate.Fault{simulate.WrongNetwork("hoodi")}, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	remediator := local(freePort(t))
	m := startMachine(t)

	// What the client does when it is started depends on what it finds on the disk.
	const dataDir = "/var/lib/lighthouse"
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
		defer cancel()
		node.Stop()
		if r.URL.Path == "/stopped" {
			return
		}
		if _, err := os.Stat(m.path(dataDir + "/beacon/chain_db")); err != nil {
			node.Wipe()
		}
		if err := node.Restart(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(client.Close)

	config := strings.Replace(s.config(), "remediation:\n", fmt.Sprintf(`  - name: %s
    consensus: {url: %q, client: lighthouse}
    restart: {systemd: %s}
    source: {yaml: {file: %s, key: checkpoint_sync_url, host: %s}}
    data_dir: %s
remediation:
`, strayed, node.URL(), unit, inventoryInside, sourced, dataDir), 1)
	config = strings.Replace(config, "restart: {systemd: "+unit+"}\n", "restart: {command: [/bin/false]}\n", 1) // the other node's: the unit is ours here
	installUnits(t, m, unit, "checkpoint_remediator", "checkpoint")
	m.write("/usr/lib/sysusers.d/lighthouse.conf", "u lighthouse - - "+dataDir+"\n", 0o644)
	m.mustRun("systemd-sysusers", "lighthouse.conf")
	m.write("/etc/checkpoint/checkpoint.yml", config, 0o644)
	m.write("/etc/checkpoint/token", token+"\n", 0o640)
	m.mustRun("chgrp", "checkpoint", "/etc/checkpoint/token")
	m.write(inventoryInside, inventory(s.providers[0].URL()), 0o640)
	m.mustRun("chown", "-R", "checkpoint:checkpoint", filepath.Dir(inventoryInside))

	for name, text := range map[string]string{"beacon/chain_db/CURRENT": "another network's", "beacon/freezer_db/CURRENT": "another network's",
		"beacon/network/key": "the node's key", "validators/slashing_protection.sqlite": "never lose this"} {
		m.write(filepath.Join(dataDir, name), text, 0o600)
	}
	m.mustRun("chown", "-R", "lighthouse:lighthouse", dataDir)
	m.mustRun("chmod", "-R", "o-rwx", dataDir)
	m.mustRun("setfacl", "-m", "u:checkpoint:x", dataDir)
	m.mustRun("setfacl", "-R", "-m", "u:checkpoint:rwX", "-m", "d:u:checkpoint:rwX", dataDir+"/beacon")
	m.write("/etc/systemd/system/"+unit, fmt.Sprintf(`[Service]
Type=exec
User=lighthouse
ExecStartPre=/usr/bin/curl --silent --show-error --fail --request POST %[1]s/started
ExecStartPre=/bin/mkdir -p %[2]s/beacon/chain_db
ExecStart=/bin/sleep infinity
ExecStopPost=/usr/bin/curl --silent --show-error --fail --request POST %[1]s/stopped
`, client.URL, dataDir), 0o644)
	m.write("/etc/systemd/system/checkpoint-remediator.service.d/local.conf", "[Service]\nSupplementaryGroups=systemd-journal\nReadWritePaths="+dataDir+"\n", 0o644)
	m.write("/etc/default/checkpoint-remediator", "OPTIONS=--web.listen-address="+hostPort(remediator)+" --log.level=debug\n", 0o644)
	if err := node.StartExecution(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.startUnit(unit)
	m.startUnit("checkpoint-remediator.service")
	eventually(t, time.Minute, "the remediator to be ready", func() error { return answers(remediator + "/-/ready") })

	before, err := m.invocation(unit)
	if err != nil {
		t.Fatal(err)
	}
	if err := alert(remediator, strayed, "CheckpointNodeWrongNetwork", "wrong_network", "firing"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 4*time.Minute, "the resync to help", func() error { return helped(remediator, strayed, "wrong_network") })
	eventually(t, 5*time.Minute, "the old database to be deleted", func() error {
		out := m.mustRun("find", dataDir, "-name", ".checkpoint-*")
		if out != "" {
			return fmt.Errorf("left: %s", out)
		}
		return nil
	})
	if after, err := m.invocation(unit); err != nil || after == before {
		t.Errorf("the unit was not started anew: %v", err)
	}
	if out := m.mustRun("find", dataDir, "-type", "f", "-printf", "%P %u %m\n"); !sameLines(out, "beacon/network/key lighthouse 660\nvalidators/slashing_protection.sqlite lighthouse 600\n") {
		t.Errorf("in the end there is\n%s", out)
	}
	out := m.mustRun("/usr/bin/checkpoint", "journal", "--node="+strayed)
	for _, want := range []string{"will set the database of node-3", "it helped", "deleted " + dataDir + "/beacon/.checkpoint-aside-"} {
		if !strings.Contains(out, want) {
			t.Errorf("checkpoint journal does not tell %q:\n%s", want, out)
		}
	}
	t.Logf("checkpoint journal:\n%s", out)
}

// answers tells, as nil, that a URL is answered with 200.
func answers(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// alert is what Alertmanager would send.
func alert(remediator, node, name, playbook, status string) error {
	message := fmt.Sprintf(`{"version": "4", "status": %[4]q, "receiver": "remediator", "groupKey": "{}", "alerts": [{"status": %[4]q, "fingerprint": "%016[6]x",
"labels": {"alertname": %[2]q, "node": %[1]q, "playbook": %[3]q}, "annotations": {"summary": "An alert."}, "startsAt": %[5]q, "endsAt": %[5]q}]}`,
		node, name, playbook, status, time.Now().Format(time.RFC3339Nano), crc32.ChecksumIEEE([]byte(node+playbook)))
	req, err := http.NewRequest(http.MethodPost, remediator+"/api/v1/alerts", strings.NewReader(message))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the alert was answered %s", resp.Status)
	}
	return nil
}

// sameLines compares texts without regard to the order of their lines.
func sameLines(a, b string) bool {
	count := map[string]int{}
	for line := range strings.Lines(a) {
		count[line]++
	}
	for line := range strings.Lines(b) {
		count[line]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
