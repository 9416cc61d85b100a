package simulate_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// answer is what a server gave, recorded or simulated.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// recorded looks in this package's recordings and then in beacontest's.
func recorded(t *testing.T, r beacontest.Recording, name string) (answer, bool) {
	t.Helper()
	base := filepath.Join("testdata", "recorded", r.String(), name)
	head, err := os.ReadFile(base + ".hdr")
	if err != nil {
		status, header := r.Header(name)
		return answer{status, header, r.Body(name)}, status != 0
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		t.Fatalf("%s: %v", base, err)
	}
	body, err := os.ReadFile(base + ".json")
	if err != nil {
		body, _ = os.ReadFile(base + ".ssz")
	}
	res.Header.Set("Content-Length", res.Header.Get("Content-Length"))
	if len(res.TransferEncoding) > 0 {
		res.Header.Set("Transfer-Encoding", res.TransferEncoding[0])
	}
	return answer{res.StatusCode, res.Header, body}, true
}

// routes are what was recorded of each server, as the recording's names.
var routes = []struct{ name, path, accept string }{
	{"node_syncing", "/eth/v1/node/syncing", ""},
	{"node_health", "/eth/v1/node/health", ""},
	{"node_version", "/eth/v1/node/version", ""},
	{"node_identity", "/eth/v1/node/identity", ""},
	{"node_peer_count", "/eth/v1/node/peer_count", ""},
	{"node_peers", "/eth/v1/node/peers", ""},
	{"beacon_genesis", "/eth/v1/beacon/genesis", ""},
	{"headers_head", "/eth/v1/beacon/headers/head", ""},
	{"headers_finalized", "/eth/v1/beacon/headers/finalized", ""},
	{"headers_genesis", "/eth/v1/beacon/headers/genesis", ""},
	{"finality_head", "/eth/v1/beacon/states/head/finality_checkpoints", ""},
	{"finality_finalized", "/eth/v1/beacon/states/finalized/finality_checkpoints", ""},
	{"state_root_finalized", "/eth/v1/beacon/states/finalized/root", ""},
	{"state_fork_head", "/eth/v1/beacon/states/head/fork", ""},
	{"block_root_finalized", "/eth/v1/beacon/blocks/finalized/root", ""},
	{"block_root_head", "/eth/v1/beacon/blocks/head/root", ""},
	{"config_spec", "/eth/v1/config/spec", ""},
	{"config_fork_schedule", "/eth/v1/config/fork_schedule", ""},
	{"config_deposit_contract", "/eth/v1/config/deposit_contract", ""},
	{"block_v2_finalized_json", "/eth/v2/beacon/blocks/finalized", "application/json"},
	{"block_v2_finalized_ssz", "/eth/v2/beacon/blocks/finalized", "application/octet-stream"},
	{"state_v2_finalized_ssz", "/eth/v2/debug/beacon/states/finalized", "application/octet-stream"},
	{"state_v2_genesis_ssz", "/eth/v2/debug/beacon/states/genesis", "application/octet-stream"},
	{"state_v2_head_ssz", "/eth/v2/debug/beacon/states/head", "application/octet-stream"},
	{"state_v2_finalized_json", "/eth/v2/debug/beacon/states/finalized", "application/json"},
	{"debug_heads_v2", "/eth/v2/debug/beacon/heads", ""},
	{"checkpointz_status", "/checkpointz/v1/status", ""},
	{"not_found_block", "/eth/v1/beacon/headers/99999999", ""},
	{"bad_state_id", "/eth/v1/beacon/states/foo/root", ""},
	{"unknown_route", "/eth/v1/nope", ""},
}

// devnet is the kind of chain that was recorded: 2-second slots, every fork from the start.
func devnet(age time.Duration) (network.Network, func() time.Time) {
	genesis := time.Unix(1795338007, 0)
	c := network.Chain{Network: "devnet", GenesisTime: genesis, DepositChainID: 1337, SecondsPerSlot: 2, SlotsPerEpoch: 32}
	return network.Network{Chain: c}, func() time.Time { return genesis.Add(age) }
}

