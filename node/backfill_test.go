package node_test

import (
	"net/http"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
)

func TestBackfill(t *testing.T) {
	lighthouse := func(sync, database http.HandlerFunc) http.HandlerFunc {
		return except(beacontest.PrysmElectra, map[string]http.HandlerFunc{
			"/eth/v1/node/version":      data(`{"version":"Lighthouse/v8.0.1-abcdef0/x86_64-linux"}`),
			"/lighthouse/syncing":       sync,
			"/lighthouse/database/info": database,
		})
	}
	database := func(anchor string) http.HandlerFunc {
		return says(http.StatusOK, "application/json", `{"schema_version":28,"split":{"slot":"64"},"anchor":`+anchor+`}`)
	}
	page := func(body string) http.HandlerFunc { return says(http.StatusOK, "text/plain; version=0.0.4", body) }
	for _, tc := range []struct {
		name      string
		consensus http.Handler
		metrics   http.Handler
		state     string
		want      *uint64
	}{
		{"Lighthouse fetching history", lighthouse(data(`{"BackFillSyncing":{"completed":8,"remaining":80}}`), database(`{"anchor_slot":"80","oldest_block_slot":"72"}`)),
			nil, "BackFillSyncing", new(uint64(72))},
		{"Lighthouse done", lighthouse(data(`"Synced"`), database(`{"anchor_slot":"80","oldest_block_slot":"0"}`)), nil, "Synced", new(uint64)},
		{"Lighthouse from genesis", lighthouse(data(`"Synced"`), database(`null`)), nil, "Synced", new(uint64)},
		{"Lighthouse without its own routes", lighthouse(failing(404), failing(404)), nil, "", nil},
		{"Lighthouse is asked itself, not its metrics", lighthouse(data(`"Synced"`), database(`{"oldest_block_slot":"0"}`)), page("backfill_remaining_batches 9\n"), "Synced", new(uint64)},
		{"Prysm fetching history", beacontest.PrysmElectra, page("backfill_remaining_batches 9\nbackfill_batches_imported 3\n"), "", new(uint64(288))},
		{"Prysm with backfill turned off", beacontest.PrysmElectra, page(string(beacontest.Metrics("prysm/metrics_synced"))), "", nil},
		{"metrics out of reach", beacontest.PrysmElectra, http.HandlerFunc(hangUp), "", nil},
		{"no metrics URL", beacontest.PrysmElectra, nil, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := node.Options{ConsensusURL: serve(t, tc.consensus).URL, Now: fixed(beacontest.PrysmElectra.Time())}
			if tc.metrics != nil {
				o.MetricsURL = serve(t, tc.metrics).URL + "/metrics"
			}
			got := client(t, o).Look(t.Context(), chainOf(beacontest.PrysmElectra))
			if left := got.BackfillRemaining(); !equal(left, tc.want) || !equal(got.Sample().BackfillRemaining, tc.want) {
				t.Errorf("remaining %v, want %v; %+v", left, tc.want, got.Consensus.Backfill)
			}
			if got.Consensus.Lighthouse.OK() != (tc.state != "") || tc.state != "" && got.Consensus.Lighthouse.Value.State != tc.state {
				t.Errorf("state %+v", got.Consensus.Lighthouse)
			}
		})
	}
}

// What remains is counted against the clock, so without one nothing is known.
func TestBackfillWithoutAClock(t *testing.T) {
	h := except(beacontest.PrysmSyncing, map[string]http.HandlerFunc{
		"/eth/v1/node/version":      data(`{"version":"Lighthouse/v8.0.1"}`),
		"/lighthouse/database/info": says(http.StatusOK, "application/json", `{"split":{"slot":"64"},"anchor":{"oldest_block_slot":"72"}}`),
	})
	o := client(t, node.Options{ConsensusURL: serve(t, h).URL}).Look(t.Context(), network.Network{})
	if o.BackfillRemaining() != nil {
		t.Errorf("remaining %d", *o.BackfillRemaining())
	}
}
