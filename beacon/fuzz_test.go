package beacon

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
)

// seed adds the recorded bodies of all servers' answers of a kind.
func seed(f *testing.F, name string) {
	f.Helper()
	for _, r := range beacontest.All() {
		if b := r.Body(name); b != nil {
			f.Add(b)
		}
	}
	f.Add([]byte(`{"data":null}`))
	f.Add([]byte(`{"code":500,"message":"no finality known"}`))
	f.Add([]byte(`{"statusCode":404,"error":"Not Found","message":"nope"}`))
	f.Add([]byte(`<html>`))
}

// decodes runs a decoder as an answer would, and checks that it either fails with a reason or gives what can be shown.
func decodes[T any](t *testing.T, body []byte, decode func([]byte) (T, error)) (T, bool) {
	t.Helper()
	v, err := decodeJSON("/route", mediaJSON, body, decode)
	if err != nil {
		fails(t, err)
		return v, false
	}
	if _, err := json.Marshal(v); err != nil {
		t.Errorf("decoded %q to what cannot be shown: %v", body, err)
	}
	return v, true
}

func fails(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Reason == "" || e.Message == "" || !printable(e.Message) || utf8.RuneCountInString(e.Message) > 400 {
		t.Errorf("failed with %#v", err)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

func FuzzGenesis(f *testing.F) {
	seed(f, "beacon_genesis")
	f.Fuzz(func(t *testing.T, b []byte) { decodes(t, b, decodeGenesis) })
}

func FuzzSpec(f *testing.F) {
	seed(f, "config_spec")
	f.Fuzz(func(t *testing.T, b []byte) {
		spec, ok := decodes(t, b, unwrap[Spec])
		if !ok {
			return
		}
		for key := range spec {
			if s, ok := spec.String(key); ok && !printable(s) {
				t.Errorf("%q is %q", key, s)
			}
			spec.Uint(key)
		}
		if n, ok := spec.SecondsPerSlot(); ok && n == 0 {
			t.Error("slots of no time")
		}
		if n, ok := spec.SlotsPerEpoch(); ok && n == 0 {
			t.Error("epochs of no slots")
		}
	})
}

func FuzzVersion(f *testing.F) {
	seed(f, "node_version")
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, ok := decodes(t, b, decodeVersion); ok && !printable(v.Client+v.Version+v.Full) {
			t.Errorf("%q", v)
		}
	})
}

func FuzzSyncing(f *testing.F) {
	seed(f, "node_syncing")
	f.Fuzz(func(t *testing.T, b []byte) { decodes(t, b, decodeSyncing) })
}

func FuzzPeerCount(f *testing.F) {
	seed(f, "node_peer_count")
	f.Fuzz(func(t *testing.T, b []byte) { decodes(t, b, decodePeerCount) })
}

func FuzzHeader(f *testing.F) {
	seed(f, "headers_head")
	seed(f, "headers_finalized")
	f.Fuzz(func(t *testing.T, b []byte) { decodes(t, b, decodeHeader) })
}

func FuzzFinality(f *testing.F) {
	seed(f, "finality_head")
	seed(f, "finality_finalized")
	f.Fuzz(func(t *testing.T, b []byte) { decodes(t, b, decodeFinality) })
}

func FuzzBlockRoot(f *testing.F) {
	seed(f, "block_root_finalized")
	seed(f, "block_root_head")
	f.Fuzz(func(t *testing.T, b []byte) { decodes(t, b, decodeBlockRoot) })
}

