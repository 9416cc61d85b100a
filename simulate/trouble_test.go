package simulate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// nodeClients are those that a node can be.
func nodeClients() []simulate.Client { return simulate.Clients()[1:] }

// TestLogs: what each client writes when it is in trouble is what is known of its log, and a healthy one's is of nothing.
func TestLogs(t *testing.T) {
	slow := simulate.Trickle(100).On("/eth/v2/debug")
	for _, tc := range []struct {
		name string
		// database is there at the start.
		database bool
		node     []simulate.Fault
		provider []simulate.Fault
		want     string
		except   []simulate.Client
		runs     bool
	}{
		{name: "healthy", database: true, runs: true},
		{name: "healthy from a checkpoint", runs: true},
		{name: "corrupt", database: true, node: []simulate.Fault{simulate.CorruptDatabase()}, want: config.FindingCorruptDatabase},
		{name: "disk full", database: true, node: []simulate.Fault{simulate.DiskFull()}, want: config.FindingDiskFull},
		{name: "disk full at bootstrap", node: []simulate.Fault{simulate.DiskFull()}, want: config.FindingDiskFull},
		// Teku and Grandine go on from the genesis.
		{name: "too old", node: []simulate.Fault{simulate.TooOld()}, want: config.FindingClientTooOld, except: []simulate.Client{simulate.Teku, simulate.Grandine}},
		{name: "provider answers HTML", provider: []simulate.Fault{simulate.HTML()}, want: config.FindingCheckpointUnusable, except: []simulate.Client{simulate.Teku, simulate.Grandine}},
		{name: "provider falls back", provider: []simulate.Fault{simulate.HTML()}, want: config.FindingCheckpointUnusable, runs: true,
			except: []simulate.Client{simulate.Lighthouse, simulate.Prysm, simulate.Nimbus, simulate.Lodestar}},
		{name: "provider is slow", provider: []simulate.Fault{slow}, want: config.FindingCheckpointUnusable,
			except: []simulate.Client{simulate.Teku, simulate.Prysm, simulate.Grandine}},
		{name: "provider of another network", provider: []simulate.Fault{simulate.WrongNetwork("")}, want: config.FindingCheckpointUnusable,
			except: []simulate.Client{simulate.Teku, simulate.Lodestar, simulate.Grandine}},
		{name: "JWT", database: true, node: []simulate.Fault{simulate.EngineAuth()}, want: config.FindingEngineAuth, runs: true},
		{name: "invalid payload", database: true, node: []simulate.Fault{simulate.InvalidPayload()}, want: config.FindingInvalidPayload, runs: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				p := w.provider("alpha", simulate.ProviderOptions{Faults: tc.provider})
				for _, c := range nodeClients() {
					if slices.Contains(tc.except, c) {
						continue
					}
					n := w.node("node-"+string(c), simulate.NodeOptions{
						Client: c, Database: tc.database, Faults: tc.node, Source: simulate.FixedSource(p.URL()), RestartDelay: time.Minute,
					})
					time.Sleep(30 * time.Minute)
					found := client.Findings(append(n.Logs(100), n.ExecutionLogs(100)...))
					if _, ok := found[tc.want]; tc.want == "" && len(found) > 0 || tc.want != "" && !ok {
						t.Errorf("%s: found %v in\n%s", c, found, strings.Join(n.Logs(10), "\n"))
					}
					if s := n.Status(); (s.State == simulate.StateRunning) != tc.runs || !tc.runs && len(s.Starts) < 3 {
						t.Errorf("%s: %s after %d starts: %s", c, s.State, len(s.Starts), s.LastError)
					}
				}
			})
		})
	}
}

