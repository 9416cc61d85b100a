package provider_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

func devnet(genesis int64, seconds, slots, chainID uint64) network.Network {
	return network.Network{Chain: network.Chain{
		Network: "devnet", GenesisTime: time.Unix(genesis, 0), SecondsPerSlot: seconds, SlotsPerEpoch: slots, DepositChainID: chainID,
	}}
}

// TestRecorded judges real servers by their own answers, at the time when they gave them.
func TestRecorded(t *testing.T) {
	fulu, electra, minimal := devnet(1795338007, 2, 32, 1337), devnet(1795336091, 3, 8, 1337), devnet(1795334575, 2, 8, 5)
	blank := network.Network{Chain: network.Chain{Network: "devnet"}}
	for name, c := range map[string]struct {
		network network.Network
		options provider.Options
		later   time.Duration
		servers []beacontest.Recording
		want    [][]provider.Reason
		agree   string
		epoch   uint64
		lag     uint64
	}{
		"a node and the checkpointz in front of it": {
			network: fulu, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu},
			want: [][]provider.Reason{nil, nil}, agree: "a:yes b:yes", epoch: 5, lag: 2,
		},
		"the same, all learnt from them": {
			network: blank, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu},
			want: [][]provider.Reason{nil, nil}, agree: "a:yes b:yes", epoch: 5, lag: 2,
		},
		"a node alone": {network: electra, servers: []beacontest.Recording{beacontest.PrysmElectra}, want: [][]provider.Reason{nil}, agree: "a:?", epoch: 9, lag: 2},
		"later": {
			network: fulu, later: 10 * time.Minute, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu},
			want: [][]provider.Reason{{provider.Stale}, {provider.Stale}}, agree: "a:yes b:yes", lag: 11, epoch: 5,
		},
		"as if of another chain with the same validators": {
			network: minimal, servers: []beacontest.Recording{beacontest.PrysmElectra}, want: [][]provider.Reason{{provider.WrongNetwork}}, agree: "a:?",
		},
		"a Lodestar whose chain did not finalize for nine epochs": {
			network: minimal, servers: []beacontest.Recording{beacontest.Lodestar}, want: [][]provider.Reason{{provider.Stale}}, agree: "a:?", epoch: 8, lag: 9,
		},
		"the same, where that is allowed": {
			network: minimal, options: provider.Options{MaxLagEpochs: 9}, servers: []beacontest.Recording{beacontest.Lodestar},
			want: [][]provider.Reason{nil}, agree: "a:?", epoch: 8, lag: 9,
		},
		"a checkpointz in front of Lodestar": {
			network: minimal, servers: []beacontest.Recording{beacontest.CheckpointzMinimal}, want: [][]provider.Reason{nil}, agree: "a:?", epoch: 66, lag: 2,
		},
		"a Lodestar that syncs": {network: minimal, servers: []beacontest.Recording{beacontest.LodestarSyncing}, want: [][]provider.Reason{{provider.NoState}}, agree: "a:?"},
	} {
		t.Run(name, func(t *testing.T) {
			when := c.servers[0].Time().Add(c.later)
			var seen []provider.Observation
			for i, r := range c.servers {
				s := httptest.NewServer(r)
				defer s.Close()
				seen = append(seen, prober(t, string(rune('a'+i)), s.URL, provider.ProberOptions{}).Probe(context.Background(), when, provider.Ask{}))
			}
			j := provider.Judge(c.network, seen, c.options, when)
			for i, v := range j.Verdicts {
				expectReasons(t, v, "", c.want[i]...)
				if c.epoch == 0 {
					continue
				}
				if v.Finalized == nil || v.Finalized.Epoch != c.epoch || v.LagEpochs == nil || *v.LagEpochs != c.lag {
					t.Errorf("%s: finalized %v, lag %v; want %d, %d", v.Provider, v.Finalized, v.LagEpochs, c.epoch, c.lag)
				}
			}
			if got := agreements(j); got != c.agree {
				t.Errorf("agree %s, want %s", got, c.agree)
			}
		})
	}
}
