package collector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// probed is an Exporter whose one provider and one node are recordings, at their URLs.
func probed(t *testing.T, allowAny bool) (h http.Handler, providerURL, nodeURL, stranger string) {
	t.Helper()
	serve := func(r http.Handler) string {
		s := httptest.NewServer(r)
		t.Cleanup(s.Close)
		return s.URL
	}
	providerURL, nodeURL, stranger = serve(beacontest.CheckpointzFulu), serve(beacontest.PrysmFulu), serve(beacontest.CheckpointzMinimal)
	e := newAt(t, fmt.Sprintf("network: %s\nquorum: 1\nproviders: [{name: p, url: %q}]\nnodes: [{name: n, consensus: {url: \"%s/\"}, execution: {url: %q}}]\n",
		fuluChain, providerURL, nodeURL, serve(beacontest.GethSynced)), beacontest.CheckpointzFulu.Time())
	e.opts.AllowAny = allowAny
	return handler(t, e), providerURL, nodeURL, stranger
}

func TestProbe(t *testing.T) {
	h, providerURL, nodeURL, _ := probed(t, false)
	host := strings.TrimPrefix(providerURL, "http://")
	for _, target := range []string{providerURL, providerURL + "/"} {
		got := metrics(t, h, "/probe?target="+target)
		expect(t, got, map[string]string{
			fmt.Sprintf(`checkpoint_provider_usable{provider=%q}`, host):                         "1",
			fmt.Sprintf(`checkpoint_provider_finalized_epoch{provider=%q}`, host):                "5",
			fmt.Sprintf(`checkpoint_provider_unusable_reason{provider=%q,reason="stale"}`, host): "0",
			fmt.Sprintf(`checkpoint_provider_probes_total{provider=%q,result="success"}`, host):  "absent",
			`checkpoint_provider_usable{provider="p"}`:                                           "absent",
			`checkpoint_network_slot`: "absent",
		})
	}
	host = strings.TrimPrefix(nodeURL, "http://")
	expect(t, metrics(t, h, "/probe?module=node&target="+nodeURL), map[string]string{
		fmt.Sprintf(`checkpoint_node_up{node=%q}`, host):                   "1",
		fmt.Sprintf(`checkpoint_node_head_slot{node=%q}`, host):            "224",
		fmt.Sprintf(`checkpoint_node_phase{node=%q,phase="synced"}`, host): "1",
		fmt.Sprintf(`checkpoint_execution_chain_id_match{node=%q}`, host):  "1",
	})
}

func TestProbeOfATargetThatFails(t *testing.T) {
	h, _, _, _ := probed(t, true)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	host := strings.TrimPrefix(gone.URL, "http://")
	expect(t, metrics(t, h, "/probe?target="+gone.URL), map[string]string{
		fmt.Sprintf(`checkpoint_provider_usable{provider=%q}`, host):                           "0",
		fmt.Sprintf(`checkpoint_provider_unusable_reason{provider=%q,reason="connect"}`, host): "1",
	})
	expect(t, metrics(t, h, "/probe?module=node&target="+gone.URL), map[string]string{
		fmt.Sprintf(`checkpoint_node_up{node=%q}`, host):      "0",
		fmt.Sprintf(`checkpoint_execution_up{node=%q}`, host): "absent",
	})
}

func TestProbeHonoursTheScrapersTimeout(t *testing.T) {
	h, _, _, _ := probed(t, true)
	released := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-released:
		}
	}))
	defer hanging.Close()
	defer close(released)
	host := strings.TrimPrefix(hanging.URL, "http://")
	// The configured ten seconds would outlast this.
	code, body := get(t, h, "/probe?target="+hanging.URL, "X-Prometheus-Scrape-Timeout-Seconds", "0.2")
	if want := fmt.Sprintf(`checkpoint_provider_unusable_reason{provider=%q,reason="timeout"} 1`, host); code != http.StatusOK || !strings.Contains(body, want) {
		t.Errorf("%d, without %s:\n%s", code, want, body)
	}
	for header, want := range map[string]time.Duration{"": 10 * time.Second, "5": 4500 * time.Millisecond, "0.2": 100 * time.Millisecond, "60": 10 * time.Second} {
		r := httptest.NewRequest(http.MethodGet, "/probe?target="+hanging.URL, nil)
		r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", header)
		if q, err := parseQuestion(r, 10*time.Second); err != nil || q.timeout != want {
			t.Errorf("a header of %q gives %s, %v; want %s", header, q.timeout, err, want)
		}
	}
}

