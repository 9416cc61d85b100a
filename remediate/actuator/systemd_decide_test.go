package actuator

import (
	"context"
	"errors"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestWhichUnitsAreOurs(t *testing.T) {
	some := errors.New("any reason")
	tests := map[string]struct {
		unit unit
		want error
	}{
		"running":                  {unit{load: "loaded", State: State{Active: Active, Sub: "running"}}, nil},
		"starting":                 {unit{load: "loaded", State: State{Active: Activating, Sub: "start"}}, nil},
		"crash loop":               {unit{load: "loaded", State: State{Active: Activating, Sub: "auto-restart"}}, nil},
		"reloading":                {unit{load: "loaded", State: State{Active: Reloading}}, nil},
		"crashed":                  {unit{load: "loaded", State: State{Active: Failed, Result: "exit-code"}, mainCode: exited, mainExit: 1}, nil},
		"crashed too often":        {unit{load: "loaded", State: State{Active: Failed, Result: "start-limit-hit"}, mainCode: exited, mainExit: 143}, nil},
		"killed for memory":        {unit{load: "loaded", State: State{Active: Failed, Result: "oom-kill"}, mainCode: 2, mainExit: 9}, nil},
		"stopped":                  {unit{load: "loaded", State: State{Active: Inactive, Sub: "dead"}}, ErrStopped},
		"Java client stopped":      {unit{load: "loaded", State: State{Active: Failed, Result: "exit-code"}, mainCode: exited, mainExit: 143}, ErrStopped},
		"being stopped":            {unit{load: "loaded", State: State{Active: Deactivating}}, ErrBusy},
		"no such unit":             {unit{load: "not-found", State: State{Active: Inactive}}, ErrNotThere},
		"masked":                   {unit{load: "masked", State: State{Active: Inactive}}, some},
		"its file does not parse ": {unit{load: "bad-setting", State: State{Active: Active}}, some},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := tt.unit.ours()
			if (got == nil) != (tt.want == nil) || (!errors.Is(tt.want, some) && !errors.Is(got, tt.want)) {
				t.Errorf("ours() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWhatSystemdRefusedHadNoEffect(t *testing.T) {
	tests := map[string]struct {
		err     error
		refused bool
		is      error
	}{
		"no such unit":       {dbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit"}, true, ErrNotThere},
		"stop is queued":     {dbus.Error{Name: "org.freedesktop.systemd1.TransactionIsDestructive"}, true, ErrBusy},
		"not allowed":        {dbus.Error{Name: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"}, true, nil},
		"no reply":           {dbus.Error{Name: "org.freedesktop.DBus.Error.NoReply"}, false, nil},
		"time is up":         {context.DeadlineExceeded, false, context.DeadlineExceeded},
		"connection is lost": {dbus.ErrClosed, false, dbus.ErrClosed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := refused(tt.err); got != tt.refused {
				t.Errorf("refused = %v", got)
			}
			if got := explain(tt.err); tt.is != nil && !errors.Is(got, tt.is) {
				t.Errorf("explain = %v, want %v", got, tt.is)
			}
		})
	}
}