// TestCrashes: a running process ends when its disk or database fails it, and only what cures that lets it stay up.
func TestCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{})
		n := w.node("node-1", simulate.NodeOptions{Database: true, Source: simulate.FixedSource(p.URL()), RestartDelay: 5 * time.Second})
		must(t, n.SetFault(simulate.CorruptDatabase()))
		time.Sleep(time.Second)
		if s := n.Status(); s.State != simulate.StateExited || !w.refused(n) {
			t.Fatalf("%+v", s)
		}
		time.Sleep(time.Minute)
		if s := n.Status(); len(s.Starts) < 10 || s.Head == 0 {
			t.Fatalf("no crash loop: %+v", s)
		}
		n.Stop()
		n.Wipe()
		must(t, n.StartConsensus(t.Context()))
		must(t, n.WaitReady(t.Context()))
		must(t, n.SetFault(simulate.DiskFull()))
		time.Sleep(time.Minute)
		n.Wipe()
		must(t, n.Restart(t.Context()))
		time.Sleep(time.Minute)
		if s := n.Status(); s.State == simulate.StateRunning || !strings.Contains(s.LastError, "no space") {
			t.Errorf("a new database makes room: %+v", s)
		}
		must(t, n.ClearFaults())
		must(t, n.WaitReady(t.Context()))
		if len(n.Logs(3)) != 3 {
			t.Error("more lines than asked for, or fewer")
		}
	})
}

// TestOldDatabases: of a database outside the weak subjectivity period Teku wants to know nothing, Lodestar asks its provider, and the
// others go on from it.
func TestOldDatabases(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{})
		for _, c := range nodeClients() {
			n := w.node("node-"+string(c), simulate.NodeOptions{
				Client: c, Database: true, Behind: 700 * 32, Source: simulate.FixedSource(p.URL()), RestartDelay: 5 * time.Second, SlotsPerSecond: 1,
			})
			time.Sleep(20 * time.Second)
			s := n.Status()
			switch c {
			case simulate.Teku:
				_, said := client.Findings(n.Logs(10))[config.FindingOutsideWeakSubjectivity]
				if s.State == simulate.StateRunning || !said {
					t.Errorf("%+v, %q", s, n.Logs(3))
				}
				n.Wipe()
				time.Sleep(20 * time.Second)
				if s := n.Status(); s.State != simulate.StateRunning {
					t.Errorf("without its database: %+v", s)
				}
			case simulate.Lodestar:
				if s.State != simulate.StateRunning || s.Distance > 700 || s.Starts[0].Database {
					t.Errorf("%+v", s)
				}
			default:
				if s.State != simulate.StateRunning || s.Distance < 690*32 {
					t.Errorf("%s: %+v", c, s)
				}
			}
		}
	})
}

// TestExecutionTroubles: what the two clients of a node say when the execution client is the one that does not do its part.
func TestExecutionTroubles(t *testing.T) {
	for _, tc := range []struct {
		name                string
		fault               simulate.Fault
		optimistic, offline bool
		moves, grows        bool
		peers               uint64
		cure                func(*testing.T, *simulate.Node)
	}{
		{name: "none", moves: true, peers: 50},
		{name: "JWT", fault: simulate.EngineAuth(), offline: true, peers: 50},
		{name: "invalid payload", fault: simulate.InvalidPayload(), optimistic: true, peers: 50},
		{name: "no peers", fault: simulate.ExecutionNoPeers(), optimistic: true, cure: func(t *testing.T, n *simulate.Node) { must(t, n.RestartExecution(t.Context())) }},
		{name: "healing", fault: simulate.ExecutionHealing(), optimistic: true, grows: true, peers: 50},
		{name: "indexing", fault: simulate.ExecutionIndexing(), moves: true, grows: true, peers: 50},
		{name: "old iteration", fault: simulate.ExecutionWrongNetwork(""), optimistic: true, cure: func(t *testing.T, n *simulate.Node) {
			n.WipeExecution()
			must(t, n.RestartExecution(t.Context()))
		}},
		{name: "another network", fault: simulate.ExecutionWrongNetwork("hoodi"), optimistic: true, cure: func(t *testing.T, n *simulate.Node) { must(t, n.Reset(t.Context())) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				p := w.provider("alpha", simulate.ProviderOptions{})
				n := w.node("node-1", simulate.NodeOptions{Database: true, Source: simulate.FixedSource(p.URL())})
				right := w.call(n.ExecutionURL(), "eth_chainId", "[]")
				time.Sleep(time.Minute)
				if tc.fault.Kind != "" {
					must(t, n.SetFault(tc.fault))
				}
				block := func() uint64 { return hexNumber(t, w.call(n.ExecutionURL(), "eth_blockNumber", "[]")) }
				items := func() (sum uint64) {
					m, _ := w.call(n.ExecutionURL(), "eth_syncing", "[]").(map[string]any)
					for _, k := range []string{"healedTrienodes", "txIndexFinishedBlocks"} {
						if v, ok := m[k]; ok {
							sum += hexNumber(t, v)
						}
					}
					return sum
				}
				was, counted := block(), items()
				time.Sleep(5 * time.Minute)
				s := w.data(n.URL() + "/eth/v1/node/syncing")
				if s["is_optimistic"] != tc.optimistic || s["el_offline"] != tc.offline {
					t.Errorf("%v", s)
				}
				if moved, grew := block() > was, items() > counted; moved != tc.moves || grew != tc.grows {
					t.Errorf("moved %v, grew %v", moved, grew)
				}
				if peers := hexNumber(t, w.call(n.ExecutionURL(), "net_peerCount", "[]")); peers != tc.peers {
					t.Errorf("%d peers", peers)
				}
				if id := w.call(n.ExecutionURL(), "eth_chainId", "[]"); (id != right) != (tc.fault.Kind == simulate.KindExecutionWrongNetwork) {
					t.Errorf("chain id %v, and %v is right", id, right)
				}
				must(t, n.Restart(t.Context()))
				if tc.fault.Kind != "" && len(n.Faults()) == 0 {
					t.Error("a restart of the consensus client cures it")
				}
				if tc.cure != nil {
					tc.cure(t, n)
					time.Sleep(5 * time.Minute)
					if s := w.data(n.URL() + "/eth/v1/node/syncing"); s["is_optimistic"] != false || len(n.Faults()) > 0 {
						t.Errorf("not cured: %v", s)
					}
				}
			})
		})
	}
}

