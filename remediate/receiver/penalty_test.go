package receiver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// locked is a desk with a token, in a bubble of simulated time.
func locked(t *testing.T, f func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte("right"), 0o600); err != nil {
			t.Fatal(err)
		}
		f(t, newDesk(t, file))
	})
}

// try shows a token from an address, and tells the answer and how long it took.
func (d *desk) try(token, remote string) (*http.Response, time.Duration) {
	req := httptest.NewRequest(http.MethodPost, "/api/v1/alerts", strings.NewReader(one("")))
	req.Header.Set("Authorization", "Bearer "+token)
	req.RemoteAddr = remote
	w := httptest.NewRecorder()
	began := time.Now()
	d.ServeHTTP(w, req)
	return w.Result(), time.Since(began)
}

// welcome fails unless the right token is answered 200 at once.
func (d *desk) welcome(t *testing.T, remote string) {
	t.Helper()
	if resp, took := d.try("right", remote); resp.StatusCode != http.StatusOK || took != 0 {
		t.Errorf("the right token from %s was answered %d after %s", remote, resp.StatusCode, took)
	}
}

func TestWrongTokensWait(t *testing.T) {
	locked(t, func(t *testing.T, d *desk) {
		var waits []string
		for range 7 {
			resp, took := d.try("wrong", "192.0.2.7:1000")
			if resp.StatusCode != http.StatusForbidden {
				t.Fatal(resp.StatusCode)
			}
			waits = append(waits, took.String())
			d.welcome(t, "192.0.2.7:1001")
		}
		if diff := cmp.Diff([]string{"250ms", "500ms", "1s", "2s", "4s", "5s", "5s"}, waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		for remote, want := range map[string]time.Duration{
			"192.0.2.8:1000":           250 * time.Millisecond, // a neighbour is not punished
			"[::ffff:192.0.2.7]:1000":  5 * time.Second,        // the same address in another notation is
			"[2001:db8::1]:1000":       250 * time.Millisecond,
			"[2001:db8:0:1::1%e]:1000": 250 * time.Millisecond, // another network
			"@":                        250 * time.Millisecond,
		} {
			if _, took := d.try("wrong", remote); took != want {
				t.Errorf("%s waited %s, want %s", remote, took, want)
			}
		}
		if _, took := d.try("wrong", "[2001:db8::2]:1000"); took != 500*time.Millisecond {
			t.Errorf("another address of one network waited %s", took)
		}
		time.Sleep(11 * time.Minute)
		if _, took := d.try("wrong", "192.0.2.7:1000"); took != 250*time.Millisecond {
			t.Errorf("what is long ago counts: %s", took)
		}
		if len(d.kept) != 7 {
			t.Errorf("%d kept", len(d.kept))
		}
	})
}

func TestWrongTokensFromEverywhere(t *testing.T) {
	locked(t, func(t *testing.T, d *desk) {
		var last time.Duration
		for i := range 3000 {
			_, last = d.try("wrong", fmt.Sprintf("10.0.%d.%d:1", i/256, i%256))
			if i == 19 && last != 250*time.Millisecond {
				t.Errorf("a few addresses wait %s", last)
			}
		}
		if last != 5*time.Second {
			t.Errorf("the 3000th address waited %s", last)
		}
		d.welcome(t, "10.0.0.1:1")
		d.welcome(t, "192.0.2.1:1")
		if lines := strings.Count(d.log.String(), "\n"); lines > 40 {
			t.Errorf("%d lines in the log", lines)
		}
	})
}

func TestManyWrongTokensAtOnce(t *testing.T) {
	locked(t, func(t *testing.T, d *desk) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		at := map[bool]int{} // by whether the connection is closed
		for range 200 {
			wg.Go(func() {
				resp, took := d.try("wrong", "192.0.2.7:1000")
				closed := resp.Header.Get("Connection") == "close"
				if resp.StatusCode != http.StatusForbidden || closed != (took == 0) {
					t.Errorf("%d after %s, closed: %v", resp.StatusCode, took, closed)
				}
				mu.Lock()
				defer mu.Unlock()
				at[closed]++
			})
		}
		synctest.Wait()
		d.welcome(t, "192.0.2.7:1001") // while as many as may be wait
		wg.Wait()
		if diff := cmp.Diff(map[bool]int{false: 64, true: 136}, at); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if _, took := d.try("wrong", "192.0.2.7:1000"); took != 5*time.Second {
			t.Errorf("afterwards an answer waits %s", took)
		}
	})
}

func TestSenderWhoLeavesIsNotHeld(t *testing.T) {
	locked(t, func(t *testing.T, d *desk) {
		for range 6 {
			d.try("wrong", "192.0.2.7:1")
		}
		req := httptest.NewRequestWithContext(timeout(t, time.Second), http.MethodPost, "/api/v1/alerts", strings.NewReader(one("")))
		req.Header.Set("Authorization", "Bearer wrong")
		req.RemoteAddr = "192.0.2.7:1"
		began := time.Now()
		d.ServeHTTP(httptest.NewRecorder(), req)
		if took := time.Since(began); took != time.Second {
			t.Errorf("held for %s", took)
		}
	})
}