func TestProbeRefuses(t *testing.T) {
	h, providerURL, nodeURL, stranger := probed(t, false)
	for name, c := range map[string]struct {
		query, header string
		code          int
		says          string
	}{
		"a target that is not configured": {query: "target=" + stranger, code: 403, says: "--probe.allow-any"},
		"a node as a provider":            {query: "target=" + nodeURL, code: 403, says: "configured providers"},
		"a provider as a node":            {query: "module=node&target=" + providerURL, code: 403, says: "configured nodes"},
		"a path below a configured one":   {query: "target=" + providerURL + "/other", code: 403},
		"no target":                       {query: "", code: 400, says: "target"},
		"two targets":                     {query: "target=" + providerURL + "&target=" + stranger, code: 400, says: "one target"},
		"another module":                  {query: "module=icmp&target=" + providerURL, code: 400, says: "icmp"},
		"a target with a password":        {query: "target=http://user:hunter2@127.0.0.1:1", code: 400, says: "password"},
		"a target with a query":           {query: "target=http://127.0.0.1:1/%3Fa=b", code: 400, says: "base URL"},
		"a file":                          {query: "target=file:///etc/passwd", code: 400, says: "base URL"},
		"a host that is no text":          {query: "target=http://%25ff:1", code: 400, says: "base URL"},
		"no URL":                          {query: "target=%3A%3A", code: 400, says: "URL"},
		"a timeout that is none":          {query: "target=" + providerURL, header: "soon", code: 400, says: "X-Prometheus-Scrape-Timeout-Seconds"},
		"a timeout that is not a number":  {query: "target=" + providerURL, header: "NaN", code: 400, says: "X-Prometheus-Scrape-Timeout-Seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := get(t, h, "/probe?"+c.query, "X-Prometheus-Scrape-Timeout-Seconds", c.header)
			if code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("%d %s", code, body)
			}
			if strings.Contains(body, "hunter2") {
				t.Error("the password is told:", body)
			}
		})
	}
	if code, _ := get(t, h, "/probe?target=http://nowhere.invalid:1"); code != http.StatusForbidden {
		t.Error("a name that nobody configured:", code)
	}
}

func TestProbeAllowAny(t *testing.T) {
	h, _, _, stranger := probed(t, true)
	host := strings.TrimPrefix(stranger, "http://")
	expect(t, metrics(t, h, "/probe?target="+stranger), map[string]string{
		fmt.Sprintf(`checkpoint_provider_usable{provider=%q}`, host):                                 "0",
		fmt.Sprintf(`checkpoint_provider_unusable_reason{provider=%q,reason="wrong_network"}`, host): "1",
	})
	code, body := get(t, h, "/probe?debug=true&target="+stranger)
	for _, want := range []string{"usable: false\n", "wrong_network: it is on another network", "checkpoint_provider_usable{provider="} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("debug answers %d without %q:\n%s", code, want, body)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if _, body := get(t, h, "/probe?debug=true&module=node&target="+gone.URL); !strings.Contains(body, "up: false\nphase: bootstrapping\nconsensus client: ") {
		t.Error(body)
	}
}

// TestProbeIsPolite: what the loop spares a provider, /probe spares it as well.
func TestProbeIsPolite(t *testing.T) {
	states := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/debug/beacon/states/") {
			states++
		}
		beacontest.CheckpointzFulu.ServeHTTP(w, r)
	}))
	defer srv.Close()
	h, _, _, _ := probed(t, true)
	for range 3 {
		metrics(t, h, "/probe?target="+srv.URL)
	}
	if states != 1 {
		t.Errorf("the state was asked for %d times in three scrapes", states)
	}
}

