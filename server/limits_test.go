package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, so that what a real server does about slow clients can be seen on simulated time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial(t *testing.T) net.Conn {
	client, conn := net.Pipe()
	p <- conn
	t.Cleanup(func() { client.Close() })
	return client
}

// slow sends text, a byte a second, and tells after how long the server hung up.
func slow(t *testing.T, server pipes, text string) time.Duration {
	t.Helper()
	client := server.dial(t)
	began := time.Now()
	closed := make(chan time.Duration, 1)
	go func() {
		_, _ = io.Copy(io.Discard, client)
		closed <- time.Since(began)
	}()
	for i := range len(text) {
		if _, err := io.WriteString(client, text[i:i+1]); err != nil {
			break
		}
		time.Sleep(time.Second)
	}
	return <-closed
}

func TestSlowClientsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan error, 10)
		srv := NewHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/body":
				_, err := io.ReadAll(r.Body)
				bodies <- err
			case "/large":
				_, err := w.Write(make([]byte, 1<<20))
				bodies <- err
			}
		}))
		server := make(pipes)
		done := make(chan error, 1)
		go func() { done <- srv.Serve(server) }()

		if got := slow(t, server, "GET / HTTP/1.1\r\nX-Slow: "+strings.Repeat("x", 1000)); got != 10*time.Second {
			t.Errorf("headers may trickle in for %s", got)
		}
		if got := slow(t, server, ""); got > 30*time.Second {
			t.Errorf("a silent connection may stay for %s", got)
		}

		trickling := server.dial(t)
		began := time.Now()
		go func() { _, _ = io.Copy(io.Discard, trickling) }()
		if _, err := io.WriteString(trickling, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"); err != nil {
			t.Error(err)
		}
		if err := <-bodies; err == nil || time.Since(began) != 30*time.Second {
			t.Errorf("a body may trickle in for %s: %v", time.Since(began), err)
		}
		trickling.Close()

		deaf := server.dial(t) // nobody reads the answer
		began = time.Now()
		if _, err := io.WriteString(deaf, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Error(err)
		}
		if err := <-bodies; err == nil || time.Since(began) != 2*time.Minute {
			t.Errorf("an answer may take %s: %v", time.Since(began), err)
		}
		deaf.Close()

		idle := server.dial(t)
		if _, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Error(err)
		}
		began = time.Now()
		if _, err := io.Copy(io.Discard, idle); err != nil {
			t.Error(err)
		}
		if got := time.Since(began); got != 2*time.Minute {
			t.Errorf("an idle connection may stay for %s", got)
		}

		large := server.dial(t)
		answer := make(chan string, 1)
		go func() {
			b := make([]byte, 100)
			n, _ := io.ReadFull(large, b)
			answer <- string(b[:n])
			_, _ = io.Copy(io.Discard, large)
		}()
		_, _ = io.WriteString(large, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")
		if got := <-answer; !strings.Contains(got, " 431 ") {
			t.Errorf("headers of 100 KiB are answered %q", got)
		}
		large.Close()

		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
