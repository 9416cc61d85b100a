package simulate_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

const (
	genesisPath  = "/eth/v1/beacon/genesis"
	finalityPath = "/eth/v1/beacon/states/finalized/finality_checkpoints"
	rootPath     = "/eth/v1/beacon/blocks/finalized/root"
	statePath    = "/eth/v2/debug/beacon/states/finalized"
	blockPath    = "/eth/v2/beacon/blocks/"
	ssz          = "application/octet-stream"
	jsonMedia    = "application/json"
)

func jsonBody(s string) io.Reader { return strings.NewReader(s) }

// A provider without faults is consistent in itself and with its fellows.
func TestHealthyProviders(t *testing.T) {
	for _, client := range simulate.Clients() {
		t.Run(string(client), func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				first := w.provider("first", simulate.ProviderOptions{})
				p := w.provider("alpha", simulate.ProviderOptions{Client: client})
				chain := w.Chain()
				epoch, root := w.finalized(p.URL())
				if want := chain.Epoch(time.Now()) - 2; epoch != want {
					t.Errorf("finalized epoch %d, want %d", epoch, want)
				}
				if e, r := w.finalized(first.URL()); e != epoch || r != root {
					t.Errorf("two good providers differ: %d %s and %d %s", epoch, root, e, r)
				}
				if got := w.data(p.URL() + rootPath)["root"].(string); strings.TrimPrefix(got, "0x") != root[2:] {
					t.Errorf("root %s of the finalized block, %s of the checkpoint", got, root)
				} else if strings.HasPrefix(got, "0x") == (client == simulate.Checkpointz) {
					t.Errorf("%s writes its root as %s", client, got)
				}
				if got := number(t, w.data(p.URL() + genesisPath)["genesis_time"]); got != uint64(chain.GenesisTime.Unix()) {
					t.Errorf("genesis time %d", got)
				}
				spec := w.data(p.URL() + "/eth/v1/config/spec")
				if number(t, spec["DEPOSIT_CHAIN_ID"]) != chain.DepositChainID || number(t, spec["SECONDS_PER_SLOT"]) != 12 {
					t.Errorf("spec of another chain: %v", spec)
				}
				s := readState(t, w, p.URL(), "finalized")
				if s.genesis != uint64(chain.GenesisTime.Unix()) || s.slot != chain.EpochStart(epoch) || s.header != s.slot || s.advanced {
					t.Errorf("state %+v for epoch %d", s, epoch)
				}
				if gvr := w.data(p.URL() + genesisPath)["genesis_validators_root"]; gvr != s.gvr {
					t.Errorf("genesis validators root %v, and %s in the state", gvr, s.gvr)
				}
				if client != simulate.Lodestar { // which has no SSZ blocks
					b, err := w.ask(p.URL()+blockPath+"finalized", ssz)
					must(t, err)
					if got := binary.LittleEndian.Uint64(b.body[100:]); got != s.slot {
						t.Errorf("the finalized block is of slot %d, the state of slot %d", got, s.slot)
					}
				}
				// By root, slot and name it is the same block.
				for _, id := range []string{root, "finalized"} {
					m := w.data(p.URL() + blockPath + id)["message"].(map[string]any)
					if number(t, m["slot"]) != s.slot {
						t.Errorf("block %s is of slot %v", id, m["slot"])
					}
				}
			})
		})
	}
}

// stateFacts are read from a state as a cautious client does.
type stateFacts struct {
	genesis, slot, header uint64
	gvr                   string
	advanced              bool
	bytes                 int
}

func readState(t *testing.T, w world, base, id string) stateFacts {
	t.Helper()
	a, err := w.ask(base+"/eth/v2/debug/beacon/states/"+id, ssz)
	must(t, err)
	if a.status != http.StatusOK || len(a.body) < 2_700_000 {
		t.Fatalf("state %s: %d with %d bytes", id, a.status, len(a.body))
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(a.body[at:]) }
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(a.body[at:])) }
	if fixed, balances := u32(524464), u32(524556); fixed != 2737225 || balances-u32(524552) != 64*121 || balances > len(a.body) {
		t.Errorf("fixed part of %d bytes, validators at %d, balances at %d", fixed, u32(524552), balances)
	}
	return stateFacts{
		genesis: u64(0), gvr: "0x" + hex.EncodeToString(a.body[8:40]), slot: u64(40), header: u64(64),
		advanced: !bytes.Equal(a.body[112:144], make([]byte, 32)), bytes: len(a.body),
	}
}