// TestReset: with a new database alone a node of the old iteration finds every provider to be of another network. It needs the new network
// files, and so does its execution client.
func TestReset(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{})
		n := w.node("node-1", simulate.NodeOptions{Database: true, Source: simulate.FixedSource(p.URL()), RestartDelay: 5 * time.Second})
		missed := w.node("node-2", simulate.NodeOptions{Database: true, IterationsBehind: 2, Source: simulate.FixedSource(p.URL())})
		if s := missed.Status(); s.Iteration != n.Status().Iteration-2 || s.Head != 201599 || s.Peers > 0 {
			t.Errorf("two iterations behind: %+v", s)
		}
		old := n.Status().Iteration
		time.Sleep(time.Until(w.Chain().ResetAt.Add(3 * time.Hour)))
		n.Wipe()
		must(t, n.Restart(t.Context()))
		time.Sleep(time.Minute)
		if s := n.Status(); s.State == simulate.StateRunning || s.Iteration != old {
			t.Fatalf("%+v", s)
		}
		n.Reconfigure()
		must(t, n.WaitReady(t.Context()))
		time.Sleep(10 * time.Minute)
		chainID := func() uint64 { return hexNumber(t, w.call(n.ExecutionURL(), "eth_chainId", "[]")) }
		if s := w.data(n.URL() + "/eth/v1/node/syncing"); s["is_optimistic"] != true || chainID() == w.Chain().DepositChainID {
			t.Errorf("with the execution client of the old iteration: %v", s)
		}
		must(t, n.Reset(t.Context()))
		must(t, n.WaitReady(t.Context()))
		time.Sleep(10 * time.Minute)
		if s := n.Status(); !s.Synced || s.Iteration != old+1 || chainID() != w.Chain().DepositChainID {
			t.Errorf("after the reset: %+v", s)
		}
		if s := w.data(n.URL() + "/eth/v1/node/syncing"); s["is_optimistic"] != false {
			t.Errorf("%v", s)
		}
	})
}

// TestProviderClock: every answer bears the wrong time, and a body that trickles begins at once.
func TestProviderClock(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.ClockSkew(-time.Hour), simulate.Trickle(64)}})
		began := time.Now()
		a, err := w.ask(p.URL()+genesisPath, "application/json")
		must(t, err)
		said, err := time.Parse(time.RFC1123, a.header.Get("Date"))
		must(t, err)
		if ahead := said.Sub(began).Round(10 * time.Second); ahead != -time.Hour {
			t.Errorf("its clock is %s ahead", ahead)
		}
		if took := time.Since(began); took < time.Second || took > 10*time.Second {
			t.Errorf("%d bytes took %s", len(a.body), took)
		}
	})
}
