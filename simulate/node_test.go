package simulate_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

const syncingPath = "/eth/v1/node/syncing"

// refused tells whether a node's API is closed.
func (w world) refused(n *simulate.Node) bool {
	w.t.Helper()
	_, err := w.ask(n.URL()+syncingPath, jsonMedia)
	return errors.Is(err, syscall.ECONNREFUSED)
}

// health is the status of /eth/v1/node/health.
func (w world) health(n *simulate.Node) int {
	w.t.Helper()
	a, err := w.ask(n.URL()+"/eth/v1/node/health", "*/*")
	must(w.t, err)
	return a.status
}

// A node without a database depends on its provider, each client in its own way.
func TestBootstrap(t *testing.T) {
	for _, tc := range []struct {
		client simulate.Client
		// asks are the paths that the client asks for, a slot standing as SLOT.
		asks []string
		// survives tells that it starts from the genesis when the provider fails.
		survives bool
	}{
		{simulate.Lighthouse, []string{statePath, blockPath + "SLOT"}, false},
		{simulate.Teku, []string{statePath}, true},
		{simulate.Prysm, []string{statePath, blockPath + "SLOT"}, false},
		{simulate.Nimbus, []string{"/eth/v2/debug/beacon/states/genesis", statePath}, false},
		{simulate.Lodestar, []string{statePath}, false},
		{simulate.Grandine, []string{blockPath + "finalized", "/eth/v2/debug/beacon/states/SLOT"}, true},
	} {
		t.Run(string(tc.client), func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				p := w.provider("alpha", simulate.ProviderOptions{})
				n := w.node("node-1", simulate.NodeOptions{Client: tc.client, Source: simulate.FixedSource(p.URL() + "/")})
				must(t, n.WaitReady(t.Context()))
				epoch, _ := w.finalized(p.URL())
				anchor := w.Chain().EpochStart(epoch)
				if s := n.Status(); s.Anchor != anchor || s.State != simulate.StateRunning || s.Starts[0].Database {
					t.Errorf("%+v, want anchor %d", s, anchor)
				}
				for _, path := range tc.asks {
					if path := strings.Replace(path, "SLOT", decimal(anchor), 1); p.Requests()[path] != 1 {
						t.Errorf("%s was not asked for once: %v", path, p.Requests())
					}
				}
				if head := number(t, w.data(n.URL() + syncingPath)["head_slot"]); head != anchor {
					t.Errorf("begins at slot %d, want %d", head, anchor)
				}
				if epoch2, _ := w.finalized(n.URL()); epoch2 != epoch {
					t.Errorf("its finalized epoch is %d, the provider's %d", epoch2, epoch)
				}
				time.Sleep(2 * time.Minute)
				if s := n.Status(); !s.Synced || s.Distance > 1 {
					t.Errorf("after two minutes: %+v", s)
				}
				if v := w.data(n.URL() + "/eth/v1/node/version")["version"].(string); !strings.HasPrefix(strings.ToLower(v), string(tc.client)) {
					t.Errorf("calls itself %q", v)
				}

				// The same with a provider that is down.
				must(t, p.SetFault(simulate.Down()))
				m := w.node("node-2", simulate.NodeOptions{Client: tc.client, Source: simulate.FixedSource(p.URL())})
				err := m.WaitReady(t.Context())
				switch s := m.Status(); {
				case tc.survives && (err != nil || s.Anchor != 0 || s.Head != 0):
					t.Errorf("does not fall back to the genesis: %v, %+v", err, s)
				case !tc.survives && (err == nil || s.State != simulate.StateExited || !strings.Contains(s.LastError, "refused") || !w.refused(m)):
					t.Errorf("lives without a provider: %v, %+v", err, s)
				}
			})
		})
	}
}