// Each fault shows itself through HTTP, and is gone when it is cleared.
func TestProviderFaults(t *testing.T) {
	status := func(want int, paths ...string) func(*testing.T, world, *simulate.Provider) {
		return func(t *testing.T, w world, p *simulate.Provider) {
			for _, path := range paths {
				accept := jsonMedia
				if path == statePath {
					accept = ssz
				}
				a, err := w.ask(p.URL()+path, accept)
				must(t, err)
				if a.status != want {
					t.Errorf("%s answers %d, want %d: %s", path, a.status, want, a.body)
				}
			}
		}
	}
	fails := func(want error) func(*testing.T, world, *simulate.Provider) {
		return func(t *testing.T, w world, p *simulate.Provider) {
			for _, path := range []string{genesisPath, statePath} {
				accept := jsonMedia
				if path == statePath {
					accept = ssz
				}
				if _, err := w.ask(p.URL()+path, accept); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", path, err, want)
				}
			}
		}
	}
	for _, tc := range []struct {
		name   string
		client simulate.Client
		fault  simulate.Fault
		shows  func(*testing.T, world, *simulate.Provider)
	}{
		{"down", "", simulate.Down(), fails(syscall.ECONNREFUSED)},
		{"hang", "", simulate.Hang(), fails(context.DeadlineExceeded)},
		{"slow", "", simulate.Slow(11 * time.Second), fails(context.DeadlineExceeded)},
		{"slow but in time", "", simulate.Slow(9 * time.Second), func(t *testing.T, w world, p *simulate.Provider) {
			before := time.Now()
			w.json(p.URL() + genesisPath)
			if d := time.Since(before); d != 9*time.Second {
				t.Errorf("answered after %s of the bubble's time", d)
			}
		}},
		{"status 500", "", simulate.Status(0), status(500, genesisPath, finalityPath, statePath)},
		{"status 502 of the state alone", "", simulate.Status(502).On("/eth/v2/debug"), func(t *testing.T, w world, p *simulate.Provider) {
			status(502, statePath)(t, w, p)
			status(200, genesisPath)(t, w, p)
		}},
		{"html", "", simulate.HTML(), func(t *testing.T, w world, p *simulate.Provider) {
			a, err := w.ask(p.URL()+genesisPath, jsonMedia)
			must(t, err)
			if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !bytes.HasPrefix(a.body, []byte("<!DOCTYPE html>")) {
				t.Errorf("%+v", a)
			}
		}},
		{"truncated", "", simulate.Truncated(), fails(io.ErrUnexpectedEOF)},
		{"JSON error with 200", "", simulate.JSONError(), func(t *testing.T, w world, p *simulate.Provider) {
			if v := w.json(p.URL() + genesisPath); v["code"] != 500. || v["data"] != nil {
				t.Errorf("%v", v)
			}
		}},
		{"rate limited", "", simulate.RateLimited(90 * time.Second), func(t *testing.T, w world, p *simulate.Provider) {
			a, err := w.ask(p.URL()+genesisPath, jsonMedia)
			must(t, err)
			if a.status != 429 || a.header.Get("Retry-After") != "90" {
				t.Errorf("%d %v", a.status, a.header)
			}
		}},
		{"redirect", "", simulate.Redirect("http://elsewhere.example:80/base/"), func(t *testing.T, w world, p *simulate.Provider) {
			w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			a, err := w.ask(p.URL()+genesisPath, jsonMedia)
			must(t, err)
			if a.status != 302 || a.header.Get("Location") != "http://elsewhere.example:80/base"+genesisPath {
				t.Errorf("%d %v", a.status, a.header)
			}
		}},
		{"huge", "", simulate.Huge(5 << 20), func(t *testing.T, w world, p *simulate.Provider) {
			a, err := w.ask(p.URL()+genesisPath, jsonMedia)
			must(t, err)
			if a.status != 200 || len(a.body) != 5<<20 || !bytes.HasPrefix(a.body, []byte(`{"data":`)) {
				t.Errorf("%d bytes", len(a.body))
			}
		}},
		{"gzip bomb", "", simulate.GzipBomb(16 << 20), func(t *testing.T, w world, p *simulate.Provider) {
			a, err := w.ask(p.URL()+genesisPath, jsonMedia)
			must(t, err)
			if a.header.Get("Content-Encoding") != "gzip" || len(a.body) > 1<<20 {
				t.Errorf("%d bytes as %q", len(a.body), a.header.Get("Content-Encoding"))
			}
			z, err := gzip.NewReader(bytes.NewReader(a.body))
			must(t, err)
			if n, err := io.Copy(io.Discard, z); err != nil || n < 16<<20 {
				t.Errorf("inflates to %d bytes, %v", n, err)
			}
		}},
		{"wrong network", "", simulate.WrongNetwork(""), func(t *testing.T, w world, p *simulate.Provider) {
			if got := w.data(p.URL() + genesisPath)["genesis_validators_root"]; got != "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95" {
				t.Errorf("genesis validators root %v is not mainnet's", got)
			}
			if s := readState(t, w, p.URL(), "finalized"); s.genesis == uint64(w.Chain().GenesisTime.Unix()) {
				t.Errorf("state %+v", s)
			}
			if got := w.data(p.URL() + "/eth/v1/config/spec")["DEPOSIT_CHAIN_ID"]; got != "1" {
				t.Errorf("deposit chain id %v", got)
			}
		}},
		{"old iteration", "", simulate.OldIteration(""), func(t *testing.T, w world, p *simulate.Provider) {
			shift := w.Chain().GenesisTime.Unix() - int64(number(t, w.data(p.URL() + genesisPath)["genesis_time"]))
			if shift != 28*24*3600 {
				t.Errorf("its genesis is %d s before", shift)
			}
			epoch, _ := w.finalized(p.URL())
			if epoch != 6299-2 {
				t.Errorf("finalized epoch %d, want that of the iteration's end", epoch)
			}
			if s := readState(t, w, p.URL(), "finalized"); int64(s.genesis) != w.Chain().GenesisTime.Unix()-28*24*3600 {
				t.Errorf("state %+v", s)
			}
			if got := number(t, w.data(p.URL() + "/eth/v1/config/spec")["DEPOSIT_CHAIN_ID"]); got != w.Chain().DepositChainID-1 {
				t.Errorf("deposit chain id %d", got)
			}
		}},
		{"old genesis, new finality", "", simulate.OldIteration(simulate.PartGenesis), func(t *testing.T, w world, p *simulate.Provider) {
			if number(t, w.data(p.URL() + genesisPath)["genesis_time"]) == uint64(w.Chain().GenesisTime.Unix()) {
				t.Error("the genesis is the new one")
			}
			if s := readState(t, w, p.URL(), "finalized"); s.genesis != uint64(w.Chain().GenesisTime.Unix()) {
				t.Errorf("state %+v", s)
			}
		}},
		{"new genesis, old finality", "", simulate.OldIteration(simulate.PartFinality), func(t *testing.T, w world, p *simulate.Provider) {
			if number(t, w.data(p.URL() + genesisPath)["genesis_time"]) != uint64(w.Chain().GenesisTime.Unix()) {
				t.Error("the genesis is the old one")
			}
			if s := readState(t, w, p.URL(), "finalized"); s.genesis == uint64(w.Chain().GenesisTime.Unix()) {
				t.Errorf("state %+v", s)
			}
		}},
		{"stale", "", simulate.Stale(50), func(t *testing.T, w world, p *simulate.Provider) {
			epoch, _ := w.finalized(p.URL())
			if want := w.Chain().Epoch(time.Now()) - 52; epoch != want {
				t.Errorf("finalized epoch %d, want %d", epoch, want)
			}
			if s := readState(t, w, p.URL(), "finalized"); s.slot != epoch*32 {
				t.Errorf("state of slot %d", s.slot)
			}
		}},
		{"frozen", "", simulate.Frozen(), func(t *testing.T, w world, p *simulate.Provider) {
			before, _ := w.finalized(p.URL())
			time.Sleep(2 * time.Hour)
			if after, _ := w.finalized(p.URL()); after != before || w.Chain().Epoch(time.Now())-after < 18 {
				t.Errorf("finalized epoch %d before and %d after", before, after)
			}
		}},
		{"other root", "", simulate.OtherRoot(), func(t *testing.T, w world, p *simulate.Provider) {
			right := w.provider("right", simulate.ProviderOptions{})
			e1, r1 := w.finalized(p.URL())
			e2, r2 := w.finalized(right.URL())
			if e1 != e2 || r1 == r2 {
				t.Errorf("%d %s and %d %s", e1, r1, e2, r2)
			}
			if got := w.data(p.URL() + rootPath)["root"]; got != r1[2:] {
				t.Errorf("block root %v", got)
			}
			if w.data(p.URL() + genesisPath)["genesis_validators_root"] != w.data(right.URL() + genesisPath)["genesis_validators_root"] {
				t.Error("a fork has another genesis")
			}
		}},
		{"no finality", "", simulate.NoFinality(), func(t *testing.T, w world, p *simulate.Provider) {
			status(500, finalityPath, rootPath, statePath, "/checkpointz/v1/ready")(t, w, p)
			status(200, genesisPath, "/checkpointz/v1/status")(t, w, p)
		}},
		{"no finality on a node", simulate.Prysm, simulate.NoFinality(), func(t *testing.T, w world, p *simulate.Provider) {
			if epoch, root := w.finalized(p.URL()); epoch != 0 || root != "0x"+strings.Repeat("0", 64) {
				t.Errorf("%d %s", epoch, root)
			}
		}},
		{"light mode", "", simulate.LightMode(), func(t *testing.T, w world, p *simulate.Provider) {
			status(500, statePath)(t, w, p)
			status(200, finalityPath, rootPath)(t, w, p)
			if got := w.data(p.URL() + "/checkpointz/v1/status")["operating_mode"]; got != "light" {
				t.Errorf("mode %v", got)
			}
		}},
		{"advanced state", "", simulate.AdvancedState(), func(t *testing.T, w world, p *simulate.Provider) {
			epoch, _ := w.finalized(p.URL())
			s := readState(t, w, p.URL(), "finalized")
			if s.slot != epoch*32 || s.header >= s.slot || !s.advanced {
				t.Errorf("%+v for epoch %d", s, epoch)
			}
		}},
		{"unaligned", "", simulate.Unaligned(), func(t *testing.T, w world, p *simulate.Provider) {
			epoch, root := w.finalized(p.URL())
			s := readState(t, w, p.URL(), "finalized")
			if s.slot != epoch*32-1 || s.header != s.slot {
				t.Errorf("%+v for epoch %d", s, epoch)
			}
			if got := w.data(p.URL() + rootPath)["root"]; got != root[2:] {
				t.Errorf("block root %v, checkpoint %s", got, root)
			}
			status(500, blockPath+decimal(epoch*32))(t, w, p)
			status(200, blockPath+decimal(epoch*32-1))(t, w, p)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w world) {
				p := w.provider("alpha", simulate.ProviderOptions{Client: tc.client})
				must(t, p.SetFault(tc.fault))
				tc.shows(t, w, p)
				must(t, p.ClearFaults())
				if epoch, _ := w.finalized(p.URL()); epoch != w.Chain().Epoch(time.Now())-2 {
					t.Errorf("cleared, it serves epoch %d", epoch)
				}
				readState(t, w, p.URL(), "finalized")
			})
		})
	}
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// A real listener really closes, and opens again on the same port.
func TestDownOnLoopback(t *testing.T) {
	sim := start(t, simulate.Options{})
	p, err := sim.AddProvider("alpha", simulate.ProviderOptions{})
	must(t, err)
	url := p.URL() + genesisPath
	ask := func() error {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	if err := ask(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("before its start: %v", err)
	}
	must(t, p.Start(t.Context()))
	for range 3 {
		must(t, ask())
		must(t, p.SetFault(simulate.Down()))
		if err := ask(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("down: %v", err)
		}
		must(t, p.ClearFaults(simulate.KindDown))
	}
	must(t, ask())
	if got := p.Requests()[genesisPath]; got != 4 {
		t.Errorf("%d requests were counted", got)
	}
	p.Close()
	if err := ask(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed: %v", err)
	}
}

func TestTLS(t *testing.T) {
	lender := httptest.NewTLSServer(nil) // its certificate is for 127.0.0.1, and its client knows it
	defer lender.Close()
	sim := start(t, simulate.Options{})
	p, err := sim.AddProvider("alpha", simulate.ProviderOptions{Certificate: &lender.TLS.Certificates[0]})
	must(t, err)
	must(t, p.Start(t.Context()))
	res, err := lender.Client().Get(p.URL() + genesisPath)
	must(t, err)
	defer res.Body.Close()
	if !strings.HasPrefix(p.URL(), "https://") || res.StatusCode != http.StatusOK || len(res.TLS.PeerCertificates) == 0 {
		t.Errorf("%s answers %s", p.URL(), res.Status)
	}
}

// A connection that is kept alive ends too when its provider goes down.
func TestDownEndsConnections(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.Hang()}})
		failed := make(chan error)
		go func() {
			_, err := w.ask(p.URL()+genesisPath, jsonMedia)
			failed <- err
		}()
		time.Sleep(time.Second) // the request is under way
		must(t, p.SetFault(simulate.Down()))
		if err := <-failed; err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the request ended with %v", err)
		}
	})
}

