package simulate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

func TestControl(t *testing.T) {
	bubble(t, func(t *testing.T, w world) {
		p := w.provider("alpha", simulate.ProviderOptions{})
		n := w.node("node-1", simulate.NodeOptions{Database: true, Source: simulate.FixedSource(p.URL())})
		h := w.Control()
		call := func(method, path string, want int) map[string]any {
			t.Helper()
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
			var v map[string]any
			if rec.Code != want {
				t.Fatalf("%s %s answers %d: %s", method, path, rec.Code, rec.Body)
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil && want != http.StatusMethodNotAllowed && want != http.StatusNotFound {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			return v
		}
		var l simulate.Listing
		must(t, json.Unmarshal(asJSON(t, call("GET", "/", 200)), &l))
		epoch, root := w.finalized(p.URL())
		if l.Network.Name != "ephemery" || l.Network.FinalizedEpoch != epoch || l.Network.FinalizedRoot != root || len(l.Providers) != 1 || len(l.Nodes) != 1 {
			t.Errorf("%+v", l)
		}
		if l.Providers[0].URL != p.URL() || l.Nodes[0].URL != n.URL() || l.Nodes[0].State != simulate.StateRunning || !l.Nodes[0].Synced {
			t.Errorf("%+v", l)
		}

		call("POST", "/providers/alpha/fault?kind=stale&epochs=9", 200)
		call("POST", "/providers/alpha/fault?kind=status&code=503&path=/eth/v2", 200)
		want := []simulate.Fault{simulate.Stale(9), simulate.Status(503).On("/eth/v2")}
		if diff := cmp.Diff(want, p.Faults()); diff != "" {
			t.Error(diff)
		}
		call("DELETE", "/providers/alpha/fault?kind=stale", 200)
		if diff := cmp.Diff(want[1:], p.Faults()); diff != "" {
			t.Error(diff)
		}
		call("DELETE", "/providers/alpha/fault", 200)
		if len(p.Faults()) > 0 {
			t.Error("not cleared")
		}

		call("POST", "/nodes/node-1/fault?kind=stall&cure=never", 200)
		if diff := cmp.Diff([]simulate.Fault{simulate.Stall().CuredBy(simulate.CureNever)}, n.Faults()); diff != "" {
			t.Error(diff)
		}
		call("DELETE", "/nodes/node-1/fault", 200)
		call("POST", "/nodes/node-1/restart", 200)
		call("POST", "/nodes/node-1/restart_execution", 200)
		call("POST", "/nodes/node-1/stop", 200)
		if !w.refused(n) {
			t.Error("not stopped")
		}
		call("POST", "/nodes/node-1/wipe", 200)
		call("POST", "/nodes/node-1/start", 200)
		must(t, n.WaitReady(t.Context()))
		call("POST", "/nodes/node-1/stop_execution", 200)
		if v := call("GET", "/nodes/node-1", 200); v["restarts"] != 2. || v["anchor_slot"] == 0. || len(v["execution_starts"].([]any)) != 2 {
			t.Errorf("%v", v)
		}

		call("POST", "/network/fault?kind=no_finality", 200)
		time.Sleep(24 * time.Hour)
		if e, _ := w.finalized(p.URL()); e != epoch || call("GET", "/", 200)["network"].(map[string]any)["halted"] != true {
			t.Errorf("halted, it finalized epoch %d after %d", e, epoch)
		}
		call("DELETE", "/network/fault", 200)
		if e, _ := w.finalized(p.URL()); e == epoch {
			t.Error("it does not finalize again")
		}

		for path, status := range map[string]int{
			"/providers/omega/fault?kind=down":               404,
			"/nodes/omega/restart":                           404,
			"/nodes/node-1/dance":                            404,
			"/providers/alpha/fault?kind=stall":              400,
			"/providers/alpha/fault":                         400,
			"/providers/alpha/fault?kind=slow&delay=soon":    400,
			"/providers/alpha/fault?kind=stale&epochs=-1":    400,
			"/providers/alpha/fault?kind=status&code=x":      400,
			"/network/fault?kind=stall":                      400,
			"/nodes/node-1/fault?kind=stall&cure=homeopathy": 400,
		} {
			v := call("POST", path, status)
			if v != nil && v["error"] == "" {
				t.Errorf("%s does not say why", path)
			}
		}
		call("GET", "/nodes/node-1/restart", 405)
	})
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// Every kind survives the way through query parameters.
func TestFaultValues(t *testing.T) {
	for _, f := range []simulate.Fault{
		simulate.Slow(1500 * time.Millisecond), simulate.RateLimited(time.Minute), simulate.Huge(77), simulate.Status(503).On("/eth/v1"),
		simulate.Redirect("http://elsewhere:1/x?y=z"), simulate.WrongNetwork("hoodi"), simulate.OldIteration(simulate.PartGenesis),
		simulate.Stale(12), simulate.Stall().CuredBy(simulate.CureWipe), simulate.Down(),
	} {
		q, err := url.ParseQuery(f.Values().Encode())
		must(t, err)
		got, err := simulate.ParseFault(q)
		must(t, err)
		if diff := cmp.Diff(f, got); diff != "" {
			t.Error(diff)
		}
	}
}

// A slow start waits in the clock's time, not in the real one.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := simulate.FastClock(time.Now(), 10)
		sim, err := simulate.New(simulate.Options{Network: ephemeral(), Clock: clock, Pace: 10, Sockets: simulate.NewMemory()})
		must(t, err)
		defer sim.Close()
		n, err := sim.AddNode("node-1", simulate.NodeOptions{Database: true, Behind: 1200, SlotsPerSecond: 10, StartupTime: 20 * time.Second})
		must(t, err)
		before := time.Now()
		must(t, n.Start(t.Context()))
		must(t, n.WaitReady(t.Context()))
		if d := time.Since(before); d != 2*time.Second {
			t.Errorf("started after %s", d)
		}
		time.Sleep(15 * time.Second)
		if s := n.Status(); !s.Synced {
			t.Errorf("%+v", s)
		}
	})
}

func TestStartAndClose(t *testing.T) {
	sim := start(t, simulate.Options{})
	p, err := sim.AddProvider("alpha", simulate.ProviderOptions{})
	must(t, err)
	auto, err := sim.AddNode("auto", simulate.NodeOptions{Client: simulate.Teku, Source: simulate.FixedSource(p.URL())})
	must(t, err)
	manual, err := sim.AddNode("manual", simulate.NodeOptions{Manual: true, WithoutExecution: true})
	must(t, err)
	must(t, sim.Start(t.Context()))
	must(t, auto.WaitReady(t.Context()))
	if manual.Status().State != simulate.StateStopped || manual.ExecutionURL() != "" || auto.Status().Anchor == 0 {
		t.Errorf("%+v, %+v", manual.Status(), auto.Status())
	}
	if sim.Node("auto") != auto || sim.Provider("alpha") != p || sim.Node("alpha") != nil || sim.Provider("auto") != nil {
		t.Error("names are mixed up")
	}
	sim.Close()
	for _, u := range []string{p.URL(), auto.URL(), auto.ExecutionURL(), auto.MetricsURL()} {
		if res, err := http.Get(u); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s is still open", u)
		} else if !strings.Contains(err.Error(), "refused") {
			t.Error(err)
		}
	}
}