func FuzzCheckpointzStatus(f *testing.F) {
	seed(f, "checkpointz_status")
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := decodes(t, b, decodeCheckpointzStatus); ok && (s.Healthy > s.Upstreams || !printable(s.OperatingMode+s.Version)) {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzLighthouse(f *testing.F) {
	f.Add([]byte(`{"data":"Synced"}`))
	f.Add([]byte(`{"data":{"BackFillSyncing":{"completed":128,"remaining":4096}}}`))
	f.Add([]byte(`{"split":{"slot":"8192"},"anchor":{"oldest_block_slot":"1024"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := decodes(t, b, decodeLighthouseSync); ok && !printable(s.State) {
			t.Errorf("%q", s.State)
		}
		if d, ok := decodes(t, b, decodeLighthouseDatabase); ok {
			if _, known := d.Backfill().Remaining(0); !known {
				t.Errorf("%+v tells nothing", d)
			}
		}
	})
}

func FuzzStateHeader(f *testing.F) {
	for _, r := range beacontest.All() {
		if b := r.Body("state_v2_finalized_ssz"); len(b) >= StateHeaderSize {
			f.Add(b[:StateHeaderSize])
		}
	}
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseStateHeader(b)
		if (err == nil) != (len(b) >= StateHeaderSize) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		var again []byte
		u64 := func(v uint64) { again = binary.LittleEndian.AppendUint64(again, v) }
		u64(h.GenesisTime)
		again = append(again, h.GenesisValidatorsRoot[:]...)
		u64(h.Slot)
		again = append(append(again, h.PreviousVersion[:]...), h.CurrentVersion[:]...)
		u64(h.ForkEpoch)
		u64(h.LatestBlockHeader.Slot)
		u64(h.LatestBlockHeader.ProposerIndex)
		for _, r := range [][32]byte{h.LatestBlockHeader.ParentRoot, h.LatestBlockHeader.StateRoot, h.LatestBlockHeader.BodyRoot} {
			again = append(again, r[:]...)
		}
		if !bytes.Equal(again, b[:StateHeaderSize]) {
			t.Errorf("%x became %x", b[:StateHeaderSize], again)
		}
	})
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("# TYPE backfill_remaining_batches gauge\nbackfill_remaining_batches 12\nbackfill_batches_imported 3\n"))
	f.Add([]byte("beacon_historical_block_sync_earliest_block{a=\"b\"} 4096.0 1\n"))
	f.Add([]byte("lodestar_backfill_sync_status 2\nlodestar_backfill_till_slot NaN\n"))
	for _, name := range []string{"prysm/metrics_synced", "prysm/metrics_syncing_no_peers", "lodestar/metrics_syncing"} {
		page := beacontest.Metrics(name)
		if i := bytes.Index(page, []byte("backfill")); i >= 0 {
			f.Add(page[i:min(i+4096, len(page))])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := readMetrics(bytes.NewReader(b))
		if err != nil {
			return
		}
		backfillOf(found).Remaining(0)
	})
}

func FuzzRPC(f *testing.F) {
	for _, r := range []beacontest.Recording{beacontest.GethDev, beacontest.GethSynced} {
		for _, name := range r.Names() {
			f.Add(r.Body(name))
		}
	}
	f.Add([]byte(`{"result":{"currentBlock":"0x10","highestBlock":"0x20","stages":[{"name":"Finish","block":1}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rpc(t, b, decodeQuantity)
		rpc(t, b, decodeExecutionVersion)
		rpc(t, b, decodeBlock)
		rpc(t, b, func(raw json.RawMessage) (ExecutionSyncing, error) {
			s, err := decodeExecutionSyncing(raw)
			if len(s.Stages) > maxStages {
				t.Errorf("%d stages", len(s.Stages))
			}
			return s, err
		})
	})
}

func rpc[T any](t *testing.T, b []byte, decode func(json.RawMessage) (T, error)) {
	t.Helper()
	if _, err := decodeRPC("method", mediaJSON, b, decode); err != nil {
		fails(t, err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b\x1b[31m\u2028\xff", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 || limit > 1000 {
			return
		}
		if got := clean(s, limit); !printable(got) || utf8.RuneCountInString(got) > 2*limit+1 {
			t.Errorf("%q with %d became %q", s, limit, got)
		}
	})
}