func TestCheckpointzManners(t *testing.T) {
	sim := start(t, simulate.Options{})
	p, err := sim.AddProvider("alpha", simulate.ProviderOptions{})
	must(t, err)
	ask := func(method, path, accept, encoding string) *http.Response {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Result()
	}
	for _, tc := range []struct {
		name, method, path, accept string
		status                     int
		says                       string
	}{
		{"HEAD", "HEAD", statePath, ssz, 405, ""},
		{"POST", "POST", genesisPath, jsonMedia, 405, "Method Not Allowed"},
		{"first type wins", "GET", statePath, "application/json;q=0.5,application/octet-stream;q=1", 406, "unsupported content-type: application/json"},
		{"state first", "GET", statePath, "application/octet-stream,application/json;q=0.9", 200, ""},
		{"SSZ of JSON", "GET", genesisPath, ssz, 406, "unsupported content-type: application/octet-stream"},
		{"unknown type", "GET", genesisPath, "text/html", 406, "unsupported content-type: unknown"},
		{"block outside its history", "GET", blockPath + "5", jsonMedia, 500, "block not found"},
		{"genesis block", "GET", blockPath + "genesis", jsonMedia, 200, `"slot":"0"`},
		{"state of another slot", "GET", "/eth/v2/debug/beacon/states/33", ssz, 500, "state not found"},
		{"genesis state", "GET", "/eth/v2/debug/beacon/states/0", ssz, 200, ""},
		{"head state", "GET", "/eth/v2/debug/beacon/states/head", ssz, 500, "invalid state id: head"},
		{"slots", "GET", "/checkpointz/v1/beacon/slots", jsonMedia, 200, `"start_time"`},
		{"ready", "GET", "/checkpointz/v1/ready", jsonMedia, 200, "true"},
		{"health", "GET", "/eth/v1/node/health", jsonMedia, 404, "404 page not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := ask(tc.method, tc.path, tc.accept, "")
			body, err := io.ReadAll(res.Body)
			must(t, err)
			if res.StatusCode != tc.status || !strings.Contains(string(body), tc.says) {
				t.Errorf("%d %.200s", res.StatusCode, body)
			}
		})
	}
	plain, err := io.ReadAll(ask("GET", statePath, ssz, "").Body)
	must(t, err)
	squeezed := ask("GET", statePath, ssz, "gzip")
	z, err := gzip.NewReader(squeezed.Body)
	must(t, err)
	again, err := io.ReadAll(z)
	must(t, err)
	if squeezed.Header.Get("Content-Encoding") != "gzip" || !bytes.Equal(plain, again) {
		t.Error("compressed, the state is another one")
	}
}

