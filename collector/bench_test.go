package collector

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

// tenAndOne is an Exporter that knows ten providers, with a full memory each, and one node.
func tenAndOne(b *testing.B) (*Exporter, http.Handler) {
	b.Helper()
	s := &scene{see: map[string]func(time.Time) provider.Observation{}, look: map[string]func(time.Time) node.Observation{}, asked: map[string][]time.Time{}}
	now := chain.GenesisTime.Add(100 * time.Hour)
	s.now = func() time.Time { return now }
	yaml := testNetwork + "nodes: [{name: node-1, consensus: {url: \"http://127.0.0.1:5052\"}, execution: {url: \"http://127.0.0.1:8545\"}}]\nproviders:\n"
	for i := range 10 {
		name := fmt.Sprintf("provider-%d", i)
		yaml += fmt.Sprintf("- {name: %s, url: \"https://%s.example\"}\n", name, name)
		s.provider(name, func(now time.Time) provider.Observation {
			o := healthy(now)
			o.Roots = map[uint64]network.Root{}
			for e := range uint64(64) {
				o.Roots[o.Served.Epoch-e] = rootOf(byte(o.Served.Epoch - e))
			}
			return o
		})
	}
	s.node("node-1", at(5))
	cfg, err := config.Parse("checkpoint.yml", []byte(yaml))
	if err != nil {
		b.Fatal(err)
	}
	e, err := New(cfg, log.NewNopLogger(), s.options())
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range e.state.Load().targets() {
		t.visit(b.Context(), e)
	}
	reg := server.NewRegistry("checkpoint_exporter")
	if err := e.Register(reg); err != nil {
		b.Fatal(err)
	}
	reload, err := server.NewReloader(reg, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	return e, server.Service{
		Name: "checkpoint_exporter", Registry: reg, Routes: e.Routes, Ready: e.Ready, Reload: reload, Logger: log.NewNopLogger(),
	}.Handler("/metrics")
}

// BenchmarkScrape is a whole scrape as the program answers it, Go's and the process' own metrics included.
func BenchmarkScrape(b *testing.B) {
	_, h := tenAndOne(b)
	b.ReportAllocs()
	if code, _ := get(b, h, "/metrics"); code != http.StatusOK {
		b.Fatal(code)
	}
	r, header := httptest.NewRequest(http.MethodGet, "/metrics", nil), http.Header{}
	before := cpu(b)
	for b.Loop() {
		h.ServeHTTP(discard{header}, r)
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// discard takes an answer as a connection does, without keeping it.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// cpu is the time that this process has had of the processors, garbage collection included: what ns/op would be where nobody else
// wants them.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkJudge is what follows each probe.
func BenchmarkJudge(b *testing.B) {
	e, _ := tenAndOne(b)
	b.ReportAllocs()
	for b.Loop() {
		e.judge()
	}
}
