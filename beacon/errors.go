package beacon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"time"
)

// Reason says in one word why an answer could not be had. The words are those of metric labels, log lines and the API.
type Reason string

// The reasons of this package. Package provider adds those that need judgement.
const (
	// DNS means that the host's name could not be resolved.
	DNS Reason = "dns"
	// Connect means that no connection came about, or that it was lost.
	Connect Reason = "connect"
	// TLS means that the handshake failed, most often for the certificate.
	TLS Reason = "tls"
	// Timeout means that the time given was up.
	Timeout Reason = "timeout"
	// HTTPStatus means an answer with an unwelcome status, be it in the status line or in a JSON error sent with status 200.
	HTTPStatus Reason = "http_status"
	// RateLimited means status 429.
	RateLimited Reason = "rate_limited"
	// Malformed means an answer that is not what the route is defined to give.
	Malformed Reason = "malformed"
	// TooLarge means an answer beyond the route's limit.
	TooLarge Reason = "too_large"
)

// Error is how every method of this package fails.
type Error struct {
	Reason Reason
	// Route is the path, or the JSON-RPC method, that was asked.
	Route string
	// Status is the HTTP status, or the one that a JSON error body claims; 0 when there was no answer.
	Status int
	// Message is a sentence without the route. Foreign text in it is clipped and holds no control characters.
	Message string
	// RetryAfter is how long the server asks to be left alone, from its Retry-After header; 0 when it does not.
	RetryAfter time.Duration
	// Err is the cause; nil when the answer itself was at fault.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return e.Route + ": " + e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf is the reason of an error that wraps an *Error; empty for nil. Any other error has the reason Connect, so that a
// failure is never without one.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return Connect
}

// StatusOf is the HTTP status of an error that wraps an *Error; 0 when there is none.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func malformed(route, format string, args ...any) *Error {
	return &Error{Reason: Malformed, Route: route, Status: http.StatusOK, Message: fmt.Sprintf(format, args...)}
}

func tooLarge(route string, limit int64) *Error {
	return &Error{Reason: TooLarge, Route: route, Status: http.StatusOK, Message: fmt.Sprintf("the answer is larger than %d bytes", limit)}
}

// failure classifies what net/http gave up with, by the error's type and by how far the request had come.
func failure(route string, err error, at stage, given time.Duration) *Error {
	e := &Error{Route: route, Err: err}
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		e.Reason, e.Message = Timeout, "the request was called off"
	case errors.As(err, &dns):
		e.Reason, e.Message = DNS, "cannot resolve "+clean(dns.Name, 253)+": "+clean(dns.Err, 200)
	case isTLS(err):
		e.Reason, e.Message = TLS, "no TLS connection: "+clean(innermost(err), 300)
	case isTimeout(err) && at == resolving:
		e.Reason, e.Message = DNS, "the name was not resolved"+within(given)
	case isTimeout(err):
		e.Reason, e.Message = Timeout, "no end"+within(given)+" while "+at.String()
	case strings.Contains(err.Error(), "response headers exceeded"):
		e.Reason, e.Message = TooLarge, "the answer's header is too large"
	case isProtocol(err):
		e.Reason, e.Message = Malformed, "not an HTTP answer: "+clean(innermost(err), 200)
	case at == reading && errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason, e.Message = Malformed, "the answer was cut short"
	case at == handshaking:
		e.Reason, e.Message = TLS, "no TLS connection: "+clean(innermost(err), 300)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason, e.Message = Connect, "the connection was closed without an answer"
	default:
		e.Reason, e.Message = Connect, "no connection: "+clean(innermost(err), 300)
	}
	return e
}

func within(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return " within " + d.String()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

func isTLS(err error) bool {
	var (
		record  tls.RecordHeaderError
		verify  *tls.CertificateVerificationError
		alert   tls.AlertError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		op      *net.OpError
	)
	if errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) || errors.As(err, &verify) || errors.As(err, &alert) ||
		errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) {
		return true
	}
	// crypto/tls reports alerts as an operation of its own, with an unexported cause.
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// isProtocol knows net/http's complaints about what is no HTTP; several have no exported type.
func isProtocol(err error) bool {
	var (
		protocol textproto.ProtocolError
		syscallE syscall.Errno
	)
	if errors.As(err, &protocol) {
		return true
	}
	if errors.As(err, &syscallE) {
		return false
	}
	text := err.Error()
	for _, s := range []string{"malformed HTTP", "malformed MIME", "malformed chunked", "bad Content-Length", "invalid Content-Length",
		"invalid byte in chunk length", "http chunk length too large", "too many transfer encodings", "unsupported transfer encoding",
		"unexpected EOF reading trailer", "too many 1xx", "chunked encoding"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// innermost drops the layers that repeat the address and the method: the operator knows whom we asked.
func innermost(err error) string {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) && verify.Err != nil {
		return verify.Err.Error()
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		var sys *os.SyscallError
		if errors.As(op.Err, &sys) {
			return sys.Err.Error()
		}
		return op.Err.Error()
	}
	return err.Error()
}

// clean makes foreign text fit for a log line: valid UTF-8, printable, one line, at most limit runes.
func clean(s string, limit int) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufffd' || r == ' ' {
			space = n > 0
			continue
		}
		if n >= limit {
			b.WriteRune('…')
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
