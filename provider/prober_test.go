package provider_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

func judge(o ...provider.Observation) provider.Judgement {
	return provider.Judge(testnet, o, provider.Options{}, now)
}

// TestFaults goes the whole way from a fault on the wire to the verdict.
func TestFaults(t *testing.T) {
	const html = "<html><body>Bad gateway</body></html>"
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		fault func(f *fake)
		want  []provider.Reason
		text  string
	}{
		"none":              {fault: func(*fake) {}},
		"no version":        {fault: func(f *fake) { f.override["version"] = http.NotFound }},
		"no spec":           {fault: func(f *fake) { f.override["spec"] = http.NotFound }},
		"HTML":              {fault: func(f *fake) { f.override["genesis"] = reply(200, html, "Content-Type", "text/html") }, want: []provider.Reason{provider.Malformed}, text: "an HTML page where JSON was asked for"},
		"HTML as the spec":  {fault: func(f *fake) { f.override["spec"] = reply(200, html) }, want: []provider.Reason{provider.Malformed}, text: "/eth/v1/config/spec: an HTML page"},
		"HTML as finality":  {fault: func(f *fake) { f.override["states/head/finality_checkpoints"] = reply(200, html) }, want: []provider.Reason{provider.Malformed}},
		"HTML as the state": {fault: func(f *fake) { f.override["debug/states/finalized"] = reply(200, html, "Content-Type", "text/html") }, want: []provider.Reason{provider.Malformed}, text: "text/html where application/octet-stream was asked for"},
		"a truncated state": {fault: func(f *fake) {
			f.override["debug/states/finalized"] = reply(200, "abc", "Content-Type", "application/octet-stream")
		}, want: []provider.Reason{provider.Malformed}, text: "ends after 3 bytes"},
		"a huge answer": {fault: func(f *fake) { f.override["genesis"] = reply(200, strings.Repeat(" ", 1<<20)) }, want: []provider.Reason{provider.TooLarge}, text: "larger than 65536 bytes"},
		"gzip":          {fault: func(f *fake) { f.override["genesis"] = reply(200, "\x1f\x8b", "Content-Encoding", "gzip") }, want: []provider.Reason{provider.Malformed}, text: "not asked for"},
		"slow":          {fault: func(f *fake) { f.override["genesis"] = hang }, want: []provider.Reason{provider.Timeout}, text: "while waiting for the answer"},
		"a slow state":  {fault: func(f *fake) { f.override["debug/states/finalized"] = hang }, want: []provider.Reason{provider.Timeout}, text: "its finalized state cannot be had"},
		"a redirect": {fault: func(f *fake) {
			f.override["genesis"] = http.RedirectHandler("http://elsewhere.invalid", http.StatusFound).ServeHTTP
		}, want: []provider.Reason{provider.HTTPStatus}, text: "another host"},
		"a redirected state": {fault: func(f *fake) {
			f.override["debug/states/finalized"] = http.RedirectHandler("http://elsewhere.invalid", http.StatusFound).ServeHTTP
		}, want: []provider.Reason{provider.HTTPStatus}, text: "another host"},
		"200 with an error": {fault: func(f *fake) { f.override["genesis"] = reply(200, `{"code":500,"message":"genesis not known"}`) }, want: []provider.Reason{provider.HTTPStatus}, text: "status 500: genesis not known"},
		"500": {fault: func(f *fake) {
			f.override["genesis"] = reply(500, `{"code":500,"message":"genesis bundle not yet available"}`)
		}, want: []provider.Reason{provider.HTTPStatus}, text: "genesis bundle not yet available"},
		"429":                {fault: func(f *fake) { f.override["spec"] = reply(429, "") }, want: []provider.Reason{provider.RateLimited}, text: "status 429"},
		"429 on the state":   {fault: func(f *fake) { f.override["debug/states/finalized"] = reply(429, "") }, want: []provider.Reason{provider.RateLimited}},
		"a gateway's 502":    {fault: func(f *fake) { f.override["states/head/finality_checkpoints"] = reply(502, html) }, want: []provider.Reason{provider.HTTPStatus}, text: "status 502"},
		"a 504 on the state": {fault: func(f *fake) { f.override["debug/states/finalized"] = reply(504, html) }, want: []provider.Reason{provider.HTTPStatus}, text: "status 504"},
		"no finality known": {fault: func(f *fake) {
			f.override["states/head/finality_checkpoints"] = reply(500, `{"code":500,"message":"no finality known"}`)
		}, want: []provider.Reason{provider.NoState}, text: "no finality known"},
		"a syncing node": {fault: func(f *fake) {
			f.override["states/head/finality_checkpoints"] = reply(503, `{"code":503,"message":"syncing"}`)
		}, want: []provider.Reason{provider.NoState}, text: "status 503: syncing"},
		"no finalized block": {fault: func(f *fake) {
			f.override["blocks/finalized/root"] = reply(500, `{"code":500,"message":"block not found"}`)
		}, want: []provider.Reason{provider.NoState}, text: "block not found"},
		"genesis finality":  {fault: func(f *fake) { f.head = beacon.Checkpoint{} }, want: []provider.Reason{provider.NoState}, text: "nothing but the genesis is finalized"},
		"no state route":    {fault: func(f *fake) { f.override["debug/states/finalized"] = http.NotFound }, want: []provider.Reason{provider.NoState}, text: "status 404"},
		"a forbidden state": {fault: func(f *fake) { f.override["debug/states/finalized"] = reply(403, "") }, want: []provider.Reason{provider.NoState}, text: "status 403"},
		"a state as error": {fault: func(f *fake) {
			f.override["debug/states/finalized"] = reply(200, `{"code":404,"message":"State not found"}`)
		}, want: []provider.Reason{provider.NoState}, text: "State not found"},
		"light mode":       {fault: lightMode, want: []provider.Reason{provider.NoState}, text: "light mode"},
		"another genesis":  {fault: func(f *fake) { f.facts.Time++ }, want: []provider.Reason{provider.WrongNetwork}, text: "its genesis is 2023-11-14 22:13:21 UTC, testnet's is 2023-11-14 22:13:20 UTC"},
		"other validators": {fault: func(f *fake) { f.facts.ValidatorsRoot = rootOf(9, 9) }, want: []provider.Reason{provider.WrongNetwork}, text: "genesis validators root is 0x09000000…0009"},
		"another chain id": {fault: func(f *fake) { f.chain = 1 }, want: []provider.Reason{provider.WrongNetwork}, text: "its deposit chain id is 1, testnet's is 42"},
		"another clock": {fault: func(f *fake) {
			f.override["spec"] = reply(200, `{"data":{"SECONDS_PER_SLOT":"6","SLOTS_PER_EPOCH":"8"}}`)
		}, want: []provider.Reason{provider.WrongNetwork}, text: "its seconds per slot are 6, not 12; its slots per epoch are 8, not 32"},
		"a stranger's state":           {fault: func(f *fake) { f.state.GenesisTime = 5 }, want: []provider.Reason{provider.WrongNetwork}, text: "its state's genesis is 1970-01-01 00:00:05 UTC"},
		"a stale checkpoint":           {fault: func(f *fake) { f.finalize(97) }, want: []provider.Reason{provider.Stale}, text: "its finalized epoch 97 is 5 epochs behind the clock's 102, and 4 are allowed"},
		"an unaligned block":           {fault: func(f *fake) { f.state.LatestBlockHeader.Slot-- }, want: []provider.Reason{provider.Unaligned}, text: "slot 31 of its epoch"},
		"an advanced state":            {fault: func(f *fake) { f.state.Slot += 7 }, want: []provider.Reason{provider.InvalidState}, text: "advanced past its block in slot 3200"},
		"a filled state root":          {fault: func(f *fake) { f.state.LatestBlockHeader.StateRoot = rootOf(3, 3) }, want: []provider.Reason{provider.InvalidState}, text: "advanced past its block"},
		"an older state":               {fault: func(f *fake) { f.state.Slot, f.state.LatestBlockHeader.Slot = 98*perEpoch, 98*perEpoch }, want: []provider.Reason{provider.InvalidState}, text: "in slot 3136 of epoch 98, while it calls epoch 100 finalized"},
		"a state of yesterday's cache": {fault: func(f *fake) { f.state.Slot, f.state.LatestBlockHeader.Slot = 99*perEpoch, 99*perEpoch }},
		"from the future":              {fault: func(f *fake) { f.finalize(103) }, want: []provider.Reason{provider.InvalidState}, text: "calls epoch 103 finalized, though the clock is at epoch 102"},
		"a block of no checkpoint":     {fault: func(f *fake) { f.served.Root = rootOf(7, 7) }, want: []provider.Reason{provider.Malformed}, text: "is that of no checkpoint told"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 100)
			f.set(func() { c.fault(f) })
			var o provider.ProberOptions
			if slices.Contains(c.want, provider.Timeout) {
				o.Client.Timeout = time.Second
			}
			p := prober(t, "p", f.URL, o)
			seen := p.Probe(context.Background(), now, provider.Ask{})
			expectReasons(t, only(t, judge(seen)), c.text, c.want...)
			for _, err := range []error{seen.Err, seen.StateErr, seen.FinalityErr} {
				var e *beacon.Error
				if err != nil && (!errors.As(err, &e) || !strings.HasPrefix(err.Error(), `probe provider "p": `)) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func lightMode(f *fake) {
	f.client = "Checkpointz/v0.31.0/linux"
	f.override["debug/states/finalized"] = reply(500, `{"code":500,"message":"state not found"}`)
	f.override["/checkpointz/v1/status"] = reply(200, `{"data":{"operating_mode":"light"}}`)
}

func TestUnreachable(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	nowhere := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no name server") }}
	for name, c := range map[string]struct {
		url  string
		o    beacon.Options
		want provider.Reason
	}{
		"no such name":     {"http://provider.invalid", beacon.Options{Resolver: nowhere}, provider.DNS},
		"refused":          {"http://" + l.Addr().String(), beacon.Options{}, provider.Connect},
		"bad certificate":  {secure.URL, beacon.Options{}, provider.TLS},
		"good certificate": {secure.URL, beacon.Options{TLS: &tls.Config{InsecureSkipVerify: true}}, provider.HTTPStatus},
	} {
		t.Run(name, func(t *testing.T) {
			seen := prober(t, "p", c.url, provider.ProberOptions{Client: c.o}).Probe(context.Background(), now, provider.Ask{})
			v := only(t, judge(seen))
			expectReasons(t, v, "", c.want)
			if v.Agrees != nil || v.Finalized != nil || v.LagEpochs != nil || seen.Genesis != nil || seen.Roots != nil {
				t.Errorf("a provider that could not be asked tells %+v", v)
			}
			if want := c.url == secure.URL; want == seen.Exchange.CertificateExpiry.IsZero() {
				t.Errorf("certificate expires %v", seen.Exchange.CertificateExpiry)
			}
		})
	}
}

// TestManners holds what is asked, and when, to what was promised to providers.
func TestManners(t *testing.T) {
	f := newFake(t, 100)
	p := prober(t, "p", f.URL, provider.ProberOptions{StateHeaderInterval: 15 * time.Minute})
	ctx := context.Background()
	small := []string{"genesis", "spec", "states/head/finality_checkpoints", "blocks/finalized/root", "version"}
	state := append(small[:5:5], "debug/states/finalized")
	steps := []struct {
		name string
		at   time.Duration
		ask  provider.Ask
		want []string
	}{
		{"the first look", 0, provider.Ask{}, state},
		{"a minute later", time.Minute, provider.Ask{}, small},
		{"just before the interval", 15*time.Minute - time.Second, provider.Ask{}, small},
		{"after the interval", 15 * time.Minute, provider.Ask{}, state},
		{"again", 16 * time.Minute, provider.Ask{}, small},
		{"forced", 17 * time.Minute, provider.Ask{Force: true}, state},
		{"epochs wanted, two at most", 18 * time.Minute, provider.Ask{Wanted: []uint64{99, 98, 97}}, append(small[:5:5], "blocks/3168/root", "blocks/3136/root")},
		{"epochs known", 19 * time.Minute, provider.Ask{Wanted: []uint64{100, 99, 98}}, small},
		{"an epoch in vain", 20 * time.Minute, provider.Ask{Wanted: []uint64{5000}}, append(small[:5:5], "blocks/160000/root")},
		{"not in vain twice", 21 * time.Minute, provider.Ask{Wanted: []uint64{5000}}, small},
		{"by the chain's own epochs", 22 * time.Minute, provider.Ask{Wanted: []uint64{4}, SlotsPerEpoch: 8}, append(small[:5:5], "blocks/32/root")},
	}
	for _, s := range steps {
		seen := p.Probe(ctx, now.Add(s.at), s.ask)
		if seen.Err != nil || seen.StateErr != nil {
			t.Errorf("%s: %v, %v", s.name, seen.Err, seen.StateErr)
		}
		if diff := cmp.Diff(s.want, f.requests()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", s.name, diff)
		}
	}
}

func TestFailedStateIsReadAgain(t *testing.T) {
	f := newFake(t, 100)
	f.set(func() { f.override["debug/states/finalized"] = reply(500, "") })
	p := prober(t, "p", f.URL, provider.ProberOptions{})
	var readings []string
	for minute := range 40 {
		p.Probe(context.Background(), now.Add(time.Duration(minute)*time.Minute), provider.Ask{})
		for _, r := range f.requests() {
			if r == "debug/states/finalized" {
				readings = append(readings, time.Duration(minute*int(time.Minute)).String())
			}
		}
	}
	// Due 30 s, 1, 2, 4, 8 minutes after one another, then at the usual interval.
	if diff := cmp.Diff([]string{"0s", "1m0s", "2m0s", "4m0s", "8m0s", "16m0s", "31m0s"}, readings); diff != "" {
		t.Errorf("state read (-want +got):\n%s", diff)
	}
	f.set(func() { delete(f.override, "debug/states/finalized") })
	seen := p.Probe(context.Background(), now.Add(50*time.Minute), provider.Ask{})
	if seen.StateErr != nil || seen.State == nil {
		t.Errorf("after its recovery: %v", seen.StateErr)
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		route string
		reply http.HandlerFunc
		pause time.Duration
		want  []provider.Reason
	}{
		"two minutes":           {"genesis", reply(429, "", "Retry-After", "120"), 2 * time.Minute, []provider.Reason{provider.RateLimited}},
		"without a time":        {"genesis", reply(429, ""), time.Minute, []provider.Reason{provider.RateLimited}},
		"a year":                {"genesis", reply(429, "", "Retry-After", "31536000"), time.Hour, []provider.Reason{provider.RateLimited}},
		"503 with a time":       {"spec", reply(503, "", "Retry-After", "90"), 90 * time.Second, []provider.Reason{provider.HTTPStatus}},
		"503 for its finality":  {"states/head/finality_checkpoints", reply(503, "", "Retry-After", "90"), 90 * time.Second, []provider.Reason{provider.NoState}},
		"for a detail":          {"version", reply(429, "", "Retry-After", "90"), 90 * time.Second, nil},
		"for the state":         {"debug/states/finalized", reply(429, "", "Retry-After", "90"), 90 * time.Second, []provider.Reason{provider.RateLimited}},
		"for an epoch's root":   {"blocks/3168/root", reply(429, "", "Retry-After", "90"), 90 * time.Second, nil},
		"for a light one's own": {"blocks/finalized/root", reply(429, "", "Retry-After", "90"), 90 * time.Second, []provider.Reason{provider.RateLimited}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 100)
			f.set(func() { f.override[c.route] = c.reply })
			p := prober(t, "p", f.URL, provider.ProberOptions{})
			ask := provider.Ask{Wanted: []uint64{99}}
			first := p.Probe(ctx, now, ask)
			expectReasons(t, only(t, judge(first)), "", c.want...)
			if !first.RetryAt.Equal(now.Add(c.pause)) || first.Kept {
				t.Errorf("to be asked again at %v (kept %v), want %v", first.RetryAt, first.Kept, now.Add(c.pause))
			}
			asked := f.requests()
			if asked[len(asked)-1] != c.route {
				t.Errorf("asked %q after %s", asked, c.route)
			}
			kept := p.Probe(ctx, now.Add(c.pause-time.Second), provider.Ask{Force: true})
			if asked := f.requests(); len(asked) > 0 {
				t.Errorf("asked %q while it wants to be left alone", asked)
			}
			if !kept.Kept || !kept.At.Equal(now) {
				t.Errorf("kept %v of %v", kept.Kept, kept.At)
			}
			expectReasons(t, only(t, judge(kept)), "", c.want...)
			f.set(func() { delete(f.override, c.route); f.finalize(testnet.Epoch(now.Add(c.pause)) - 2) })
			again := p.Probe(ctx, now.Add(c.pause), provider.Ask{Force: true})
			if again.Kept || !again.RetryAt.IsZero() {
				t.Errorf("afterwards %+v", again)
			}
			expectReasons(t, only(t, judge(again)), "")
		})
	}
}