func TestOnDemandIsBounded(t *testing.T) {
	d := newOnDemand()
	for i := range 3 * maxOnDemand {
		if _, err := d.get(question{target: fmt.Sprint(i)}, func() (*entry, error) { return &entry{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.entries) != maxOnDemand {
		t.Errorf("%d targets are remembered", len(d.entries))
	}
}

// documentedJSON are the examples of docs/metrics.md.
func documentedJSON(t *testing.T) (providers, nodes []byte) {
	t.Helper()
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "## JSON API")
	parts := strings.Split(section, "```json\n")
	if len(parts) != 3 {
		t.Fatalf("%d examples", len(parts)-1)
	}
	clean := func(s string) []byte {
		s, _, _ = strings.Cut(s, "```")
		s = strings.ReplaceAll(s, `"0x…"`, `"`+rootOf(9).String()+`"`)
		return []byte(strings.ReplaceAll(s, `{"…": "as above"}`, `{"name": "ephemery", "quiet": false}`))
	}
	return clean(parts[1]), clean(parts[2])
}

// TestDocumentedAPI: the examples are complete, and have no field that is not there.
func TestDocumentedAPI(t *testing.T) {
	providers, nodes := documentedJSON(t)
	check := func(example []byte, into any, except ...string) {
		d := json.NewDecoder(bytes.NewReader(example))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
		var empty func(path string, v reflect.Value)
		empty = func(path string, v reflect.Value) {
			switch {
			case v.Kind() == reflect.Pointer && !v.IsNil():
				empty(path, v.Elem())
			case v.Kind() == reflect.Slice && v.Len() > 0:
				empty(path, v.Index(0))
			case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
				for i := range v.NumField() {
					tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
					empty(path+"."+tag, v.Field(i))
				}
			case v.Kind() != reflect.Bool && v.IsZero():
				for _, e := range except {
					if strings.HasPrefix(path, e) {
						return
					}
				}
				t.Errorf("the example lacks %s", path)
			}
		}
		empty("", reflect.ValueOf(into).Elem())
	}
	check(providers, new(Providers))
	check(nodes, new(Nodes), ".network", ".nodes.error", ".nodes.execution.error")
}

func TestAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handler(t, everything(t))
		for _, name := range []string{"providers", "nodes"} {
			code, body := get(t, h, "/api/v1/"+name)
			if code != http.StatusOK {
				t.Fatal(code, body)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, []byte(body), "", "  "); err != nil {
				t.Fatal(err)
			}
			isGolden(t, "testdata/"+name+".json", got.String())
		}
	})
}

// TestHostileAnswers: foreign times that JSON cannot write, and text that a label cannot hold, take nothing else with them.
func TestHostileAnswers(t *testing.T) {
	s := newScene(t)
	s.provider("alpha", func(now time.Time) provider.Observation {
		o := healthy(now)
		o.Genesis = &beacon.Genesis{Time: 1<<64 - 1, ValidatorsRoot: network.Root{}}
		return o
	})
	s.node("node-1", func(now time.Time) node.Observation {
		o := at(1)(now)
		o.Execution.Head.Value.Time = time.Unix(1<<55, 0)
		o.Consensus.Version.Value = &beacon.ClientVersion{Client: "Light\xffhouse", Version: "\"}\n"}
		return o
	})
	e := s.exporter(parseConfig(t, oneOfEach))
	visitAll(t, e)
	h := handler(t, e)
	for _, path := range []string{"/api/v1/providers", "/api/v1/nodes"} {
		if _, body := get(t, h, path); !json.Valid([]byte(body)) || !strings.Contains(body, `"name":"`) {
			t.Errorf("%s: %q", path, body)
		}
	}
	expect(t, metrics(t, h, "/metrics"), map[string]string{`checkpoint_node_info{client="Light�house",node="node-1",version="\"}\n"}`: "1"})
}

// TestEpochs: camps are told apart, providers of other chains have no voice, and the list is bounded.
func TestEpochs(t *testing.T) {
	saw := func(name string, reason provider.Reason, roots map[uint64]network.Root) provider.Verdict {
		v := provider.Verdict{Provider: name, Observation: provider.Observation{Roots: roots}}
		if reason != "" {
			v.Reasons = []provider.Finding{{Reason: reason}}
		}
		return v
	}
	many := map[uint64]network.Root{}
	for epoch := range uint64(20) {
		many[epoch] = rootOf(byte(epoch))
	}
	got := epochsOf(provider.Judgement{Verdicts: []provider.Verdict{
		saw("dissenter", provider.Disagrees, map[uint64]network.Root{19: rootOf(200)}),
		saw("alpha", "", many), saw("beta", provider.Stale, map[uint64]network.Root{19: rootOf(19), 18: rootOf(18)}),
		saw("foreign", provider.WrongNetwork, map[uint64]network.Root{99: rootOf(99)}),
		saw("ancient", provider.OldIteration, map[uint64]network.Root{19: rootOf(77)}),
		saw("silent", provider.Timeout, nil),
	}})
	want := []Epoch{
		{19, []Camp{{rootOf(19), []string{"alpha", "beta"}}, {rootOf(200), []string{"dissenter"}}}},
		{18, []Camp{{rootOf(18), []string{"alpha", "beta"}}}},
	}
	if len(got) != maxEpochs || !reflect.DeepEqual(got[:2], want) {
		t.Errorf("%d epochs: %v", len(got), got)
	}
	if got := epochsOf(provider.Judgement{}); got == nil || len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}
}
