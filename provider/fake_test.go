package provider_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

const (
	perEpoch = 32
	genesis  = 1_700_000_000
)

// testnet is a chain whose every fact is known, and now is in its epoch 102.
var (
	testnet = network.Network{Chain: network.Chain{
		Network: "testnet", GenesisTime: time.Unix(genesis, 0), GenesisValidatorsRoot: rootOf(0xee, 1), DepositChainID: 42,
		SecondsPerSlot: 12, SlotsPerEpoch: perEpoch, WeakSubjectivityEpochs: 633,
	}}
	now = time.Unix(genesis+102*perEpoch*12+5, 0)
)

// rootOf is a root that tells a camp and an epoch.
func rootOf(camp byte, epoch uint64) network.Root {
	r := network.Root{0: camp}
	binary.BigEndian.PutUint64(r[24:], epoch)
	return r
}

func at(epoch uint64) beacon.Checkpoint {
	return beacon.Checkpoint{Epoch: epoch, Root: rootOf(1, epoch)}
}

// fake is a provider over HTTP.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	facts  beacon.Genesis
	chain  uint64
	head   beacon.Checkpoint
	served beacon.Checkpoint
	client string
	// fromHead is what finality_checkpoints of "finalized" tells: a node's own past, or a checkpointz' served checkpoint.
	finalized beacon.Checkpoint
	state     beacon.StateHeader
	slots     map[uint64]network.Root
	override  map[string]http.HandlerFunc
	asked     []string
}

func newFake(t *testing.T, epoch uint64) *fake {
	t.Helper()
	f := &fake{
		facts: beacon.Genesis{Time: genesis, ValidatorsRoot: rootOf(0xee, 1)}, chain: 42, client: "Lighthouse/v8.0.1/x86_64-linux",
		slots: map[uint64]network.Root{}, override: map[string]http.HandlerFunc{},
	}
	f.finalize(epoch)
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// finalize moves the whole provider on to an epoch.
func (f *fake) finalize(epoch uint64) {
	f.head, f.served, f.finalized = at(epoch), at(epoch), at(max(epoch, 2)-2)
	slot := epoch * perEpoch
	f.state = beacon.StateHeader{
		GenesisTime: f.facts.Time, GenesisValidatorsRoot: f.facts.ValidatorsRoot, Slot: slot, LatestBlockHeader: beacon.BlockHeader{Slot: slot},
	}
	for e := uint64(1); e <= epoch; e++ {
		f.slots[e*perEpoch] = rootOf(1, e)
	}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// requests are the routes asked since the last call, without their common beginnings.
func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.NewReplacer("/eth/v1/beacon/", "", "/eth/v1/config/", "", "/eth/v1/node/", "", "/eth/v2/debug/beacon/", "debug/").Replace(r.URL.Path)
	f.asked = append(f.asked, path)
	if h := f.override[path]; h != nil {
		h(w, r)
		return
	}
	data := ""
	switch path {
	case "genesis":
		data = fmt.Sprintf(`{"genesis_time":"%d","genesis_validators_root":"%s","genesis_fork_version":"0x10000000"}`, f.facts.Time, f.facts.ValidatorsRoot)
	case "spec":
		data = fmt.Sprintf(`{"CONFIG_NAME":"testnet","DEPOSIT_CHAIN_ID":"%d","SECONDS_PER_SLOT":"12","SLOTS_PER_EPOCH":"%d"}`, f.chain, perEpoch)
	case "version":
		data = `{"version":"` + f.client + `"}`
	case "states/head/finality_checkpoints":
		data = finality(f.head)
	case "states/finalized/finality_checkpoints":
		data = finality(f.finalized)
	case "blocks/finalized/root":
		data = `{"root":"` + f.served.Root.String() + `"}`
	case "debug/states/finalized":
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(append(ssz(f.state), make([]byte, 1000)...))
		return
	default:
		var slot uint64
		if n, _ := fmt.Sscanf(path, "blocks/%d/root", &slot); n == 1 && !f.slots[slot].IsZero() {
			data = `{"root":"` + f.slots[slot].String() + `"}`
			break
		}
		reply(404, `{"code":404,"message":"not found"}`)(w, r)
		return
	}
	reply(200, `{"data":`+data+`}`)(w, r)
}

func finality(c beacon.Checkpoint) string {
	p := fmt.Sprintf(`{"epoch":"%d","root":"%s"}`, c.Epoch, c.Root)
	return `{"finalized":` + p + `,"current_justified":` + p + `,"previous_justified":` + p + `}`
}

func reply(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func ssz(h beacon.StateHeader) []byte {
	var b []byte
	u64 := func(v uint64) { b = binary.LittleEndian.AppendUint64(b, v) }
	u64(h.GenesisTime)
	b = append(b, h.GenesisValidatorsRoot[:]...)
	u64(h.Slot)
	b = append(append(b, h.PreviousVersion[:]...), h.CurrentVersion[:]...)
	u64(h.ForkEpoch)
	u64(h.LatestBlockHeader.Slot)
	u64(h.LatestBlockHeader.ProposerIndex)
	for _, r := range []network.Root{h.LatestBlockHeader.ParentRoot, h.LatestBlockHeader.StateRoot, h.LatestBlockHeader.BodyRoot} {
		b = append(b, r[:]...)
	}
	return b
}

func prober(t *testing.T, name, url string, o provider.ProberOptions) *provider.Prober {
	t.Helper()
	p, err := provider.NewProber(name, url, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reasons are a verdict's, in their order.
func reasons(v provider.Verdict) []provider.Reason {
	var all []provider.Reason
	for _, f := range v.Reasons {
		all = append(all, f.Reason)
	}
	return all
}

func only(t *testing.T, j provider.Judgement) provider.Verdict {
	t.Helper()
	if len(j.Verdicts) != 1 {
		t.Fatalf("%d verdicts", len(j.Verdicts))
	}
	return j.Verdicts[0]
}

// expectReasons compares a verdict's reasons, and demands that each sentence can be read by a human.
func expectReasons(t *testing.T, v provider.Verdict, text string, want ...provider.Reason) {
	t.Helper()
	if got := reasons(v); !slices.Equal(got, want) {
		t.Errorf("%s: reasons %q, want %q: %q", v.Provider, got, want, v.Reasons)
	}
	if v.Usable != (len(want) == 0) {
		t.Errorf("%s: usable %v with reasons %q", v.Provider, v.Usable, v.Reasons)
	}
	found := text == ""
	for _, f := range v.Reasons {
		if len(f.Text) < 10 || strings.ContainsAny(f.Text, "\n\x00") || strings.Contains(f.Text, "%!") {
			t.Errorf("%s: sentence %q", v.Provider, f.Text)
		}
		found = found || strings.Contains(f.Text, text)
	}
	if !found {
		t.Errorf("%s: no sentence of %q has %q", v.Provider, v.Reasons, text)
	}
}
