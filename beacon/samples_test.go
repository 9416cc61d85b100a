package beacon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
)

// everything asks a server all that can be asked, one line an answer.
func everything(t *testing.T, c *beacon.Client) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	line := func(name string, err error, format string, args ...any) {
		if err != nil {
			format, args = "%s %d", []any{beacon.ReasonOf(err), beacon.StatusOf(err)}
		}
		fmt.Fprintf(&b, name+": "+format+"\n", args...)
	}
	g, err := c.Genesis(ctx)
	line("genesis", err, "%d %.10s %s", g.Time, g.ValidatorsRoot, g.ForkVersion)
	v, err := c.Version(ctx)
	line("version", err, "%s %s", v.Client, v.Version)
	s, err := c.Syncing(ctx)
	line("syncing", err, "head %d distance %s syncing %v optimistic %s offline %s", s.HeadSlot, opt(s.SyncDistance), s.IsSyncing, opt(s.IsOptimistic), opt(s.ELOffline))
	p, err := c.PeerCount(ctx)
	line("peers", err, "%d connected, %s connecting", p.Connected, opt(p.Connecting))
	h, err := c.Health(ctx)
	line("health", err, "%d", h)
	head, err := c.Head(ctx)
	line("head", err, "%d %.10s", head.Slot, head.Root)
	f, err := c.FinalityCheckpoints(ctx, "head")
	line("finality", err, "%d %.10s", f.Finalized.Epoch, f.Finalized.Root)
	f, err = c.FinalityCheckpoints(ctx, "finalized")
	line("finality of finalized", err, "%d %.10s", f.Finalized.Epoch, f.Finalized.Root)
	r, err := c.BlockRoot(ctx, "finalized")
	line("finalized root", err, "%.10s", r)
	r, err = c.BlockRootAt(ctx, 99999999)
	line("root of no block", err, "%.10s", r)
	sp, err := c.Spec(ctx)
	line("spec", err, "%d constants, %s", len(sp), constants(sp))
	st, err := c.StatePrefix(ctx, "finalized")
	line("state", err, "%s bytes %s", st.ConsensusVersion, opt(st.Bytes))
	line("state header", err, "genesis %d %.10s slot %d fork %s %s %d block %d by %d parent %.10s state %.10s body %.10s", st.GenesisTime,
		st.GenesisValidatorsRoot, st.Slot, st.PreviousVersion, st.CurrentVersion, st.ForkEpoch, st.LatestBlockHeader.Slot,
		st.LatestBlockHeader.ProposerIndex, st.LatestBlockHeader.ParentRoot, st.LatestBlockHeader.StateRoot, st.LatestBlockHeader.BodyRoot)
	z, err := c.CheckpointzStatus(ctx)
	line("checkpointz", err, "%s %s, %d of %d upstreams, serves %v", z.OperatingMode, z.Version, z.Healthy, z.Upstreams, z.Finalized != nil)
	return b.String()
}

func opt[T any](p *T) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprint(*p)
}

func constants(s beacon.Spec) string {
	name, _ := s.ConfigName()
	id, _ := s.DepositChainID()
	seconds, _ := s.SecondsPerSlot()
	slots, _ := s.SlotsPerEpoch()
	return fmt.Sprintf("%s %d %d s × %d", name, id, seconds, slots)
}

