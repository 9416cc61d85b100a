package simulate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// executionHandler is a node's execution endpoint without sockets, on a chain six hours old.
func executionHandler(t testing.TB) http.Handler {
	t.Helper()
	net, clock := devnet(6 * time.Hour)
	sim, err := simulate.New(simulate.Options{Network: net, Clock: clock, Sockets: simulate.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	n, err := sim.AddNode("node-1", simulate.NodeOptions{Database: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return n.Execution()
}

func TestRPCManners(t *testing.T) {
	h := executionHandler(t)
	for _, tc := range []struct {
		name, method, media, body string
		status                    int
		says                      string
	}{
		{"balancer's probe", "GET", "", "", 200, ""},
		{"PUT", "PUT", "application/json", "{}", 405, ""},
		{"media type", "POST", "text/plain", "{}", 415, "application/json"},
		{"no JSON", "POST", "application/json", "{", 200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`},
		{"broken batch", "POST", "application/json", "[", 200, "-32700"},
		{"empty batch", "POST", "application/json", "[]", 200, "empty batch"},
		{"no method", "POST", "application/json", `{"id":7}`, 200, `"id":7,"error":{"code":-32600`},
		{"named params", "POST", "application/json", `{"id":7,"method":"eth_chainId","params":{"a":1}}`, 200, "non-array args"},
		{"no params", "POST", "application/json; charset=utf-8", `{"id":"x","method":"eth_chainId"}`, 200, `{"jsonrpc":"2.0","id":"x","result":"0x539"}`},
		{"mixed batch", "POST", "application/json", `[{"id":1,"method":"eth_chainId"},5,{"id":2,"method":"nope"}]`, 200, `"id":2,"error":{"code":-32601`},
		{"large batch", "POST", "application/json", "[" + strings.Repeat("1,", 1000) + "1]", 200, "batch too large"},
		{"large body", "POST", "application/json", strings.Repeat(" ", 6<<20), 413, "too large"},
		{"no such block", "POST", "application/json", `{"id":1,"method":"eth_getBlockByNumber","params":["0xffffffff",false]}`, 200, `"result":null`},
		{"earliest", "POST", "application/json", `{"id":1,"method":"eth_getBlockByNumber","params":["earliest",false]}`, 200, `"number":"0x0"`},
		{"by number", "POST", "application/json", `{"id":1,"method":"eth_getBlockByNumber","params":["0x2a",false]}`, 200, `"number":"0x2a"`},
		{"no block number", "POST", "application/json", `{"id":1,"method":"eth_getBlockByNumber","params":["42",false]}`, 200, "-32602"},
		{"block by object", "POST", "application/json", `{"id":1,"method":"eth_getBlockByNumber","params":[{},false]}`, 200, "-32602"},
		{"too few arguments", "POST", "application/json", `{"id":1,"method":"eth_getBlockByNumber","params":[]}`, 200, "argument 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.media)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) {
				t.Errorf("%d %.300s", w.Code, w.Body)
			}
		})
	}
}