// After a genesis nothing is final until the fourth epoch, and a provider may wait longer.
func TestProvidersAfterGenesis(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		chain := w.Chain()
		checkpointz := w.provider("checkpointz", simulate.ProviderOptions{})
		patient := w.provider("patient", simulate.ProviderOptions{MinEpoch: 20})
		at := func(epoch uint64) {
			time.Sleep(time.Until(chain.ResetAt.Add(time.Duration(epoch) * chain.EpochDuration())))
		}
		served := func(p *simulate.Provider) int {
			a, err := w.ask(p.URL()+statePath, ssz)
			must(t, err)
			return a.status
		}
		at(0)
		if w.Chain().Iteration != chain.Iteration+1 {
			t.Fatalf("iteration %d", w.Chain().Iteration)
		}
		at(3)
		if served(checkpointz) != 500 {
			t.Error("served before finality")
		}
		at(4)
		if served(checkpointz) != 200 || served(patient) != 500 {
			t.Error("at epoch 4")
		}
		at(22)
		if served(patient) != 200 {
			t.Error("at epoch 22")
		}
		w.HaltFinality()
		at(40)
		if epoch, _ := w.finalized(checkpointz.URL()); epoch != 20 {
			t.Errorf("halted, it finalized epoch %d", epoch)
		}
		w.ResumeFinality()
		if epoch, _ := w.finalized(checkpointz.URL()); epoch != 38 {
			t.Errorf("resumed, it finalized epoch %d", epoch)
		}
	})
}

func TestSeeds(t *testing.T) {
	root := func(seed string) string {
		sim := start(t, simulate.Options{Seed: seed, Sockets: simulate.NewMemory(), Clock: func() time.Time { return time.Unix(1795338007, 0) }})
		return sim.Listing().Network.FinalizedRoot
	}
	if first, again, other := root("a"), root("a"), root("b"); first != again || first == other {
		t.Error("the seed alone decides the roots")
	}
}