// What a provider may do wrong ends the bootstrap, and a good provider mends it at the next start.
func TestBootstrapFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		client simulate.Client
		fault  simulate.Fault
		says   string
	}{
		{"status", simulate.Lighthouse, simulate.Status(500), "HTTP status 500"},
		{"no finality", simulate.Prysm, simulate.NoFinality(), "no finality known"},
		{"light", simulate.Lodestar, simulate.LightMode(), "state not found"},
		{"html", simulate.Nimbus, simulate.HTML(), "failed to decode SSZ"},
		{"JSON error", simulate.Prysm, simulate.JSONError(), "failed to decode SSZ"},
		{"truncated", simulate.Lighthouse, simulate.Truncated(), "too few"},
		{"gzip bomb", simulate.Prysm, simulate.GzipBomb(1 << 20), "failed to decode SSZ"},
		{"wrong network", simulate.Lighthouse, simulate.WrongNetwork("sepolia"), "another network"},
		{"old iteration", simulate.Prysm, simulate.OldIteration(""), "another network"},
		{"stale beyond weak subjectivity", simulate.Lodestar, simulate.Stale(700), "weak subjectivity"},
		{"unaligned", simulate.Nimbus, simulate.Unaligned(), "epoch boundary"},
		{"hang", simulate.Lighthouse, simulate.Hang(), "deadline"},
		{"rate limited", simulate.Lighthouse, simulate.RateLimited(time.Minute), "HTTP status 429"},
		{"block missing", simulate.Lighthouse, simulate.Status(500).On("/eth/v2/beacon"), "HTTP status 500"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				p := w.provider("alpha", simulate.ProviderOptions{Faults: []simulate.Fault{tc.fault}})
				good := w.provider("good", simulate.ProviderOptions{})
				var source atomic.Value
				source.Store(p.URL())
				n := w.node("node-1", simulate.NodeOptions{
					Client: tc.client, RestartDelay: time.Minute, Source: func() (string, error) { return source.Load().(string), nil },
				})
				time.Sleep(250 * time.Second)
				s := n.Status()
				if s.Database || !strings.Contains(s.LastError, tc.says) || !w.refused(n) {
					t.Fatalf("%+v, want a reason with %q", s, tc.says)
				}
				if len(s.Starts) < 2 {
					t.Errorf("it was not started again: %v", s.Starts)
				}
				source.Store(good.URL())
				must(t, n.Restart(t.Context()))
				must(t, n.WaitReady(t.Context()))
				if s := n.Status(); s.Starts[len(s.Starts)-1].Source != good.URL() {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Prysm waits for a provider that hangs as long as it takes, and can be stopped meanwhile.
func TestBootstrapHangs(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.Hang()}})
		n := w.node("node-1", simulate.NodeOptions{Client: simulate.Prysm, Source: simulate.FixedSource(p.URL())})
		time.Sleep(24 * time.Hour)
		if s := n.Status(); s.State != simulate.StateBootstrapping || !w.refused(n) {
			t.Errorf("%+v", s)
		}
		n.Stop()
		if s := n.Status(); s.State != simulate.StateStopped {
			t.Errorf("%+v", s)
		}
	})
}

func TestNoSource(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		lighthouse := w.node("node-1", simulate.NodeOptions{})
		if err := lighthouse.WaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), "insecure") {
			t.Errorf("Lighthouse syncs from the genesis: %v", err)
		}
		prysm := w.node("node-2", simulate.NodeOptions{Client: simulate.Prysm})
		must(t, prysm.WaitReady(t.Context()))
		if s := prysm.Status(); s.Anchor != 0 || s.Head != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// With a database the URL does not matter, until it is wiped.
func TestDatabaseIgnoresSource(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.Down()}})
		n := w.node("node-1", simulate.NodeOptions{Database: true, Source: simulate.FixedSource(p.URL())})
		must(t, n.Restart(t.Context()))
		must(t, n.WaitReady(t.Context()))
		if s := n.Status(); !s.Starts[1].Database || !s.Synced {
			t.Errorf("%+v", s)
		}
		n.Wipe()
		if w.refused(n) {
			t.Error("a wipe ends the process")
		}
		must(t, n.Restart(t.Context()))
		if err := n.WaitReady(t.Context()); err == nil || !w.refused(n) {
			t.Error("it starts without database and provider")
		}
		must(t, p.ClearFaults())
		must(t, n.Start(t.Context()))
		must(t, n.WaitReady(t.Context()))
		if got := len(n.Restarts()); got != 3 {
			t.Errorf("%d restarts", got)
		}
	})
}

