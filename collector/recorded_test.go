package collector

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
)

// The chains of the recordings.
const (
	fuluChain     = `{name: devnet, genesis_time: 1795338007, seconds_per_slot: 2, slots_per_epoch: 32, deposit_chain_id: 1337}`
	electraChain  = `{name: devnet, genesis_time: 1795336091, seconds_per_slot: 3, slots_per_epoch: 8, deposit_chain_id: 1337}`
	lodestarChain = `{name: devnet, genesis_time: 1795334575, seconds_per_slot: 2, slots_per_epoch: 8, deposit_chain_id: 5}`
	// nextIteration makes the recorded Fulu chain the one before the current iteration, and sameIteration the current one.
	nextIteration = `{name: devnet, seconds_per_slot: 2, slots_per_epoch: 32,
  iterations: {anchor: 7, anchor_genesis_time: 1795341007, interval: 1h, delay: 10m, base_chain_id: 1331}}`
	sameIteration = `{name: devnet, seconds_per_slot: 2, slots_per_epoch: 32,
  iterations: {anchor: 6, anchor_genesis_time: 1795337407, interval: 1h, delay: 10m, base_chain_id: 1331}}`
)

// TestRecordedProviders holds the verdicts to real servers' answers, served as they were.
func TestRecordedProviders(t *testing.T) {
	for name, c := range map[string]struct {
		network string
		quorum  int
		after   time.Duration
		servers []beacontest.Recording
		// want are the reasons of each, "" for one that is usable.
		want    []string
		quorums string
	}{
		"a chain's node and the checkpointz in front of it": {
			network: fuluChain, quorum: 2, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu}, want: []string{"", ""}, quorums: "2",
		},
		"an hour later both are stale": {
			network: fuluChain, quorum: 2, after: time.Hour, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu},
			want: []string{"stale", "stale"}, quorums: "0",
		},
		"on another network": {
			network: "hoodi", quorum: 2, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu}, want: []string{"wrong_network", "wrong_network"}, quorums: "0",
		},
		"of the iteration that is over": {
			network: nextIteration, quorum: 2, after: time.Hour, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu},
			want: []string{"old_iteration", "old_iteration"}, quorums: "0",
		},
		"of the current iteration": {
			network: sameIteration, quorum: 2, servers: []beacontest.Recording{beacontest.PrysmFulu, beacontest.CheckpointzFulu}, want: []string{"", ""}, quorums: "2",
		},
		"another chain with the same validators": {
			network: electraChain, quorum: 1, servers: []beacontest.Recording{beacontest.PrysmElectra, beacontest.CheckpointzMinimal}, want: []string{"", "wrong_network"}, quorums: "1",
		},
		"a Lodestar whose finality stood still for want of CPU": {
			network: lodestarChain, quorum: 1, servers: []beacontest.Recording{beacontest.Lodestar}, want: []string{"stale"}, quorums: "0",
		},
		"checkpointz over Lodestar": {
			network: lodestarChain, quorum: 1, servers: []beacontest.Recording{beacontest.CheckpointzMinimal}, want: []string{""}, quorums: "1",
		},
		"an execution client is no provider": {
			network: fuluChain, quorum: 1, servers: []beacontest.Recording{beacontest.GethSynced}, want: []string{"http_status"}, quorums: "0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			yaml := "network: " + c.network + "\nquorum: " + fmt.Sprint(c.quorum) + "\nnodes: []\nproviders:\n"
			want := map[string]string{`checkpoint_quorum_providers`: c.quorums}
			for i, r := range c.servers {
				srv := httptest.NewServer(r)
				defer srv.Close()
				yaml += fmt.Sprintf("- {name: p%d, url: %q}\n", i, srv.URL)
				for _, reason := range reasonWords() {
					want[fmt.Sprintf(`checkpoint_provider_unusable_reason{provider="p%d",reason=%q}`, i, reason)] = fmt.Sprint(bit(reason == c.want[i]))
				}
				want[fmt.Sprintf(`checkpoint_provider_usable{provider="p%d"}`, i)] = fmt.Sprint(bit(c.want[i] == ""))
			}
			e := newAt(t, yaml, c.servers[0].Time().Add(c.after))
			visitAll(t, e)
			h := handler(t, e)
			expect(t, metrics(t, h, "/metrics"), want)
			if t.Failed() {
				_, api := get(t, h, "/api/v1/providers")
				t.Log(api)
			}
		})
	}
}

