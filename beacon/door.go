package beacon

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are common to all clients of this package. The zero value is fit for use.
type Options struct {
	// UserAgent is sent with each request; empty means "checkpoint_exporter".
	UserAgent string
	// Timeout bounds each request from the name's resolution to the last byte read; 0 means 10 s. A context may end it earlier.
	Timeout time.Duration
	// TLS is the TLS configuration, for roots of one's own; nil means the system's.
	TLS *tls.Config
	// Resolver resolves host names; nil means the system's.
	Resolver *net.Resolver
	// Dial opens connections, as http.Transport's DialContext does; nil means by TCP, and Resolver.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// UserAgent is how a version of the exporter introduces itself.
func UserAgent(version string) string { return "checkpoint_exporter/" + version }

const (
	defaultTimeout = 10 * time.Second
	maxRedirects   = 3
	maxHeaderBytes = 64 << 10
	// idleTimeout keeps a connection for the requests of one look, and for a node that is asked every few seconds.
	idleTimeout = 30 * time.Second
	// errorBytes is how much of an error's body is read for its message.
	errorBytes = 4 << 10

	mediaJSON = "application/json"
	mediaSSZ  = "application/octet-stream"
	mediaText = "text/plain"
)

// door is the one way out of this package to a server.
type door struct {
	base    *url.URL
	http    *http.Client
	agent   string
	timeout time.Duration
}

func newDoor(base string, o Options) (*door, error) {
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(base), "/"))
	if err != nil {
		// url.Error repeats the whole URL, which may hold a password.
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("parse URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" {
		return nil, fmt.Errorf("URL %q: want http://HOST or https://HOST", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("URL %q: a base URL has no query and no fragment", u.Redacted())
	}
	if o.UserAgent == "" {
		o.UserAgent = "checkpoint_exporter"
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Timeout, KeepAlive: 30 * time.Second, Resolver: o.Resolver}).DialContext
	}
	// HTTP/1.1 only: closing the body of an unfinished answer closes the connection, which is what ends a state's download.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	d := &door{base: u, agent: o.UserAgent, timeout: o.Timeout, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            o.Dial,
			TLSClientConfig:        o.TLS,
			TLSHandshakeTimeout:    o.Timeout,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    2,
			MaxIdleConns:           4,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
			ReadBufferSize:         4 << 10,
			WriteBufferSize:        4 << 10,
			Protocols:              &protocols,
		},
	}}
	d.http.CheckRedirect = checkRedirect
	return d, nil
}

// checkRedirect follows only within the host that was named: another one was never configured, and may be anything.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !sameHost(via[0].URL, next.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// sameHost allows one change: from plain HTTP to HTTPS of the same name on the standard ports.
func sameHost(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	if from.Scheme == to.Scheme {
		return portOf(from) == portOf(to)
	}
	return from.Scheme == "http" && to.Scheme == "https" && portOf(from) == "80" && portOf(to) == "443"
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// request is one question.
type request struct {
	method string
	// path is appended to the base URL's; it is escaped already.
	path string
	// route names the question in errors; empty means the path.
	route  string
	accept string
	body   []byte
	// last closes the connection after the answer.
	last bool
}

// ask sends a request and hands an answer with status 200 and the right media type to read. All of it ends within the time given.
func (d *door) ask(ctx context.Context, q request, read func(*http.Response) error) error {
	if q.route == "" {
		q.route = q.path
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	t := &trace{rec: recorder(ctx)}
	var date, seen time.Time
	defer func() { t.rec.note(t.close(), date, seen) }()

	req, err := d.request(t.attach(ctx), q)
	if err != nil {
		return &Error{Reason: Malformed, Route: q.route, Message: "no request can be made", Err: err}
	}
	res, err := d.http.Do(req)
	if err != nil {
		return d.failed(q.route, err, t)
	}
	defer res.Body.Close()
	// An Age means that a cache answers, and the Date is of when it got what it keeps (RFC 9111, section 5.1).
	if when, err := http.ParseTime(res.Header.Get("Date")); err == nil && res.Header.Get("Age") == "" {
		date, seen = when, time.Now()
	}
	if err := acceptable(q, res); err != nil {
		return err
	}
	if err := read(res); err != nil {
		var e *Error
		if errors.As(err, &e) {
			return err
		}
		return d.failed(q.route, err, t)
	}
	return nil
}

func (d *door) request(ctx context.Context, q request) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, d.base.String()+q.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", q.accept)
	req.Header.Set("User-Agent", d.agent)
	if body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	req.Close = q.last
	return req, nil
}

func (d *door) failed(route string, err error, t *trace) *Error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		t.rec.certificate(verify.UnverifiedCertificates[0].NotAfter)
	}
	return failure(route, err, t.stage(), d.timeout)
}

// String is the base URL without a password.
func (d *door) String() string { return d.base.Redacted() }

func (d *door) closeIdle() { d.http.CloseIdleConnections() }
