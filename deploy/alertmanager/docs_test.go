package alertmanager_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/e2e/services"
)

var (
	switched   = regexp.MustCompile(`(?m)^#([a-z]+) `)
	secretFile = regexp.MustCompile(`_file: /etc/alertmanager/(\S+)`)
)

// TestDocumented holds docs/alerting.md to the configuration: every service in it, its switch and its secrets.
func TestDocumented(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/alerting.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range switched.FindAllStringSubmatch(string(config), -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(slices.Values(services.Names)); !slices.Equal(names, want) {
		t.Errorf("the configuration has %v, and tried are %v", names, want)
	}
	for _, name := range names {
		if !strings.Contains(string(doc), "s/^#"+name+"//") {
			t.Errorf("docs/alerting.md does not say how %s is switched on", name)
		}
	}
	for _, m := range secretFile.FindAllStringSubmatch(string(config), -1) {
		if !strings.Contains(string(doc), "> "+m[1]) {
			t.Errorf("docs/alerting.md does not say what goes into %s", m[1])
		}
	}
}
