package beacon

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// show is a decoded answer, or its error, as one line of JSON.
func show(v any, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestDecode(t *testing.T) {
	zero := "0x" + strings.Repeat("0", 64)
	for name, c := range map[string]struct{ got, want string }{
		"syncing with numbers and strings": {
			show(decodeSyncing([]byte(`{"data":{"head_slot":7,"sync_distance":"1","is_syncing":"false","is_optimistic":true}}`))),
			`{"HeadSlot":7,"SyncDistance":1,"IsSyncing":false,"IsOptimistic":true,"ELOffline":null}`,
		},
		"syncing without is_syncing": {show(decodeSyncing([]byte(`{"data":{"head_slot":"7"}}`))), `error: the field "is_syncing" is missing`},
		"syncing with a word": {
			show(decodeSyncing([]byte(`{"data":{"head_slot":"7","is_syncing":"perhaps"}}`))), `error: "perhaps" is not a boolean`,
		},
		"syncing with nulls": {
			show(decodeSyncing([]byte(`{"data":{"head_slot":"7","is_syncing":true,"el_offline":null,"sync_distance":null}}`))),
			`{"HeadSlot":7,"SyncDistance":null,"IsSyncing":true,"IsOptimistic":null,"ELOffline":null}`,
		},
		"a slot beyond 64 bits": {
			show(decodeSyncing([]byte(`{"data":{"head_slot":"18446744073709551616","is_syncing":true}}`))), `error: "18446744073709551616" is not an unsigned integer`,
		},
		"peers, connected alone": {
			show(decodePeerCount([]byte(`{"data":{"connected":"3"}}`))), `{"Connected":3,"Connecting":null,"Disconnected":null,"Disconnecting":null}`,
		},
		"peers, none told": {show(decodePeerCount([]byte(`{"data":{}}`))), `error: the field "connected" is missing`},
		"a root without 0x": {
			show(decodeBlockRoot([]byte(`{"data":{"root":"` + zero[2:] + `"}}`))), `"` + zero + `"`,
		},
		"no root":           {show(decodeBlockRoot([]byte(`{"data":{}}`))), `error: the field "root" is missing`},
		"finality of none":  {show(decodeFinality([]byte(`{"data":{}}`))), `error: the field "finalized" is missing`},
		"finality, no root": {show(decodeFinality([]byte(`{"data":{"finalized":{"epoch":"1"}}}`))), `error: the field "root" is missing`},
		"finality of genesis": {
			show(decodeFinality([]byte(`{"data":{"finalized":{"epoch":"0","root":"` + zero + `"}}}`))),
			`{"Finalized":{"Epoch":0,"Root":"` + zero + `"},"CurrentJustified":null}`,
		},
		"a header without its message": {show(decodeHeader([]byte(`{"data":{"root":"` + zero + `"}}`))), `error: the field "data.header.message" is missing`},
		"a header with its slot alone": {
			show(decodeHeader([]byte(`{"execution_optimistic":"false","data":{"root":"` + zero + `","header":{"message":{"slot":"5"}}}}`))),
			`{"Root":"` + zero + `","Slot":5,"ProposerIndex":0,"ParentRoot":"` + zero + `","StateRoot":"` + zero + `","BodyRoot":"` + zero + `","Optimistic":false}`,
		},
		"a light checkpointz without finality": {
			show(decodeCheckpointzStatus([]byte(`{"data":{"operating_mode":"light","upstreams":{"a":{"healthy":false},"b":{"healthy":true},"c":null},"finality":{"finalized":null}}}`))),
			`{"OperatingMode":"light","Version":"","Finalized":null,"Upstreams":3,"Healthy":1}`,
		},
		"a checkpointz status of another server": {show(decodeCheckpointzStatus([]byte(`{"data":{}}`))), `error: the field "operating_mode" is missing`},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSpec(t *testing.T) {
	spec, err := unwrap[Spec]([]byte(`{"data":{"CONFIG_NAME":"x\ny","DEPOSIT_CHAIN_ID":39438162,"SLOT_DURATION_MS":"12000","SLOTS_PER_EPOCH":"0","A":[1],"N":null,"B":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	name, _ := spec.ConfigName()
	id, _ := spec.DepositChainID()
	seconds, ok := spec.SecondsPerSlot()
	_, slots := spec.SlotsPerEpoch()
	if got := fmt.Sprint(name, id, seconds, ok, slots); got != "x y39438162 12 true false" {
		t.Errorf("got %s", got)
	}
	for _, key := range []string{"A", "N", "B", "absent"} {
		if v, ok := spec.String(key); ok {
			t.Errorf("%s is the string %q", key, v)
		}
		if v, ok := spec.Uint(key); ok {
			t.Errorf("%s is the number %d", key, v)
		}
	}
	if n, ok := (Spec{"SLOT_DURATION_MS": json.RawMessage(`"500"`)}).SecondsPerSlot(); ok {
		t.Errorf("half a second is %d seconds", n)
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]string{
		"Lighthouse/v8.0.1-ced49dd/x86_64-linux":            "Lighthouse|v8.0.1-ced49dd",
		"teku/v26.1.0/linux-x86_64/-eclipseadoptium-jdk-25": "Teku|v26.1.0",
		"Prysm/Unknown (linux amd64)":                       "Prysm|Unknown",
		"Prysm/v7.1.2/abcdef":                               "Prysm|v7.1.2",
		"Nimbus/v24.10.0-e4d8a1-stateofus":                  "Nimbus|v24.10.0-e4d8a1-stateofus",
		"Lodestar/v1.5.1/2115aa7":                           "Lodestar|v1.5.1",
		"Grandine/1.1.4-94fd3cf/x86_64-linux":               "Grandine|1.1.4-94fd3cf",
		"Checkpointz/v0.31.0-18d96a4/linux":                 "Checkpointz|v0.31.0-18d96a4",
		"Caplin/3.1":                                        "Caplin|3.1",
		"something":                                         "something|",
		"":                                                  "|",
		"a\x00\n b/\x1b[31mv1":                              "a b|",
		strings.Repeat("x", 5000):                           strings.Repeat("x", 40) + "…|",
	} {
		v := ParseVersion(s)
		if got := v.Client + "|" + v.Version; got != want {
			t.Errorf("%q is %q, want %q", s, got, want)
		}
	}
}

func TestLighthouse(t *testing.T) {
	const zero = "0x0000000000000000000000000000000000000000000000000000000000000000"
	for name, c := range map[string]struct{ got, want string }{
		"synced": {show(decodeLighthouseSync([]byte(`{"data":"Synced"}`))), `{"State":"Synced","StartSlot":null,"TargetSlot":null,"Completed":null,"Remaining":null}`},
		"range sync": {
			show(decodeLighthouseSync([]byte(`{"data":{"SyncingFinalized":{"start_slot":"1","target_slot":"64"}}}`))),
			`{"State":"SyncingFinalized","StartSlot":1,"TargetSlot":64,"Completed":null,"Remaining":null}`,
		},
		"backfill": {
			show(decodeLighthouseSync([]byte(`{"data":{"BackFillSyncing":{"completed":128,"remaining":4096}}}`))),
			`{"State":"BackFillSyncing","StartSlot":null,"TargetSlot":null,"Completed":128,"Remaining":4096}`,
		},
		"two states": {show(decodeLighthouseSync([]byte(`{"data":{"A":{},"B":{}}}`))), `error: the field "the one state" is missing`},
		"no state":   {show(decodeLighthouseSync([]byte(`{"data":{}}`))), `error: the field "the one state" is missing`},
		"database": {
			show(decodeLighthouseDatabase([]byte(`{"schema_version":22,"split":{"slot":"8192"},"anchor":{"anchor_slot":"4096","oldest_block_slot":"1024","oldest_block_parent":"` + zero + `"}}`))),
			`{"SplitSlot":8192,"OldestBlockSlot":1024,"OldestBlockParent":"` + zero + `"}`,
		},
		"database of a node synced from genesis": {
			show(decodeLighthouseDatabase([]byte(`{"split":{"slot":"8192"},"anchor":null}`))),
			`{"SplitSlot":8192,"OldestBlockSlot":null,"OldestBlockParent":"` + zero + `"}`,
		},
		"something else": {show(decodeLighthouseDatabase([]byte(`{}`))), `error: the field "split" is missing`},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestBackfillRemaining(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	for name, c := range map[string]struct {
		b      Backfill
		target uint64
		want   uint64
		known  bool
	}{
		"not told":        {},
		"told directly":   {b: Backfill{Left: n(64), OldestSlot: n(9)}, target: 1, want: 64, known: true},
		"above target":    {b: Backfill{OldestSlot: n(100)}, target: 40, want: 60, known: true},
		"below target":    {b: Backfill{OldestSlot: n(10)}, target: 40, known: true},
		"from a database": {b: LighthouseDatabase{OldestBlockSlot: n(7)}.Backfill(), want: 7, known: true},
		"from genesis":    {b: LighthouseDatabase{}.Backfill(), known: true},
	} {
		if left, known := c.b.Remaining(c.target); left != c.want || known != c.known {
			t.Errorf("%s: %d, %v; want %d, %v", name, left, known, c.want, c.known)
		}
	}
	if got := BackfillTarget(2_000_000, 32); got != 2_000_000-33024*32 {
		t.Errorf("target %d", got)
	}
	if got := BackfillTarget(201_600, 32); got != 0 {
		t.Errorf("target on a young chain %d", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, "-1": 0, "1.5": 0, "99999999999": 0, "soon": 0,
		"Sun, 22 Nov 2026 09:02:00 GMT": 2 * time.Minute, "Sun, 22 Nov 2026 08:00:00 GMT": 0,
	} {
		if got := retryAfter(s, now); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}

func TestStateHeader(t *testing.T) {
	if _, err := ParseStateHeader(make([]byte, StateHeaderSize-1)); err == nil || err.Error() != "175 bytes, of the 176 that a state begins with" {
		t.Errorf("a short state fails with %v", err)
	}
	b := make([]byte, StateHeaderSize)
	for i := range b {
		b[i] = byte(i)
	}
	h, err := ParseStateHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%x %.6s %x %s %s %x | %x %x %.6s %.6s %.6s", h.GenesisTime, h.GenesisValidatorsRoot, h.Slot, h.PreviousVersion, h.CurrentVersion,
		h.ForkEpoch, h.LatestBlockHeader.Slot, h.LatestBlockHeader.ProposerIndex, h.LatestBlockHeader.ParentRoot, h.LatestBlockHeader.StateRoot, h.LatestBlockHeader.BodyRoot)
	if want := "706050403020100 0x0809 2f2e2d2c2b2a2928 0x30313233 0x34353637 3f3e3d3c3b3a3938 | 4746454443424140 4f4e4d4c4b4a4948 0x5051 0x7071 0x9091"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
