// Package dockertest stands in for a Docker Engine where there is none. What it answers is up to the test; e2e holds the same code to a real
// engine.
package dockertest

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

// Version41 is that of Docker 20.10, which Debian 12 has.
const Version41 = "1.41"

// Engine answers the requests for "METHOD /path", the version left out, by Answer, and remembers them.
type Engine struct {
	// Host is its address.
	Host string
	// Version is that of the API which it says to speak at most; Version41 at first.
	Version string

	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	asked   []string
}

var versioned = regexp.MustCompile(`^/v[0-9.]+/`)

// New starts an engine on a socket in a directory of the test's own. It answers pings, and 404 to everything else.
func New(t testing.TB) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // the test's own would make too long a name for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Host: "unix://" + path, Version: Version41, answers: map[string]http.HandlerFunc{}}
	s := httptest.NewUnstartedServer(e)
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return e
}

// Answer sets what a request is answered with, and replaces what it was before.
func (e *Engine) Answer(request string, h http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers[request] = h
}

// JSON answers with a status and a body.
func JSON(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if body != nil {
			_ = json.NewEncoder(w).Encode(body)
		}
	}
}

// Asked are the requests so far that change something, in order.
func (e *Engine) Asked() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.asked...)
}

func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", e.Version)
	request := r.Method + " " + versioned.ReplaceAllString(r.URL.Path, "/")
	if r.URL.Path == "/_ping" {
		return
	}
	e.mu.Lock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e.asked = append(e.asked, request)
	}
	h := e.answers[request]
	e.mu.Unlock()
	if h == nil {
		h = JSON(http.StatusNotFound, map[string]string{"message": "No such container: " + request})
	}
	h(w, r)
}
