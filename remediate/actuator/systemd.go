package actuator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// DefaultJobTimeout is how long a restart, stop or start by systemd or Docker may take. An execution client may flush its caches for minutes before it stops;
// systemd's own TimeoutStopSec and TimeoutStartSec end it sooner as a rule.
const DefaultJobTimeout = 15 * time.Minute

// unitName is what systemd allows (systemd.unit(5)), of services alone, and no bare template.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\@-]+)?\.service$`)

// maxUnitName is UNIT_NAME_MAX, in bytes.
const maxUnitName = 255

// SystemdOptions of NewSystemd. The zero value is the host's systemd.
type SystemdOptions struct {
	// Address is a D-Bus address; "" is the system bus, which DBUS_SYSTEM_BUS_ADDRESS may name.
	Address string
	// Journal is a directory of journal files; "" is the host's journal.
	Journal string
	// Timeout bounds a restart, a stop and a start; 0 is DefaultJobTimeout.
	Timeout time.Duration
}

// Systemd is a service of systemd's, through its manager on the system bus.
type Systemd struct {
	unit string
	opts SystemdOptions
}

// NewSystemd takes the full name of a service, such as lighthouse.service. No connection is made yet.
func NewSystemd(unit string, opts SystemdOptions) (*Systemd, error) {
	if !unitName.MatchString(unit) || len(unit) > maxUnitName {
		return nil, fmt.Errorf("systemd unit %q: want the full name of a service, such as lighthouse.service", unit)
	}
	switch {
	case opts.Timeout < 0:
		return nil, fmt.Errorf("systemd unit %q: negative timeout %v", unit, opts.Timeout)
	case opts.Timeout == 0:
		opts.Timeout = DefaultJobTimeout
	}
	return &Systemd{unit: unit, opts: opts}, nil
}

func (s *Systemd) String() string { return "systemd " + s.unit }

// State reads the unit's state. No privilege is needed.
func (s *Systemd) State(ctx context.Context) (State, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return State{}, err
	}
	defer c.Close()
	u, err := s.look(ctx, c)
	return u.State, err
}

// connect dials anew for each use, so that no restart of the bus is ever noticed.
func (s *Systemd) connect(ctx context.Context) (*sd.Conn, error) {
	dial := sd.NewSystemConnectionContext
	if s.opts.Address != "" {
		dial = func(ctx context.Context) (*sd.Conn, error) {
			return sd.NewConnection(func() (*dbus.Conn, error) { return dialBus(ctx, s.opts.Address) })
		}
	}
	c, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return c, nil
}

