package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// start runs the program and returns the first line it printed.
func start(t *testing.T, args ...string) urls {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var errs bytes.Buffer
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w, &errs)
		_ = w.CloseWithError(err)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%v\n%s", err, errs.String())
		}
	})
	var u urls
	if err := json.NewDecoder(r).Decode(&u); err != nil {
		t.Fatalf("%v", err)
	}
	return u
}

func call(t *testing.T, method, url string) simulate.Listing {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s", url, res.Status)
	}
	var l simulate.Listing
	if err := json.NewDecoder(res.Body).Decode(&l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFlags(t *testing.T) {
	u := start(t, "--log.level=error", "--provider", "alpha", "--provider", "beta=prysm,kind=stale&epochs=9,other_root",
		"--node", "node-1=teku,database,manual", "--node", "node-2=prysm", "--source", "alpha")
	l := call(t, http.MethodGet, u.Control+"/")
	if u.Network != "ephemery" || u.ChainID != l.Network.DepositChainID || u.GenesisTime != l.Network.GenesisTime.Unix() {
		t.Errorf("%+v", u)
	}
	if len(l.Providers) != 2 || l.Providers[0].URL != u.Providers["alpha"] || l.Providers[1].Client != simulate.Prysm || len(l.Providers[1].Faults) != 2 {
		t.Errorf("%+v", l.Providers)
	}
	if len(l.Nodes) != 2 || l.Nodes[0].State != simulate.StateStopped || l.Nodes[1].ExecutionURL != u.Nodes["node-2"].Execution {
		t.Errorf("%+v", l.Nodes)
	}
	call(t, http.MethodPost, u.Control+"/nodes/node-1/start")
	if l := call(t, http.MethodGet, u.Control+"/"); l.Nodes[0].State != simulate.StateRunning {
		t.Errorf("%+v", l.Nodes[0])
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	file, inventory := filepath.Join(dir, "net.yml"), filepath.Join(dir, "inventory.yaml")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, `
network: {name: devnet, age: 3h, seconds_per_slot: 2, slots_per_epoch: 8, deposit_chain_id: 1337}
pace: 5
providers:
  - {name: alpha, faults: [{kind: slow, delay: 10ms}]}
nodes:
  - name: node-1
    client: nimbus
    source: {file: `+inventory+`, host: node-1, key: checkpoint_sync_url}
    manual: true
    slots_per_second: 50
  - {name: node-2, client: prysm, database: true, behind: 20, source: {provider: alpha}}
`)
	u := start(t, "--config.file", file, "--log.level=error")
	if u.Network != "devnet" || u.ChainID != 1337 {
		t.Errorf("%+v", u)
	}
	write(inventory, "hosts:\n  node-1:\n    checkpoint_sync_url: "+u.Providers["alpha"]+"\n")
	call(t, http.MethodPost, u.Control+"/nodes/node-1/start")
	for {
		l := call(t, http.MethodGet, u.Control+"/")
		if l.Nodes[0].State == simulate.StateRunning {
			if l.Nodes[0].Anchor == 0 || l.Providers[0].Requests["/eth/v2/debug/beacon/states/finalized"] != 1 {
				t.Errorf("%+v", l)
			}
			return
		}
		if l.Nodes[0].State == simulate.StateExited {
			t.Fatalf("%+v", l.Nodes[0])
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unknown key":    "providers: [{nam: alpha}]",
		"unknown net":    "network: kovan",
		"no clock":       "network: {name: devnet, age: 3h}",
		"bad fault":      "providers: [{name: alpha, faults: [{kind: stall}]}]",
		"no such source": "nodes: [{name: node-1, source: {provider: omega}}]",
		"no key":         "nodes: [{name: node-1, source: {file: x}}]",
		"bad client":     "nodes: [{name: node-1, client: geth}]",
		"twice":          "providers: [{name: alpha}, {name: alpha}]",
	} {
		file := filepath.Join(dir, "net.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), []string{"--config.file", file}, io.Discard, io.Discard); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, args := range [][]string{
		{"--config.file", filepath.Join(dir, "none.yml")}, {"--provider", "a=b"}, {"--provider", "a=,slow;"}, {"--provider", "a=,kind=stale&epochs=x"},
		{"--node", "a=prysm,dance"}, {"--dance"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil || strings.Contains(err.Error(), "panic") {
			t.Errorf("%v was accepted: %v", args, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("network: ephemery\nproviders: [{name: a, faults: [{kind: slow, delay: 2s}]}]"))
	f.Add([]byte("network: {name: devnet, age: 3h}\nnodes: [{name: n, source: {url: u}}]"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parse(b) })
}