// The source is read at each start, from the inventory as it is then.
func TestInventory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	write := func(url string) {
		must(t, os.WriteFile(file, []byte("# fleet\nall:\n  hosts:\n    node-0: {checkpoint_sync_url: http://nowhere}\n    node-1:\n      checkpoint_sync_url: \""+url+"\"  # keep\n"), 0o600))
	}
	bubble(t, func(t *testing.T, w world) {
		bad := w.provider("bad", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.Status(503)}})
		good := w.provider("good", simulate.ProviderOptions{})
		write(bad.URL())
		n := w.node("node-1", simulate.NodeOptions{Source: simulate.YAMLSource(file, "node-1", "checkpoint_sync_url")})
		if n.WaitReady(t.Context()) == nil {
			t.Fatal("it started")
		}
		write(good.URL())
		must(t, n.Restart(t.Context()))
		must(t, n.WaitReady(t.Context()))
	})
	for _, tc := range []struct{ host, key, want, fails string }{
		{"node-0", "checkpoint_sync_url", "http://nowhere", ""},
		{"", "checkpoint_sync_url", "http://nowhere", ""},
		{"node-9", "checkpoint_sync_url", "", `no host "node-9"`},
		{"node-1", "url", "", `no key "url"`},
	} {
		got, err := simulate.YAMLSource(file, tc.host, tc.key)()
		if got != tc.want || (err != nil) != (tc.fails != "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s of %s: %q, %v", tc.key, tc.host, got, err)
		}
	}
}

// The head comes in batches at the speed asked for, and then follows the clock.
func TestSyncSpeed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		jitter float64
		pause  time.Duration
		// least and most are the minutes that 6000 slots at 4 slots a second take.
		least, most float64
	}{
		{"even", 0, 0, 25, 27},
		{"with jitter", 0.6, 0, 23, 29},
		{"with pauses", 0, time.Minute, 33, 38},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				n := w.node("node-1", simulate.NodeOptions{
					Database: true, Behind: 6000, SlotsPerSecond: 4, Jitter: tc.jitter, PauseEvery: 20, Pause: tc.pause,
				})
				began, seen := time.Now(), map[uint64]bool{}
				for !n.Status().Synced {
					head := number(t, w.data(n.URL() + syncingPath)["head_slot"])
					seen[head] = true
					if time.Since(began) > time.Hour {
						t.Fatalf("not synced within an hour: %+v", n.Status())
					}
					time.Sleep(3 * time.Second) // less than the shortest batch
				}
				if m := time.Since(began).Minutes(); m < tc.least || m > tc.most {
					t.Errorf("took %.1f minutes, want %v to %v", m, tc.least, tc.most)
				}
				if len(seen) < 180 || len(seen) > 200 {
					t.Errorf("the head stood at %d slots, want one for each of about 190 batches", len(seen))
				}
				for range 20 {
					time.Sleep(17 * time.Second)
					if d := w.Chain().Distance(n.Status().Head, time.Now()); d > 1 {
						t.Errorf("following, it is %d slots behind", d)
					}
				}
			})
		})
	}
}

