package simulate_test

import (
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// What is simulated is read by the clients that read the real ones.
func TestReadByBeaconClient(t *testing.T) {
	sim := start(t, simulate.Options{})
	chain := sim.Chain()
	for _, client := range simulate.Clients() {
		t.Run(string(client), func(t *testing.T) {
			p, err := sim.AddProvider(string(client), simulate.ProviderOptions{Client: client})
			must(t, err)
			must(t, p.Start(t.Context()))
			c, err := beacon.NewClient(p.URL(), beacon.Options{})
			must(t, err)
			defer c.CloseIdle()
			genesis, err := c.Genesis(t.Context())
			must(t, err)
			final, err := c.FinalityCheckpoints(t.Context(), "head")
			must(t, err)
			root, err := c.BlockRoot(t.Context(), "finalized")
			must(t, err)
			spec, err := c.Spec(t.Context())
			must(t, err)
			state, err := c.StatePrefix(t.Context(), "finalized")
			must(t, err)
			version, err := c.Version(t.Context())
			must(t, err)
			id, _ := spec.DepositChainID()
			if root != final.Finalized.Root || state.Slot != chain.EpochStart(final.Finalized.Epoch) || id != chain.DepositChainID ||
				state.GenesisValidatorsRoot != genesis.ValidatorsRoot || state.CurrentVersion.String() != "0x7000101b" {
				t.Errorf("%+v\n%+v\n%s\n%+v", genesis, final, root, state)
			}
			if !strings.EqualFold(version.Client, string(client)) {
				t.Errorf("%q is taken for %q", version.Version, version.Client)
			}
			if client == simulate.Checkpointz {
				s, err := c.CheckpointzStatus(t.Context())
				must(t, err)
				if s.OperatingMode != "full" || s.Finalized == nil || s.Healthy != 1 {
					t.Errorf("%+v", s)
				}
				return
			}
			readNode(t, sim, client, p.URL())
		})
	}
}

func readNode(t *testing.T, sim *simulate.Simulation, client simulate.Client, source string) {
	t.Helper()
	n, err := sim.AddNode(string(client), simulate.NodeOptions{Client: client, Source: simulate.FixedSource(source), BackfillSlotsPerSecond: 20})
	must(t, err)
	must(t, n.Start(t.Context()))
	must(t, n.WaitReady(t.Context()))
	c, err := beacon.NewClient(n.URL(), beacon.Options{})
	must(t, err)
	defer c.CloseIdle()
	head, err := c.Head(t.Context())
	must(t, err)
	syncing, err := c.Syncing(t.Context())
	must(t, err)
	peers, err := c.PeerCount(t.Context())
	must(t, err)
	if _, err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
	anchor := n.Status().Anchor
	if head.Slot < anchor || anchor == 0 || syncing.HeadSlot < anchor || peers.Connected != 50 {
		t.Errorf("anchor %d, %+v, %+v, %+v", anchor, head, syncing, peers)
	}
	e, err := beacon.NewExecution(n.ExecutionURL(), beacon.Options{})
	must(t, err)
	defer e.CloseIdle()
	id, err := e.ChainID(t.Context())
	must(t, err)
	block, err := e.LatestBlock(t.Context())
	must(t, err)
	sync, err := e.Syncing(t.Context())
	must(t, err)
	if id != sim.Chain().DepositChainID || block.Number < anchor || sync.Syncing {
		t.Errorf("chain id %d, %+v, %+v", id, block, sync)
	}
	must(t, n.SetFault(simulate.ExecutionSyncing()))
	if sync, err = e.Syncing(t.Context()); err != nil || !sync.Syncing {
		t.Errorf("%+v, %v", sync, err)
	}
	switch client {
	case simulate.Lighthouse:
		s, err := c.LighthouseSync(t.Context())
		must(t, err)
		d, err := c.LighthouseDatabase(t.Context())
		must(t, err)
		if left, ok := d.Backfill().Remaining(0); !ok || left != anchor || s.State == "" {
			t.Errorf("%+v, %+v", s, d)
		}
	case simulate.Teku, simulate.Prysm, simulate.Lodestar:
		m, err := beacon.NewMetrics(n.MetricsURL(), beacon.Options{})
		must(t, err)
		defer m.CloseIdle()
		b, err := m.Backfill(t.Context())
		must(t, err)
		if left, ok := b.Remaining(0); !ok || left < anchor || left > anchor+32 {
			t.Errorf("backfill %d %v of %d", left, ok, anchor)
		}
	}
}
