//go:build e2e

package actuator_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
)

// userEnv names two units, separated by a comma: one that the shipped polkit rule lets this test's user handle, and one that it does not. The test is
// then run inside the machine, as that user and not as root.
const userEnv = "CHECKPOINT_E2E_USER_UNITS"

// TestPolkitRule of package e2e runs it.
func TestAsUserOfThePolkitRule(t *testing.T) {
	ours, others, ok := strings.Cut(os.Getenv(userEnv), ",")
	if !ok {
		t.Fatalf("%s is not set", userEnv)
	}
	if os.Getuid() == 0 {
		t.Fatal("this is root")
	}
	unit := func(name string) *actuator.Systemd {
		s, err := actuator.NewSystemd(name, actuator.SystemdOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := unit(ours)
	for _, act := range []struct {
		name string
		do   func() (actuator.Outcome, error)
	}{
		{"restart", func() (actuator.Outcome, error) { return s.Restart(t.Context()) }},
		{"stop", func() (actuator.Outcome, error) { return s.Stop(t.Context()) }},
		{"start", func() (actuator.Outcome, error) { return s.Start(t.Context()) }},
	} {
		out, err := act.do()
		if err != nil || out.Job != "done" {
			t.Errorf("%s: %+v, %v", act.name, out, err)
		}
	}
	other := unit(others)
	before, err := other.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, act := range []func() (actuator.Outcome, error){
		func() (actuator.Outcome, error) { return other.Restart(t.Context()) },
		func() (actuator.Outcome, error) { return other.Stop(t.Context()) },
	} {
		_, err := act()
		wantError(t, err, true, nil)
		if err == nil || !strings.Contains(err.Error(), "polkit") {
			t.Errorf("the error does not name polkit: %v", err)
		}
	}
	if after, err := other.State(t.Context()); err != nil || after.InvocationID != before.InvocationID || after.Active != actuator.Active {
		t.Errorf("the other unit was %+v and is %+v, %v", before, after, err)
	}

	got, err := s.Logs(t.Context(), 50)
	groups, groupErr := os.Getgroups()
	if groupErr != nil {
		t.Fatal(groupErr)
	}
	if len(groups) == 0 { // run without systemd-journal
		if !errors.Is(err, actuator.ErrNoJournal) {
			t.Errorf("logs without the group: %q, %v", got, err)
		}
		return
	}
	if err != nil || !slices.Contains(got, "hello from "+ours) {
		t.Errorf("logs: %q, %v", got, err)
	}
}
