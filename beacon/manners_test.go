package beacon_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
)

// TestRequests holds what is sent to what consensus clients send.
func TestRequests(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.Join([]string{
			r.Method, r.RequestURI, r.Proto, "accept=" + strings.Join(r.Header.Values("Accept"), "|"), "encoding=" + r.Header.Get("Accept-Encoding"),
			"agent=" + r.UserAgent(), "close=" + map[bool]string{true: "yes", false: "no"}[r.Close], string(body),
		}, " "))
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/prefix")
		beacontest.PrysmFulu.ServeHTTP(w, r)
	}))
	defer s.Close()
	ctx := context.Background()
	c := client(t, s.URL+"/prefix/", beacon.Options{UserAgent: beacon.UserAgent("1.2.3")})
	e, err := beacon.NewExecution(s.URL+"/rpc", beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := beacon.NewMetrics(s.URL+"/metrics", beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := c.Genesis(ctx)
	_, err2 := c.StatePrefix(ctx, "finalized")
	_, err3 := c.Health(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Error(err)
	}
	_, _ = c.BlockRoot(ctx, "a/../b?c")
	_, _ = e.LatestBlock(ctx)
	_, _ = m.Backfill(ctx)
	want := []string{
		"GET /prefix/eth/v1/beacon/genesis HTTP/1.1 accept=application/json encoding= agent=checkpoint_exporter/1.2.3 close=no ",
		"GET /prefix/eth/v2/debug/beacon/states/finalized HTTP/1.1 accept=application/octet-stream encoding= agent=checkpoint_exporter/1.2.3 close=yes ",
		"GET /prefix/eth/v1/node/health HTTP/1.1 accept=application/json encoding= agent=checkpoint_exporter/1.2.3 close=no ",
		"GET /prefix/eth/v1/beacon/blocks/a%2F..%2Fb%3Fc/root HTTP/1.1 accept=application/json encoding= agent=checkpoint_exporter/1.2.3 close=no ",
		`POST /rpc HTTP/1.1 accept=application/json encoding= agent=checkpoint_exporter close=no {"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",false]}`,
		"GET /metrics HTTP/1.1 accept=text/plain encoding= agent=checkpoint_exporter close=no ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestStatePrefixEndsTheDownload proves that the server is not made to send a whole state.
func TestStatePrefixEndsTheDownload(t *testing.T) {
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		endless("application/octet-stream")(w, r)
	}))
	defer s.Close()
	if _, err := client(t, s.URL, beacon.Options{}).StatePrefix(context.Background(), "finalized"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the server still sends the state")
	}
}

func TestExchange(t *testing.T) {
	s := httptest.NewServer(beacontest.PrysmFulu)
	defer s.Close()
	c := client(t, s.URL, beacon.Options{})
	ctx, record := beacon.Record(context.Background())
	for range 3 {
		if _, err := c.Genesis(ctx); err != nil {
			t.Fatal(err)
		}
	}
	x := record.Exchange()
	if x.Requests != 3 || !x.CertificateExpiry.IsZero() || !x.ServerDate.Equal(beacontest.PrysmFulu.Time()) || x.DateSeen.IsZero() {
		t.Errorf("recorded %+v", x)
	}
	if x.Timings.Connect <= 0 || x.Timings.FirstByte <= 0 || x.Timings.Resolve != 0 || x.Timings.TLS != 0 {
		t.Errorf("timings %+v, want a connection, answers, and no lookup of an address", x.Timings)
	}
	sum := x.Timings.Resolve + x.Timings.Connect + x.Timings.TLS + x.Timings.FirstByte + x.Timings.Transfer
	if x.Timings.Total() != sum {
		t.Errorf("total %v of %v", x.Timings.Total(), sum)
	}
	ctx, record = beacon.Record(context.Background())
	if _, err := c.Genesis(ctx); err != nil {
		t.Fatal(err)
	}
	if again := record.Exchange().Timings; again.Connect != 0 {
		t.Errorf("connected again: %+v", again)
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:5052":           "",
		"https://example.org/path/":       "",
		" http://[::1]:5052/ ":            "",
		"":                                "want http://HOST",
		"127.0.0.1:5052":                  "parse URL",
		"localhost:5052":                  "want http://HOST",
		"ftp://example.org":               "want http://HOST",
		"http://":                         "want http://HOST",
		"http://:80":                      "want http://HOST",
		"http://example.org/?a=b":         "no query",
		"http://example.org/#a":           "no fragment",
		"http://me:secret@h\x7f.org/":     "parse URL",
		"https://me:secret@example.org?x": "no query",
	} {
		_, err := beacon.NewClient(url, beacon.Options{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the password stands in %q", url, err)
		}
	}
	if s := client(t, "https://me:secret@example.org/a/", beacon.Options{}).String(); s != "https://me:xxxxx@example.org/a" {
		t.Errorf("printed as %q", s)
	}
}

func TestPasswordIsSentAndNotShown(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
	}))
	url := "http://me:secret@" + s.Listener.Addr().String()
	check(t, askGenesis(context.Background(), client(t, url, beacon.Options{})), beacon.HTTPStatus, 302, 0, "elsewhere.invalid")
	s.Close()
	err := askGenesis(context.Background(), client(t, url, beacon.Options{}))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("failed with %v", err)
	}
}

func TestReasonOfOtherErrors(t *testing.T) {
	if r := beacon.ReasonOf(nil); r != "" {
		t.Errorf("no error has reason %q", r)
	}
	if r := beacon.ReasonOf(errors.New("x")); r != beacon.Connect {
		t.Errorf("an unknown error has reason %q", r)
	}
	if s := beacon.StatusOf(errors.New("x")); s != 0 {
		t.Errorf("an unknown error has status %d", s)
	}
}