func TestStall(t *testing.T) {
	for _, client := range []simulate.Client{simulate.Lighthouse, simulate.Prysm} {
		t.Run(string(client), func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				n := w.node("node-1", simulate.NodeOptions{Client: client, Database: true, Behind: 3000, SlotsPerSecond: 5})
				time.Sleep(time.Minute)
				must(t, n.SetFault(simulate.Stall()))
				before := n.Status()
				time.Sleep(10 * time.Minute)
				after := n.Status()
				if after.Head != before.Head || after.Distance != before.Distance+50 {
					t.Errorf("head %d then %d, distance %d then %d", before.Head, after.Head, before.Distance, after.Distance)
				}
				must(t, n.Restart(t.Context()))
				if len(n.Faults()) > 0 {
					t.Errorf("a restart does not cure %v", n.Faults())
				}
				time.Sleep(20 * time.Minute)
				if s := n.Status(); !s.Synced {
					t.Errorf("%+v", s)
				}
				// A stubborn one stalls again until it is wiped.
				must(t, n.SetFault(simulate.Stall().CuredBy(simulate.CureNever)))
				must(t, n.Restart(t.Context()))
				time.Sleep(10 * time.Minute)
				if s := n.Status(); s.Synced || s.Distance < 50 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Every client has its own idea of syncing, distance and health.
func TestQuirks(t *testing.T) {
	type face struct {
		syncing  bool
		distance string // "0", or "real" for the true one
		health   int
	}
	synced := face{false, "real", 200}
	for _, tc := range []struct {
		client                                      simulate.Client
		healthy, syncing, stalled, alone, execution face
		optimistic                                  int // health
		offline                                     any // el_offline without an execution client
	}{
		{simulate.Lighthouse, synced, face{true, "real", 206}, face{true, "real", 206}, face{true, "real", 206}, face{true, "real", 503}, 206, true},
		{simulate.Teku, synced, face{true, "real", 206}, face{true, "real", 206}, face{false, "0", 200}, face{true, "real", 206}, 200, true},
		{simulate.Prysm, synced, face{true, "real", 206}, face{false, "real", 200}, face{false, "real", 200}, face{false, "real", 200}, 206, false},
		{simulate.Nimbus, synced, face{true, "real", 206}, face{true, "real", 206}, face{true, "real", 206}, face{true, "real", 206}, 206, true},
		{simulate.Lodestar, synced, face{true, "real", 200}, face{true, "real", 200}, face{true, "real", 200}, face{true, "real", 200}, 200, nil},
		{simulate.Grandine, face{false, "0", 200}, face{true, "real", 206}, face{false, "0", 200}, face{false, "0", 200}, face{false, "0", 200}, 206, true},
	} {
		t.Run(string(tc.client), func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				n := w.node("node-1", simulate.NodeOptions{Client: tc.client, Database: true, Behind: 1000, SlotsPerSecond: 10})
				look := func(when string, want face) map[string]any {
					t.Helper()
					d := w.data(n.URL() + syncingPath)
					distance := want.distance
					if distance == "real" {
						distance = decimal(w.Chain().Distance(n.Status().Head, time.Now()))
					}
					if tc.client == simulate.Teku && distance == "1" {
						distance = "0"
					}
					if d["is_syncing"] != want.syncing || d["sync_distance"] != distance || w.health(n) != want.health {
						t.Errorf("%s: %v with health %d, want %+v (%s)", when, d, w.health(n), want, distance)
					}
					return d
				}
				time.Sleep(30 * time.Second)
				look("syncing", tc.syncing)
				time.Sleep(3 * time.Minute)
				look("healthy", tc.healthy)
				for _, f := range []struct {
					fault simulate.Fault
					want  face
				}{{simulate.Stall(), tc.stalled}, {simulate.NoPeers(), tc.alone}, {simulate.ExecutionDown(), tc.execution}} {
					must(t, n.SetFault(f.fault))
					before := n.Status().Head
					time.Sleep(10 * time.Minute)
					d := look(string(f.fault.Kind), f.want)
					if n.Status().Head != before {
						t.Errorf("%s: the head moves", f.fault.Kind)
					}
					if f.fault.Kind == simulate.KindExecutionDown && d["el_offline"] != tc.offline {
						t.Errorf("el_offline %v, want %v", d["el_offline"], tc.offline)
					}
					must(t, n.ClearFaults())
					time.Sleep(10 * time.Minute)
					look("after "+string(f.fault.Kind), tc.healthy)
				}
				must(t, n.SetFault(simulate.Optimistic()))
				before := n.Status().Head
				time.Sleep(10 * time.Minute)
				if d := w.data(n.URL() + syncingPath); d["is_optimistic"] != true || n.Status().Head <= before || w.health(n) != tc.optimistic {
					t.Errorf("optimistic: %v, health %d, head %d then %d", d, w.health(n), before, n.Status().Head)
				}
			})
		})
	}
}

