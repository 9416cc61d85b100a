package setup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"github.com/moby/moby/client"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
)

// Host is this machine: systemd over D-Bus, the Docker Engine by its API, and /proc.
type Host struct{}

// booted is there where systemd runs (sd_booted(3)).
const booted = "/run/systemd/system"

func connect(ctx context.Context) (*sd.Conn, error) {
	if _, err := os.Stat(booted); errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoSystemd
	}
	c, err := sd.NewSystemConnectionContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return c, nil
}

// Services are the loaded services with a command line.
func (Host) Services(ctx context.Context) ([]Service, error) {
	c, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	units, err := c.ListUnitsByPatternsContext(ctx, nil, []string{"*.service"})
	if err != nil {
		return nil, fmt.Errorf("list the units of systemd: %w", err)
	}
	files, err := c.ListUnitFilesByPatternsContext(ctx, []string{"enabled", "disabled"}, []string{"*.service"})
	if err != nil {
		return nil, fmt.Errorf("list the units of systemd: %w", err)
	}
	names := map[string]bool{}
	for _, u := range units {
		names[u.Name] = names[u.Name] || u.ActiveState == "active" || u.ActiveState == "activating" || u.ActiveState == "reloading"
	}
	for _, f := range files {
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		if _, listed := names[name]; !listed && !strings.Contains(name, "@.") {
			names[name] = false
		}
	}
	var out []Service
	for name, running := range names {
		p, err := c.GetUnitTypePropertiesContext(ctx, name, "Service")
		if err != nil {
			continue // it went while we looked
		}
		args := execStart(p["ExecStart"])
		if len(args) == 0 {
			continue
		}
		if pid, _ := p["MainPID"].(uint32); pid > 0 && slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "$") }) {
			args = append(args[:1:1], commandLine(pid, args[1:])...)
		}
		out = append(out, Service{Unit: name, Running: running, Args: args})
	}
	slices.SortFunc(out, func(a, b Service) int { return strings.Compare(a.Unit, b.Unit) })
	return out, nil
}

// execStart are the arguments of the first command of a property ExecStart, of the D-Bus type a(sasbttttuii).
func execStart(property any) []string {
	all, _ := property.([][]any)
	if len(all) == 0 || len(all[0]) < 2 {
		return nil
	}
	args, _ := all[0][1].([]string)
	return args
}

// maxArguments bounds what is read of a process's arguments, in bytes.
const maxArguments = 256 << 10

// commandLine are the arguments of a process, in which systemd has replaced variables; otherwise those given.
func commandLine(pid uint32, otherwise []string) []string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return otherwise
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxArguments))
	args := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if err != nil || len(args) < 2 {
		return otherwise
	}
	return args[1:]
}

// maxContainers bounds how many containers are looked at: what the engine sends in one connection is bounded.
const maxContainers = 200

// Containers are those of the Docker Engine.
func (Host) Containers(ctx context.Context) ([]Container, error) {
	c, err := docker.Open("")
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Limit: maxContainers})
	err = docker.Explain(err)
	if errors.Is(err, docker.ErrNoEngine) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the containers of Docker: %w", err)
	}
	var out []Container
	for _, item := range list.Items {
		got, err := c.ContainerInspect(ctx, item.ID, client.ContainerInspectOptions{})
		if err != nil {
			continue // it went while we looked
		}
		in := got.Container
		if in.Config == nil || in.HostConfig == nil || in.State == nil {
			continue
		}
		b := Container{
			Name: strings.TrimPrefix(in.Name, "/"), Image: in.Config.Image, Running: in.State.Running, Labels: in.Config.Labels, Environment: in.Config.Env,
			Args: append(slices.Clone(in.Config.Entrypoint), in.Config.Cmd...), Host: in.HostConfig.NetworkMode.IsHost(),
			Ports: map[string]string{}, Mounts: map[string]string{},
		}
		if in.NetworkSettings != nil {
			for port, at := range in.NetworkSettings.Ports {
				if len(at) > 0 {
					b.Ports[port.String()] = at[0].HostPort
				}
			}
		}
		for _, m := range in.Mounts {
			b.Mounts[m.Destination] = m.Source
		}
		out = append(out, b)
	}
	return out, nil
}

// Ports reads the kernel's tables of sockets.
func (Host) Ports() ([]uint16, error) {
	var all []uint16
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look who listens: %w", err)
		}
		all = append(all, listening(text)...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// listening are the ports in a table of the kernel's (proc_pid_net(5)) on which something can be reached at 127.0.0.1.
func listening(table []byte) []uint16 {
	const listen = "0A" // TCP_LISTEN of include/net/tcp_states.h
	var out []uint16
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != listen {
			continue
		}
		address, port, ok := strings.Cut(f[1], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		if !ok || err != nil || !local(address) {
			continue
		}
		out = append(out, uint16(n))
	}
	return out
}

// local tells whether an address as the kernel writes it, in words of the machine's order, is 127.0.0.1, any address, or either in IPv6.
func local(address string) bool {
	switch address {
	case "00000000", "0100007F", strings.Repeat("0", 32), "0000000000000000FFFF00000100007F":
		return true
	}
	return false
}

// Unit asks systemd.
func (Host) Unit(ctx context.Context, name string) (Unit, error) {
	u := Unit{Name: name}
	c, err := connect(ctx)
	if err != nil {
		return u, err
	}
	defer c.Close()
	p, err := c.GetUnitPropertiesContext(ctx, name)
	if err != nil {
		return u, fmt.Errorf("look at %s: %w", name, err)
	}
	load, _ := p["LoadState"].(string)
	state, _ := p["UnitFileState"].(string)
	active, _ := p["ActiveState"].(string)
	u.Installed = load != "not-found"
	u.Enabled = state == "enabled" || state == "enabled-runtime"
	u.Active = active == "active" || active == "activating" || active == "reloading"
	return u, nil
}

// Enable makes units start at boot.
func (Host) Enable(ctx context.Context, names ...string) error {
	return manage(ctx, "enable "+strings.Join(names, ", "), func(c *sd.Conn) error {
		_, _, err := c.EnableUnitFilesContext(ctx, names, false, false)
		return errors.Join(err, c.ReloadContext(ctx))
	})
}

// Disable makes units start no longer at boot.
func (Host) Disable(ctx context.Context, names ...string) error {
	return manage(ctx, "disable "+strings.Join(names, ", "), func(c *sd.Conn) error {
		_, err := c.DisableUnitFilesContext(ctx, names, false)
		return errors.Join(err, c.ReloadContext(ctx))
	})
}

// Reload makes systemd read its unit files again.
func (Host) Reload(ctx context.Context) error {
	return manage(ctx, "reload systemd", func(c *sd.Conn) error { return c.ReloadContext(ctx) })
}

func manage(ctx context.Context, what string, do func(*sd.Conn) error) error {
	c, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer c.Close()
	err = do(c)
	if e, ok := errors.AsType[dbus.Error](err); ok && (e.Name == "org.freedesktop.DBus.Error.AccessDenied" || e.Name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") {
		return fmt.Errorf("%s: only root may do that: use sudo: %w", what, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Actuator is what stops and starts a client or a unit.
func (Host) Actuator(r config.Restart) (actuator.Service, error) {
	a, err := remediate.Machine{}.Actuator(r)
	if err != nil {
		return nil, err
	}
	s, ok := a.(actuator.Service)
	if !ok {
		return nil, fmt.Errorf("%s can restart, but neither stop nor start", a)
	}
	return s, nil
}
