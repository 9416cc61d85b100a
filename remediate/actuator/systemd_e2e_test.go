//go:build e2e

package actuator_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// busEnv names the D-Bus address of a real systemd that may be filled with units, such as one of its own in namespaces:
// unix:path=/proc/PID/root/run/dbus/system_bus_socket.
const busEnv = "CHECKPOINT_E2E_SYSTEMD_BUS"

// manager is a connection of the test's own.
type manager struct {
	*sd.Conn
	address string
}

func newManager(t *testing.T) manager {
	t.Helper()
	address := os.Getenv(busEnv)
	if address == "" {
		t.Fatalf("%s is not set", busEnv)
	}
	c, err := sd.NewConnection(func() (*dbus.Conn, error) {
		c, err := dbus.Dial(address)
		if err != nil {
			return nil, err
		}
		if err := c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
			return nil, err
		}
		return c, c.Hello()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return manager{c, address}
}

// start makes a transient service that runs a shell script. Our reference keeps it loaded once it has ended.
func (m manager) start(t *testing.T, name, script string, more ...sd.Property) string {
	t.Helper()
	unit := fmt.Sprintf("checkpoint-e2e-%s-%d.service", name, time.Now().UnixNano())
	properties := append([]sd.Property{sd.PropExecStart([]string{"/bin/sh", "-c", script}, false), {Name: "AddRef", Value: dbus.MakeVariant(true)}}, more...)
	if _, err := m.StartTransientUnitContext(t.Context(), unit, "fail", properties, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped := make(chan string, 1)
		if _, err := m.StopUnitContext(ctx, unit, "replace", stopped); err == nil {
			_ = m.KillUnitWithTarget(ctx, unit, sd.All, 9)
			select {
			case <-stopped:
			case <-ctx.Done():
			}
		}
		_ = m.ResetFailedUnitContext(ctx, unit)
	})
	return unit
}

func (m manager) stop(t *testing.T, unit string) {
	t.Helper()
	if _, err := m.StopUnitContext(t.Context(), unit, "replace", nil); err != nil {
		t.Fatal(err)
	}
}