func TestAnswersBesideRecordings(t *testing.T) {
	net, clock := devnet(454 * time.Second)
	sim := start(t, simulate.Options{Network: net, Clock: clock, Sockets: simulate.Loopback{}})
	for _, tc := range []struct {
		recording beacontest.Recording
		client    simulate.Client
		// node is asked, or a provider when it is nil.
		node *simulate.NodeOptions
		// least is how many answers there are at least to compare.
		least int
		// differs are answers that are not alike, and why.
		differs map[string]string
	}{
		{beacontest.CheckpointzFulu, simulate.Checkpointz, nil, 30, nil},
		{beacontest.PrysmFulu, simulate.Prysm, nil, 29, map[string]string{
			"state_v2_finalized_json": "states are simulated in SSZ alone",
		}},
		{beacontest.PrysmFulu, simulate.Prysm, &simulate.NodeOptions{Database: true}, 29, map[string]string{
			"state_v2_finalized_json": "states are simulated in SSZ alone",
		}},
		{beacontest.PrysmSyncing, simulate.Prysm, &simulate.NodeOptions{Database: true, Behind: 28, Faults: []simulate.Fault{simulate.NoPeers()}}, 4, nil},
		{beacontest.Lodestar, simulate.Lodestar, &simulate.NodeOptions{Database: true, Faults: []simulate.Fault{simulate.NoPeers()}}, 26, map[string]string{
			"state_v2_finalized_json": "states are simulated in SSZ alone",
			"block_v2_finalized_json": "recorded at Altair: other fields",
			"block_v2_finalized_ssz":  "recorded at Altair: other fields",
		}},
		{beacontest.LodestarSyncing, simulate.Lodestar, &simulate.NodeOptions{Database: true, Behind: 95, SlotsPerSecond: 0.1}, 5, map[string]string{
			"headers_head":      "recorded of a node that had lost its head block",
			"headers_finalized": "recorded of a node that had lost its head block",
		}},
		{beacontest.Lodestar, simulate.Lodestar, nil, 25, map[string]string{
			"state_v2_finalized_json": "states are simulated in SSZ alone",
			"block_v2_finalized_json": "recorded at Altair: other fields",
			"block_v2_finalized_ssz":  "recorded at Altair: other fields",
			"node_peers":              "recorded without peers",
		}},
	} {
		kind := "provider"
		if tc.node != nil {
			kind = "node"
		}
		t.Run(fmt.Sprintf("%s %s", kind, tc.recording), func(t *testing.T) {
			var url string
			if name := t.Name(); tc.node != nil {
				tc.node.Client, tc.node.Peers = tc.client, 1
				n, err := sim.AddNode(name, *tc.node)
				must(t, err)
				must(t, n.Start(t.Context()))
				url = n.URL()
			} else {
				p, err := sim.AddProvider(name, simulate.ProviderOptions{Client: tc.client})
				must(t, err)
				must(t, p.Start(t.Context()))
				url = p.URL()
			}
			held := 0
			for _, r := range routes {
				want, ok := recorded(t, tc.recording, r.name)
				if !ok {
					continue
				}
				got := get(t, url+r.path, r.accept)
				if why := tc.differs[r.name]; why != "" {
					if compare(want, got) == "" {
						t.Errorf("%s is alike, although %s", r.name, why)
					}
					continue
				}
				if diff := compare(want, got); diff != "" {
					t.Errorf("%s (- recorded, + simulated):\n%s", r.name, diff)
				}
				held++
			}
			if held < tc.least {
				t.Errorf("%d answers were held side by side, want %d", held, tc.least)
			}
		})
	}
}

// relevant are the headers that clients and judges look at.
var relevant = []string{"Content-Type", "Vary", "Cache-Control", "Eth-Consensus-Version", "Access-Control-Allow-Origin", "X-Content-Type-Options"}

// compare is the difference of two answers in status, headers and shape.
func compare(want, got answer) string {
	type face struct {
		Status  int
		Header  map[string]string
		Chunked bool
		Shape   any
	}
	of := func(a answer) face {
		f := face{Status: a.status, Header: map[string]string{}, Chunked: a.header.Get("Transfer-Encoding") == "chunked"}
		for _, h := range relevant {
			f.Header[h] = a.header.Get(h)
		}
		f.Shape = bodyShape(f.Header["Content-Type"], a.body)
		return f
	}
	return cmp.Diff(of(want), of(got))
}

func bodyShape(media string, b []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	switch {
	case len(b) == 0 && !strings.HasPrefix(media, "application/octet-stream"):
		return "empty"
	case strings.HasPrefix(media, "application/json") && d.Decode(&v) == nil:
		return shape("", v)
	case strings.HasPrefix(media, "text/"):
		return string(b)
	}
	return "binary"
}

var (
	hexPattern = regexp.MustCompile(`^(0x)?[0-9a-fA-F]*$`)
	decPattern = regexp.MustCompile(`^[0-9]+$`)
	// names are keys whose objects are maps by name.
	names = regexp.MustCompile(`^\.data\.upstreams$`)
)