func TestExecution(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		n := w.node("node-1", simulate.NodeOptions{Client: simulate.Prysm, Database: true})
		head := func() uint64 { return hexNumber(t, w.call(n.ExecutionURL(), "eth_blockNumber", "[]")) }
		syncing := func() any { return w.call(n.ExecutionURL(), "eth_syncing", "[]") }
		latest := func() time.Time {
			b := w.call(n.ExecutionURL(), "eth_getBlockByNumber", `["latest",false]`).(map[string]any)
			return time.Unix(int64(hexNumber(t, b["timestamp"])), 0)
		}
		if got := hexNumber(t, w.call(n.ExecutionURL(), "eth_chainId", "[]")); got != w.Chain().DepositChainID {
			t.Errorf("chain id %d", got)
		}
		if syncing() != false || head() != n.Status().Head || time.Since(latest()) > 24*time.Second {
			t.Errorf("syncing %v, head %d, latest block of %s", syncing(), head(), latest())
		}

		must(t, n.SetFault(simulate.ExecutionSyncing()))
		time.Sleep(time.Minute)
		s, ok := syncing().(map[string]any)
		if !ok || hexNumber(t, s["currentBlock"]) >= hexNumber(t, s["highestBlock"]) {
			t.Fatalf("syncing %v", syncing())
		}
		before := head()
		time.Sleep(time.Minute)
		if head() <= before {
			t.Error("it syncs without getting on")
		}
		must(t, n.ClearFaults())

		must(t, n.SetFault(simulate.Optimistic()))
		stuck := head()
		time.Sleep(10 * time.Minute)
		if head() != stuck || time.Since(latest()) < 9*time.Minute {
			t.Errorf("optimistic, the execution client went from %d to %d", stuck, head())
		}
		must(t, n.ClearFaults())

		must(t, n.SetFault(simulate.ExecutionDown()))
		if _, err := w.ask(n.ExecutionURL(), jsonMedia); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("down: %v", err)
		}
		must(t, n.RestartExecution(t.Context()))
		time.Sleep(time.Minute)
		if len(n.Faults()) > 0 || head() != n.Status().Head || len(n.Status().ExecutionStarts) != 2 {
			t.Errorf("restarted: %v, %+v", n.Faults(), n.Status())
		}
		n.StopExecution()
		if _, err := w.ask(n.ExecutionURL(), jsonMedia); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("stopped: %v", err)
		}
		must(t, n.Start(t.Context()))
		head()
	})
}

func TestBackfill(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{})
		n := w.node("node-1", simulate.NodeOptions{Source: simulate.FixedSource(p.URL())})
		must(t, n.WaitReady(t.Context()))
		time.Sleep(10 * time.Minute)
		remaining := func() float64 {
			b, ok := w.json(n.URL() + "/lighthouse/syncing")["data"].(map[string]any)
			if !ok {
				return -1
			}
			return b["BackFillSyncing"].(map[string]any)["remaining"].(float64)
		}
		if w.data(n.URL() + syncingPath)["is_syncing"] != false {
			t.Error("backfill counts as syncing")
		}
		oldest := func() uint64 {
			return number(t, w.json(n.URL() + "/lighthouse/database/info")["anchor"].(map[string]any)["oldest_block_slot"])
		}
		r1 := remaining()
		if uint64(r1) != oldest() || r1 <= 0 {
			t.Errorf("remaining %v, oldest block %d", r1, oldest())
		}
		time.Sleep(10 * time.Minute)
		if r2 := remaining(); r1-r2 != 12000 {
			t.Errorf("%v slots in 10 minutes, want 20 a second", r1-r2)
		}
		must(t, n.SetFault(simulate.BackfillStall()))
		r1 = remaining()
		time.Sleep(time.Hour)
		if remaining() != r1 || !n.Status().Synced {
			t.Errorf("stalled, it went from %v to %v: %+v", r1, remaining(), n.Status())
		}
		a, err := w.ask(n.URL()+blockPath+"100", jsonMedia)
		must(t, err)
		if a.status != http.StatusNotFound {
			t.Errorf("block 100 answers %d before it was fetched", a.status)
		}
		must(t, n.Restart(t.Context()))
		time.Sleep(4 * time.Hour)
		if got := w.json(n.URL() + "/lighthouse/syncing")["data"]; got != "Synced" || oldest() != 0 {
			t.Errorf("at the end: %v, oldest block %d", got, oldest())
		}
		w.json(n.URL() + blockPath + "100")
	})
}

