package simulate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// ProviderOptions are a provider's. All may be left out.
type ProviderOptions struct {
	// Client is Checkpointz when empty.
	Client Client
	// Version overrides what /eth/v1/node/version says.
	Version string
	// Address is host:port; a free port of 127.0.0.1 when empty.
	Address string
	// Certificate makes the provider speak TLS.
	Certificate *tls.Certificate
	// Faults are in force from the start.
	Faults []Fault
}

// Provider is a simulated checkpoint provider. It is an http.Handler, with or without its own listener.
type Provider struct {
	sim  *Simulation
	name string
	opts ProviderOptions
	end  *endpoint

	mu       sync.Mutex
	started  bool
	faults   faults
	requests map[string]int
}

// AddProvider makes a provider and settles its URL; Start makes it answer there.
func (s *Simulation) AddProvider(name string, o ProviderOptions) (*Provider, error) {
	return nil, errors.New("provider is not assembled")
}

// Name is the provider's name.
func (p *Provider) Name() string { return p.name }

// URL is the base URL, which stays the same while the provider is down.
func (p *Provider) URL() string { return p.end.url() }

// Start opens the listener, unless the provider is Down.
func (p *Provider) Start(ctx context.Context) error { return p.end.open(ctx) }

// Close closes the listener and every connection.
func (p *Provider) Close() { p.end.shut() }

// SetFault adds a fault, or replaces the one of the same kind and path.
func (p *Provider) SetFault(f Fault) error { return fmt.Errorf("provider %q: %w", p.name, f.check(providerKinds)) }

// ClearFaults removes the faults of some kinds, all when none is named.
func (p *Provider) ClearFaults(kinds ...Kind) error { return nil }

// Faults are those in force.
func (p *Provider) Faults() []Fault { return nil }

// Requests counts the requests by path, those that were refused for a fault included.
func (p *Provider) Requests() map[string]int { return p.requests }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {}
