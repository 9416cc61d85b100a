// Package receiver takes Alertmanager's webhooks in. It authenticates, bounds and decodes them, hands the alerts to be kept, and answers
// when they are. It never acts.
package receiver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
)

// MaxBody bounds a message, in bytes. Alertmanager's max_alerts keeps a group's messages below it.
const MaxBody = 4 << 20

// maxToken bounds a bearer token, in bytes.
const maxToken = 4096

// maxReason bounds what is said of a malformed message, some of which is the message itself, in bytes.
const maxReason = 300

// Options of New.
type Options struct {
	// Keep makes alerts durable before it returns nil; those that it knows already are no error. It is called with those of several
	// messages at once when they arrive together, and never twice at the same time.
	Keep func(ctx context.Context, alerts []Alert) error
	// BearerTokenFile holds the token that senders must present; "" asks for none. It is read for every request, so that a new
	// token counts at once.
	BearerTokenFile string
	// MaxInFlight is how many messages may be decoded and kept at the same time; DefaultMaxInFlight if 0.
	MaxInFlight int
	Logger      log.Logger
	Registerer  prometheus.Registerer
}

// Receiver is the http.Handler of POST /api/v1/alerts. It answers
//
//   - 200 when the alerts are kept, duplicates included;
//   - 400 for what is not a webhook message, 413 for one larger than MaxBody, 405 for another method;
//   - 401 without credentials, 403 with wrong ones, later each time;
//   - 503 when the alerts cannot be kept, when there are too many messages at once, or the token cannot be read.
//
// Alertmanager retries 5xx within the flush, and sends the group again at its next interval after any other failure.
type Receiver struct {
	opts      Options
	webhooks  *prometheus.CounterVec
	alerts    *prometheus.CounterVec
	penalties penalties
	gather    *gather
	bytes     *room
	messages  *room
}

// Results that checkpoint_remediation_alerts_total counts.
const (
	resultKept      = "kept"
	resultRefused   = "refused"
	resultTruncated = "truncated"
)

// New registers the receiver's metrics, and checks that the token can be read.
func New(o Options) (*Receiver, error) {
	if o.MaxInFlight == 0 {
		o.MaxInFlight = DefaultMaxInFlight
	}
	r := &Receiver{
		opts:     o,
		gather:   newGather(o.Keep),
		bytes:    newRoom(maxHeldBytes),
		messages: newRoom(int64(o.MaxInFlight)),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "checkpoint_remediation_webhooks_total",
			Help: "Webhook requests by the HTTP status code they were answered with.",
		}, []string{"code"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "checkpoint_remediation_alerts_total",
			Help: "Alerts in well-formed webhook messages: kept in the journal, refused because they could not be kept, truncated by the sender.",
		}, []string{"result"}),
	}
	if o.BearerTokenFile != "" {
		if _, err := readToken(o.BearerTokenFile); err != nil {
			return nil, err
		}
	}
	for _, c := range []prometheus.Collector{r.webhooks, r.alerts} {
		if err := o.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register the receiver's metrics: %w", err)
		}
	}
	for _, code := range []int{http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable} {
		r.webhooks.WithLabelValues(strconv.Itoa(code))
	}
	for _, result := range []string{resultKept, resultRefused, resultTruncated} {
		r.alerts.WithLabelValues(result)
	}
	return r, nil
}

// refusal is an answer other than 200.
type refusal struct {
	code   int
	reason string
}

func (e *refusal) Error() string { return e.reason }

// ServeHTTP keeps the alerts of one message.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	err := r.receive(w, req)
	if err == nil {
		r.webhooks.WithLabelValues(strconv.Itoa(http.StatusOK)).Inc()
		w.WriteHeader(http.StatusOK)
		return
	}
	no := &refusal{code: http.StatusServiceUnavailable, reason: "cannot be kept"}
	report := level.Error
	if errors.As(err, &no) {
		report = level.Warn
	}
	switch no.code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="checkpoint_remediator"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	r.webhooks.WithLabelValues(strconv.Itoa(no.code)).Inc()
	if no.code == http.StatusForbidden {
		r.punish(w, req)
	} else {
		_ = report(r.opts.Logger).Log("msg", "webhook refused", "code", no.code, "remote", req.RemoteAddr, "err", err)
	}
	http.Error(w, no.reason, no.code)
}

// punish lets a wrong token wait for its answer.
func (r *Receiver) punish(w http.ResponseWriter, req *http.Request) {
	delay, tried, tell := r.penalties.count(req.RemoteAddr, time.Now())
	if tell {
		_ = level.Warn(r.opts.Logger).Log("msg", "webhook refused", "code", http.StatusForbidden, "remote", req.RemoteAddr, "err", "wrong bearer token",
			"tried", tried, "delay", delay)
	}
	if !r.penalties.hold(req.Context(), delay) {
		w.Header().Set("Connection", "close")
	}
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) error {
	if req.Method != http.MethodPost {
		return &refusal{http.StatusMethodNotAllowed, "want POST"}
	}
	if err := r.authenticate(req.Header.Get("Authorization")); err != nil {
		return err
	}
	if t := req.Header.Get("Content-Type"); !isJSON(t) {
		return &refusal{http.StatusBadRequest, fmt.Sprintf("content type %.80q: want application/json", t)}
	}
	in := &metered{body: http.MaxBytesReader(w, req.Body, MaxBody), room: r.bytes}
	defer in.close()
	body, err := io.ReadAll(in)
	if errors.Is(err, errNoRoom) {
		return &refusal{http.StatusServiceUnavailable, err.Error()}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("larger than %d bytes", MaxBody)}
	}
	if err != nil {
		return &refusal{http.StatusBadRequest, fmt.Sprintf("read webhook message: %v", err)}
	}
	if !r.messages.take(1) {
		return &refusal{http.StatusServiceUnavailable, errNoRoom.Error()}
	}
	defer r.messages.give(1)
	alerts, truncated, err := Decode(body)
	if err != nil {
		return &refusal{http.StatusBadRequest, clean(err.Error(), maxReason)}
	}
	if truncated > 0 {
		r.alerts.WithLabelValues(resultTruncated).Add(float64(truncated))
		_ = level.Warn(r.opts.Logger).Log("msg", "webhook message was truncated by its sender", "alerts", len(alerts), "truncated", truncated, "remote", req.RemoteAddr)
	}
	if len(alerts) == 0 {
		return nil
	}
	if err := r.gather.Keep(req.Context(), alerts); err != nil {
		r.alerts.WithLabelValues(resultRefused).Add(float64(len(alerts)))
		return fmt.Errorf("keep %d alerts: %w", len(alerts), err)
	}
	r.alerts.WithLabelValues(resultKept).Add(float64(len(alerts)))
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// authenticate compares hashes, so that neither the token's length nor its beginning shows in the time taken.
func (r *Receiver) authenticate(header string) error {
	if r.opts.BearerTokenFile == "" {
		return nil
	}
	scheme, given, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(given) == "" {
		return &refusal{http.StatusUnauthorized, "want a bearer token"}
	}
	want, err := readToken(r.opts.BearerTokenFile)
	if err != nil {
		return err
	}
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return &refusal{http.StatusForbidden, "wrong bearer token"}
	}
	return nil
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read bearer token: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read bearer token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(b) > maxToken {
		return "", fmt.Errorf("read bearer token: %s: want 1 to %d bytes", path, maxToken)
	}
	return token, nil
}