func dialBus(ctx context.Context, address string) (*dbus.Conn, error) {
	c, err := dbus.Dial(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.Hello(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// unit is a State with what decides whether a restart is ours to make.
type unit struct {
	State
	load      string
	loadError string
	mainCode  int32 // si_code of the last main process, of sigaction(2)
	mainExit  int32
}

func (s *Systemd) look(ctx context.Context, c *sd.Conn) (unit, error) {
	p, err := c.GetAllPropertiesContext(ctx, s.unit)
	if err != nil {
		return unit{}, fmt.Errorf("read state of %s: %w", s.unit, err)
	}
	u := unit{
		State: State{
			Active:       Activity(property[string](p, "ActiveState")),
			Sub:          property[string](p, "SubState"),
			InvocationID: hex.EncodeToString(property[[]byte](p, "InvocationID")),
			Restarts:     property[uint32](p, "NRestarts"),
			MainPID:      property[uint32](p, "MainPID"),
			Result:       property[string](p, "Result"),
		},
		load:     property[string](p, "LoadState"),
		mainCode: property[int32](p, "ExecMainCode"),
		mainExit: property[int32](p, "ExecMainStatus"),
	}
	if us := property[uint64](p, "StateChangeTimestamp"); us > 0 {
		u.Since = time.UnixMicro(int64(us)).UTC()
	}
	if e := property[[]any](p, "LoadError"); len(e) == 2 {
		u.loadError = fmt.Sprint(e[1])
	}
	if u.Active == "" {
		return unit{}, fmt.Errorf("read state of %s: systemd does not tell", s.unit)
	}
	return u, nil
}

func property[T any](p map[string]any, name string) T {
	v, _ := p[name].(T)
	return v
}

// exited is CLD_EXITED, and exitTerminated what a Java client such as Teku or Besu exits with on SIGTERM.
const (
	exited         = 1
	exitTerminated = 128 + 15
)

// ours tells why the unit is not to be restarted.
func (u unit) ours() error {
	switch {
	case u.load == "not-found":
		return ErrNotThere
	case u.load != "loaded":
		return fmt.Errorf("the unit is %s: %s", u.load, u.loadError)
	case u.Active == Inactive:
		return ErrStopped
	case u.Active == Failed && u.Result == "exit-code" && u.mainCode == exited && u.mainExit == exitTerminated:
		return fmt.Errorf("%w: it exited with %d, as on SIGTERM (SuccessExitStatus=143 in the unit would say so)", ErrStopped, u.mainExit)
	case u.Active == Deactivating:
		return ErrBusy
	}
	return nil
}

// Restart resets the unit's start limit, restarts it, waits for the job's result and makes sure that another run has begun. A unit that
// is inactive is not started: ErrStopped.
func (s *Systemd) Restart(ctx context.Context) (Outcome, error) {
	return s.do(ctx, "restart", s.restart)
}

// Stop stops the unit, waits for the job's result and makes sure that it has ended. Nothing is done to one that has ended already, and
// a stop that somebody else has asked for is waited for.
func (s *Systemd) Stop(ctx context.Context) (Outcome, error) { return s.do(ctx, "stop", s.stop) }

// Start resets the unit's start limit, starts it, waits for the job's result and makes sure that it runs. Nothing is done to one that runs
// already. It is for a unit that was stopped by Stop: one that somebody else stopped is not ours.
func (s *Systemd) Start(ctx context.Context) (Outcome, error) { return s.do(ctx, "start", s.start) }

// do connects, looks, and acts within the timeout. before is true if act failed before anything was done.
func (s *Systemd) do(ctx context.Context, verb string, act func(context.Context, *sd.Conn, unit, *Outcome) (before bool, err error)) (Outcome, error) {
	out := Outcome{Actuator: s.String()}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Timeout, fmt.Errorf("systemd had not finished after %v", s.opts.Timeout))
	defer cancel()
	before, err := func() (bool, error) {
		c, err := s.connect(ctx)
		if err != nil {
			return true, err
		}
		defer c.Close()
		was, err := s.look(ctx, c)
		if err != nil {
			return true, err
		}
		out.Before = &was.State
		return act(ctx, c, was, &out)
	}()
	out.Took = time.Since(began)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		return out, &Error{Verb: verb, Actuator: s.String(), BeforeEffect: before, Err: err}
	}
	return out, nil
}

// job is one of the manager's methods that begin a job.
type job func(ctx context.Context, name, mode string, result chan<- string) (int, error)

// run begins a job, waits for its result, and looks.
func (s *Systemd) run(ctx context.Context, c *sd.Conn, begin job, out *Outcome) (before bool, err error) {
	result := make(chan string, 1)
	// Mode fail leaves a job that somebody has just asked for in its place.
	if _, err := begin(ctx, s.unit, "fail", result); err != nil {
		if refused(err) {
			return true, explain(err)
		}
		return false, err
	}
	if out.Job, err = wait(ctx, c, result); err != nil {
		return false, err
	}
	is, err := s.look(ctx, c)
	if err != nil {
		return false, err
	}
	out.After = &is.State
	return false, nil
}

func (s *Systemd) restart(ctx context.Context, c *sd.Conn, was unit, out *Outcome) (before bool, err error) {
	if err := was.ours(); err != nil {
		return true, err
	}
	// A unit that hit its start limit cannot be started before this. It may need a privilege that the restart itself does not.
	reset := c.ResetFailedUnitContext(ctx, s.unit)
	if before, err := s.run(ctx, c, c.RestartUnitContext, out); err != nil {
		if before {
			err = errors.Join(err, reset)
		}
		return before, err
	}
	switch is := out.After; {
	case out.Job != "done":
		return false, fmt.Errorf("%w: the job's result is %q, the unit is %s (%s)", ErrNotRestarted, out.Job, is.Active, is.Result)
	case is.InvocationID == was.InvocationID:
		return false, fmt.Errorf("%w: invocation %s goes on", ErrNotRestarted, is.InvocationID)
	case is.ended():
		return false, fmt.Errorf("%w: the new run ended at once, the unit is %s (%s)", ErrNotRestarted, is.Active, is.Result)
	}
	return false, nil
}

func (s *Systemd) stop(ctx context.Context, c *sd.Conn, was unit, out *Outcome) (before bool, err error) {
	if was.ended() {
		if was.load == "not-found" {
			return true, ErrNotThere
		}
		out.After = out.Before
		return false, nil
	}
	if before, err := s.run(ctx, c, c.StopUnitContext, out); err != nil {
		return before, err
	}
	if is := out.After; out.Job != "done" || !is.ended() {
		return false, fmt.Errorf("%w: the job's result is %q, the unit is %s (%s)", ErrNotStopped, out.Job, is.Active, is.Sub)
	}
	return false, nil
}

func (s *Systemd) start(ctx context.Context, c *sd.Conn, was unit, out *Outcome) (before bool, err error) {
	switch {
	case was.Active == Active, was.Active == Reloading:
		out.After = out.Before
		return false, nil
	case was.load == "not-found":
		return true, ErrNotThere
	case was.load != "loaded":
		return true, fmt.Errorf("the unit is %s: %s", was.load, was.loadError)
	}
	reset := c.ResetFailedUnitContext(ctx, s.unit)
	if before, err := s.run(ctx, c, c.StartUnitContext, out); err != nil {
		if before {
			err = errors.Join(err, reset)
		}
		return before, err
	}
	switch is := out.After; {
	case out.Job != "done":
		return false, fmt.Errorf("%w: the job's result is %q, the unit is %s (%s)", ErrNotStarted, out.Job, is.Active, is.Result)
	case is.ended():
		return false, fmt.Errorf("%w: it ended at once, the unit is %s (%s)", ErrNotStarted, is.Active, is.Result)
	}
	return false, nil
}

// wait returns the job's result. Without a connection none would ever come.
func wait(ctx context.Context, c *sd.Conn, job <-chan string) (string, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case result := <-job:
			return result, nil
		case <-ctx.Done():
			return "", fmt.Errorf("no result of the job: %w", ctx.Err())
		case <-tick.C:
			if !c.Connected() {
				return "", errors.New("the connection to systemd broke before the job's result")
			}
		}
	}
}

// refused tells whether systemd itself said no, so that nothing was begun. What the bus says instead of it leaves that open.
func refused(err error) bool {
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return false
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout", "org.freedesktop.DBus.Error.TimedOut", "org.freedesktop.DBus.Error.Disconnected":
		return false
	}
	return true
}

// explain gives systemd's refusals the words of this package.
func explain(err error) error {
	e, ok := errors.AsType[dbus.Error](err)
	switch {
	case !ok:
	case e.Name == "org.freedesktop.systemd1.NoSuchUnit":
		return fmt.Errorf("%w: %w", ErrNotThere, err)
	case e.Name == "org.freedesktop.systemd1.TransactionIsDestructive":
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case e.Name == "org.freedesktop.DBus.Error.AccessDenied", e.Name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
		strings.HasSuffix(e.Name, ".NotAuthorized"):
		return fmt.Errorf("%w (a polkit rule must allow this user to do this to this unit)", err)
	}
	return err
}
