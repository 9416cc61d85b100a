//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What is shipped passes the checks of the programs it is written for, as it is.
func TestShippedFiles(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "prometheus", "promtool")
	amtool := tool(t, "alertmanager", "amtool")
	dir := workDir(t)
	copyFile(t, shipped("deploy/prometheus.yml"), filepath.Join(dir, "prometheus.yml"))
	copyRules(t, filepath.Join(dir, "rules"))

	run := func(name, program string, args ...string) string {
		t.Helper()
		out, err := output(t, program, args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return out
	}
	run("promtool check config", promtool, "check", "config", "--lint=all", "--lint-fatal", filepath.Join(dir, "prometheus.yml"))
	rules, _ := filepath.Glob(shipped("rules/*.yml"))
	run("promtool check rules", promtool, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, rules...)...)
	if tests, _ := filepath.Glob(shipped("rules/tests/*.yml")); len(tests) > 0 {
		run("promtool test rules", promtool, append([]string{"test", "rules"}, tests...)...)
	}

	for file, people := range map[string]string{"deploy/alertmanager/alertmanager.yml": "people", "standalone/alertmanager.yml": "log"} {
		run("amtool check-config", amtool, "check-config", shipped(file))
		for _, alert := range append(shippedAlerts(t), map[string]string{"alertname": "SomethingElse"}) {
			receivers := people
			switch {
			case alert["playbook"] != "":
				receivers = "remediator," + people
			case alert["severity"] == "none":
				receivers = "nobody"
			}
			args := []string{"config", "routes", "test", "--config.file=" + shipped(file), "--verify.receivers=" + receivers}
			for name, value := range alert {
				args = append(args, name+"="+value)
			}
			run("amtool config routes test", amtool, args...)
		}
	}
}

// shippedAlerts are the fixed labels of every alert in the shipped rules, its name among them.
func shippedAlerts(tb testing.TB) []map[string]string {
	tb.Helper()
	files, _ := filepath.Glob(shipped("rules/*.yml"))
	var alerts []map[string]string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var rules struct {
			Groups []struct {
				Rules []struct {
					Alert  string            `yaml:"alert"`
					Labels map[string]string `yaml:"labels"`
				} `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				if rule.Alert != "" {
					rule.Labels["alertname"] = rule.Alert
					alerts = append(alerts, rule.Labels)
				}
			}
		}
	}
	if len(alerts) == 0 {
		tb.Fatal("the shipped rules hold no alert")
	}
	return alerts
}

// shipped is a file of this repository.
func shipped(path string) string { return filepath.Join(repository(), filepath.FromSlash(path)) }

func copyRules(tb testing.TB, to string) {
	tb.Helper()
	files, err := filepath.Glob(shipped("rules/*.yml"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no rules: %v", err)
	}
	for _, file := range files {
		copyFile(tb, file, filepath.Join(to, filepath.Base(file)))
	}
}

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	writeFile(tb, to, string(text))
}

// copyWith copies a shipped file with some of its words replaced. A word that is not there fails the test: the file has changed, and what
// the test would run would no longer be what it is meant to run.
func copyWith(tb testing.TB, from, to string, replace map[string]string) {
	tb.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	result := string(text)
	for old, new := range replace {
		if !strings.Contains(result, old) {
			tb.Fatalf("%s does not contain %q", from, old)
		}
		result = strings.ReplaceAll(result, old, new)
	}
	writeFile(tb, to, result)
}

func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}
