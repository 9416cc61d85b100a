package beacon

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timings are how long the phases of one or more requests took. A phase that did not happen, as on a connection that was
// open already, takes no time.
type Timings struct {
	// Resolve is the DNS lookup.
	Resolve time.Duration
	// Connect is the TCP handshake.
	Connect time.Duration
	// TLS is the TLS handshake.
	TLS time.Duration
	// FirstByte is from the connection being ready until the first byte of the answer.
	FirstByte time.Duration
	// Transfer is from the first byte until we stopped reading.
	Transfer time.Duration
}

// Total is the sum of the phases.
func (t Timings) Total() time.Duration {
	return t.Resolve + t.Connect + t.TLS + t.FirstByte + t.Transfer
}

func (t *Timings) add(o Timings) {
	t.Resolve += o.Resolve
	t.Connect += o.Connect
	t.TLS += o.TLS
	t.FirstByte += o.FirstByte
	t.Transfer += o.Transfer
}

// Exchange is what was seen besides the answers' contents.
type Exchange struct {
	// Timings are summed over all requests; a probe's requests follow each other on one connection.
	Timings Timings
	// Requests counts the requests sent, redirects not counted.
	Requests int
	// CertificateExpiry is the NotAfter of the server's own certificate, also of one that was refused; zero without TLS.
	CertificateExpiry time.Time
	// ServerDate is the Date header of the answer that came the quickest, and DateSeen is our clock halfway between its request and its
	// first byte; both zero when there was none. A Date that a cache kept is none.
	ServerDate, DateSeen time.Time
}

// Recorder collects an Exchange from the requests made with its context. It is safe for concurrent use.
type Recorder struct {
	mu sync.Mutex
	x  Exchange
	// waited is how long the answer with ServerDate let wait.
	waited time.Duration
}

type recorderKey struct{}

// Record gives a context whose requests are recorded, and where.
func Record(ctx context.Context) (context.Context, *Recorder) {
	r := &Recorder{}
	return context.WithValue(ctx, recorderKey{}, r), r
}

// Exchange is what has been recorded so far.
func (r *Recorder) Exchange() Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.x
}

func recorder(ctx context.Context) *Recorder {
	if r, ok := ctx.Value(recorderKey{}).(*Recorder); ok {
		return r
	}
	return &Recorder{}
}

// note books a request, whose answer said its date, if it did, when it was seen.
func (r *Recorder) note(t Timings, date, seen time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.x.Timings.add(t)
	r.x.Requests++
	if !date.IsZero() && (r.x.ServerDate.IsZero() || t.FirstByte < r.waited) {
		r.x.ServerDate, r.x.DateSeen, r.waited = date, seen.Add(-t.FirstByte/2), t.FirstByte
	}
}

func (r *Recorder) certificate(notAfter time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.x.CertificateExpiry = notAfter
}

// stage is how far a request has come.
type stage int

const (
	starting stage = iota
	resolving
	connecting
	handshaking
	waiting
	reading
)

func (s stage) String() string {
	switch s {
	case resolving:
		return "resolving the name"
	case connecting:
		return "connecting"
	case handshaking:
		return "negotiating TLS"
	case waiting:
		return "waiting for the answer"
	case reading:
		return "reading the answer"
	}
	return "starting"
}

// trace follows one request through net/http. Its hooks may run on other goroutines and even after the request has failed, when
// a dial outlives it.
type trace struct {
	mu     sync.Mutex
	sum    Timings
	at     stage
	since  time.Time
	closed bool
	rec    *Recorder
}

// restart begins another leg: a redirect, or a second try after an idle connection turned out to be dead.
func (t *trace) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.move(starting)
}

// advance enters a later stage, never an earlier one: of the parallel dials to a host with several addresses the first counts.
func (t *trace) advance(s stage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at < s {
		t.move(s)
	}
}

func (t *trace) move(s stage) {
	if t.closed {
		return
	}
	now := time.Now()
	t.book(now)
	t.at, t.since = s, now
}

func (t *trace) book(now time.Time) {
	d := now.Sub(t.since)
	switch t.at {
	case resolving:
		t.sum.Resolve += d
	case connecting:
		t.sum.Connect += d
	case handshaking:
		t.sum.TLS += d
	case waiting:
		t.sum.FirstByte += d
	case reading:
		t.sum.Transfer += d
	}
}

func (t *trace) stage() stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// close books the last phase; hooks that come later change nothing.
func (t *trace) close() Timings {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.book(time.Now())
		t.closed = true
	}
	return t.sum
}

func (t *trace) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { t.restart() },
		DNSStart:             func(httptrace.DNSStartInfo) { t.advance(resolving) },
		ConnectStart:         func(string, string) { t.advance(connecting) },
		TLSHandshakeStart:    func() { t.advance(handshaking) },
		TLSHandshakeDone:     func(s tls.ConnectionState, _ error) { t.peer(s) },
		GotConn:              func(httptrace.GotConnInfo) { t.advance(waiting) },
		GotFirstResponseByte: func() { t.advance(reading) },
	})
}

func (t *trace) peer(s tls.ConnectionState) {
	if len(s.PeerCertificates) > 0 {
		t.rec.certificate(s.PeerCertificates[0].NotAfter)
	}
}
