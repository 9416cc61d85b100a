package simulate

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// Sockets is how the simulated servers listen and how the simulated nodes reach their providers.
type Sockets interface {
	// Listen opens a stream listener on host:port; port 0 picks a free one.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// DialContext has the signature of http.Transport's field of that name.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Loopback is the machine's own TCP.
type Loopback struct{}

// Listen implements Sockets.
func (Loopback) Listen(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// DialContext implements Sockets.
func (Loopback) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Memory is a network inside the process, for tests in a testing/synctest bubble: give its DialContext to the
// http.Transport of the code under test. Make it inside the bubble.
type Memory struct {
	mu        sync.Mutex
	next      int
	listeners map[string]*memoryListener
}

// NewMemory makes a network without listeners.
func NewMemory() *Memory { return &Memory{next: 20000, listeners: map[string]*memoryListener{}} }

// Listen implements Sockets.
func (m *Memory) Listen(_ context.Context, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if port == "0" {
		m.next++
		address = net.JoinHostPort(host, strconv.Itoa(m.next))
	}
	if m.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: memoryAddr(address), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &memoryListener{net: m, addr: memoryAddr(address), conns: make(chan net.Conn), closed: make(chan struct{})}
	m.listeners[address] = l
	return l, nil
}

// DialContext implements Sockets. Where nothing listens it fails as a refused connection does.
func (m *Memory) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: memoryAddr(address), Err: err}
	}
	m.mu.Lock()
	l := m.listeners[address]
	m.mu.Unlock()
	if l == nil {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

type memoryListener struct {
	net    *Memory
	addr   memoryAddr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, string(l.addr))
		l.net.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }

type memoryAddr string

func (memoryAddr) Network() string  { return "tcp" }
func (a memoryAddr) String() string { return string(a) }
