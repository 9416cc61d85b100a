package node_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
)

func TestLookAtRecordedGeth(t *testing.T) {
	blockTime := time.Unix(0x6b02abc6, 0)
	consensus := serve(t, beacontest.PrysmElectra)
	for _, tc := range []struct {
		name    string
		net     network.Network
		match   *bool
		id      network.Identity
		at      time.Time
		syncing *bool
	}{
		{"its own chain", network.Network{Chain: network.Chain{DepositChainID: 1337}}, new(true), network.Same, blockTime.Add(2 * time.Second), new(false)},
		{"another chain", network.Network{Chain: network.Chain{DepositChainID: 1}}, new(false), network.Other, blockTime.Add(2 * time.Second), new(false)},
		{"chain unknown", network.Network{}, nil, network.Same, blockTime.Add(2 * time.Second), new(false)},
		{"an old head", network.Network{}, nil, network.Same, blockTime.Add(time.Hour), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := client(t, node.Options{ConsensusURL: consensus.URL, ExecutionURL: serve(t, beacontest.GethSynced).URL, Now: fixed(tc.at)})
			o := c.Look(t.Context(), tc.net)
			e := o.Execution
			if !e.Up() || e.Err() != nil || *e.ChainID.Value != 1337 || e.Head.Value.Number != 0x59 || *e.Peers.Value != 1 || e.Version.Value.Client != "Geth" {
				t.Fatalf("%+v", e)
			}
			if !equal(e.ChainIDMatch, tc.match) || e.Identity != tc.id || !equal(e.SyncingAt(tc.at), tc.syncing) {
				t.Errorf("match %v, identity %d, syncing %v", e.ChainIDMatch, e.Identity, e.SyncingAt(tc.at))
			}
			if age := *e.HeadAge(tc.at); age != tc.at.Sub(blockTime) {
				t.Errorf("head age %s", age)
			}
			if age := *e.HeadAge(blockTime.Add(-time.Minute)); age != 0 {
				t.Errorf("age of a head that is ahead of our clock: %s", age)
			}
			// Once more, from memory.
			if again := c.Look(t.Context(), tc.net); again.Execution.Version.Value.Client != "Geth" {
				t.Errorf("%+v", again.Execution.Version)
			}
		})
	}
}

// The answers have the shape that each client gives them.
func TestExecutionSyncing(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	const (
		recent  = `{"number":"0x64","timestamp":"0x6afd86c0","hash":"0x0101010101010101010101010101010101010101010101010101010101010101"}` // now
		old     = `{"number":"0x64","timestamp":"0x6afc3540","hash":"0x0101010101010101010101010101010101010101010101010101010101010101"}`
		genesis = `{"number":"0x0","timestamp":"0x6afd86c0","hash":"0x0101010101010101010101010101010101010101010101010101010101010101"}`
	)
	for _, tc := range []struct {
		name, syncing, block string
		want                 *bool
	}{
		{"geth, done", `false`, recent, new(false)},
		{"geth before the first forkchoice", `false`, genesis, nil},
		{"geth restarted, before the first forkchoice", `false`, old, nil},
		{"no block told", `false`, `null`, nil},
		{"geth, syncing", `{"currentBlock":"0x10","highestBlock":"0x64","txIndexRemainingBlocks":"0x0"}`, old, new(true)},
		{"geth, healing the state", `{"currentBlock":"0x64","highestBlock":"0x64","healingTrienodes":"0x3","txIndexRemainingBlocks":"0x9"}`, old, new(true)},
		{"geth, building indexes", `{"currentBlock":"0x64","highestBlock":"0x64","txIndexRemainingBlocks":"0x9"}`, recent, new(false)},
		{"geth, nothing begun", `{"currentBlock":"0x0","highestBlock":"0x0","txIndexRemainingBlocks":"0x1"}`, genesis, new(true)},
		{"reth, stages apart, equal block numbers", `{"currentBlock":"0x64","highestBlock":"0x64","stages":[{"name":"Headers","block":100},{"name":"Finish","block":50}]}`, old, new(true)},
		{"reth, stages together", `{"currentBlock":"0x64","highestBlock":"0x64","stages":[{"name":"Headers","block":100},{"name":"Finish","block":100}]}`, recent, new(false)},
		{"reth, stages together on an old head", `{"currentBlock":"0x64","highestBlock":"0x64","stages":[{"name":"Headers","block":100},{"name":"Finish","block":100}]}`, old, new(true)},
		{"erigon", `{"startingBlock":"0x0","currentBlock":"0x10","highestBlock":"0x64","stages":[{"stage_name":"headers","block_number":"0x64"},{"stage_name":"finish","block_number":"0x10"}]}`, old, new(true)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := func(w http.ResponseWriter, r *http.Request) {
				result := `"0x1"`
				switch method(r) {
				case "eth_syncing":
					result = tc.syncing
				case "eth_getBlockByNumber":
					result = tc.block
				}
				says(http.StatusOK, "application/json", `{"jsonrpc":"2.0","id":1,"result":`+result+`}`)(w, r)
			}
			c := client(t, node.Options{ConsensusURL: "http://127.0.0.1:1", ExecutionURL: serve(t, http.HandlerFunc(h)).URL, Now: fixed(now)})
			e := c.Look(t.Context(), network.Network{}).Execution
			if !e.Up() || !e.Syncing.OK() {
				t.Fatalf("%+v", e)
			}
			if got := e.SyncingAt(now); !equal(got, tc.want) {
				t.Errorf("got %v, want %v", text(got), text(tc.want))
			}
		})
	}
}

func text(b *bool) string {
	switch {
	case b == nil:
		return "unknown"
	case *b:
		return "syncing"
	}
	return "not syncing"
}

// A method that is turned off costs its own answer only.
func TestExecutionPartlyTurnedOff(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if method(r) == "net_peerCount" {
			says(http.StatusOK, "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"not available"}}`)(w, r)
			return
		}
		says(http.StatusOK, "application/json", `{"jsonrpc":"2.0","id":1,"result":"0x539"}`)(w, r)
	}
	c := client(t, node.Options{ConsensusURL: "http://127.0.0.1:1", ExecutionURL: serve(t, http.HandlerFunc(h)).URL})
	e := c.Look(t.Context(), network.Network{}).Execution
	if !e.Up() || e.Peers.OK() || beacon.ReasonOf(e.Peers.Err) != beacon.HTTPStatus || !e.ChainID.OK() {
		t.Errorf("%+v", e)
	}
}