// The clients that tell of their backfill in their metrics do so.
func TestMetrics(t *testing.T) {
	for client, series := range map[simulate.Client][]string{
		simulate.Lighthouse: {"beacon_head_slot ", "libp2p_peers 50"},
		simulate.Teku:       {"beacon_historical_block_sync_earliest_block ", `beacon_peer_count{direction="inbound"} 50`},
		simulate.Prysm:      {"backfill_remaining_batches ", `p2p_peer_count{state="Connected"} 50`},
		simulate.Nimbus:     {"nbc_peers 50"},
		simulate.Lodestar:   {"lodestar_backfill_till_slot ", "lodestar_backfill_sync_status 2"},
		simulate.Grandine:   {"beacon_finalized_epoch "},
	} {
		t.Run(string(client), func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				p := w.provider("alpha", simulate.ProviderOptions{})
				n := w.node("node-1", simulate.NodeOptions{Client: client, Source: simulate.FixedSource(p.URL()), BackfillSlotsPerSecond: 20})
				must(t, n.WaitReady(t.Context()))
				time.Sleep(10 * time.Minute)
				a, err := w.ask(n.MetricsURL(), "*/*")
				must(t, err)
				for _, s := range series {
					if !strings.Contains(string(a.body), "\n"+s) {
						t.Errorf("%q is not in\n%s", s, a.body)
					}
				}
			})
		})
	}
}

func TestNodeDoors(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		n := w.node("node-1", simulate.NodeOptions{Client: simulate.Teku, Database: true, StartupTime: 8 * time.Second})
		if !w.refused(n) || n.Status().State != simulate.StateBootstrapping {
			t.Errorf("open at once: %+v", n.Status())
		}
		must(t, n.WaitReady(t.Context()))
		if d := time.Since(n.Status().Starts[0].At); d != 8*time.Second || w.refused(n) {
			t.Errorf("opened after %s", d)
		}
		must(t, n.SetFault(simulate.APIClosed()))
		if !w.refused(n) || n.Status().State != simulate.StateRunning {
			t.Errorf("not closed: %+v", n.Status())
		}
		must(t, n.Restart(t.Context()))
		must(t, n.WaitReady(t.Context()))
		must(t, n.SetFault(simulate.APIHang()))
		if _, err := w.ask(n.URL()+syncingPath, jsonMedia); err == nil || w.refused(n) {
			t.Errorf("does not hang: %v", err)
		}
		must(t, n.ClearFaults())
		must(t, n.SetFault(simulate.HTML()))
		if a, err := w.ask(n.URL()+syncingPath, jsonMedia); err != nil || !strings.Contains(a.header.Get("Content-Type"), "html") {
			t.Errorf("%v %v", a.header, err)
		}
		n.Stop()
		head := n.Status().Head
		time.Sleep(time.Hour)
		if !w.refused(n) || n.Status().Head != head {
			t.Errorf("stopped, it went on: %+v", n.Status())
		}
		n.Stop() // twice is nothing
	})
}

