package beacon_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
)

const genesisJSON = `{"data":{"genesis_time":"1","genesis_validators_root":"0x05d79a31a8e69ecd78114c50ce73116be33027d8431b82fff6c0b3cd9c2cbb1f","genesis_fork_version":"0x20000089"}}`

func askGenesis(ctx context.Context, c *beacon.Client) error {
	_, err := c.Genesis(ctx)
	return err
}

func askState(ctx context.Context, c *beacon.Client) error {
	_, err := c.StatePrefix(ctx, "finalized")
	return err
}

func answer(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func with(header, value string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(header, value)
		next(w, r)
	}
}

// endless writes until the other side goes away.
func endless(media string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		chunk := []byte(strings.Repeat(" ", 4096))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

func hang(before string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if before != "" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, before)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
}

func TestFaultyAnswers(t *testing.T) {
	const html = "<!DOCTYPE html><html><head><title>Checkpointz</title></head></html>"
	for name, c := range map[string]struct {
		serve   http.HandlerFunc
		ask     func(context.Context, *beacon.Client) error
		reason  beacon.Reason
		status  int
		retry   time.Duration
		message string
	}{
		"fine":                      {serve: answer(200, "application/json", genesisJSON), ask: askGenesis},
		"fine with numbers":         {serve: answer(200, "application/json", strings.Replace(genesisJSON, `"1"`, `1`, 1)), ask: askGenesis},
		"fine without a media type": {serve: answer(200, "", genesisJSON), ask: askGenesis},
		"HTML":                      {serve: answer(200, "text/html; charset=utf-8", html), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "an HTML page"},
		"HTML said to be JSON":      {serve: answer(200, "application/json", "\n "+html), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "an HTML page"},
		"empty":                     {serve: answer(200, "application/json", ""), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "not JSON"},
		"half a JSON":               {serve: answer(200, "application/json", genesisJSON[:60]), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "not JSON"},
		"two JSONs":                 {serve: answer(200, "application/json", genesisJSON+genesisJSON), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "not JSON"},
		"no data":                   {serve: answer(200, "application/json", `{"message":"hello"}`), ask: askGenesis, reason: beacon.Malformed, status: 200, message: `"data" is missing`},
		"null data":                 {serve: answer(200, "application/json", `{"data":null}`), ask: askGenesis, reason: beacon.Malformed, status: 200, message: `"data" is missing`},
		"a field is missing":        {serve: answer(200, "application/json", `{"data":{"genesis_time":"1"}}`), ask: askGenesis, reason: beacon.Malformed, status: 200, message: `"genesis_validators_root" is missing`},
		"a field is negative":       {serve: answer(200, "application/json", strings.Replace(genesisJSON, `"1"`, `"-1"`, 1)), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "not an unsigned integer"},
		"a root is short":           {serve: answer(200, "application/json", strings.Replace(genesisJSON, "0x05d7", "0x", 1)), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "60 hexadecimal digits"},
		"an array":                  {serve: answer(200, "application/json", `[]`), ask: askGenesis, reason: beacon.Malformed, status: 200, message: "array"},
		"cut short": {serve: with("Content-Length", "9999", answer(200, "application/json", genesisJSON)), ask: askGenesis,
			reason: beacon.Malformed, message: "cut short"},
		"endless":             {serve: endless("application/json"), ask: askGenesis, reason: beacon.TooLarge, status: 200, message: "larger than 65536 bytes"},
		"announced too large": {serve: with("Content-Length", "1000000000", hang("{")), ask: askGenesis, reason: beacon.TooLarge, status: 200},
		"gzip unasked":        {serve: with("Content-Encoding", "gzip", answer(200, "application/json", "\x1f\x8b")), ask: askGenesis, reason: beacon.Malformed, status: 200, message: `encoded as "gzip"`},
		"gzip bomb":           {serve: gzipBomb, ask: askGenesis, reason: beacon.Malformed, status: 200, message: "not asked for"},
		"identity":            {serve: with("Content-Encoding", "identity", answer(200, "application/json", genesisJSON)), ask: askGenesis},
		"large header":        {serve: with("X-Padding", strings.Repeat("x", 100<<10), answer(200, "application/json", genesisJSON)), ask: askGenesis, reason: beacon.TooLarge, message: "header"},

		"404":                      {serve: http.NotFound, ask: askGenesis, reason: beacon.HTTPStatus, status: 404, message: "status 404: 404 page not found"},
		"500 of checkpointz":       {serve: answer(500, "application/json", `{"code":500,"message":"no finality known"}`), ask: askGenesis, reason: beacon.HTTPStatus, status: 500, message: "status 500: no finality known"},
		"502 with a page":          {serve: answer(502, "text/html", html), ask: askGenesis, reason: beacon.HTTPStatus, status: 502, message: "status 502"},
		"503 with a time":          {serve: with("Retry-After", "7", answer(503, "application/json", `{"code":503,"message":"syncing"}`)), ask: askGenesis, reason: beacon.HTTPStatus, status: 503, retry: 7 * time.Second},
		"204":                      {serve: answer(204, "application/json", ""), ask: askGenesis, reason: beacon.HTTPStatus, status: 204},
		"200 with an error":        {serve: answer(200, "application/json", `{"code":500,"message":"no finality known"}`), ask: askGenesis, reason: beacon.HTTPStatus, status: 500, message: "no finality known"},
		"200 with Lodestar's":      {serve: answer(200, "application/json", `{"statusCode":404,"error":"Not Found","message":"nope"}`), ask: askGenesis, reason: beacon.HTTPStatus, status: 404, message: "nope"},
		"200 with an error 429":    {serve: answer(200, "application/json", `{"code":"429","message":"slow down"}`), ask: askGenesis, reason: beacon.RateLimited, status: 429},
		"200 with code and data":   {serve: answer(200, "application/json", `{"code":500,`+genesisJSON[1:]), ask: askGenesis},
		"429":                      {serve: answer(429, "text/plain", "slow down\x1b[31m\n\nplease"), ask: askGenesis, reason: beacon.RateLimited, status: 429, message: "status 429: slow down [31m please"},
		"429 with seconds":         {serve: with("Retry-After", "120", answer(429, "", "")), ask: askGenesis, reason: beacon.RateLimited, status: 429, retry: 2 * time.Minute, message: "after 2m0s"},
		"429 with a date gone":     {serve: with("Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT", answer(429, "", "")), ask: askGenesis, reason: beacon.RateLimited, status: 429},
		"429 with nonsense":        {serve: with("Retry-After", "-5", answer(429, "", "")), ask: askGenesis, reason: beacon.RateLimited, status: 429},
		"error message of 1 MB":    {serve: answer(500, "text/plain", strings.Repeat("a", 1<<20)), ask: askGenesis, reason: beacon.HTTPStatus, status: 500, message: "aaa…"},
		"redirect elsewhere":       {serve: http.RedirectHandler("http://elsewhere.invalid/x", http.StatusFound).ServeHTTP, ask: askGenesis, reason: beacon.HTTPStatus, status: 302, message: "http://elsewhere.invalid, which is another host"},
		"redirect to another port": {serve: http.RedirectHandler("http://127.0.0.1:1/x", http.StatusFound).ServeHTTP, ask: askGenesis, reason: beacon.HTTPStatus, status: 302, message: "another host"},
		"redirect for ever":        {serve: http.RedirectHandler("/again", http.StatusTemporaryRedirect).ServeHTTP, ask: askGenesis, reason: beacon.HTTPStatus, status: 307, message: "one too many"},
		"redirect to nowhere":      {serve: answer(302, "", ""), ask: askGenesis, reason: beacon.HTTPStatus, status: 302},
		"redirect within the host": {serve: redirectOnce, ask: askGenesis},

		"state":               {serve: answer(200, "application/octet-stream", strings.Repeat("\x00", 176)), ask: askState},
		"endless state":       {serve: endless("application/octet-stream"), ask: askState},
		"state of 175 bytes":  {serve: answer(200, "application/octet-stream", strings.Repeat("\x00", 175)), ask: askState, reason: beacon.Malformed, status: 200, message: "ends after 175 bytes"},
		"empty state":         {serve: answer(200, "application/octet-stream", ""), ask: askState, reason: beacon.Malformed, status: 200, message: "ends after 0 bytes"},
		"state cut short":     {serve: with("Content-Length", "2744442", answer(200, "application/octet-stream", "abc")), ask: askState, reason: beacon.Malformed, status: 200, message: "ends after 3 bytes"},
		"JSON state":          {serve: answer(200, "application/json", `{"version":"electra","data":{}}`), ask: askState, reason: beacon.Malformed, status: 200, message: "application/json where application/octet-stream was asked for"},
		"JSON error as state": {serve: answer(200, "application/json", `{"code":404,"message":"State not found"}`), ask: askState, reason: beacon.HTTPStatus, status: 404, message: "State not found"},
		"HTML state":          {serve: answer(200, "text/html", html), ask: askState, reason: beacon.Malformed, status: 200, message: "text/html"},
		"untyped state":       {serve: with("Content-Type", "", answer(200, "", strings.Repeat("\x00", 200))), ask: askState, reason: beacon.Malformed, status: 200, message: "an unknown type"},
		"406":                 {serve: answer(406, "application/json", `{"code":406,"message":"unsupported content-type"}`), ask: askState, reason: beacon.HTTPStatus, status: 406},
		"gzipped state":       {serve: with("Content-Encoding", "gzip", answer(200, "application/octet-stream", "")), ask: askState, reason: beacon.Malformed, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.serve)
			defer s.Close()
			check(t, c.ask(context.Background(), client(t, s.URL, beacon.Options{})), c.reason, c.status, c.retry, c.message)
		})
	}
}