func (m manager) actuator(t *testing.T, unit string, timeout time.Duration) *actuator.Systemd {
	t.Helper()
	s, err := actuator.NewSystemd(unit, actuator.SystemdOptions{Address: m.address, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reaches(t *testing.T, s *actuator.Systemd, want actuator.Activity, sub string) actuator.State {
	t.Helper()
	var state actuator.State
	eventually(t, fmt.Sprintf("%s is %s (%s)", s, want, sub), func() bool {
		var err error
		if state, err = s.State(t.Context()); err != nil {
			t.Fatal(err)
		}
		return state.Active == want && (sub == "" || state.Sub == sub)
	})
	return state
}

func TestE2ESystemdRestartsWhatRuns(t *testing.T) {
	m := newManager(t)
	s := m.actuator(t, m.start(t, "runs", "exec sleep infinity"), 0)
	before := reaches(t, s, actuator.Active, "running")
	out, err := s.Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := reaches(t, s, actuator.Active, "running")
	if out.Job != "done" || out.Before == nil || out.Before.InvocationID != before.InvocationID || out.After == nil ||
		out.After.InvocationID != after.InvocationID || after.InvocationID == before.InvocationID || after.MainPID == before.MainPID || len(after.InvocationID) != 32 {
		t.Errorf("before %+v, after %+v, outcome %+v", before, after, out)
	}
	if after.Since.IsZero() || time.Since(after.Since) > time.Hour {
		t.Errorf("since %v", after.Since)
	}
	// The address may come from the environment, as for any program that uses the system bus.
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", m.address)
	m.address = ""
	if out, err = m.actuator(t, out.Actuator[len("systemd "):], 0).Restart(t.Context()); err != nil || out.Before.InvocationID != after.InvocationID {
		t.Errorf("by the environment's address: %+v, %v", out, err)
	}
}

func TestE2ESystemdLeavesStoppedUnits(t *testing.T) {
	m := newManager(t)
	for name, script := range map[string]string{
		"stopped":      "systemd-notify --ready; exec sleep infinity",
		"stopped-java": `trap "exit 143" TERM; sleep infinity & systemd-notify --ready; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			unit := m.start(t, name, script, sd.Property{Name: "Type", Value: dbus.MakeVariant("notify")}, sd.Property{Name: "NotifyAccess", Value: dbus.MakeVariant("all")})
			s := m.actuator(t, unit, 0)
			running := reaches(t, s, actuator.Active, "running")
			m.stop(t, unit)
			want := actuator.Inactive
			if name == "stopped-java" {
				want = actuator.Failed
			}
			reaches(t, s, want, "")
			out, err := s.Restart(t.Context())
			wantError(t, err, true, actuator.ErrStopped)
			if now := reaches(t, s, want, ""); now.MainPID != 0 || out.After != nil || out.Job != "" {
				t.Errorf("after %+v: now %+v, outcome %+v", running, now, out)
			}
		})
	}
}

func TestE2ESystemdRestartsWhatFailed(t *testing.T) {
	m := newManager(t)
	flag := fmt.Sprintf("/run/checkpoint-e2e-flag-%d", time.Now().UnixNano())
	unit := m.start(t, "loops", "[ -e "+flag+" ] && exec sleep infinity; exit 1",
		sd.Property{Name: "Restart", Value: dbus.MakeVariant("always")}, sd.Property{Name: "RestartUSec", Value: dbus.MakeVariant(uint64(50_000))})
	s := m.actuator(t, unit, 0)
	if state := reaches(t, s, actuator.Failed, ""); state.Result != "start-limit-hit" && state.Result != "exit-code" {
		t.Errorf("result %q", state.Result)
	}
	touch := m.actuator(t, m.start(t, "touch", "touch "+flag), 0)
	reaches(t, touch, actuator.Inactive, "")
	out, err := s.Restart(t.Context())
	if err != nil {
		t.Fatalf("%v; outcome %+v", err, out)
	}
	reaches(t, s, actuator.Active, "running")
}

func TestE2ESystemdTellsWhatFailedAfterItsEffect(t *testing.T) {
	m := newManager(t)
	oneshot := sd.Property{Name: "Type", Value: dbus.MakeVariant("oneshot")}
	t.Run("does not start again", func(t *testing.T) {
		s := m.actuator(t, m.start(t, "false", "exit 3", oneshot), 0)
		reaches(t, s, actuator.Failed, "")
		out, err := s.Restart(t.Context())
		wantError(t, err, false, actuator.ErrNotRestarted)
		if out.Job != "failed" || out.After == nil || out.After.Active != actuator.Failed || out.After.Result != "exit-code" {
			t.Errorf("outcome %+v, after %+v", out, out.After)
		}
	})
	t.Run("does not stop in time", func(t *testing.T) {
		const harmless = int32(18) // SIGCONT
		unit := m.start(t, "slow", "exec sleep infinity", sd.Property{Name: "KillSignal", Value: dbus.MakeVariant(harmless)})
		s := m.actuator(t, unit, 2*time.Second)
		before := reaches(t, s, actuator.Active, "running")
		out, err := s.Restart(t.Context())
		wantError(t, err, false, context.DeadlineExceeded)
		if out.Before == nil || out.Before.InvocationID != before.InvocationID || out.Job != "" {
			t.Errorf("outcome %+v", out)
		}
		// Asked again while that restart is under way, we keep out of it.
		reaches(t, s, actuator.Deactivating, "")
		_, err = s.Restart(t.Context())
		wantError(t, err, true, actuator.ErrBusy)
	})
}

func TestE2ESystemdUnknownUnit(t *testing.T) {
	m := newManager(t)
	s := m.actuator(t, "checkpoint-e2e-nope.service", 0)
	_, err := s.Restart(t.Context())
	wantError(t, err, true, actuator.ErrNotThere)
	if state, err := s.State(t.Context()); err != nil || state.Active != actuator.Inactive {
		t.Errorf("State: %+v, %v", state, err)
	}
}
