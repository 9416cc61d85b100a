//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/e2e/services"
)

// Every service that the shipped configuration knows is told by a real Alertmanager what is the matter, and that it is over.
func TestAlertsReachPeople(t *testing.T) {
	t.Parallel()
	clock := newStopwatch(t)
	dir, url := workDir(t), local(freePort(t))
	text, err := os.ReadFile(shipped("deploy/alertmanager/alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	s := services.Start(t, dir)
	config := filepath.Join(dir, "alertmanager.yml")
	writeFile(t, config, s.Configure(t, string(text), shipped("deploy/alertmanager/templates/*.tmpl")))
	if _, err := output(t, tool(t, "alertmanager", "amtool"), "check-config", config); err != nil {
		t.Fatal(err)
	}
	am := start(t, "alertmanager", tool(t, "alertmanager", "alertmanager"), "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+hostPort(url), "--cluster.listen-address=", "--log.level=debug")
	awaitReady(t, am, url)
	clock.lap("Alertmanager runs")
	s.Story(t, func(alerts ...services.Alert) {
		if _, err := post(url+"/api/v2/alerts", alerts); err != nil {
			t.Fatal(err)
		}
	})
	clock.lap("everybody was told")
}