// TestRaces are answers of one provider that do not fit together for good reasons.
func TestRaces(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(f *fake)
		served  beacon.Checkpoint
	}{
		"finality moves between two answers": {func(f *fake) {
			f.override["blocks/finalized/root"] = func(w http.ResponseWriter, r *http.Request) {
				delete(f.override, "blocks/finalized/root")
				f.finalize(101)
				reply(200, `{"data":{"root":"`+at(101).Root.String()+`"}}`)(w, r)
			}
		}, at(101)},
		"checkpointz serves behind its head":        {func(f *fake) { f.served, f.finalized = at(99), at(99) }, at(99)},
		"another server answers, known from before": {func(f *fake) { f.served = at(98) }, at(98)},
		"another server answers, whose block has a header": {func(f *fake) {
			f.served = beacon.Checkpoint{Root: rootOf(1, 96)}
			f.override["headers/"+f.served.Root.String()] = reply(200, `{"data":{"root":"`+f.served.Root.String()+`","header":{"message":{"slot":"3071"}}}}`)
		}, at(96)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 98)
			p := prober(t, "p", f.URL, provider.ProberOptions{})
			p.Probe(context.Background(), now, provider.Ask{})
			f.set(func() { f.finalize(100); c.prepare(f) })
			seen := p.Probe(context.Background(), now, provider.Ask{})
			if seen.Served == nil || *seen.Served != c.served || seen.Roots[c.served.Epoch] != c.served.Root {
				t.Errorf("serves %v (%v), want %v", seen.Served, seen.Err, c.served)
			}
		})
	}
}

