package rulestest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDashboards holds every expression of the dashboards to the metrics and the recording rules.
func TestDashboards(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	m := shipped(t).Metrics
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		exprs, err := DashboardExprs(text)
		if err != nil || len(exprs) == 0 {
			t.Errorf("%s: %d expressions, %v", file, len(exprs), err)
		}
		for _, expr := range exprs {
			if _, err := m.Check(expr); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func TestDashboardExprs(t *testing.T) {
	t.Parallel()
	const dashboard = `{"panels": [
		{"type": "row", "panels": [{"targets": [{"expr": "rate(a_total{node=~\"$node\"}[$__rate_interval])"}]}]},
		{"targets": [{"expr": ""}, {"expr": "b"}]}
	], "annotations": {"list": [{"expr": "increase(a_total[${__range}])"}]}}`
	got, err := DashboardExprs([]byte(dashboard))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{"b", "increase(a_total[5m])", `rate(a_total{node=~"$node"}[5m])`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, expr := range got {
		if _, err := metrics(t).Check(expr); err != nil {
			t.Error(err)
		}
	}
	if _, err := DashboardExprs([]byte("{")); err == nil {
		t.Error("half a dashboard is taken for one")
	}
}
