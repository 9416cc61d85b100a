package simulate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// endpoint is a server that can close its listener and open it again on the same port.
type endpoint struct {
	sockets Sockets
	handler http.Handler
	cert    *tls.Certificate
	address string

	mu     sync.Mutex
	server *http.Server
	cancel context.CancelFunc
	done   chan struct{}
}

// newEndpoint settles the address, so that the URL is known before anything is served.
func newEndpoint(s Sockets, address string, cert *tls.Certificate, h http.Handler) (*endpoint, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := s.Listen(context.Background(), address)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return &endpoint{sockets: s, handler: h, cert: cert, address: l.Addr().String()}, nil
}

func (e *endpoint) url() string {
	if e.cert != nil {
		return "https://" + e.address
	}
	return "http://" + e.address
}

// open serves; it does nothing when it does already. Another process may have taken the port of a closed endpoint for a
// moment, so it tries for some seconds.
func (e *endpoint) open(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return nil
	}
	var l net.Listener
	for tries := 0; ; tries++ {
		var err error
		if l, err = e.sockets.Listen(ctx, e.address); err == nil {
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) || tries == 50 {
			return fmt.Errorf("listen on %s: %w", e.address, err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("listen on %s: %w", e.address, err)
		}
	}
	if e.cert != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*e.cert}, MinVersion: tls.VersionTLS12})
	}
	// The requests' contexts end with the listener, so that a handler that hangs on purpose ends too.
	base, cancel := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler:           e.handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		// Aborted connections are what this package is for.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	done := make(chan struct{})
	e.server, e.cancel, e.done = srv, cancel, done
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with ErrServerClosed from shut
	}()
	return nil
}

// shut closes the listener and every connection at once, as a killed process does.
func (e *endpoint) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return
	}
	_ = e.server.Close()
	e.cancel()
	<-e.done
	e.server, e.cancel, e.done = nil, nil, nil
}

// pause waits in real time, or in a bubble's.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drop ends a request's connection without an answer. Where there is none, as with a recorder, it answers 503.
func drop(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_ = c.Close()
}
