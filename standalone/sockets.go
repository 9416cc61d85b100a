package standalone

import (
	"context"
	"net"
)

// Sockets is how the parts of a Loop listen and connect.
type Sockets interface {
	// Listen opens a stream listener on host:port; port 0 picks a free one.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// DialContext has the signature of http.Transport's field of that name.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

type tcp struct{}

func (tcp) Listen(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

func (tcp) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}
