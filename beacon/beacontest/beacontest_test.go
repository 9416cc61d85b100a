package beacontest_test

import (
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
)

func TestRecordings(t *testing.T) {
	for _, r := range append(beacontest.All(), beacontest.GethDev, beacontest.GethSynced) {
		if len(r.Names()) == 0 || r.Time().IsZero() {
			t.Errorf("%s has %d answers, of %v", r, len(r.Names()), r.Time())
		}
		for _, name := range r.Names() {
			if status, header := r.Header(name); status == 0 || len(header) == 0 {
				t.Errorf("%s/%s has status %d and header %v", r, name, status, header)
			}
		}
	}
	for _, name := range []string{"prysm/metrics_synced", "prysm/metrics_syncing_no_peers", "lodestar/metrics_syncing"} {
		if len(beacontest.Metrics(name)) < 10_000 {
			t.Errorf("%s has %d bytes", name, len(beacontest.Metrics(name)))
		}
	}
	if beacontest.PrysmFulu.Body("nothing") != nil || beacontest.Metrics("nothing") != nil {
		t.Error("found nothing")
	}
}
