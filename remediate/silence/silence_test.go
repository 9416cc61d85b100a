package silence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/silence"
)

// world is two peers of an Alertmanager cluster, a and b, that share what they know, and a silencer in front of them.
type world struct {
	mu       sync.Mutex
	down     map[string]bool
	answer   func(*http.Request) *http.Response // instead of the usual one
	silences map[string]map[string]any
	asked    []string // method and path of what was asked, with the host
	log      bytes.Buffer
	leases   *silence.Leases
	stop     func()
}

const lasts = 20 * time.Minute

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{down: map[string]bool{}, silences: map[string]map[string]any{}}
	w.start(t, silence.Config{Alertmanagers: []string{"http://a:9093/", "http://operator:secret@b:9093"}, For: lasts})
	return w
}

// start is a start of the program.
func (w *world) start(t *testing.T, c silence.Config) {
	w.leases = silence.New(silence.Options{Config: c, Transport: w, Logger: log.NewSyncLogger(log.NewLogfmtLogger(&w.log)), Host: "machine"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.leases.Run(ctx) }()
	w.stop = func() { cancel(); <-done }
	t.Cleanup(w.stop)
}

// RoundTrip answers as an Alertmanager does.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	host := r.URL.Hostname()
	w.asked = append(w.asked, host+" "+r.Method+" "+r.URL.Path)
	if w.down[host] {
		return nil, errors.New("connection refused")
	}
	if w.answer != nil {
		return w.answer(r), nil
	}
	if user, password, _ := r.BasicAuth(); host == "b" && (user != "operator" || password != "secret") {
		return answer(http.StatusUnauthorized, "Unauthorized"), nil
	}
	switch id, _ := strings.CutPrefix(r.URL.Path, "/api/v2/silence/"); {
	case r.Method == http.MethodGet && r.URL.Path == "/api/v2/silences":
		all := []any{}
		for id, s := range w.silences {
			s["id"], s["status"] = id, map[string]string{"state": state(s)}
			all = append(all, s)
		}
		return answer(http.StatusOK, all), nil
	case r.Method == http.MethodPost && r.URL.Path == "/api/v2/silences":
		return w.post(r), nil
	case r.Method == http.MethodDelete && w.silences[id] != nil:
		w.silences[id]["endsAt"] = time.Now()
		return answer(http.StatusOK, nil), nil
	}
	return answer(http.StatusNotFound, "not found"), nil
}

// post replaces a silence by another, as Alertmanager does when its beginning is another.
func (w *world) post(r *http.Request) *http.Response {
	var s map[string]any
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil || r.Header.Get("Content-Type") != "application/json" {
		return answer(http.StatusBadRequest, fmt.Sprint(err))
	}
	if old, _ := s["id"].(string); old != "" {
		if w.silences[old] == nil {
			return answer(http.StatusNotFound, "silence not found")
		}
		w.silences[old]["endsAt"] = time.Now()
	}
	delete(s, "id")
	for _, at := range []string{"startsAt", "endsAt"} {
		t, err := time.Parse(time.RFC3339, s[at].(string))
		if err != nil {
			return answer(http.StatusBadRequest, err.Error())
		}
		s[at] = t
	}
	id := fmt.Sprint("s", len(w.silences)+1)
	w.silences[id] = s
	return answer(http.StatusOK, map[string]string{"silenceID": id})
}

func state(s map[string]any) string {
	if time.Now().Before(s["endsAt"].(time.Time)) {
		return "active"
	}
	return "expired"
}

func answer(code int, body any) *http.Response {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text))}
}

// active are the ids of what is in force.
func (w *world) active() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := []string{}
	for id, s := range w.silences {
		if state(s) == "active" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *world) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(append([]string{}, want...), w.active()); diff != "" {
		t.Errorf("%s, silences in force (-want +got):\n%s\n%s", when, diff, &w.log)
	}
}

// count is how often anybody was asked anything.
func (w *world) count() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) hold(t *testing.T)    { w.leases.Hold(t.Context(), "node-1", "deadbeef-1") }
func (w *world) release(t *testing.T) { w.leases.Release(t.Context(), "node-1") }

func TestWhatIsSilenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		w.hold(t)
		w.expect(t, "held", "s1")
		s := w.silences["s1"]
		want := []any{
			map[string]any{"name": "node", "value": "node-1", "isRegex": false, "isEqual": true},
			map[string]any{"name": "playbook", "value": "", "isRegex": false, "isEqual": true}, // an alert with a playbook drives it
			map[string]any{"name": "alertname", "value": "CheckpointRemediationExhausted", "isRegex": false, "isEqual": false},
		}
		if diff := cmp.Diff(want, s["matchers"]); diff != "" {
			t.Errorf("matchers (-want +got):\n%s", diff)
		}
		if !s["endsAt"].(time.Time).Equal(began.Add(lasts)) || s["createdBy"] != "checkpoint_remediator on machine" {
			t.Errorf("%v", s)
		}
		if comment := s["comment"].(string); !strings.Contains(comment, "deadbeef-1") || !strings.Contains(comment, "checkpoint_remediator") {
			t.Errorf("comment %q", comment)
		}
	})
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.release(t)
		w.expect(t, "before anything")
		w.hold(t)
		w.expect(t, "held", "s1")
		asked := w.count()
		for range 100 { // as the engine does, every round
			w.hold(t)
			w.leases.Release(t.Context(), "node-2")
			time.Sleep(2 * time.Second)
		}
		w.expect(t, "soon after", "s1")
		if w.count() != asked {
			t.Errorf("asked again: %v", w.asked[asked:])
		}
		time.Sleep(lasts)
		w.expect(t, "extended twice", "s3")
		if diff := cmp.Diff(1, len(w.active())); diff != "" {
			t.Error(diff)
		}
		w.release(t)
		w.expect(t, "released")
		asked = w.count()
		w.release(t)
		time.Sleep(time.Hour)
		w.expect(t, "an hour later")
		if w.count() != asked {
			t.Errorf("asked again: %v", w.asked[asked:])
		}
		w.hold(t)
		w.expect(t, "held again", "s4")
		w.stop()
		time.Sleep(lasts)
		w.expect(t, "after the end of the program")
	})
}

func TestOneAlertmanagerIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.set(func() { w.down["a"] = true })
		w.hold(t)
		w.expect(t, "with a down", "s1")
		w.set(func() { w.down["a"], w.down["b"] = false, true })
		time.Sleep(lasts * 3 / 4)
		w.expect(t, "with b down", "s2")
		w.release(t)
		w.expect(t, "released")
		if w.log.Len() > 0 && strings.Contains(w.log.String(), "level=warn") {
			t.Error(w.log.String())
		}
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.set(func() { w.down["a"], w.down["b"] = true, true })
		w.hold(t) // comes back, whatever happens
		time.Sleep(10 * time.Minute)
		w.expect(t, "with both down")
		if n := strings.Count(w.log.String(), "level=warn"); n != 1 || strings.Contains(w.log.String(), "secret") {
			t.Errorf("%d warnings: %s", n, &w.log)
		}
		w.set(func() { w.down["a"] = false })
		time.Sleep(time.Minute)
		w.expect(t, "with a back", "s1")

		// The end is tried until it succeeds, or until the lease has ended by itself.
		w.set(func() { w.down["a"] = true })
		w.release(t)
		time.Sleep(time.Minute)
		w.expect(t, "released with both down", "s1")
		w.set(func() { w.down["b"] = false })
		time.Sleep(time.Minute)
		w.expect(t, "with b back")

		w.hold(t)
		w.expect(t, "held", "s2")
		w.set(func() { w.down["b"] = true })
		w.release(t)
		time.Sleep(2 * lasts)
		asked := w.count()
		time.Sleep(time.Hour)
		if w.count() != asked {
			t.Errorf("what has ended by itself is still being ended: %v", w.asked[asked:])
		}
	})
}

func TestOddAnswers(t *testing.T) {
	for name, odd := range map[string]*http.Response{
		"refused":       answer(http.StatusBadRequest, strings.Repeat("x", 10_000)),
		"no id":         answer(http.StatusOK, map[string]string{}),
		"not JSON":      {StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("<html>"))},
		"server error":  answer(http.StatusInternalServerError, nil),
		"no such route": answer(http.StatusNotFound, nil),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				text, err := io.ReadAll(odd.Body)
				if err != nil {
					t.Fatal(err)
				}
				w.set(func() {
					w.answer = func(r *http.Request) *http.Response {
						if r.Method == http.MethodGet {
							return answer(http.StatusOK, []any{})
						}
						return &http.Response{StatusCode: odd.StatusCode, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text))}
					}
				})
				w.hold(t)
				time.Sleep(time.Minute)
				w.expect(t, "while the answers are odd")
				if !strings.Contains(w.log.String(), "level=warn") || w.log.Len() > 2000 {
					t.Errorf("log: %s", &w.log)
				}
				w.set(func() { w.answer = nil })
				time.Sleep(time.Minute)
				w.expect(t, "afterwards", "s1")
			})
		})
	}
}