func TestMemoryIsOfOneChain(t *testing.T) {
	f := newFake(t, 100)
	p := prober(t, "p", f.URL, provider.ProberOptions{})
	ctx := context.Background()
	for e := uint64(100); e < 200; e++ {
		f.set(func() { f.finalize(e) })
		p.Probe(ctx, now, provider.Ask{})
	}
	seen := p.Probe(ctx, now, provider.Ask{})
	if _, old := seen.Roots[135]; len(seen.Roots) != 64 || seen.Roots[199] != at(199).Root || old {
		t.Errorf("remembers %d epochs", len(seen.Roots))
	}
	before := seen.Roots
	f.set(func() { f.facts.Time += 1000; f.finalize(3) })
	seen = p.Probe(ctx, now, provider.Ask{})
	if len(seen.Roots) != 1 || seen.Roots[3] != at(3).Root || seen.State.GenesisTime != genesis+1000 {
		t.Errorf("after a reset remembers %d epochs and the state of %d", len(seen.Roots), seen.State.GenesisTime)
	}
	if len(before) != 64 {
		t.Error("an observation was changed after it was given")
	}
}

func TestProbeCalledOff(t *testing.T) {
	f := newFake(t, 100)
	p := prober(t, "p", f.URL, provider.ProberOptions{})
	good := p.Probe(context.Background(), now, provider.Ask{})
	ctx, cancel := context.WithCancel(context.Background())
	entered := make(chan struct{})
	f.set(func() {
		f.override["genesis"] = func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}
	})
	done := make(chan provider.Observation)
	go func() { done <- p.Probe(ctx, now, provider.Ask{}) }()
	<-entered
	// A second look waits for its turn, until its own context ends.
	short, stop := context.WithCancel(context.Background())
	stop()
	if seen := p.Probe(short, now, provider.Ask{}); beacon.ReasonOf(seen.Err) != provider.Timeout || !errors.Is(seen.Err, context.Canceled) {
		t.Errorf("the waiting look fails with %v", seen.Err)
	}
	if seen := p.Compare(short, good, []uint64{3}, 0); len(seen.Roots) != len(good.Roots) {
		t.Error("the waiting comparison learnt something")
	}
	cancel()
	if seen := <-done; !errors.Is(seen.Err, context.Canceled) {
		t.Errorf("the look that was called off fails with %v", seen.Err)
	}
}

func TestNewProberRefusesURLs(t *testing.T) {
	if _, err := provider.NewProber("p", "ftp://x", provider.ProberOptions{}); err == nil || !strings.Contains(err.Error(), `provider "p": URL "ftp://x"`) {
		t.Errorf("got %v", err)
	}
	p := prober(t, "p", "https://me:secret@example.org", provider.ProberOptions{})
	if p.Name() != "p" || p.URL() != "https://me:xxxxx@example.org" {
		t.Errorf("%q at %q", p.Name(), p.URL())
	}
}
