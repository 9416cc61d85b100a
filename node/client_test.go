package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// server counts the requests of each route, and hands them to a handler that can be changed.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.Handler
	asked   map[string]int
}

func serve(t *testing.T, h http.Handler) *server {
	t.Helper()
	s := &server{handler: h, asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[r.URL.Path]++
		h := s.handler
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) change(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

func (s *server) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// except answers some routes by themselves and the others with a handler.
func except(h http.Handler, routes map[string]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if own, ok := routes[r.URL.Path]; ok {
			own(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}
}

func says(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func data(body string) http.HandlerFunc {
	return says(http.StatusOK, "application/json", `{"data":`+body+`}`)
}

func failing(status int) http.HandlerFunc {
	return says(status, "application/json", fmt.Sprintf(`{"code":%d,"message":"no"}`, status))
}

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hang answers nothing until the client gives up, which a server notices only once it has read the request.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func client(t *testing.T, o node.Options) *node.Client {
	t.Helper()
	c, err := node.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// method is the JSON-RPC method that a request names.
func method(r *http.Request) string {
	var q struct {
		Method string `json:"method"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		return ""
	}
	return q.Method
}

func fixed(t time.Time) func() time.Time { return func() time.Time { return t } }

// chainOf is the recorded chain as a configuration would give it.
func chainOf(r beacontest.Recording) network.Network {
	var w struct {
		Data struct {
			Time string `json:"genesis_time"`
		} `json:"data"`
	}
	var genesis int64
	if json.Unmarshal(r.Body("beacon_genesis"), &w) == nil {
		fmt.Sscan(w.Data.Time, &genesis)
	}
	return network.Network{Chain: network.Chain{Network: "recorded", GenesisTime: time.Unix(genesis, 0), SecondsPerSlot: 3, SlotsPerEpoch: 8}}
}

func TestLookAtRecordedNodes(t *testing.T) {
	for _, tc := range []struct {
		recording        beacontest.Recording
		net              network.Network
		client, version  string
		head, peers      uint64
		finalized        *uint64
		syncing          bool
		optimistic       *bool
		offline          *bool
		health           int
		identity         network.Identity
		phase            progress.Phase
		distance, slack  uint64
		noGenesis, clock bool
	}{
		{
			recording: beacontest.PrysmElectra, net: chainOf(beacontest.PrysmElectra), client: "Prysm", version: "Unknown",
			head: 91, finalized: new(uint64(9)), optimistic: new(false), offline: new(true), health: 200,
			phase: progress.Synced, slack: 2, clock: true,
		},
		{
			recording: beacontest.PrysmElectra, net: network.Network{}, client: "Prysm", version: "Unknown",
			head: 91, finalized: new(uint64(9)), optimistic: new(false), offline: new(true), health: 200,
			phase: progress.Synced, slack: 2, clock: true,
		},
		{
			recording: beacontest.PrysmSyncing, net: network.Network{}, client: "Prysm", version: "Unknown",
			head: 136, syncing: true, optimistic: new(false), offline: new(false), health: 206,
			phase: progress.Syncing, noGenesis: true,
		},
		{
			recording: beacontest.LodestarSyncing, net: network.Network{Chain: network.Chain{SecondsPerSlot: 2, SlotsPerEpoch: 8}},
			client: "Lodestar", version: "v1.5.1", head: 544, peers: 1, syncing: true, optimistic: new(false), health: 200,
			phase: progress.Syncing, distance: 95, slack: 2, clock: true,
		},
		{
			recording: beacontest.Lodestar, net: chainOf(beacontest.PrysmElectra), client: "Lodestar", version: "v1.5.1",
			head: 140, finalized: new(uint64(8)), optimistic: new(false), health: 200,
			identity: network.Other, phase: progress.WrongNetwork, clock: true,
		},
	} {
		t.Run(tc.recording.String()+" "+tc.net.Network, func(t *testing.T) {
			at := tc.recording.Time()
			c := client(t, node.Options{ConsensusURL: serve(t, tc.recording).URL, Now: fixed(at)})
			o := c.Look(t.Context(), tc.net)
			cl := o.Consensus
			if !cl.Up() || cl.Err() != nil || !cl.Syncing.OK() || !cl.Peers.OK() || !cl.Version.OK() || !cl.Health.OK() {
				t.Fatalf("%+v", cl)
			}
			if v := *cl.Version.Value; v.Client != tc.client || v.Version != tc.version {
				t.Errorf("version %+v", v)
			}
			if *cl.HeadSlot() != tc.head || cl.Peers.Value.Connected != tc.peers || *cl.Health.Value != tc.health || cl.Syncing.Value.IsSyncing != tc.syncing {
				t.Errorf("head %d, peers %d, health %d, syncing %v", *cl.HeadSlot(), cl.Peers.Value.Connected, *cl.Health.Value, cl.Syncing.Value.IsSyncing)
			}
			if !equal(cl.Optimistic(), tc.optimistic) || !equal(cl.Syncing.Value.ELOffline, tc.offline) {
				t.Errorf("optimistic %v, offline %v", cl.Optimistic(), cl.Syncing.Value.ELOffline)
			}
			if cl.Finality.OK() != (tc.finalized != nil) || cl.Finality.OK() && cl.Finality.Value.Finalized.Epoch != *tc.finalized {
				t.Errorf("finality %+v", cl.Finality)
			}
			if cl.Genesis.OK() == tc.noGenesis || cl.Identity != tc.identity || o.Chain.HasClock() != tc.clock {
				t.Errorf("genesis %+v, identity %d, chain %+v", cl.Genesis, cl.Identity, o.Chain)
			}
			f := progress.New(progress.Options{})
			f.Observe(o.Sample())
			s := f.Status(at)
			if s.Phase != tc.phase {
				t.Errorf("phase %s, want %s", s.Phase, tc.phase)
			}
			if s.Distance != nil && (*s.Distance > tc.distance+tc.slack || *s.Distance+tc.slack < tc.distance) {
				t.Errorf("distance %d, want %d", *s.Distance, tc.distance)
			}
		})
	}
}

func equal[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func TestLookFails(t *testing.T) {
	const syncing = "/eth/v1/node/syncing"
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		reason  beacon.Reason
		up      bool
		refused bool
		head    *uint64
		phase   progress.Phase
	}{
		{"nothing listens", nil, beacon.Connect, false, true, nil, progress.Bootstrapping},
		{"a port proxy with nothing behind it", hangUp, beacon.Connect, false, true, nil, progress.Bootstrapping},
		{"no answer", hang, beacon.Timeout, false, false, nil, progress.Unreachable},
		{"a proxy with nothing behind it", says(502, "text/html", "<html>Bad Gateway</html>"), beacon.HTTPStatus, false, false, nil, progress.Unreachable},
		{"a proxy that is busy", says(503, "text/plain", "no"), beacon.HTTPStatus, false, false, nil, progress.Unreachable},
		{"some other server", says(200, "text/html", "<html>Welcome</html>"), beacon.Malformed, false, false, nil, progress.Unreachable},
		{"some other JSON", says(200, "application/json", `{"status":"ok"}`), beacon.Malformed, false, false, nil, progress.Unreachable},
		{"cut short", says(200, "application/json", `{"data":{"head_slot":"1`), beacon.Malformed, false, false, nil, progress.Unreachable},
		{"too large", says(200, "application/json", `{"data":"`+strings.Repeat("x", 100<<10)+`"}`), beacon.TooLarge, false, false, nil, progress.Unreachable},
		{"API up, chain not ready", except(failing(503), map[string]http.HandlerFunc{"/eth/v1/node/version": data(`{"version":"Teku/v26.1.0"}`)}),
			"", true, false, nil, progress.Bootstrapping},
		{"syncing fails, the header tells the head", except(beacontest.PrysmElectra, map[string]http.HandlerFunc{syncing: failing(500)}),
			"", true, false, new(uint64(91)), progress.Synced},
		{"everything else fails", except(failing(500), map[string]http.HandlerFunc{
			syncing: data(`{"head_slot":"91","sync_distance":"0","is_syncing":false}`),
		}), "", true, false, new(uint64(91)), progress.Synced},
		{"everything else hangs", except(http.HandlerFunc(hang), map[string]http.HandlerFunc{
			syncing: data(`{"head_slot":"91","sync_distance":"0","is_syncing":false}`),
		}), "", true, false, new(uint64(91)), progress.Synced},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := gone.URL
			if tc.handler != nil {
				url = serve(t, tc.handler).URL
			}
			timeout := 10 * time.Second
			if strings.Contains(tc.name, "hangs") || tc.name == "no answer" {
				timeout = time.Second
			}
			at := beacontest.PrysmElectra.Time()
			c := client(t, node.Options{ConsensusURL: url, ExecutionURL: url, Timeout: timeout, Now: fixed(at)})
			o := c.Look(t.Context(), chainOf(beacontest.PrysmElectra))
			if o.Consensus.Up() != tc.up || o.Consensus.Refused() != tc.refused || beacon.ReasonOf(o.Consensus.Err()) != tc.reason {
				t.Errorf("up %v, refused %v, %v", o.Consensus.Up(), o.Consensus.Refused(), o.Consensus.Err())
			}
			if !equal(o.Consensus.HeadSlot(), tc.head) {
				t.Errorf("head %v", o.Consensus.HeadSlot())
			}
			if o.Execution.Up() || o.Execution.Err() == nil || o.Execution.SyncingAt(at) != nil || o.Execution.ChainIDMatch != nil || o.Execution.HeadAge(at) != nil {
				t.Errorf("execution %+v", o.Execution)
			}
			f := progress.New(progress.Options{})
			f.Observe(o.Sample())
			if s := f.Status(at); s.Phase != tc.phase {
				t.Errorf("phase %s, want %s", s.Phase, tc.phase)
			}
		})
	}
}

func TestOneQuestionToADeadServer(t *testing.T) {
	s := serve(t, http.HandlerFunc(hangUp))
	client(t, node.Options{ConsensusURL: s.URL}).Look(t.Context(), network.Network{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) != 1 {
		t.Errorf("asked %v", s.asked)
	}
}

func TestNeverMoreThanTwoQuestionsAtATime(t *testing.T) {
	var now, most atomic.Int64
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			seen := most.Load()
			if n <= seen || most.CompareAndSwap(seen, n) {
				break
			}
		}
		beacontest.PrysmElectra.ServeHTTP(w, r)
	}))
	c := client(t, node.Options{ConsensusURL: s.URL})
	for range 20 {
		c.Look(t.Context(), network.Network{})
	}
	if most.Load() > 2 {
		t.Errorf("%d requests at once", most.Load())
	}
}

func TestVersionIsRemembered(t *testing.T) {
	const path = "/eth/v1/node/version"
	s := serve(t, beacontest.PrysmElectra)
	now := beacontest.PrysmElectra.Time()
	c := client(t, node.Options{ConsensusURL: s.URL, Now: func() time.Time { return now }})
	look := func(after time.Duration) node.Observation {
		now = now.Add(after)
		return c.Look(t.Context(), network.Network{})
	}
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int
	}{{"first", 0, 1}, {"soon after", time.Minute, 1}, {"again", 3 * time.Minute, 1}, {"five minutes after the first", time.Minute, 2}} {
		if o := look(tc.after); o.Consensus.Version.Value.Client != "Prysm" || s.count(path) != tc.want {
			t.Errorf("%s: asked %d times, %+v", tc.name, s.count(path), o.Consensus.Version)
		}
	}
	s.change(http.HandlerFunc(hangUp))
	if o := look(time.Second); o.Consensus.Version.OK() {
		t.Error("a version of a server that is down")
	}
	s.change(beacontest.Lodestar)
	if o := look(time.Second); o.Consensus.Version.Value.Client != "Lodestar" || s.count(path) != 3 {
		t.Errorf("after an outage: asked %d times, %+v", s.count(path), o.Consensus.Version)
	}
}

// A node on a wrong chain does not come right because one answer fails, and is not thought wrong after it came back on another.
func TestGenesisIsRemembered(t *testing.T) {
	eph, _ := network.Preset("ephemery")
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	current := eph.ChainAt(now).GenesisTime.Unix()
	genesis := func(t int64) http.HandlerFunc {
		return except(beacontest.PrysmElectra, map[string]http.HandlerFunc{"/eth/v1/beacon/genesis": data(
			fmt.Sprintf(`{"genesis_time":"%d","genesis_validators_root":"0x%064d","genesis_fork_version":"0x1000101b"}`, t, 7))})
	}
	noGenesis := except(beacontest.PrysmElectra, map[string]http.HandlerFunc{"/eth/v1/beacon/genesis": failing(500)})
	s := serve(t, genesis(current-2419200))
	c := client(t, node.Options{ConsensusURL: s.URL, Now: fixed(now)})
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    network.Identity
		ok      bool
	}{
		{"an earlier iteration", genesis(current - 2419200), network.Earlier, true},
		{"the answer fails", noGenesis, network.Earlier, true},
		{"restarts", hangUp, network.Same, false},
		{"and does not tell", noGenesis, network.Same, false},
		{"the current iteration", genesis(current), network.Same, true},
		{"another network", genesis(1606824023), network.Other, true},
		{"the next iteration", genesis(current + 2419200), network.Next, true},
	} {
		s.change(tc.handler)
		o := c.Look(t.Context(), eph)
		if o.Consensus.Identity != tc.want || o.Consensus.Genesis.OK() != tc.ok {
			t.Errorf("%s: identity %d, genesis %+v", tc.name, o.Consensus.Identity, o.Consensus.Genesis)
		}
		if sample := o.Sample(); sample.Identity != tc.want {
			t.Errorf("%s: sample's identity %d", tc.name, sample.Identity)
		}
	}
}