func newAt(t *testing.T, yaml string, now time.Time) *Exporter {
	t.Helper()
	e, err := New(parseConfig(t, yaml), log.NewNopLogger(), Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRecordedNodes(t *testing.T) {
	for name, c := range map[string]struct {
		network   string
		consensus beacontest.Recording
		want      map[string]string
	}{
		"a synced Prysm": {network: fuluChain, consensus: beacontest.PrysmFulu, want: map[string]string{
			`checkpoint_node_phase{node="n",phase="synced"}`:                  "1",
			`checkpoint_node_info{client="Prysm",node="n",version="Unknown"}`: "1",
			`checkpoint_node_head_slot{node="n"}`:                             "224",
			`checkpoint_node_syncing{node="n"}`:                               "0",
			`checkpoint_node_execution_offline{node="n"}`:                     "0",
			`checkpoint_node_health_code{node="n"}`:                           "200",
			`checkpoint_execution_chain_id_match{node="n"}`:                   "1",
			`checkpoint_node_sync_eta_seconds{node="n",quantile="0.5"}`:       "absent",
			`checkpoint_node_backfill_remaining_slots{node="n"}`:              "absent",
		}},
		"a synced Lodestar, which does not tell of its execution client": {network: lodestarChain, consensus: beacontest.Lodestar, want: map[string]string{
			`checkpoint_node_phase{node="n",phase="synced"}`:                    "1",
			`checkpoint_node_info{client="Lodestar",node="n",version="v1.5.1"}`: "1",
			`checkpoint_node_execution_offline{node="n"}`:                       "absent",
			`checkpoint_execution_chain_id_match{node="n"}`:                     "0",
		}},
		"a Lodestar that syncs": {network: lodestarChain, consensus: beacontest.LodestarSyncing, want: map[string]string{
			`checkpoint_node_phase{node="n",phase="syncing"}`:   "1",
			`checkpoint_node_head_slot{node="n"}`:               "544",
			`checkpoint_node_reported_distance_slots{node="n"}`: "95",
			`checkpoint_node_syncing{node="n"}`:                 "1",
		}},
		"a node of another chain": {network: electraChain, consensus: beacontest.PrysmFulu, want: map[string]string{
			`checkpoint_node_phase{node="n",phase="wrong_network"}`: "1",
			`checkpoint_node_distance_slots{node="n"}`:              "absent",
			`checkpoint_node_up{node="n"}`:                          "1",
		}},
		"a node of the iteration that is over": {network: nextIteration, consensus: beacontest.PrysmFulu, want: map[string]string{
			`checkpoint_node_phase{node="n",phase="old_iteration"}`: "1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cl, el := httptest.NewServer(c.consensus), httptest.NewServer(beacontest.GethSynced)
			defer cl.Close()
			defer el.Close()
			now := c.consensus.Time()
			if c.network == nextIteration {
				now = now.Add(time.Hour)
			}
			e := newAt(t, fmt.Sprintf("network: %s\nproviders: []\nnodes: [{name: n, consensus: {url: %q}, execution: {url: %q}}]\n", c.network, cl.URL, el.URL), now)
			visitAll(t, e)
			got := metrics(t, handler(t, e), "/metrics")
			expect(t, got, c.want)
			expect(t, got, map[string]string{`checkpoint_execution_up{node="n"}`: "1", `checkpoint_node_up{node="n"}`: "1"})
		})
	}
}
