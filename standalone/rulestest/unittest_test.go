package rulestest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const testsDir = "../../rules/tests"

// watchdog is the one alert that always fires.
const watchdog = "CheckpointWatchdog"

// TestRules runs promtool's unit tests of the rules.
func TestRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(testsDir, "*_test.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no unit tests in %s (%v)", testsDir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), "_test.yml"), func(t *testing.T) {
			t.Parallel()
			u, err := ReadUnitTests(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range u.Tests {
				t.Run(test.Name, func(t *testing.T) {
					if err := u.Run(t.Context(), test); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// TestHealthyAsksAll holds the story in which nothing but the watchdog may fire to all alerts.
func TestHealthyAsksAll(t *testing.T) {
	t.Parallel()
	u, err := ReadUnitTests(filepath.Join(testsDir, "healthy_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, test := range u.Tests {
		for _, e := range test.Alerts {
			asked[e.Name] = true
			if (len(e.Want) > 0) != (e.Name == watchdog) {
				t.Errorf("%s is wanted to fire %d times where all is well", e.Name, len(e.Want))
			}
		}
	}
	for _, a := range shipped(t).Alerts {
		if !asked[a.Name] {
			t.Errorf("%s is not asked for", a.Name)
		}
	}
}

// TestEveryAlertIsTested asks each alert for the cases that make rules fail in practice.
func TestEveryAlertIsTested(t *testing.T) {
	t.Parallel()
	for _, a := range shipped(t).Alerts {
		t.Run(a.Name, func(t *testing.T) {
			u, err := ReadUnitTests(filepath.Join(testsDir, a.Name+"_test.yml"))
			if err != nil {
				t.Fatal(err)
			}
			cases := map[string]UnitTest{}
			for _, test := range u.Tests {
				if _, twice := cases[test.Name]; twice {
					t.Errorf("case %q stands there twice", test.Name)
				}
				cases[test.Name] = test
				for _, e := range test.Alerts {
					if e.Name != a.Name {
						t.Errorf("case %q asks for %s in the file of %s", test.Name, e.Name, a.Name)
					}
				}
			}
			for _, name := range []string{"fires", "gap", "restart", "stale", "reset"} {
				if _, ok := cases[name]; !ok {
					t.Errorf("there is no case %q", name)
				}
			}
			edge := slices.ContainsFunc(cases["fires"].Alerts, func(before AlertTest) bool {
				return len(before.Want) == 0 && slices.ContainsFunc(cases["fires"].Alerts, func(at AlertTest) bool {
					return at.At == before.At+u.EvaluationInterval && len(at.Want) > 0
				})
			})
			if !edge {
				t.Error("case \"fires\" does not look one evaluation before `for` is over and the moment it is")
			}
		})
	}
}
