package remediate_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

// desk is a remediator that takes alerts over HTTP and keeps them in a journal, and acts on nothing.
type desk struct {
	testing.TB
	journal string
	url     string
	client  *http.Client
}

func newDesk(tb testing.TB) *desk {
	tb.Helper()
	d := &desk{TB: tb, journal: filepath.Join(tb.TempDir(), "journal.jsonl")}
	c, err := config.Parse("checkpoint.yml", fmt.Appendf(nil, "nodes: [{name: node-1, consensus: {url: %q}}]\nremediation: {journal: %q}\n", "http://127.0.0.1:1", d.journal))
	if err != nil {
		tb.Fatal(err)
	}
	r, err := remediate.New(c, log.NewNopLogger(), prometheus.NewRegistry(), remediate.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.Close() })
	mux := http.NewServeMux()
	r.Routes(mux)
	srv := httptest.NewUnstartedServer(mux)
	srv.Config = server.NewHTTPServer(mux)
	srv.Start()
	tb.Cleanup(srv.Close)
	d.url = srv.URL + "/api/v1/alerts"
	tr := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{}).DialContext}
	tb.Cleanup(tr.CloseIdleConnections)
	d.client = &http.Client{Transport: tr}
	return d
}

// burst counts alerts, so that each has a fingerprint of its own through all of a benchmark.
var burst atomic.Uint64

func message(alerts int) (fingerprints []string, body []byte) {
	b := bytes.NewBufferString(`{"version":"4","status":"firing","receiver":"remediator","groupKey":"{}","alerts":[`)
	for i := range alerts {
		fp := fmt.Sprintf("%016x", burst.Add(1))
		fingerprints = append(fingerprints, fp)
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"status":"firing","labels":{"alertname":"CheckpointNodeSyncStalled","node":"node-1","playbook":"node_stalled","severity":"warning","disk":%q},`+
			`"annotations":{"summary":"The node does not get nearer to the head."},"startsAt":"2026-01-02T12:00:10.123Z","fingerprint":%[1]q}`, fp)
	}
	b.WriteString("]}")
	return fingerprints, b.Bytes()
}

// tally is what became of alerts, by the status that their message was answered with.
type tally struct {
	mu       sync.Mutex
	accepted map[string]bool
	refused  map[string]bool
}

func (d *desk) post(t *tally, alerts int) {
	fingerprints, body := message(alerts)
	resp, err := d.client.Post(d.url, "application/json", bytes.NewReader(body))
	if err != nil {
		d.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, fp := range fingerprints {
		switch resp.StatusCode {
		case http.StatusOK:
			t.accepted[fp] = true
		case http.StatusServiceUnavailable:
			t.refused[fp] = true
		default:
			d.Errorf("answered %d", resp.StatusCode)
		}
	}
}

// account fails unless every alert was accepted or refused, and every accepted one is in the journal, once.
func (d *desk) account(t *tally, sent int) {
	d.Helper()
	if got := len(t.accepted) + len(t.refused); got != sent {
		d.Errorf("%d of %d alerts have an answer", got, sent)
	}
	kept := map[string]int{}
	for rec, err := range journal.ScanAll(d.journal, time.Time{}) {
		if err != nil {
			d.Fatal(err)
		}
		if rec.Kind != "opened" {
			continue
		}
		var o remediate.Opened
		if err := rec.Decode(&o); err != nil {
			d.Fatal(err)
		}
		kept[o.Fingerprint]++
	}
	for fp := range t.accepted {
		if kept[fp] != 1 {
			d.Fatalf("alert %s was accepted and is %d times in the journal", fp, kept[fp])
		}
	}
	for fp := range t.refused {
		if kept[fp] != 0 {
			d.Fatalf("alert %s was refused and is in the journal", fp)
		}
	}
}

// bursts are the ways in which many alerts arrive.
var bursts = map[string]func(d *desk, t *tally, alerts int){
	"one message": func(d *desk, t *tally, alerts int) { d.post(t, alerts) },
	"one after another": func(d *desk, t *tally, alerts int) {
		for range alerts {
			d.post(t, 1)
		}
	},
	"64 senders":   func(d *desk, t *tally, alerts int) { d.concurrently(t, alerts, 64) },
	"1500 senders": func(d *desk, t *tally, alerts int) { d.concurrently(t, alerts, 1500) }, // more than are let in
}

func (d *desk) concurrently(t *tally, alerts, senders int) {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(alerts))
	for range senders {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				d.post(t, 1)
			}
		})
	}
	wg.Wait()
}

func newTally() *tally { return &tally{accepted: map[string]bool{}, refused: map[string]bool{}} }

func TestBurst(t *testing.T) {
	const alerts = 400
	for name, send := range bursts {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			counts := newTally()
			send(d, counts, alerts)
			d.account(counts, alerts)
			if len(counts.accepted) != alerts {
				t.Errorf("%d of %d were accepted", len(counts.accepted), alerts)
			}
		})
	}
}

// BenchmarkBurst is 10,000 alerts through the real receiver, engine and journal: each is accepted, or refused with 503, and none is lost.
func BenchmarkBurst(b *testing.B) {
	const alerts = 10_000
	for name, send := range bursts {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			accepted := 0
			for b.Loop() {
				b.StopTimer()
				d, counts := newDesk(b), newTally()
				b.StartTimer()
				send(d, counts, alerts)
				b.StopTimer()
				d.account(counts, alerts)
				accepted += len(counts.accepted)
				b.StartTimer()
			}
			b.ReportMetric(float64(alerts*b.N)/b.Elapsed().Seconds(), "alerts/s")
			b.ReportMetric(float64(accepted)/float64(b.N), "accepted")
		})
	}
}