// A lease that nobody knows any more, because Alertmanager lost its data, is begun afresh.
func TestForgottenLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold(t)
		w.expect(t, "held", "s1")
		w.set(func() { clear(w.silences) })
		time.Sleep(lasts * 3 / 4)
		w.expect(t, "extended", "s1")
		w.set(func() { clear(w.silences) })
		w.release(t)
		time.Sleep(time.Second)
		asked := w.count()
		time.Sleep(time.Hour)
		if w.count() != asked {
			t.Errorf("a silence that is nowhere is still being ended: %v", w.asked[asked:])
		}
	})
}

func TestTakesOverAfterRestart(t *testing.T) {
	config := silence.Config{Alertmanagers: []string{"http://a:9093"}, For: lasts}
	restarted := func(t *testing.T) *world {
		w := newWorld(t)
		w.hold(t)
		w.leases.Hold(t.Context(), "node-2", "deadbeef-2")
		w.expect(t, "held", "s1", "s2")
		w.stop()
		w.set(func() {
			// Those of others, and what ours left in the past.
			for id, of := range map[string]string{"operator": "somebody", "other": "checkpoint_remediator on another machine"} {
				w.silences[id] = map[string]any{"createdBy": of, "endsAt": time.Now().Add(time.Hour), "matchers": w.silences["s1"]["matchers"]}
			}
			w.silences["past"] = map[string]any{"createdBy": "checkpoint_remediator on machine", "endsAt": time.Now(), "matchers": w.silences["s1"]["matchers"]}
			w.silences["odd"] = map[string]any{"createdBy": "checkpoint_remediator on machine", "endsAt": time.Now().Add(time.Hour), "matchers": nil}
		})
		w.start(t, config)
		return w
	}
	t.Run("goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := restarted(t)
			w.hold(t)
			w.release(t)
			w.hold(t)
			w.leases.Release(t.Context(), "node-2")
			w.expect(t, "after the restart", "odd", "operator", "other", "s1")
			w.release(t)
			w.expect(t, "released", "odd", "operator", "other")
		})
	})
	t.Run("while Alertmanager is down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := restarted(t)
			w.set(func() {
				w.answer = func(r *http.Request) *http.Response {
					if r.Method == http.MethodPost {
						return w.post(r)
					}
					return answer(http.StatusInternalServerError, nil)
				}
			})
			w.hold(t)
			synctest.Wait()
			w.set(func() { w.answer = nil })
			time.Sleep(time.Minute)
			// The new one is kept, the one from before is ended; node-2 is not known to need anything.
			active := w.active()
			if slices.Contains(active, "s1") || !slices.Contains(active, "s2") || len(active) != 5 {
				t.Errorf("in force: %v", active)
			}
		})
	})
}

func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold(t)
		w.expect(t, "held", "s1")
		w.leases.Configure(silence.Config{Alertmanagers: []string{"http://a:9093"}})
		w.expect(t, "silences are turned off")
		w.leases.Configure(silence.Config{})
		w.expect(t, "no Alertmanager is left")
		w.leases.Configure(silence.Config{Alertmanagers: []string{"http://a:9093"}, For: time.Minute})
		w.expect(t, "turned on while an action is under way", "s2")
		time.Sleep(time.Hour)
		if got := w.active(); len(got) != 1 {
			t.Errorf("an hour later: %v", got)
		}
	})
}

// TestRecordedAnswers holds the client against what Alertmanager 0.31.1 answered, byte by byte.
func TestRecordedAnswers(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	posted, listed := read("posted.json"), read("silences.json")
	var id struct{ SilenceID string }
	var all []struct {
		ID, CreatedBy string
		EndsAt        time.Time
	}
	if err := errors.Join(json.Unmarshal([]byte(posted), &id), json.Unmarshal([]byte(listed), &all)); err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(all[0].EndsAt.Add(-time.Second)))
		w := newWorld(t)
		w.set(func() {
			w.answer = func(r *http.Request) *http.Response {
				body := ""
				switch r.Method {
				case http.MethodGet:
					body = listed
				case http.MethodPost:
					body = posted
				}
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}
			}
		})
		w.hold(t)
		time.Sleep(time.Second / 2)
		w.release(t)
		synctest.Wait()
		want := []string{"a GET /api/v2/silences", "a POST /api/v2/silences", "a DELETE /api/v2/silence/" + id.SilenceID}
		if diff := cmp.Diff(want, w.asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s\n%s", diff, &w.log)
		}
		if !strings.Contains(w.log.String(), "took over a silence from before") {
			t.Errorf("the recorded lease was not recognised: %s", &w.log)
		}
	})
}
