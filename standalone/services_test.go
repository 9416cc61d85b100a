package standalone_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/e2e/services"
)

// TestShippedReceivers has checkpointd's Alertmanager take the configuration and templates that are shipped for Alertmanager, and tell every
// service in it what the real one tells.
func TestShippedReceivers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../deploy/alertmanager/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	templates, err := filepath.Abs("../deploy/alertmanager/templates/*.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	s := services.Start(t, t.TempDir())
	am, _, _ := runAlertmanager(t, t.TempDir(), s.Configure(t, string(text), templates), "http://127.0.0.1:0")
	s.Story(t, func(alerts ...services.Alert) {
		for _, a := range alerts {
			in := &alert.Alert{Alert: model.Alert{Labels: model.LabelSet{}, Annotations: model.LabelSet{}, StartsAt: a.StartsAt, EndsAt: a.EndsAt}}
			for name, value := range a.Labels {
				in.Labels[model.LabelName(name)] = model.LabelValue(value)
			}
			for name, value := range a.Annotations {
				in.Annotations[model.LabelName(name)] = model.LabelValue(value)
			}
			if err := am.Put(context.Background(), in); err != nil {
				t.Fatal(err)
			}
		}
	})
}
