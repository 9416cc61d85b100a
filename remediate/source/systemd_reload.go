package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// reloadTimeout bounds a reload of the manager, which runs its generators: DefaultTimeoutStartSec of systemd.
const reloadTimeout = 90 * time.Second

// ReloadSystemd returns what makes systemd's manager read its unit files again, as systemctl daemon-reload does. address is a D-Bus
// address; "" is the system bus. The manager's own word on whether that is due is not asked: it knows only of files that it has read
// before, not of new ones.
func ReloadSystemd(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, reloadTimeout, fmt.Errorf("systemd had not finished after %v", reloadTimeout))
		defer cancel()
		c, err := connect(ctx, address)
		if err != nil {
			return fmt.Errorf("connect to systemd: %w", err)
		}
		defer c.Close()
		if err := c.ReloadContext(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return fmt.Errorf("reload systemd: %w (%w)", cause, err)
			}
			if e, ok := errors.AsType[dbus.Error](err); ok && e.Name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" {
				return fmt.Errorf("reload systemd: %w (a polkit rule must allow this user org.freedesktop.systemd1.reload-daemon)", err)
			}
			return fmt.Errorf("reload systemd: %w", err)
		}
		return nil
	}
}

func connect(ctx context.Context, address string) (*sd.Conn, error) {
	if address == "" {
		return sd.NewSystemConnectionContext(ctx)
	}
	return sd.NewConnection(func() (*dbus.Conn, error) {
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
	})
}
