package collector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// scene is a world of fakes, for what HTTP cannot show in no time: cadence, ages and a fixed result.
type scene struct {
	t   *testing.T
	now func() time.Time

	mu    sync.Mutex
	see   map[string]func(now time.Time) provider.Observation
	look  map[string]func(now time.Time) node.Observation
	asked map[string][]time.Time
}

func newScene(t *testing.T) *scene {
	return &scene{t: t, now: time.Now, see: map[string]func(time.Time) provider.Observation{},
		look: map[string]func(time.Time) node.Observation{}, asked: map[string][]time.Time{}}
}

// provider says what a provider is seen to do from now on.
func (s *scene) provider(name string, see func(time.Time) provider.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.see[name] = see
}

// node is the same for a node.
func (s *scene) node(name string, look func(time.Time) node.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look[name] = look
}

// visits are when a target was asked.
func (s *scene) visits(name string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.asked[name]...)
}

func (s *scene) exporter(cfg *config.Config) *Exporter {
	s.t.Helper()
	e, err := New(cfg, log.NewNopLogger(), s.options())
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *scene) options() Options {
	return Options{
		Clock: func() time.Time { return s.now() }, Version: "1.2.3",
		newProber: func(c config.Provider, _ provider.ProberOptions) (prober, error) { return fakeProber{s, c}, nil },
		newLooker: func(c config.Node, _ time.Duration) (looker, error) { return fakeLooker{s, c}, nil },
	}
}

type fakeProber struct {
	*scene
	config config.Provider
}

func (f fakeProber) URL() string { return f.config.URL }

func (f fakeProber) Probe(ctx context.Context, now time.Time, _ provider.Ask) provider.Observation {
	f.mu.Lock()
	f.asked[f.config.Name] = append(f.asked[f.config.Name], time.Now())
	see := f.see[f.config.Name]
	f.mu.Unlock()
	o := see(now)
	if o.At.IsZero() {
		o.At = now
	}
	o.Provider, o.URL = f.config.Name, f.config.URL
	if errors.Is(o.Err, context.DeadlineExceeded) {
		<-ctx.Done()
	}
	return o
}

func (f fakeProber) Compare(_ context.Context, seen provider.Observation, _ []uint64, _ uint64) provider.Observation {
	return seen
}

type fakeLooker struct {
	*scene
	config config.Node
}

func (f fakeLooker) CloseIdle() {}

func (f fakeLooker) Look(_ context.Context, n network.Network) node.Observation {
	f.mu.Lock()
	f.asked[f.config.Name] = append(f.asked[f.config.Name], time.Now())
	look := f.look[f.config.Name]
	f.mu.Unlock()
	now := f.now()
	o := look(now)
	o.At, o.Chain = now, n.ChainAt(now)
	return o
}

// testNetwork does not reset and has a round genesis.
const testNetwork = `
network: {name: devnet, genesis_time: 946684800, seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 4242}
`

