//go:build e2e

package e2e

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// The same stories where one process is the whole loop, run by its shipped unit.
func TestLoopInOneProcess(t *testing.T) {
	t.Parallel()
	clock := newStopwatch(t)
	s := startSimulation(t)
	people := startPeople(t)
	page, remediator, alerts := local(freePort(t)), local(freePort(t)), local(freePort(t))

	m := startMachine(t)
	s.furnish(t, m, s.config(), "checkpointd")
	routes := filepath.Join(workDir(t), "alertmanager.yml")
	copyWith(t, shipped("standalone/alertmanager.yml"), routes, map[string]string{
		"  - name: log\n": "  - name: log\n    webhook_configs: [{url: " + strconv.Quote(people.url) + "}]\n",
	})
	m.install(routes, "/etc/checkpoint/alertmanager.yml", 0o644)
	m.write("/etc/default/checkpointd", "OPTIONS=--log.level=debug --alertmanager.config-file=/etc/checkpoint/alertmanager.yml"+
		" --exporter.listen-address="+hostPort(page)+" --remediator.listen-address="+hostPort(remediator)+
		" --web.listen-address="+hostPort(alerts)+"\n", 0o644)
	m.startUnit("checkpointd.service")
	eventually(t, 2*time.Minute, "checkpointd to be ready", func() error { _, err := get(alerts + "/-/ready"); return err })
	clock.lap("checkpointd runs")

	tellStories(t, s, m, clock, watched{metrics: page, remediator: remediator, people: people})
}