// shape is a value with its data taken out: types, decimal strings, hex strings with or without 0x and their length.
func shape(path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if names.MatchString(path) {
				k = "NAME"
			}
			out[k] = shape(path+"."+k, e)
		}
		return out
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		kinds := map[string]any{}
		for _, e := range v {
			s := shape(path+"[]", e)
			kinds[fmt.Sprint(s)] = s
		}
		keys := make([]string, 0, len(kinds))
		for k := range kinds {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		return []any{"list of", keys}
	case string:
		switch {
		case v == "":
			return "empty string"
		case decPattern.MatchString(v) && len(v) != 64:
			return "decimal string"
		case strings.HasPrefix(v, "0x") && hexPattern.MatchString(v):
			if n := len(v) - 2; n%2 == 0 && n >= 8 {
				return fmt.Sprintf("0x and %d digits", n)
			}
			return "0x quantity"
		case hexPattern.MatchString(v) && len(v) == 64:
			return "64 digits without 0x"
		}
		return "text"
	}
	return fmt.Sprintf("%T", v)
}

func TestSizesBesideRecordings(t *testing.T) {
	net, clock := devnet(454 * time.Second)
	sim := start(t, simulate.Options{Network: net, Clock: clock})
	p, err := sim.AddProvider("alpha", simulate.ProviderOptions{})
	must(t, err)
	must(t, p.Start(t.Context()))
	want, _ := recorded(t, beacontest.CheckpointzFulu, "block_v2_finalized_ssz")
	got := get(t, p.URL()+"/eth/v2/beacon/blocks/finalized", "application/octet-stream")
	if len(got.body) != len(want.body) || !bytes.Equal(got.body[:4], want.body[:4]) {
		t.Errorf("a block of %d bytes, recorded one of %d", len(got.body), len(want.body))
	}
	state := get(t, p.URL()+"/eth/v2/debug/beacon/states/finalized", "application/octet-stream").body
	real := beacontest.CheckpointzFulu.Body("state_v2_finalized_ssz")
	// The offsets of the variable fields that stand first and last before the lists: the fixed part's size, and the validators.
	for _, at := range []int{524464} {
		if !bytes.Equal(state[at:at+4], real[at:at+4]) {
			t.Errorf("at %d: %x, recorded %x", at, state[at:at+4], real[at:at+4])
		}
	}
	if len(state) < 2_700_000 || len(state) > 2_800_000 {
		t.Errorf("the state has %d bytes", len(state))
	}
}

func TestExecutionBesideRecordings(t *testing.T) {
	net, clock := devnet(454 * time.Second)
	sim := start(t, simulate.Options{Network: net, Clock: clock})
	n, err := sim.AddNode("node-1", simulate.NodeOptions{Database: true})
	must(t, err)
	must(t, n.Start(t.Context()))
	for name, call := range map[string]string{
		"eth_syncing":                            `"eth_syncing","params":[]`,
		"eth_blockNumber":                        `"eth_blockNumber","params":[]`,
		"net_peerCount":                          `"net_peerCount","params":[]`,
		"web3_clientVersion":                     `"web3_clientVersion","params":[]`,
		"eth_chainId":                            `"eth_chainId","params":[]`,
		"net_version":                            `"net_version","params":[]`,
		"net_listening":                          `"net_listening","params":[]`,
		"eth_nope":                               `"eth_nope","params":[]`,
		"eth_getBlockByNumber__latest__false":    `"eth_getBlockByNumber","params":["latest",false]`,
		"eth_getBlockByNumber__finalized__false": `"eth_getBlockByNumber","params":["finalized",false]`,
	} {
		t.Run(name, func(t *testing.T) {
			want, ok := recorded(t, beacontest.GethSynced, name)
			if !ok {
				t.Fatal("not recorded")
			}
			got := post(t, n.ExecutionURL(), `{"jsonrpc":"2.0","id":1,"method":`+call+`}`)
			if diff := compare(want, got); diff != "" {
				t.Errorf("- recorded, + simulated:\n%s", diff)
			}
		})
	}
	t.Run("batch", func(t *testing.T) {
		want, err := os.ReadFile(filepath.Join("testdata", "recorded", "geth", "synced", "batch.json"))
		must(t, err)
		got := post(t, n.ExecutionURL(), `[{"jsonrpc":"2.0","id":1,"method":"eth_syncing","params":[]},{"jsonrpc":"2.0","id":2,"method":"eth_blockNumber","params":[]}]`)
		if diff := cmp.Diff(bodyShape("application/json", want), bodyShape("application/json", got.body)); diff != "" {
			t.Error(diff)
		}
	})
}

func get(t *testing.T, url, accept string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	if accept == "" {
		accept = "*/*"
	}
	req.Header.Set("Accept", accept)
	return do(t, req)
}

func post(t *testing.T, url, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	return do(t, req)
}

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	res, err := tr.RoundTrip(req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	if len(res.TransferEncoding) > 0 {
		res.Header.Set("Transfer-Encoding", res.TransferEncoding[0])
	}
	return answer{res.StatusCode, res.Header, body}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start makes a simulation that ends with the test.
func start(t *testing.T, o simulate.Options) *simulate.Simulation {
	t.Helper()
	sim, err := simulate.New(o)
	must(t, err)
	t.Cleanup(sim.Close)
	return sim
}
