package receiver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
)

func timeout(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), after)
	t.Cleanup(cancel)
	return ctx
}

// gate is a journal that keeps nobody's alerts before it is opened.
type gate struct {
	open  chan struct{}
	mu    sync.Mutex
	calls [][]receiver.Alert
	err   error
}

func (g *gate) keep(_ context.Context, alerts []receiver.Alert) error {
	g.mu.Lock()
	g.calls = append(g.calls, alerts)
	err := g.err
	g.mu.Unlock()
	<-g.open
	return err
}

func gated(t *testing.T, inFlight int) (*receiver.Receiver, *gate) {
	t.Helper()
	g := &gate{open: make(chan struct{})}
	r, err := receiver.New(receiver.Options{Keep: g.keep, MaxInFlight: inFlight, Logger: log.NewNopLogger(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return r, g
}

// numbered is a message with one alert of its own.
func numbered(i int) string {
	return strings.Replace(one(""), "0123456789abcdef", fmt.Sprintf("%016x", i), 1)
}

func send(r http.Handler, body io.Reader) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/api/v1/alerts", body)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

func TestMessagesThatArriveTogetherAreKeptTogether(t *testing.T) {
	for name, failure := range map[string]error{"kept": nil, "not kept": errors.New("no space left on device")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, g := gated(t, 0)
				var wg sync.WaitGroup
				var mu sync.Mutex
				codes := map[int]int{}
				post := func(i int) {
					wg.Go(func() {
						code := send(r, strings.NewReader(numbered(i))).Code
						mu.Lock()
						defer mu.Unlock()
						codes[code]++
					})
				}
				post(0)
				synctest.Wait()
				g.mu.Lock()
				g.err = failure
				g.mu.Unlock()
				for i := range 99 {
					post(i + 1)
				}
				synctest.Wait()
				close(g.open)
				wg.Wait()
				if len(g.calls) != 2 || len(g.calls[0]) != 1 || len(g.calls[1]) != 99 {
					t.Errorf("%d calls", len(g.calls))
				}
				seen := map[string]bool{}
				for _, call := range g.calls {
					for _, a := range call {
						seen[a.Fingerprint] = true
					}
				}
				if len(seen) != 100 {
					t.Errorf("%d alerts, want 100", len(seen))
				}
				want := 100
				if failure != nil {
					want = 1
				}
				if codes[http.StatusOK] != want || codes[http.StatusServiceUnavailable] != 100-want {
					t.Errorf("answers %v, want %d times 200", codes, want)
				}
			})
		})
	}
}

// One whose sender goes away takes nobody else's alerts with it.
func TestGatheredMessagesOutliveTheirSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := make(chan error, 1)
		r, err := receiver.New(receiver.Options{Keep: func(ctx context.Context, _ []receiver.Alert) error {
			time.Sleep(time.Minute)
			kept <- ctx.Err()
			return ctx.Err()
		}, Logger: log.NewNopLogger(), Registerer: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(timeout(t, time.Second), http.MethodPost, "/api/v1/alerts", strings.NewReader(one("")))
		r.ServeHTTP(httptest.NewRecorder(), req)
		if err := <-kept; err != nil {
			t.Error(err)
		}
	})
}

func TestBurstIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := gated(t, 3)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if code := send(r, strings.NewReader(numbered(i))).Code; code != http.StatusOK {
					t.Errorf("status %d", code)
				}
			})
		}
		synctest.Wait()
		w := send(r, strings.NewReader(numbered(3)))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "too many") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		close(g.open)
		wg.Wait()
		if code := send(r, strings.NewReader(numbered(3))).Code; code != http.StatusOK {
			t.Errorf("afterwards %d", code)
		}
	})
}

// trickle is a body of which only the beginning arrives.
type trickle struct {
	beginning int
	end       chan struct{}
}

func (b *trickle) Read(p []byte) (int, error) {
	if b.beginning == 0 {
		<-b.end
		return 0, io.ErrUnexpectedEOF
	}
	n := min(b.beginning, len(p))
	copy(p, strings.Repeat(" ", n))
	b.beginning -= n
	return n, nil
}

// Bodies in memory are bounded, and one that does not arrive takes nothing.
func TestBodiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := gated(t, 0)
		close(g.open)
		end := make(chan struct{})
		var wg sync.WaitGroup
		hang := func(n int) {
			wg.Go(func() {
				if code := send(r, &trickle{beginning: n, end: end}).Code; code != http.StatusBadRequest {
					t.Errorf("status %d", code)
				}
			})
			synctest.Wait()
		}
		for range 500 {
			hang(100) // many slow senders
		}
		for range 7 {
			hang(receiver.MaxBody)
		}
		if code := send(r, strings.NewReader(numbered(1))).Code; code != http.StatusOK {
			t.Errorf("with room left: %d", code)
		}
		if code := send(r, strings.NewReader(strings.Repeat(" ", receiver.MaxBody-1000)+numbered(2))).Code; code != http.StatusServiceUnavailable {
			t.Errorf("with no room left: %d", code)
		}
		if code := send(r, strings.NewReader(numbered(3))).Code; code != http.StatusOK {
			t.Errorf("a small one after that: %d", code)
		}
		close(end)
		wg.Wait()
		if code := send(r, strings.NewReader(strings.Repeat(" ", receiver.MaxBody-1000)+numbered(2))).Code; code != http.StatusOK {
			t.Errorf("with all the room again: %d", code)
		}
	})
}