func TestNodeChains(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{})
		n := w.node("node-1", simulate.NodeOptions{Client: simulate.Prysm, Database: true, Source: simulate.FixedSource(p.URL())})
		genesis := func(n *simulate.Node) int64 {
			return int64(number(t, w.data(n.URL() + genesisPath)["genesis_time"]))
		}
		chainID := func(n *simulate.Node) uint64 { return hexNumber(t, w.call(n.ExecutionURL(), "eth_chainId", "[]")) }
		must(t, n.SetFault(simulate.WrongNetwork("hoodi")))
		if genesis(n) == w.Chain().GenesisTime.Unix() || chainID(n) != 560048 {
			t.Errorf("genesis %d, chain id %d", genesis(n), chainID(n))
		}
		must(t, n.Restart(t.Context()))
		if chainID(n) != 560048 {
			t.Error("a restart cures a wrong network")
		}
		n.Wipe()
		must(t, n.Restart(t.Context()))
		must(t, n.WaitReady(t.Context()))
		if genesis(n) != w.Chain().GenesisTime.Unix() {
			t.Error("a wipe does not cure it")
		}
		must(t, n.SetFault(simulate.OldIteration("")))
		if s := n.Status(); genesis(n) != w.Chain().GenesisTime.Unix()-28*24*3600 || chainID(n) != w.Chain().DepositChainID-1 || s.Peers != 0 || s.Head != 201599 {
			t.Errorf("old iteration: %+v", s)
		}
		must(t, n.ClearFaults())
		time.Sleep(time.Hour)

		// A reset leaves nodes behind, but for Teku, which starts anew when it is restarted.
		teku := w.node("node-2", simulate.NodeOptions{Client: simulate.Teku, Database: true, Source: simulate.FixedSource(p.URL())})
		time.Sleep(time.Until(w.Chain().ResetAt.Add(3 * time.Hour)))
		for _, m := range []*simulate.Node{n, teku} {
			if s := m.Status(); s.Head != 201599 || s.Peers != 0 || genesis(m) == w.Chain().GenesisTime.Unix() {
				t.Errorf("after the reset: %+v", s)
			}
			must(t, m.Restart(t.Context()))
			must(t, m.WaitReady(t.Context()))
		}
		if genesis(n) == w.Chain().GenesisTime.Unix() || genesis(teku) != w.Chain().GenesisTime.Unix() {
			t.Error("of the restarted ones only Teku is on the new chain")
		}

		// Lodestar believes a provider on the old chain, as long as its state is fresh.
		old := w.provider("old", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.OldIteration("")}})
		lodestar := w.node("node-3", simulate.NodeOptions{Client: simulate.Lodestar, Source: simulate.FixedSource(old.URL())})
		must(t, lodestar.WaitReady(t.Context()))
		if s := lodestar.Status(); genesis(lodestar) == w.Chain().GenesisTime.Unix() || s.Peers != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRefusals(t *testing.T) {
	sim := start(t, simulate.Options{Sockets: simulate.NewMemory()})
	p, err := sim.AddProvider("alpha", simulate.ProviderOptions{})
	must(t, err)
	n, err := sim.AddNode("node-1", simulate.NodeOptions{})
	must(t, err)
	for name, err := range map[string]error{
		"same provider":  second(sim.AddProvider("alpha", simulate.ProviderOptions{})),
		"unknown client": second(sim.AddProvider("beta", simulate.ProviderOptions{Client: "parity"})),
		"bad fault":      second(sim.AddProvider("beta", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.Stall()}})),
		"same node":      second(sim.AddNode("node-1", simulate.NodeOptions{})),
		"no node":        second(sim.AddNode("node-2", simulate.NodeOptions{Client: simulate.Checkpointz})),
		"jitter":         second(sim.AddNode("node-2", simulate.NodeOptions{Jitter: 2})),
		"no clock":       second(simulate.New(simulate.Options{Network: ephemeralWithout()})),
		"stall":          p.SetFault(simulate.Stall()),
		"down":           n.SetFault(simulate.Down()),
		"redirect":       p.SetFault(simulate.Redirect("")),
		"status":         p.SetFault(simulate.Status(200)),
		"network":        p.SetFault(simulate.WrongNetwork("kovan")),
		"negative":       p.SetFault(simulate.Slow(-1)),
		"part":           p.SetFault(simulate.OldIteration("half")),
		"path":           p.SetFault(simulate.Stale(3).On("/eth")),
		"cure":           n.SetFault(simulate.Stall().CuredBy("prayer")),
		"stopped":        n.WaitReady(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if len(p.Faults())+len(n.Faults()) > 0 {
		t.Error("a refused fault is in force")
	}
}

func second[T any](_ T, err error) error { return err }
