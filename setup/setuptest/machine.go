// Package setuptest plays a machine: units, containers and ports, without any of them.
package setuptest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// Machine is a played one. What is done to it changes what it shows, and is written down in Done.
type Machine struct {
	NoSystemd bool
	Running   []setup.Service
	Boxes     []setup.Container
	BoxesErr  error
	Listening []uint16

	mu    sync.Mutex
	Units map[string]setup.Unit
	done  []string
	// Fail makes what is done fail, by its words, such as "start checkpoint-exporter.service".
	Fail map[string]error
	// Hook is called after each thing that was done.
	Hook func(what string)
}

// Done is what was done so far, in words.
func (m *Machine) Done() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.done)
}

// Services are Running.
func (m *Machine) Services(context.Context) ([]setup.Service, error) {
	if m.NoSystemd {
		return nil, setup.ErrNoSystemd
	}
	return m.Running, nil
}

// Containers are Boxes.
func (m *Machine) Containers(context.Context) ([]setup.Container, error) { return m.Boxes, m.BoxesErr }

// Ports are Listening.
func (m *Machine) Ports() ([]uint16, error) { return m.Listening, nil }

// Unit is one of Units.
func (m *Machine) Unit(_ context.Context, name string) (setup.Unit, error) {
	if m.NoSystemd {
		return setup.Unit{}, setup.ErrNoSystemd
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.Units[name]
	u.Name = name
	return u, nil
}

func (m *Machine) do(what string, change func()) error {
	m.mu.Lock()
	m.done = append(m.done, what)
	err := m.Fail[what]
	if err == nil && change != nil {
		change()
	}
	m.mu.Unlock()
	if m.Hook != nil {
		m.Hook(what)
	}
	return err
}

func (m *Machine) change(name string, how func(*setup.Unit)) func() {
	return func() {
		if m.Units == nil {
			m.Units = map[string]setup.Unit{}
		}
		u := m.Units[name]
		how(&u)
		m.Units[name] = u
	}
}

// Enable marks units as enabled.
func (m *Machine) Enable(_ context.Context, names ...string) error {
	return m.do("enable "+names[0], m.change(names[0], func(u *setup.Unit) { u.Enabled = true }))
}

// Disable marks them as not enabled.
func (m *Machine) Disable(_ context.Context, names ...string) error {
	return m.do("disable "+names[0], m.change(names[0], func(u *setup.Unit) { u.Enabled = false }))
}

// Reload does nothing.
func (m *Machine) Reload(context.Context) error { return m.do("reload", nil) }

// Actuator is a played unit or container.
func (m *Machine) Actuator(r config.Restart) (actuator.Service, error) {
	name := r.Systemd
	if name == "" {
		name = r.Docker
	}
	if name == "" {
		return nil, fmt.Errorf("no such actuator: %+v", r)
	}
	return played{m, name}, nil
}

type played struct {
	m    *Machine
	name string
}

func (p played) String() string { return "systemd " + p.name }

func (p played) Restart(context.Context) (actuator.Outcome, error) {
	return actuator.Outcome{}, p.m.do("restart "+p.name, nil)
}

func (p played) Stop(context.Context) (actuator.Outcome, error) {
	return actuator.Outcome{}, p.m.do("stop "+p.name, p.m.change(p.name, func(u *setup.Unit) { u.Active = false }))
}

func (p played) Start(context.Context) (actuator.Outcome, error) {
	return actuator.Outcome{}, p.m.do("start "+p.name, p.m.change(p.name, func(u *setup.Unit) { u.Active = true }))
}

func (p played) State(ctx context.Context) (actuator.State, error) {
	u, err := p.m.Unit(ctx, p.name)
	if u.Active {
		return actuator.State{Active: actuator.Active}, err
	}
	return actuator.State{Active: actuator.Inactive}, err
}

func (p played) Logs(context.Context, int) ([]string, error) { return nil, nil }