var recorded = map[beacontest.Recording]string{
	beacontest.PrysmElectra: `genesis: 1795336091 0x05d79a31 0x20000089
version: Prysm Unknown
syncing: head 91 distance 0 syncing false optimistic false offline true
peers: 0 connected, 0 connecting
health: 200
head: 91 0x9a742b0d
finality: 9 0x8c1ca5a7
finality of finalized: 7 0x280449ea
finalized root: 0x8c1ca5a7
root of no block: http_status 404
spec: 174 constants, devnet 1337 3 s × 8
state: electra bytes 2744442
state header: genesis 1795336091 0x05d79a31 slot 72 fork 0x20000093 0x20000094 0 block 72 by 3 parent 0x41961c67 state 0x00000000 body 0xc0796708
checkpointz: http_status 404
`,
	beacontest.PrysmFulu: `genesis: 1795338007 0x3e8bd71d 0x20000089
version: Prysm Unknown
syncing: head 224 distance 0 syncing false optimistic false offline false
peers: 1 connected, 0 connecting
health: 200
head: 224 0x15e67978
finality: 5 0xf022eb17
finality of finalized: 3 0xcc2aa474
finalized root: 0xf022eb17
root of no block: http_status 404
spec: 175 constants, devnet 1337 2 s × 32
state: fulu bytes 2753730
state header: genesis 1795338007 0x3e8bd71d slot 160 fork 0x20000094 0x20000095 0 block 160 by 19 parent 0x3afb5bde state 0x00000000 body 0x4a009f63
checkpointz: http_status 404
`,
	beacontest.PrysmSyncing: `genesis: http_status 404
version: Prysm Unknown
syncing: head 136 distance 28 syncing true optimistic false offline false
peers: 0 connected, 0 connecting
health: 206
head: 136 0x00000000
finality: http_status 404
finality of finalized: http_status 404
finalized root: http_status 404
root of no block: http_status 404
spec: http_status 404
state: http_status 404
state header: http_status 404
checkpointz: http_status 404
`,
	beacontest.CheckpointzFulu: `genesis: 1795338007 0x3e8bd71d 0x20000089
version: Checkpointz dev-dev
syncing: head 160 distance 0 syncing false optimistic false offline -
peers: 1 connected, 0 connecting
health: http_status 404
head: 160 0x00000000
finality: 5 0xf022eb17
finality of finalized: 5 0xf022eb17
finalized root: 0xf022eb17
root of no block: http_status 404
spec: 24 constants, devnet 1337 2 s × 32
state: fulu bytes -
state header: genesis 1795338007 0x3e8bd71d slot 160 fork 0x20000094 0x20000095 0 block 160 by 19 parent 0x3afb5bde state 0x00000000 body 0x4a009f63
checkpointz: full dev-dev, 1 of 1 upstreams, serves true
`,
	beacontest.CheckpointzMinimal: `genesis: 1795334575 0x05d79a31 0x01000001
version: Checkpointz dev-dev
syncing: head 528 distance 0 syncing false optimistic false offline -
peers: 1 connected, 0 connecting
health: http_status 404
head: 528 0x00000000
finality: 66 0xed83913a
finality of finalized: 66 0xed83913a
finalized root: 0xed83913a
root of no block: http_status 404
spec: 24 constants, minimal 5 2 s × 8
state: altair bytes -
state header: genesis 1795334575 0x05d79a31 slot 528 fork 0x01000001 0x01000001 0 block 528 by 11 parent 0x9655ce81 state 0x00000000 body 0xb0eaede7
checkpointz: full dev-dev, 1 of 1 upstreams, serves true
`,
	beacontest.Lodestar: `genesis: 1795334575 0x05d79a31 0x01000001
version: Lodestar v1.5.1
syncing: head 140 distance 0 syncing false optimistic false offline -
peers: 0 connected, 0 connecting
health: 200
head: 141 0xfff21d6a
finality: 8 0xffc66223
finality of finalized: 3 0x6f624e4b
finalized root: 0xffc66223
root of no block: http_status 404
spec: 123 constants, minimal 5 2 s × 8
state:  bytes 12557
state header: genesis 1795334575 0x05d79a31 slot 64 fork 0x01000001 0x01000001 0 block 64 by 10 parent 0x214794bb state 0x00000000 body 0xdfd0633b
checkpointz: http_status 404
`,
	beacontest.LodestarSyncing: `genesis: 1795334575 0x05d79a31 0x01000001
version: Lodestar v1.5.1
syncing: head 544 distance 95 syncing true optimistic false offline -
peers: 1 connected, 0 connecting
health: 200
head: 544 0x00000000
finality: http_status 404
finality of finalized: http_status 404
finalized root: http_status 404
root of no block: http_status 404
spec: http_status 404
state: http_status 404
state header: http_status 404
checkpointz: http_status 404
`,
}

func TestRecordedServers(t *testing.T) {
	for _, r := range beacontest.All() {
		t.Run(r.String(), func(t *testing.T) {
			s := httptest.NewServer(r)
			defer s.Close()
			c := client(t, s.URL, beacon.Options{})
			if diff := cmp.Diff(recorded[r], everything(t, c)); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func client(t *testing.T, url string, o beacon.Options) *beacon.Client {
	t.Helper()
	c, err := beacon.NewClient(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func TestRecordedGeth(t *testing.T) {
	for name, c := range map[string]struct {
		recording beacontest.Recording
		want      string
	}{
		"dev":    {beacontest.GethDev, "1337 4 0x61253d17 2026-11-22T09:11:16Z peers 0 Geth v1.16.9-stable syncing false"},
		"synced": {beacontest.GethSynced, "1337 89 0x88078f5a 2026-11-22T08:45:58Z peers 1 Geth v1.16.9-stable syncing false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.recording)
			defer s.Close()
			e, err := beacon.NewExecution(s.URL, beacon.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.CloseIdle()
			ctx := context.Background()
			id, err1 := e.ChainID(ctx)
			b, err2 := e.LatestBlock(ctx)
			peers, err3 := e.PeerCount(ctx)
			v, err4 := e.Version(ctx)
			y, err5 := e.Syncing(ctx)
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%d %d %.10s %s peers %d %s %s syncing %v", id, b.Number, b.Hash, b.Time.UTC().Format(time.RFC3339), peers, v.Client, v.Version, y.Syncing)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRecordedStatesBeginAlike(t *testing.T) {
	a, b := beacontest.PrysmFulu.Body("state_v2_finalized_ssz"), beacontest.CheckpointzFulu.Body("state_v2_finalized_ssz")
	if len(a) < beacon.StateHeaderSize || !bytes.Equal(a, b) {
		t.Errorf("states of %d and %d bytes, want the same one from the node and from the checkpointz in front of it", len(a), len(b))
	}
}
