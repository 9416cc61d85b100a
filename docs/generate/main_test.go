package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tables of docs/configuration.md are those of the code.
func TestCurrent(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("../configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := replaced(string(old), "../../config")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(old), text); diff != "" {
		t.Errorf("run go generate ./docs/generate:\n%s", diff)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, dir, want string }{
		"no place for them": {"# Configuration\n", "../../config", "not there"},
		"no such package":   {begin + end, "../../none", "not exist"},
		"another package":   {begin + end, "../../network", "Config.Network has no comment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := replaced(test.text, test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