func check(t *testing.T, err error, reason beacon.Reason, status int, retry time.Duration, message string) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Errorf("failed with %q, want an answer", err)
		}
		return
	}
	var e *beacon.Error
	if !errors.As(err, &e) {
		t.Fatalf("failed with %v, want a *beacon.Error", err)
	}
	if e.Reason != reason || e.Status != status || e.RetryAfter != retry || !strings.Contains(e.Error(), message) || len(e.Message) > 800 {
		t.Errorf("reason %s, status %d, retry after %v, %q; want %s, %d, %v, %q", e.Reason, e.Status, e.RetryAfter, e.Error(), reason, status, retry, message)
	}
	if strings.ContainsAny(e.Error(), "\n\x1b") {
		t.Errorf("control characters in %q", e.Error())
	}
}

func gzipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Type", "application/json")
	z := gzip.NewWriter(w)
	zeros := make([]byte, 1<<20)
	for range 16 {
		if _, err := z.Write(zeros); err != nil {
			return
		}
	}
	_ = z.Close()
}

func redirectOnce(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/moved" {
		answer(200, "application/json", genesisJSON)(w, r)
		return
	}
	http.Redirect(w, r, "/moved", http.StatusFound)
}

func TestTimeouts(t *testing.T) {
	for name, c := range map[string]struct {
		serve   http.HandlerFunc
		message string
	}{
		"no answer":                 {hang(""), "while waiting for the answer"},
		"an answer without its end": {hang(`{"data":`), "while reading the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(c.serve)
			defer s.Close()
			slow := client(t, s.URL, beacon.Options{Timeout: 500 * time.Millisecond})
			check(t, askGenesis(context.Background(), slow), beacon.Timeout, 0, 0, "no end within 500ms "+c.message)

			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			err := askGenesis(ctx, client(t, s.URL, beacon.Options{}))
			check(t, err, beacon.Timeout, 0, 0, c.message)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not tell of its context", err)
			}
		})
	}
}

func TestCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	err := askGenesis(ctx, client(t, s.URL, beacon.Options{}))
	check(t, err, beacon.Timeout, 0, 0, "called off")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not tell of its context", err)
	}
}

// TestNoHTTP talks to servers that speak something else.
func TestNoHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		send    string
		reason  beacon.Reason
		message string
	}{
		"closed at once":  {"", beacon.Connect, "closed without an answer"},
		"another banner":  {"SSH-2.0-OpenSSH_9.2\r\n", beacon.Malformed, "not an HTTP answer"},
		"half a header":   {"HTTP/1.1 200 OK\r\nContent-Ty", beacon.Malformed, "not an HTTP answer"},
		"bad header":      {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", beacon.Malformed, "not an HTTP answer"},
		"bad length":      {"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", beacon.Malformed, "not an HTTP answer"},
		"bad chunk":       {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", beacon.Malformed, "not an HTTP answer"},
		"a chunk missing": {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"da", beacon.Malformed, "cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			url := raw(t, c.send)
			check(t, askGenesis(context.Background(), client(t, url, beacon.Options{})), c.reason, 0, 0, c.message)
		})
	}
}

// raw serves every connection the same bytes, after it has read something, and closes it.
func raw(t *testing.T, send string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, send)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

func TestNoConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	_ = l.Close()
	check(t, askGenesis(context.Background(), client(t, url, beacon.Options{})), beacon.Connect, 0, 0, "connection refused")

	nowhere := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
	check(t, askGenesis(context.Background(), client(t, "http://provider.invalid", beacon.Options{Resolver: nowhere})), beacon.DNS, 0, 0,
		"cannot resolve provider.invalid")

	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	check(t, askGenesis(context.Background(), client(t, "http://provider.invalid", beacon.Options{Resolver: silent, Timeout: 50 * time.Millisecond})),
		beacon.DNS, 0, 0, "")
}

func TestTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(answer(200, "application/json", genesisJSON))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(answer(200, "application/json", genesisJSON))
	defer plain.Close()
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig
	port := secure.Listener.Addr().(*net.TCPAddr).Port
	other := roots.Clone()
	other.ServerName = "provider.invalid"
	old := roots.Clone()
	old.MaxVersion = tls.VersionTLS10
	late := roots.Clone()
	late.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		url     string
		tls     *tls.Config
		reason  beacon.Reason
		message string
		expiry  bool
	}{
		"trusted":             {url: secure.URL, tls: roots, expiry: true},
		"unknown authority":   {url: secure.URL, reason: beacon.TLS, message: "unknown authority", expiry: true},
		"another name":        {url: secure.URL, tls: other, reason: beacon.TLS, message: "provider.invalid", expiry: true},
		"expired":             {url: secure.URL, tls: late, reason: beacon.TLS, message: "expired", expiry: true},
		"no common version":   {url: secure.URL, tls: old, reason: beacon.TLS},
		"plain HTTP as HTTPS": {url: "https://" + plain.Listener.Addr().String(), reason: beacon.TLS},
		"HTTPS as plain HTTP": {url: fmt.Sprintf("http://127.0.0.1:%d", port), reason: beacon.HTTPStatus, message: "status 400"},
		"no TLS at all":       {url: "https" + strings.TrimPrefix(raw(t, "SSH-2.0-OpenSSH_9.2\r\n"), "http"), reason: beacon.TLS},
		"closed during TLS":   {url: "https" + strings.TrimPrefix(raw(t, ""), "http"), reason: beacon.TLS},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, record := beacon.Record(context.Background())
			err := askGenesis(ctx, client(t, c.url, beacon.Options{TLS: c.tls}))
			status := 0
			if c.reason == beacon.HTTPStatus {
				status = 400
			}
			check(t, err, c.reason, status, 0, c.message)
			if expiry := record.Exchange().CertificateExpiry; expiry.IsZero() == c.expiry {
				t.Errorf("certificate expires %v", expiry)
			}
		})
	}
}
