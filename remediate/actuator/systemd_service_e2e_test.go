//go:build e2e

package actuator_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// journalEnv names the directory of that systemd's journal.
const journalEnv = "CHECKPOINT_E2E_SYSTEMD_JOURNAL"

func prop(name string, value any) sd.Property {
	return sd.Property{Name: name, Value: dbus.MakeVariant(value)}
}

func TestE2ESystemdStopsAndStarts(t *testing.T) {
	m := newManager(t)
	tests := map[string]struct {
		script string
		ended  actuator.Activity
		more   []sd.Property
	}{
		"a client":         {"systemd-notify --ready; exec sleep infinity", actuator.Inactive, nil},
		"a client in Java": {`trap "exit 143" TERM; sleep infinity & systemd-notify --ready; wait`, actuator.Failed, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			unit := m.start(t, "service", tt.script, append(tt.more, prop("Type", "notify"), prop("NotifyAccess", "all"))...)
			s := m.actuator(t, unit, 0)
			running := reaches(t, s, actuator.Active, "running")

			// What runs already is left alone.
			out, err := s.Start(t.Context())
			if err != nil || out.Job != "" || out.After == nil || out.After.InvocationID != running.InvocationID {
				t.Errorf("start of what runs: %+v, %v", out, err)
			}
			if out, err = s.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if out.Job != "done" || out.Before.InvocationID != running.InvocationID || out.After == nil || out.After.Active != tt.ended || out.After.MainPID != 0 {
				t.Errorf("stop: %+v, after %+v", out, out.After)
			}
			reaches(t, s, tt.ended, "")
			// What is stopped already, too.
			if out, err = s.Stop(t.Context()); err != nil || out.Job != "" || out.After == nil || out.After.Active != tt.ended {
				t.Errorf("stop of what is stopped: %+v, %v", out, err)
			}
			if out, err = s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if out.Job != "done" || out.After == nil || out.After.InvocationID == running.InvocationID || out.After.Active != actuator.Active {
				t.Errorf("start: %+v, after %+v", out, out.After)
			}
			reaches(t, s, actuator.Active, "running")
		})
	}
}

// A unit between two attempts has no process, but it is not stopped, and one that has used them up must be startable.
func TestE2ESystemdStopsALoop(t *testing.T) {
	m := newManager(t)
	s := m.actuator(t, m.start(t, "waits", "exit 1", prop("Restart", "always"), prop("RestartUSec", uint64(time.Hour/time.Microsecond))), 0)
	reaches(t, s, actuator.Activating, "auto-restart")
	out, err := s.Stop(t.Context())
	if err != nil || out.Job != "done" {
		t.Fatalf("%+v, %v", out, err)
	}
	reaches(t, s, actuator.Inactive, "")

	flag := fmt.Sprintf("/run/checkpoint-e2e-flag-%d", time.Now().UnixNano())
	s = m.actuator(t, m.start(t, "used-up", "[ -e "+flag+" ] && exec sleep infinity; exit 1", prop("Restart", "always"), prop("RestartUSec", uint64(50_000))), 0)
	reaches(t, s, actuator.Failed, "")
	if out, err = s.Stop(t.Context()); err != nil || out.Job != "" {
		t.Errorf("stop of what failed: %+v, %v", out, err)
	}
	reaches(t, m.actuator(t, m.start(t, "touch", "touch "+flag), 0), actuator.Inactive, "")
	if out, err = s.Start(t.Context()); err != nil || out.Job != "done" {
		t.Errorf("start of what hit its limit: %+v, %v", out, err)
	}
	reaches(t, s, actuator.Active, "running")
}

func TestE2ESystemdServiceErrors(t *testing.T) {
	m := newManager(t)
	t.Run("no such unit", func(t *testing.T) {
		s := m.actuator(t, "checkpoint-e2e-nope.service", 0)
		_, err := s.Stop(t.Context())
		wantError(t, err, true, actuator.ErrNotThere)
		if !strings.HasPrefix(err.Error(), "stop systemd checkpoint-e2e-nope.service: ") {
			t.Errorf("it reads %q", err)
		}
		_, err = s.Start(t.Context())
		wantError(t, err, true, actuator.ErrNotThere)
	})
	t.Run("does not start", func(t *testing.T) {
		s := m.actuator(t, m.start(t, "false", "exit 3", prop("Type", "oneshot")), 0)
		reaches(t, s, actuator.Failed, "")
		out, err := s.Start(t.Context())
		wantError(t, err, false, actuator.ErrNotStarted)
		if out.Job != "failed" {
			t.Errorf("outcome %+v", out)
		}
	})
	t.Run("somebody is stopping it", func(t *testing.T) {
		const harmless = int32(18) // SIGCONT
		unit := m.start(t, "slow", "exec sleep infinity", prop("KillSignal", harmless))
		s := m.actuator(t, unit, 0)
		reaches(t, s, actuator.Active, "running")
		m.stop(t, unit)
		reaches(t, s, actuator.Deactivating, "")
		_, err := s.Start(t.Context())
		wantError(t, err, true, actuator.ErrBusy)
		// A stop of ours joins theirs.
		joined := make(chan error, 1)
		go func() {
			_, err := s.Stop(t.Context())
			joined <- err
		}()
		if err := m.KillUnitWithTarget(t.Context(), unit, sd.All, 9); err != nil {
			t.Fatal(err)
		}
		if err := <-joined; err != nil {
			t.Error(err)
		}
	})
}

func TestE2ESystemdLogs(t *testing.T) {
	m := newManager(t)
	journal := os.Getenv(journalEnv)
	if journal == "" {
		t.Fatalf("%s is not set", journalEnv)
	}
	unit := m.start(t, "talks", `for i in 1 2 3; do echo "line $i"; done; printf '\033[32mINFO\033[0m green\tand more\n'; head -c 3000 /dev/zero | tr '\0' x; echo; echo the end; exec sleep infinity`)
	s, err := actuator.NewSystemd(unit, actuator.SystemdOptions{Address: m.address, Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	eventually(t, "the journal has the last line", func() bool {
		if got, err = s.Logs(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		// The manager tells of the start, too, whenever it comes to it.
		got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "Started ") })
		return slices.Contains(got, "the end")
	})
	if some, err := s.Logs(t.Context(), 4); err != nil || len(some) != 4 {
		t.Errorf("four lines are %q: %v", some, err)
	}
	if diff := cmp.Diff([]string{"line 1", "line 2", "line 3", "INFO green\tand more", strings.Repeat("x", actuator.MaxLogLine), "the end"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none, err := actuator.NewSystemd("checkpoint-e2e-nope.service", actuator.SystemdOptions{Address: m.address, Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := none.Logs(t.Context(), 4); err != nil || len(got) != 0 {
		t.Errorf("logs of no unit: %q, %v", got, err)
	}
	if got, err := s.Logs(t.Context(), 0); err == nil {
		t.Errorf("no lines: %q", got)
	}
}
