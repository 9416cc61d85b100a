package setup

import (
	"context"
	"errors"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
)

// Machine is what setup sees of a machine and may do to it, its files apart.
type Machine interface {
	// Services are the machine's systemd services that are loaded. ErrNoSystemd: systemd does not run here.
	Services(ctx context.Context) ([]Service, error)
	// Containers are those of the machine's Docker Engine, running or not; none where there is no engine.
	Containers(ctx context.Context) ([]Container, error)
	// Ports are the TCP ports on which something listens on 127.0.0.1 or on all addresses.
	Ports() ([]uint16, error)
	// Unit is how a unit stands.
	Unit(ctx context.Context, name string) (Unit, error)
	// Enable and Disable make units start at boot, or no longer.
	Enable(ctx context.Context, names ...string) error
	Disable(ctx context.Context, names ...string) error
	// Reload makes systemd read its unit files again.
	Reload(ctx context.Context) error
	// Actuator is what stops, starts and restarts a client or one of our own units.
	Actuator(r config.Restart) (actuator.Service, error)
}

// ErrNoSystemd: systemd does not run on this machine.
var ErrNoSystemd = errors.New("systemd does not run here")

// Service is a systemd service.
type Service struct {
	Unit    string
	Running bool
	// Args is its command line: that of its process, or what ExecStart= says.
	Args []string
}

// Container is a Docker container.
type Container struct {
	Name, Image string
	Running     bool
	// Args are its entry point and command.
	Args []string
	// Labels are its labels, Environment its variables as NAME=value.
	Labels      map[string]string
	Environment []string
	// Ports are those of the container that are published, by "5052/tcp", and where: the port of this machine. Host tells that it has the machine's own.
	Ports map[string]string
	Host  bool
	// Mounts are directories of this machine by the path in the container.
	Mounts map[string]string
}

// Unit is how a systemd unit stands.
type Unit struct {
	Name string `json:"name"`
	// Installed tells that there is such a unit, Enabled that it starts at boot, Active that it runs.
	Installed bool `json:"installed"`
	Enabled   bool `json:"enabled"`
	Active    bool `json:"active"`
}