// Two chains of the same age and other validators are two chains.
func TestValidatorsRootTellsChainsApart(t *testing.T) {
	n := chainOf(beacontest.PrysmElectra)
	n.GenesisValidatorsRoot = network.Root{1}
	c := client(t, node.Options{ConsensusURL: serve(t, beacontest.PrysmElectra).URL, Now: fixed(beacontest.PrysmElectra.Time())})
	if o := c.Look(t.Context(), n); o.Consensus.Identity != network.Other {
		t.Errorf("identity %d", o.Consensus.Identity)
	}
}

func TestLooksMayOverlap(t *testing.T) {
	s := serve(t, beacontest.PrysmElectra)
	e := serve(t, beacontest.GethSynced)
	c := client(t, node.Options{ConsensusURL: s.URL, ExecutionURL: e.URL})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if o := c.Look(context.Background(), network.Network{}); !o.Consensus.Up() || !o.Execution.Up() {
				t.Errorf("%v, %v", o.Consensus.Err(), o.Execution.Err())
			}
		})
	}
	wg.Wait()
}

func TestNewRefusesBadURLs(t *testing.T) {
	const good = "http://127.0.0.1:5052"
	for _, o := range []node.Options{
		{}, {ConsensusURL: "ftp://127.0.0.1"}, {ConsensusURL: good, ExecutionURL: "127.0.0.1:8545"}, {ConsensusURL: good, MetricsURL: "http://"},
	} {
		if _, err := node.New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
