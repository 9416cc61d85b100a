package simulate_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// ephemeral resets every 28 days; a bubble's clock begins at the start of 2000, on the 20th day of its iteration 7.
func ephemeral() network.Network {
	return network.Network{
		Chain: network.Chain{Network: "ephemery", SecondsPerSlot: 12, SlotsPerEpoch: 32, WeakSubjectivityEpochs: 633},
		Iterations: &network.Iterations{
			Anchor: 7, AnchorGenesis: time.Date(1999, 12, 12, 0, 0, 0, 0, time.UTC), Interval: 28 * 24 * time.Hour, Delay: 10 * time.Minute,
			BaseChainID: 39438000,
		},
	}
}

// world is a simulation in memory and a client in it.
type world struct {
	*simulate.Simulation
	t    *testing.T
	http *http.Client
}

// bubble runs a test in a world whose time is the bubble's.
func bubble(t *testing.T, f func(t *testing.T, w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mem := simulate.NewMemory()
		sim, err := simulate.New(simulate.Options{Network: ephemeral(), Clock: time.Now, Sockets: mem})
		must(t, err)
		tr := &http.Transport{DialContext: mem.DialContext, DisableCompression: true, DisableKeepAlives: true}
		w := world{sim, t, &http.Client{Transport: tr}}
		defer func() {
			sim.Close()
			tr.CloseIdleConnections()
		}()
		f(t, w)
	})
}

func (w world) provider(name string, o simulate.ProviderOptions) *simulate.Provider {
	w.t.Helper()
	p, err := w.AddProvider(name, o)
	must(w.t, err)
	must(w.t, p.Start(w.t.Context()))
	return p
}

func (w world) node(name string, o simulate.NodeOptions) *simulate.Node {
	w.t.Helper()
	n, err := w.AddNode(name, o)
	must(w.t, err)
	must(w.t, n.Start(w.t.Context()))
	return n
}

// ask gets a URL within ten seconds; the error is the client's.
func (w world) ask(url, accept string) (answer, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(w.t, err)
	req.Header.Set("Accept", accept)
	res, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	return answer{res.StatusCode, res.Header, body}, err
}

// json gets a URL that must answer 200, and decodes it.
func (w world) json(url string) map[string]any {
	w.t.Helper()
	a, err := w.ask(url, "application/json")
	must(w.t, err)
	if a.status != http.StatusOK {
		w.t.Fatalf("%s answers %d: %s", url, a.status, a.body)
	}
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		w.t.Fatalf("%s: %v", url, err)
	}
	return v
}

// data is json's data object.
func (w world) data(url string) map[string]any {
	w.t.Helper()
	d, ok := w.json(url)["data"].(map[string]any)
	if !ok {
		w.t.Fatalf("%s has no data object", url)
	}
	return d
}

// finalized is a server's finalized epoch and root.
func (w world) finalized(base string) (epoch uint64, root string) {
	w.t.Helper()
	f := w.data(base + "/eth/v1/beacon/states/head/finality_checkpoints")["finalized"].(map[string]any)
	return number(w.t, f["epoch"]), f["root"].(string)
}

// call is the result of an execution client's method.
func (w world) call(url, method, params string) any {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, jsonBody(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
	must(w.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := w.http.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	var reply struct{ Result any }
	must(w.t, json.NewDecoder(res.Body).Decode(&reply))
	return reply.Result
}

func number(t *testing.T, v any) uint64 {
	t.Helper()
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%v is no decimal string", v)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	must(t, err)
	return n
}

func hexNumber(t *testing.T, v any) uint64 {
	t.Helper()
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%v is no quantity", v)
	}
	n, err := strconv.ParseUint(s, 0, 64)
	must(t, err)
	return n
}

// ephemeralWithout lacks what makes a clock.
func ephemeralWithout() network.Network {
	return network.Network{Chain: network.Chain{Network: "devnet"}}
}
