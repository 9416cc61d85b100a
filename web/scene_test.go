package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

// world is what an exporter would tell, to be changed at will.
type world struct {
	mu     sync.Mutex
	status collector.Status
}

func (w *world) look() collector.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Nodes.Nodes = append([]collector.Node(nil), s.Nodes.Nodes...)
	return s
}

func (w *world) change(f func(*collector.Status)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.status)
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// ordinary is a network with two usable providers and one that is not, and a node that syncs.
func ordinary() *world {
	root := network.Root{1, 2, 3}
	net := collector.Network{Name: "ephemery", Iteration: 166, Epoch: new(uint64(607)), ResetAt: new(noon.Add(24 * time.Hour))}
	p := func(name string, reasons ...collector.Finding) collector.Provider {
		return collector.Provider{
			Name: name, URL: "https://" + name + ".example", Asked: true, Usable: len(reasons) == 0, Reasons: reasons, Version: "checkpointz/v0.31.0",
			Finalized: &collector.Checkpoint{Epoch: 605, Root: root}, LagEpochs: new(uint64(2)), Agrees: new(true), ProbedAt: new(noon),
			Timings: map[string]float64{"first_byte": 0.04, "connect": 0.02},
		}
	}
	return &world{status: collector.Status{
		Providers: collector.Providers{
			At: noon, Network: net, Quorum: collector.Quorum{Reached: true, Threshold: 2, Providers: 2, Epoch: new(uint64(605)), Complete: true},
			Epochs:    []collector.Epoch{{Epoch: 605, Roots: []collector.Camp{{Root: root, Providers: []string{"alpha", "beta"}}}}},
			Providers: []collector.Provider{p("alpha"), p("beta"), p("gamma", collector.Finding{Reason: "stale", Text: "it is 52 epochs behind"})},
		},
		Nodes: collector.Nodes{At: noon, Network: net, Nodes: []collector.Node{{
			Name: "node-1", Looked: true, Up: true, Phase: "syncing", Client: &collector.Client{Name: "Lighthouse", Version: "v8.0.1"}, LookedAt: new(noon),
			HeadSlot: new(uint64(19000)), DistanceSlots: new(uint64(4490)), Peers: map[string]uint64{"connected": 56}, Speed: new(4.1), Progress: new(0.7),
			ETA: &collector.ETA{P10: 1000, P50: 1120, P90: 1400}, StallAfter: 600,
		}}},
	}}
}

// page is a Page of a world, which asks nobody.
func page(t *testing.T, w *world) *Page {
	t.Helper()
	return pageOf(t, w, "alertmanagers: []", Options{Version: "1.2.3"})
}

func pageOf(t *testing.T, w *world, remediation string, o Options) *Page {
	t.Helper()
	return New(parse(t, remediation), log.NewNopLogger(), w.look, o)
}

func parse(t *testing.T, remediation string) *config.Config {
	t.Helper()
	c, err := config.Parse("checkpoint.yml", []byte("network: ephemery\nremediation: {"+remediation+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func handler(p *Page) http.Handler {
	mux := http.NewServeMux()
	p.Routes(mux)
	return mux
}

func get(t testing.TB, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func lacks(t *testing.T, text string, unwanted ...string) {
	t.Helper()
	for _, u := range unwanted {
		if strings.Contains(text, u) {
			t.Errorf("%q is there", u)
		}
	}
}

// pipes is a listener in memory, for simulated time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, conn := net.Pipe()
	select {
	case p.conns <- conn:
		return client, nil
	case <-p.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// served is a handler behind a server with the limits of our programs, and what reaches it. It ends as the programs do.
func served(t *testing.T, h http.Handler) (l *pipes, client *http.Client, shutdown func() error) {
	t.Helper()
	l = &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := server.NewHTTPServer(h)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	transport := &http.Transport{DialContext: l.dial}
	stop := sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := srv.Shutdown(ctx)
		_ = srv.Close()
		<-done
		return err
	})
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = stop()
	})
	return l, &http.Client{Transport: transport}, stop
}
