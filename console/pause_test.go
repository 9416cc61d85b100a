package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// remote is a program behind a handler.
func remote(t *testing.T, tokenFile string, h http.Handler) *console.Remote {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	r, err := console.NewRemote("the remediator", server.URL+"/", tokenFile, nil)
	must(t, err)
	return r
}

// nobody is a program that does not run.
func nobody(t *testing.T) *console.Remote {
	t.Helper()
	r, err := console.NewRemote("the remediator", "http://127.0.0.1:10178", "", func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("connection refused")
	})
	must(t, err)
	return r
}

func answering(v any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(v)
	})
}

func TestPause(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run", "pause") // the directory is made
	s := newScreen("")
	q := console.PauseRequest{File: file, Reason: "disk swap\x1b[2J", By: "anna", For: 90 * time.Minute}
	busy := remote(t, "", answering(remediate.StateView{Mode: "act", Incidents: []remediate.IncidentView{
		{ID: "a-1", Node: "node-1", Playbook: "node_stalled", Stage: "acting"},
		{ID: "a-2", Node: "node-2", Playbook: "no_peers", Stage: "open"},
		{ID: "a-3", Node: "node-3", Playbook: "no_peers", Stage: "closed", ClosedAt: &now},
	}}))
	must(t, s.Pause(t.Context(), q, busy))
	text := s.text()
	contains(t, text, "Paused by anna since 2026-03-01 12:00:00 +01:00 until 2026-03-01 13:30:00 +01:00: disk swap",
		"node-1, node_stalled (a-1): what is being done is finished first", "node-2, no_peers (a-2): waits until then", "checkpoint resume")
	lacks(t, text, "\x1b", "a-3")

	// This is what the remediator's guard reads.
	const want = "disk swap\\u001b[2J\nby: anna\nsince: 2026-03-01T11:00:00Z\nuntil: 2026-03-01T12:30:00Z\n"
	if got := read(t, file); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v: the remediator and everybody is to read it", info.Mode())
	}

	// The same again changes nothing; a shorter one is refused; a longer one takes its place.
	s.now = now.Add(time.Minute)
	for name, tc := range map[string]struct {
		length   time.Duration
		reason   string
		err, out string
	}{
		"shorter":          {10 * time.Minute, "nap", "for longer", ""},
		"longer":           {3 * time.Hour, "other disk", "", "It was paused by anna"},
		"without end":      {0, "other disk", "", "It was paused by anna"},
		"the same, to end": {90*time.Minute - time.Minute, "disk swap\x1b[2J", "", "Paused already by anna since 2026-03-01 12:00:00"},
	} {
		write(t, file, want)
		err := s.Pause(t.Context(), console.PauseRequest{File: file, Reason: tc.reason, By: "bert", For: tc.length}, nobody(t))
		text := s.text()
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) || read(t, file) != want {
				t.Errorf("%s: %v, file %q", name, err, read(t, file))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		contains(t, text, tc.out, "the remediator does not answer at http://127.0.0.1:10178", "counts all the same")
		if same := read(t, file) == want; same != (name == "the same, to end") {
			t.Errorf("%s: file %q", name, read(t, file))
		}
	}

	write(t, file, want)
	s.now = now.Add(40 * time.Minute)
	must(t, s.Resume(file))
	contains(t, s.text(), "Resumed after 40m. It was paused by anna since 2026-03-01 12:00:00 +01:00 until 2026-03-01 13:30:00 +01:00: disk swap")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there:", err)
	}
	must(t, s.Resume(file))
	contains(t, s.text(), "It was not paused.")

	write(t, file, want)
	s.now = now.Add(3 * time.Hour)
	must(t, s.Resume(file))
	contains(t, s.text(), "The pause was over already")

	s.JSON = true
	must(t, s.Pause(t.Context(), console.PauseRequest{File: file, Reason: "x", By: "anna"}, nobody(t)))
	if v := decode[map[string]any](t, s.text()); v["paused"] != true || v["reason"] != "x" || v["until"] != nil {
		t.Error(v)
	}
	must(t, s.Resume(file))
	if v := decode[map[string]any](t, s.text()); v["paused"] != false || v["was"].(map[string]any)["by"] != "anna" {
		t.Error(v)
	}
}

func TestPauseRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pause")
	for name, q := range map[string]console.PauseRequest{
		"no reason":                  {File: file},
		"a blank reason":             {File: file, Reason: " \n"},
		"a reason that is an end":    {File: file, Reason: "until: 2026-03-01T11:00:00Z"},
		"a reason that hides an end": {File: file, Reason: strings.Repeat("x", 4096)},
	} {
		var usage *console.UsageError
		if err := newScreen("").Pause(t.Context(), q, nobody(t)); !errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"pause":  newScreen("").Pause(t.Context(), console.PauseRequest{Reason: "x"}, nobody(t)),
		"resume": newScreen("").Resume(""),
	} {
		if err == nil || !strings.Contains(err.Error(), "pause_file") {
			t.Errorf("%s without a file: %v", name, err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a pause was written")
	}
}

func TestReadPause(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pause")
	if p, err := console.ReadPause(file); p != nil || err != nil {
		t.Errorf("%+v %v", p, err)
	}
	for text, want := range map[string]console.Pause{
		"":                               {},
		"by hand\n":                      {Reason: "by hand"},
		"a\nuntil: soon\n":               {Reason: "a"},
		"a\nuntil: 2026-03-01T12:00:00Z": {Reason: "a", Until: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		"until: 2026-03-01T12:00:00Z\n":  {Until: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		"a\nby: x: y\nmore: text\n":      {Reason: "a", By: "x: y"},
	} {
		write(t, file, text)
		p, err := console.ReadPause(file)
		if err != nil || p.Reason != want.Reason || p.By != want.By || !p.Until.Equal(want.Until) || p.Since.IsZero() {
			t.Errorf("%q: %+v %v", text, p, err)
		}
	}
}

func TestAck(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "secret\n")
	for name, tc := range map[string]struct {
		code int
		body string
		want string // of the error; empty for none
	}{
		"done":             {http.StatusNoContent, "", ""},
		"no such node":     {http.StatusNotFound, "no such node is configured: \"node-1\"\n", `404: no such node is configured: "node-1"; it knows`},
		"wrong token":      {http.StatusForbidden, "wrong bearer token\n", "does not take the token in " + token},
		"no token":         {http.StatusUnauthorized, "want a bearer token\n", "does not take the token"},
		"journal":          {http.StatusServiceUnavailable, "cannot be kept\n", "is its disk full?"},
		"malformed":        {http.StatusBadRequest, "want application/json\n", "400: want application/json; nothing was acknowledged"},
		"another program":  {http.StatusMethodNotAllowed, "", "405"},
		"a redirect":       {http.StatusTemporaryRedirect, "", "307"},
		"too many guesses": {http.StatusTooManyRequests, "", "wait a minute"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := remote(t, token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				var got map[string]string
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				if r.Method != http.MethodPost || r.URL.Path != "/api/v1/ack" || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" ||
					got["node"] != "node-1" || got["playbook"] != "no_peers" || got["by"] != "anna" || got["reason"] != "a cable" || len(got) != 4 {
					t.Errorf("%s %s %v %v", r.Method, r.URL, r.Header, got)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.body))
			}))
			s := newScreen("")
			err := s.Ack(t.Context(), remediate.Acked{Node: "node-1", Playbook: "no_peers", By: "anna", Reason: "a cable"}, r)
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			if tc.want == "" {
				must(t, err)
				contains(t, s.text(), "Acknowledged for node-1, no_peers by anna.")
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || s.text() != "" {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	s := newScreen("")
	ack := remediate.Acked{Node: "node-1"}
	if err := s.Ack(t.Context(), ack, nobody(t)); err == nil || !strings.Contains(err.Error(), "does not answer at http://127.0.0.1:10178: connection refused") {
		t.Error(err)
	}
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked without a token") })
	if err := s.Ack(t.Context(), ack, remote(t, token+".gone", never)); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	write(t, token, "\n")
	if err := s.Ack(t.Context(), ack, remote(t, token, never)); err == nil || !strings.Contains(err.Error(), "does not hold a token") {
		t.Error(err)
	}
	if err := s.Ack(t.Context(), ack, remote(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))); err == nil ||
		!strings.Contains(err.Error(), "bearer_token_file") {
		t.Error(err)
	}
	s.JSON = true
	must(t, s.Ack(t.Context(), ack, remote(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))))
	if v := decode[map[string]any](t, s.text()); v["acknowledged"] != true || v["node"] != "node-1" {
		t.Error(v)
	}
}

func TestRemoteURL(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:10178", "ftp://x", "http://", "http://user:pass@host", "http://host?x=1", "http://host/#f", "http://%zz"} {
		var usage *console.UsageError
		if _, err := console.NewRemote("the remediator", bad, "", nil); !errors.As(err, &usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	var into map[string]any
	for name, h := range map[string]http.Handler{
		"a web page": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
		"without end": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 17 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}),
	} {
		if err := remote(t, "", h).Get(t.Context(), "/", &into); err == nil {
			t.Errorf("%s was taken for an answer", name)
		}
	}
}
