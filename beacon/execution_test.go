package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeExecution(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	const plain = `"Indexing":false,"Stages":null}`
	for name, c := range map[string]struct{ got, want string }{
		"not syncing":   {show(decodeExecutionSyncing(raw(`false`))), `{"Syncing":false,"Current":0,"Highest":0,` + plain},
		"syncing, true": {show(decodeExecutionSyncing(raw(`true`))), `{"Syncing":true,"Current":0,"Highest":0,` + plain},
		"null":          {show(decodeExecutionSyncing(raw(`null`))), `error: the field "result" is missing`},
		"geth": {
			show(decodeExecutionSyncing(raw(`{"currentBlock":"0x10","healedBytecodeBytes":"0x0","healingTrienodes":"0x5","highestBlock":"0x20","startingBlock":"0x0","txIndexRemainingBlocks":"0x0"}`))),
			`{"Syncing":true,"Current":16,"Highest":32,"Indexing":false,"Items":16,"Stages":null}`,
		},
		"geth before its consensus client": {show(decodeExecutionSyncing(raw(`{"currentBlock":"0x0","highestBlock":"0x0","txIndexRemainingBlocks":"0x1"}`))), `{"Syncing":true,"Current":0,"Highest":0,` + plain},
		"geth heals":                       {show(decodeExecutionSyncing(raw(`{"currentBlock":"0x20","highestBlock":"0x20","healedTrienodes":"0x100","healingTrienodes":"0x1","syncedAccounts":"0x1000","syncedStorage":"0x10000","txIndexRemainingBlocks":"0x1"}`))), `{"Syncing":true,"Current":32,"Highest":32,"Indexing":false,"Items":69920,"Stages":null}`},
		"geth indexes":                     {show(decodeExecutionSyncing(raw(`{"currentBlock":"0x20","highestBlock":"0x20","healingTrienodes":"0x0","stateIndexRemaining":"0x7"}`))), `{"Syncing":true,"Current":32,"Highest":32,"Indexing":true,"Items":32,"Stages":null}`},
		"reth": {
			show(decodeExecutionSyncing(raw(`{"startingBlock":"0x0","currentBlock":"0x9","highestBlock":"0x9","stages":[{"name":"Headers","block":100},{"name":"Execution","block":40},{"name":"Finish","block":0}]}`))),
			`{"Syncing":true,"Current":0,"Highest":100,"Indexing":false,"Items":140,"Stages":[{"Name":"Headers","Block":100},{"Name":"Execution","Block":40},{"Name":"Finish","Block":0}]}`,
		},
		"erigon": {
			show(decodeExecutionSyncing(raw(`{"startingBlock":"0x0","currentBlock":"0x28","highestBlock":"0x64","stages":[{"stage_name":"Headers","block_number":"0x64"},{"stage_name":"Finish","block_number":"0x28"}]}`))),
			`{"Syncing":true,"Current":40,"Highest":100,"Indexing":false,"Items":140,"Stages":[{"Name":"Headers","Block":100},{"Name":"Finish","Block":40}]}`,
		},
		"stages without the last": {
			show(decodeExecutionSyncing(raw(`{"currentBlock":"0x9","highestBlock":"0xa","stages":[{"name":"Bodies","block":11},{"name":"x"}]}`))),
			`{"Syncing":true,"Current":9,"Highest":11,"Indexing":false,"Items":20,"Stages":[{"Name":"Bodies","Block":11}]}`,
		},
		"besu":                 {show(decodeExecutionSyncing(raw(`{"startingBlock":"0x0","currentBlock":"0x1","highestBlock":"0x2","pulledStates":"0x5","knownStates":"0x3"}`))), `{"Syncing":true,"Current":1,"Highest":2,"Indexing":false,"Items":6,"Stages":null}`},
		"an empty object":      {show(decodeExecutionSyncing(raw(`{}`))), `error: the field "currentBlock" is missing`},
		"a number":             {show(decodeExecutionSyncing(raw(`{"currentBlock":"zero"}`))), `error: "zero" is not an unsigned integer of 64 bits`},
		"a quantity":           {show(decodeQuantity(raw(`"0x25a7c8f"`))), `39484559`},
		"a plain quantity":     {show(decodeQuantity(raw(`7`))), `7`},
		"no quantity":          {show(decodeQuantity(raw(`null`))), `error: the field "result" is missing`},
		"an empty quantity":    {show(decodeQuantity(raw(`"0x"`))), `error: "0x" is not an unsigned integer of 64 bits`},
		"a quantity of 65 bit": {show(decodeQuantity(raw(`"0x10000000000000000"`))), `error: "0x10000000000000000" is not an unsigned integer of 64 bits`},
		"a negative quantity":  {show(decodeQuantity(raw(`"0x-1"`))), `error: "0x-1" is not an unsigned integer of 64 bits`},
		"no block":             {show(decodeBlock(raw(`null`))), `error: there is no latest block`},
		"half a block":         {show(decodeBlock(raw(`{"number":"0x1"}`))), `error: the field "timestamp" is missing`},
		"a block of no time":   {show(decodeBlock(raw(`{"number":"0x1","timestamp":"0xffffffffffffff"}`))), `error: timestamp 72057594037927935 is no time`},
		"besu's version":       {show(decodeExecutionVersion(raw(`"besu/v25.11.0/linux-x86_64/openjdk-java-21"`))), `{"Client":"Besu","Version":"v25.11.0","Full":"besu/v25.11.0/linux-x86_64/openjdk-java-21"}`},
		"reth's version":       {show(decodeExecutionVersion(raw(`"reth/v1.9.3-27a8c0f/x86_64-unknown-linux-gnu"`))), `{"Client":"Reth","Version":"v1.9.3-27a8c0f","Full":"reth/v1.9.3-27a8c0f/x86_64-unknown-linux-gnu"}`},
		"a version of null":    {show(decodeExecutionVersion(raw(`null`))), `error: the field "result" is missing`},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRPCFaults(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		body    string
		reason  Reason
		code    int64
		message string
	}{
		"a result":             {200, `{"jsonrpc":"2.0","id":1,"result":"0x5"}`, "", 0, ""},
		"a method not offered": {200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method net_peerCount does not exist/is not available"}}`, HTTPStatus, -32601, "error -32601: the method net_peerCount does not exist"},
		"neither":              {200, `{"jsonrpc":"2.0","id":1}`, Malformed, 0, "neither a result nor an error"},
		"an array":             {200, `[]`, Malformed, 0, "array"},
		"HTML":                 {200, `<html>`, Malformed, 0, "HTML"},
		"401":                  {401, `missing token`, HTTPStatus, 0, "status 401"},
		"a gateway's error":    {200, `{"code":503,"message":"no backend"}`, HTTPStatus, 0, "no backend"},
		"too many megabytes":   {200, `"` + strings.Repeat("x", rpcLimit) + `"`, TooLarge, 0, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer s.Close()
			e, err := NewExecution(s.URL, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.CloseIdle()
			n, err := e.PeerCount(context.Background())
			if c.reason == "" {
				if err != nil || n != 5 {
					t.Errorf("%d, %v", n, err)
				}
				return
			}
			var rpc *RPCError
			if ReasonOf(err) != c.reason || !strings.Contains(err.Error(), "net_peerCount: ") || !strings.Contains(err.Error(), c.message) || errors.As(err, &rpc) != (c.code != 0) {
				t.Errorf("%s: %v; want %s: %s", ReasonOf(err), err, c.reason, c.message)
			}
			if rpc != nil && rpc.Code != c.code {
				t.Errorf("code %d, want %d", rpc.Code, c.code)
			}
		})
	}
}
