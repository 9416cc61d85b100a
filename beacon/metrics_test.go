package beacon

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
)

func TestMetricsBackfill(t *testing.T) {
	for name, c := range map[string]struct {
		page   string
		want   string
		reason Reason
	}{
		"a recorded Prysm without backfill":    {page: string(beacontest.Metrics("prysm/metrics_synced")), want: `{"OldestSlot":null,"Left":null}`},
		"a recorded Prysm without peers":       {page: string(beacontest.Metrics("prysm/metrics_syncing_no_peers")), want: `{"OldestSlot":null,"Left":null}`},
		"a recorded Lodestar without backfill": {page: string(beacontest.Metrics("lodestar/metrics_syncing")), want: `{"OldestSlot":null,"Left":null}`},
		"Prysm":                                {page: "# TYPE backfill_remaining_batches gauge\nbackfill_remaining_batches 12\nbackfill_batches_imported 3\n", want: `{"OldestSlot":null,"Left":384}`},
		"Prysm at the end":                     {page: "backfill_remaining_batches 0\nbackfill_batches_imported 3\n", want: `{"OldestSlot":null,"Left":0}`},
		"Teku":                                 {page: "beacon_historical_block_sync_earliest_block 4096.0\n", want: `{"OldestSlot":4096,"Left":null}`},
		"Lodestar":                             {page: "lodestar_backfill_sync_status 2\nlodestar_backfill_till_slot 1024\n", want: `{"OldestSlot":1024,"Left":null}`},
		"Lodestar at the end":                  {page: "lodestar_backfill_sync_status 3\nlodestar_backfill_till_slot 0\n", want: `{"OldestSlot":null,"Left":0}`},
		"no number":                            {page: "beacon_historical_block_sync_earliest_block NaN\n", want: `{"OldestSlot":null,"Left":null}`},
		"a negative number":                    {page: "beacon_historical_block_sync_earliest_block -1\n", want: `{"OldestSlot":null,"Left":null}`},
		"a number without end":                 {page: "beacon_historical_block_sync_earliest_block +Inf\n", want: `{"OldestSlot":null,"Left":null}`},
		"other metrics":                        {page: "up 1\nbackfill_remaining_batches_total 7\n", want: `{"OldestSlot":null,"Left":null}`},
		"nothing":                              {page: "", want: `{"OldestSlot":null,"Left":null}`},
		"no metrics":                           {page: "backfill_remaining_batches many\n", reason: Malformed},
		"a line of 1 MB":                       {page: strings.Repeat("x", 1<<20), reason: Malformed},
		"a page of 17 MB":                      {page: strings.Repeat("some_metric 1234567\n", 17<<20/20), reason: TooLarge},
		"the same line for all":                {page: strings.Repeat("backfill_remaining_batches 1\n", 1<<16), want: `{"OldestSlot":null,"Left":32}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain; version=0.0.4")
				_, _ = io.WriteString(w, c.page)
			}))
			defer s.Close()
			m, err := NewMetrics(s.URL+"/metrics", Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.CloseIdle()
			b, err := m.Backfill(context.Background())
			if ReasonOf(err) != c.reason {
				t.Fatalf("failed with %v, want %q", err, c.reason)
			}
			if c.reason == "" && show(b, nil) != c.want {
				t.Errorf("got %s, want %s", show(b, nil), c.want)
			}
		})
	}
}
