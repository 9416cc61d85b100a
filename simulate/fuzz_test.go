package simulate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// FuzzRPC sends anything to the execution endpoint: the answer is always JSON.
func FuzzRPC(f *testing.F) {
	h := executionHandler(f)
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"eth_syncing","params":[]}`, `[{"id":1,"method":"eth_getBlockByNumber","params":["latest",false]}]`,
		`{"id":{},"method":"eth_getBlockByNumber","params":["0x",1]}`, `[]`, `null`, `"`, "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 200 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q is answered with %q", body, w.Body)
		}
	})
}

// FuzzBeaconAPI asks for any path: no answer is empty of a status, and none but a health check of a body that is JSON where it says so.
func FuzzBeaconAPI(f *testing.F) {
	net, clock := devnet(6 * time.Hour)
	sim, err := simulate.New(simulate.Options{Network: net, Clock: clock, Sockets: simulate.NewMemory()})
	if err != nil {
		f.Fatal(err)
	}
	var providers []*simulate.Provider
	for _, c := range simulate.Clients() {
		p, err := sim.AddProvider(string(c), simulate.ProviderOptions{Client: c})
		if err != nil {
			f.Fatal(err)
		}
		providers = append(providers, p)
	}
	for _, r := range routes {
		f.Add(r.path, r.accept)
	}
	f.Add("/eth/v2/beacon/blocks/18446744073709551615", "a,b;q=1,*/*")
	f.Add("/eth/v2/debug/beacon/states/0x"+strings.Repeat("f", 64), "application/octet-stream")
	f.Add("/checkpointz/v1/beacon/slots/320", "")
	f.Fuzz(func(t *testing.T, path, accept string) {
		u, err := url.ParseRequestURI("/" + strings.TrimPrefix(path, "/"))
		if err != nil || strings.Contains(path, "debug/beacon/states") && len(accept) > 30 {
			return
		}
		for _, p := range providers {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL = u
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s answers %s with %q", p.Name(), path, w.Body)
			}
		}
	})
}

// FuzzParseFault reads any query: what it accepts survives a round trip.
func FuzzParseFault(f *testing.F) {
	f.Add("kind=slow&delay=2s")
	f.Add("kind=status&code=-1&path=%2f")
	f.Add("kind=stale&epochs=99999999999999999999")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		got, err := simulate.ParseFault(q)
		if err != nil {
			return
		}
		again, err := simulate.ParseFault(got.Values())
		if err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%+v becomes %+v, %v", got, again, err)
		}
	})
}

// FuzzYAMLSource reads any inventory.
func FuzzYAMLSource(f *testing.F) {
	f.Add("hosts:\n  a: {url: b}\n", "a", "url")
	f.Add("x: &a [*a]\nurl: 1", "", "url")
	f.Add("? {a: b}\n: {url: c}\n", "b", "url")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, doc, host, key string) {
		file := filepath.Join(dir, "inventory.yaml")
		must(t, os.WriteFile(file, []byte(doc), 0o600))
		_, _ = simulate.YAMLSource(file, host, key)()
	})
}