func parseConfig(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse("checkpoint.yml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rootOf(n byte) (r network.Root) {
	r[0], r[31] = n, n
	return r
}

var chain = network.Chain{GenesisTime: time.Unix(946684800, 0), SecondsPerSlot: 12, SlotsPerEpoch: 32, DepositChainID: 4242, GenesisValidatorsRoot: rootOf(1)}

// healthy is a provider that serves the checkpoint of two epochs ago and agrees with all others like it.
func healthy(now time.Time) provider.Observation {
	epoch := chain.Epoch(now) - 2
	served := beacon.Checkpoint{Epoch: epoch, Root: rootOf(byte(epoch))}
	slot := chain.EpochStart(epoch)
	return provider.Observation{
		Genesis: &beacon.Genesis{Time: uint64(chain.GenesisTime.Unix()), ValidatorsRoot: chain.GenesisValidatorsRoot},
		Spec:    provider.Constants{ConfigName: "devnet", DepositChainID: 4242, SecondsPerSlot: 12, SlotsPerEpoch: 32},
		Version: beacon.ParseVersion("checkpointz/v0.31.0"), Claimed: &served, Served: &served,
		Roots: map[uint64]network.Root{epoch: served.Root},
		State: &provider.State{At: now, Served: served, StatePrefix: beacon.StatePrefix{
			ConsensusVersion: "electra", Bytes: new(uint64(2737225)),
			StateHeader: beacon.StateHeader{GenesisTime: uint64(chain.GenesisTime.Unix()), GenesisValidatorsRoot: chain.GenesisValidatorsRoot, Slot: slot,
				LatestBlockHeader: beacon.BlockHeader{Slot: slot}},
		}},
		Exchange: beacon.Exchange{Requests: 5, Timings: beacon.Timings{
			Resolve: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, FirstByte: 40 * time.Millisecond, Transfer: 5 * time.Millisecond,
		}, CertificateExpiry: chain.GenesisTime.Add(90 * 24 * time.Hour), ServerDate: now.Add(-time.Second), DateSeen: now},
	}
}

// failing is a provider that could not be asked.
func failing(r beacon.Reason) func(time.Time) provider.Observation {
	return func(time.Time) provider.Observation {
		return provider.Observation{Err: fmt.Errorf("probe provider: %w", &beacon.Error{Reason: r, Route: "/eth/v1/beacon/genesis", Message: "it did not work"})}
	}
}

// at is a node whose head is some slots behind the clock.
func at(behind uint64) func(time.Time) node.Observation {
	return func(now time.Time) node.Observation {
		o := node.Observation{Took: 20 * time.Millisecond}
		c := &o.Consensus
		head := chain.Slot(now) - min(behind, chain.Slot(now))
		c.Syncing.Value = &beacon.Syncing{HeadSlot: head, SyncDistance: &behind, IsSyncing: behind > 1, IsOptimistic: new(false), ELOffline: new(false)}
		c.Genesis.Value = &beacon.Genesis{Time: uint64(chain.GenesisTime.Unix()), ValidatorsRoot: chain.GenesisValidatorsRoot}
		c.Finality.Value = &beacon.Finality{Finalized: beacon.Checkpoint{Epoch: chain.EpochOf(head) - min(2, chain.EpochOf(head))}}
		c.Peers.Value = &beacon.PeerCount{Connected: 56, Connecting: new(uint64(1)), Disconnected: new(uint64(12)), Disconnecting: new(uint64(0))}
		c.Version.Value = new(beacon.ParseVersion("Lighthouse/v8.0.1-abcdef/x86_64-linux"))
		c.Health.Value = new(206)
		c.Backfill.Value = &beacon.Backfill{Left: new(chain.Slot(now))}
		o.Execution = &node.Execution{ChainIDMatch: new(true)}
		o.Execution.ChainID.Value = new(uint64(4242))
		o.Execution.Syncing.Value = &beacon.ExecutionSyncing{}
		o.Execution.Head.Value = &beacon.Block{Number: head, Time: chain.SlotTime(head)}
		o.Execution.Peers.Value = new(uint64(25))
		o.Execution.Version.Value = new(beacon.ParseVersion("Geth/v1.16.9-stable/linux-amd64/go1.26"))
		return o
	}
}

// dead is a node whose clients both refuse connections.
func dead(time.Time) node.Observation {
	refused := &beacon.Error{Reason: beacon.Connect, Route: "/eth/v1/node/syncing", Message: "connection refused", Err: syscall.ECONNREFUSED}
	o := node.Observation{Took: time.Millisecond, Execution: &node.Execution{}}
	o.Consensus.Syncing.Err, o.Execution.ChainID.Err = refused, refused
	return o
}

// visitAll asks every target once.
func visitAll(t *testing.T, e *Exporter) {
	for _, target := range e.state.Load().targets() {
		target.visit(t.Context(), e)
	}
}

// handler serves an Exporter and its metrics.
func handler(t *testing.T, e *Exporter) http.Handler {
	t.Helper()
	reg := prometheus.NewRegistry()
	if err := e.Register(reg); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	e.Routes(mux)
	return mux
}

func get(t testing.TB, h http.Handler, path string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// metrics are the samples of a scrape, by name and labels as they are written.
func metrics(t *testing.T, h http.Handler, path string) map[string]string {
	t.Helper()
	code, body := get(t, h, path)
	if code != http.StatusOK {
		t.Fatalf("%s: %d: %s", path, code, body)
	}
	all := map[string]string{}
	for line := range strings.Lines(body) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			all[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return all
}

// expect checks samples; the value "absent" is for one that must not be there.
func expect(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for sample, value := range want {
		v, ok := got[sample]
		if !ok {
			v = "absent"
		}
		if v != value {
			t.Errorf("%s is %s, want %s", sample, v, value)
		}
	}
}
