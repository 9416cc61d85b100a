// Package services stands in for the services that the shipped deploy/alertmanager/alertmanager.yml delivers to: Slack, PagerDuty, Opsgenie,
// Pushover, Telegram, a mailbox, a heartbeat monitor and our own remediator's webhook. Each checks what it gets against the service's
// published description, and answers as the service does, errors included. An Alertmanager reaches them under their real names, through a
// proxy whose certificates it is told to trust, so that nothing of the shipped file but secrets, places and waits has to change.
package services

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Names are the services as the shipped configuration switches them on.
var Names = []string{"pushover", "telegram", "pagerduty", "opsgenie", "slack", "email", "heartbeat"}

// Message is what a service was told, in the terms that they share.
type Message struct {
	Service  string // one of Names, or "webhook"
	Resolved bool
	Title    string
	Text     string // everything else that people read, without markup
	Urgency  string // in the service's own words: a priority, a severity, a colour
	Silent   bool   // it makes no sound
	Key      string // what the service knows an incident by; empty where there are none
	Alerts   []string
}

// Mentions tells whether people read some words in it.
func (m Message) Mentions(words string) bool {
	return strings.Contains(m.Title, words) || strings.Contains(m.Text, words)
}

// Services are all of them, listening on 127.0.0.1.
type Services struct {
	dir     string // of secrets and of the certificate authority's certificate
	proxy   *httptest.Server
	webhook *httptest.Server
	mailbox net.Listener

	mu       sync.Mutex
	messages []Message
	problems []string
}

// Start starts all services until the test ends. Their secrets are written into dir, in files of the names in the shipped configuration.
func Start(tb testing.TB, dir string) *Services {
	tb.Helper()
	s := &Services{dir: dir}
	for name, secret := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	certificates, err := certify(filepath.Join(dir, "ca.pem"))
	if err != nil {
		tb.Fatal(err)
	}
	s.proxy = s.startProxy(tb, certificates)
	s.webhook = httptest.NewServer(s.handle("webhook", s.takeWebhook))
	tb.Cleanup(s.webhook.Close)
	s.mailbox = s.startMailbox(tb, certificates)
	return s
}

// Problems are what the services would have refused.
func (s *Services) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.problems...)
}

// Messages are those that a service has taken so far.
func (s *Services) Messages(service string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []Message
	for _, m := range s.messages {
		if m.Service == service {
			of = append(of, m)
		}
	}
	return of
}

func (s *Services) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

func (s *Services) complain(service string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, service+": "+err.Error())
}

// taker reads a request. It returns what was told, which may be nothing, and the answer.
type taker func(*http.Request) (*Message, answer, error)

// answer is what a service says.
type answer struct {
	status int
	kind   string // Content-Type
	body   string
}

func (s *Services) handle(service string, take taker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(io.LimitReader(r.Body, 1<<20))
		m, a, err := take(r)
		if err != nil {
			s.complain(service, err)
			a = answer{http.StatusBadRequest, "text/plain", err.Error()}
		} else if m != nil {
			m.Service = service
			s.keep(*m)
		}
		w.Header().Set("Content-Type", a.kind)
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.body)
	})
}

// decode reads a JSON body that holds nothing but what is documented.
func decode(r *http.Request, into any) error {
	if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return fmt.Errorf("the content type is %q", kind)
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("decode the body: %w", err)
	}
	return nil
}

// limits are the least and the most characters of fields.
type limit struct {
	field, value string
	least, most  int
}

func within(limits ...limit) error {
	for _, l := range limits {
		if n := len([]rune(l.value)); n < l.least || n > l.most {
			return fmt.Errorf("%s has %d characters, and %d to %d are taken: %q", l.field, n, l.least, l.most, l.value)
		}
	}
	return nil
}
