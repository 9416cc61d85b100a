package receiver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/receiver"
	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// desk is a receiver with what it kept.
type desk struct {
	*receiver.Receiver
	registry *prometheus.Registry
	log      *bytes.Buffer

	mu   sync.Mutex
	kept []receiver.Alert
	err  error
}

func (d *desk) keep(_ context.Context, alerts []receiver.Alert) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.kept = append(d.kept, alerts...)
	return nil
}

func newDesk(t testing.TB, tokenFile string) *desk {
	t.Helper()
	d := &desk{registry: prometheus.NewRegistry(), log: new(bytes.Buffer)}
	r, err := receiver.New(receiver.Options{Keep: d.keep, BearerTokenFile: tokenFile, Logger: log.NewSyncLogger(log.NewLogfmtLogger(d.log)), Registerer: d.registry})
	if err != nil {
		t.Fatal(err)
	}
	d.Receiver = r
	return d
}

func (d *desk) post(t testing.TB, body string, headers ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/api/v1/alerts", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	return w.Result()
}

func (d *desk) counted(t testing.TB, name, label, value string) float64 {
	t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == name && len(l) == 1 && l[0].GetName() == label && l[0].GetValue() == value {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Errorf("no %s{%s=%q}", name, label, value)
	return 0
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func one(fields string) string {
	return `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"},"fingerprint":"0123456789abcdef"` + fields + `}]}`
}

func TestKeepsAMessage(t *testing.T) {
	d := newDesk(t, "")
	if resp := d.post(t, read(t, "v4.json")); resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	want := []receiver.Alert{
		{
			Fingerprint: "0f2a95bd0b2f1c3e", Status: receiver.Firing,
			Labels: map[string]string{"alertname": "CheckpointNodeSyncStalled", "node": "node-1", "playbook": "node_stalled", "severity": "warning"},
			Annotations: map[string]string{
				"summary":     "The node does not get nearer to the head.",
				"runbook_url": "https://checkpoint-exporter.example/docs/alerts.md#stalled",
			},
			StartsAt:     time.Date(2026, 1, 2, 12, 0, 10, 123e6, time.UTC),
			GeneratorURL: "http://127.0.0.1:9090/graph?g0.expr=up&g0.tab=1",
		},
		{
			Fingerprint: "00000000000000ff", Status: receiver.Resolved,
			Labels:   map[string]string{"alertname": "CheckpointNodeSyncStalled", "node": "node-2", "playbook": "node_stalled", "severity": "warning"},
			StartsAt: time.Date(2026, 1, 2, 11, 0, 0, 0, time.UTC), EndsAt: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC),
		},
	}
	if diff := cmp.Diff(want, d.kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	for result, n := range map[string]float64{"kept": 2, "truncated": 3, "refused": 0} {
		if got := d.counted(t, "checkpoint_remediation_alerts_total", "result", result); got != n {
			t.Errorf("%s: %v, want %v", result, got, n)
		}
	}
	if got := d.counted(t, "checkpoint_remediation_webhooks_total", "code", "200"); got != 1 {
		t.Errorf("code 200: %v", got)
	}
	// What is journalled is read back as it was.
	text, err := json.Marshal(d.kept)
	if err != nil {
		t.Fatal(err)
	}
	var again []receiver.Alert
	if err := json.Unmarshal(text, &again); err != nil || !cmp.Equal(want, again) {
		t.Errorf("round trip: %v %s", err, cmp.Diff(want, again))
	}
}

func TestAnswers(t *testing.T) {
	good := one("")
	tests := map[string]struct {
		body    string
		headers []string
		code    int
		reason  string
		keeps   int
	}{
		"one alert":           {body: good, code: 200, keeps: 1},
		"no content type":     {body: good, headers: []string{"Content-Type", ""}, code: 200, keeps: 1},
		"charset":             {body: good, headers: []string{"Content-Type", "Application/JSON; charset=utf-8"}, code: 200, keeps: 1},
		"odd parameter":       {body: good, headers: []string{"Content-Type", "application/json; charset"}, code: 200, keeps: 1},
		"JSON suffix":         {body: good, headers: []string{"Content-Type", "application/vnd.x+json"}, code: 200, keeps: 1},
		"form":                {body: good, headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, code: 400, reason: "content type"},
		"unknown fields":      {body: `{"x":{"y":[1]},"version":"4","alerts":[{"z":1,"status":"firing","labels":{"a":"b"},"fingerprint":"0123456789abcdef"}]}`, code: 200, keeps: 1},
		"no version":          {body: strings.Replace(good, `"version":"4",`, "", 1), code: 200, keeps: 1},
		"empty list":          {body: `{"version":"4","alerts":[]}`, code: 200},
		"version 5":           {body: strings.Replace(good, `"4"`, `"5"`, 1), code: 400, reason: "version"},
		"no body":             {body: "", code: 400, reason: "unexpected end"},
		"not JSON":            {body: "alerts=1", code: 400, reason: "webhook message"},
		"cut off":             {body: good[:len(good)-3], code: 400, reason: "unexpected end"},
		"more after the end":  {body: good + "{}", code: 400, reason: "after top-level"},
		"another object":      {body: `{}`, code: 400, reason: "no alerts"},
		"null":                {body: `null`, code: 400, reason: "no alerts"},
		"null alerts":         {body: `{"alerts":null}`, code: 400, reason: "no alerts"},
		"alerts no list":      {body: `{"alerts":{}}`, code: 400, reason: "want a list"},
		"alert no object":     {body: `{"alerts":[1]}`, code: 400, reason: "alerts[0]"},
		"no fingerprint":      {body: `{"alerts":[{"status":"firing","labels":{"a":"b"}}]}`, code: 400, reason: "fingerprint"},
		"odd fingerprint":     {body: strings.Replace(good, "0123456789abcdef", "../../etc/passwd", 1), code: 400, reason: "fingerprint"},
		"no status":           {body: `{"alerts":[{"labels":{"a":"b"},"fingerprint":"0123456789abcdef"}]}`, code: 400, reason: "status"},
		"odd status":          {body: strings.Replace(good, "firing", "suppressed", 1), code: 400, reason: "status"},
		"no labels":           {body: `{"alerts":[{"status":"firing","fingerprint":"0123456789abcdef"}]}`, code: 400, reason: "labels"},
		"label not text":      {body: strings.Replace(good, `"A"`, `["A"]`, 1), code: 400, reason: "alerts[0]"},
		"label without name":  {body: strings.Replace(good, `"alertname"`, `""`, 1), code: 400, reason: "label name"},
		"label name controls": {body: strings.Replace(good, `"alertname"`, `"a\u0000b"`, 1), code: 400, reason: "label name"},
		"odd time":            {body: one(`,"startsAt":"` + strings.Repeat("9", 5000) + `"`), code: 400, reason: "alerts[0]"},
		"one bad of two":      {body: strings.Replace(good, `[{`, `[{"status":"firing","labels":{"a":"b"},"fingerprint":"0123456789abcdef"},{"x":1},{`, 1), code: 400, reason: "alerts[1]"},
		"negative truncation": {body: `{"alerts":[],"truncatedAlerts":-1}`, code: 400, reason: "truncatedAlerts"},
		"too large":           {body: strings.Repeat(" ", receiver.MaxBody) + good, code: 413, reason: "larger than"},
		"as large as may be":  {body: strings.Repeat(" ", receiver.MaxBody-len(good)) + good, code: 200, keeps: 1},
		"brackets, 4 MiB":     {body: `{"alerts":[` + strings.Repeat(`{},`, receiver.MaxBody/3-10) + `{}]}`, code: 400, reason: "alerts[0]"},
		"deep":                {body: `{"alerts":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, code: 400, reason: "depth"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, "")
			resp := d.post(t, tt.body, tt.headers...)
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.code || !strings.Contains(string(text), tt.reason) {
				t.Errorf("%d %s, want %d %q", resp.StatusCode, text, tt.code, tt.reason)
			}
			if len(d.kept) != tt.keeps {
				t.Errorf("%d alerts kept, want %d", len(d.kept), tt.keeps)
			}
			if got := d.counted(t, "checkpoint_remediation_webhooks_total", "code", fmt.Sprint(tt.code)); got != 1 {
				t.Errorf("code %d counted %v times", tt.code, got)
			}
			if len(text) > 500 || d.log.Len() > 1000 {
				t.Errorf("answer of %d and log of %d bytes", len(text), d.log.Len())
			}
			if logged := d.log.Len() > 0; logged != (tt.code != 200) {
				t.Errorf("logged: %s", d.log)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		d := newDesk(t, "")
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/alerts", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%d, Allow %q", w.Code, w.Header().Get("Allow"))
		}
	})
}

func TestCannotBeKept(t *testing.T) {
	d := newDesk(t, "")
	d.err = errors.New("journal: no space left on device")
	resp := d.post(t, read(t, "v4.json"))
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(text), "journal") {
		t.Errorf("%d %s, want 503 and no internals", resp.StatusCode, text)
	}
	if !strings.Contains(d.log.String(), "no space left") {
		t.Errorf("log: %s", d.log)
	}
	if got := d.counted(t, "checkpoint_remediation_alerts_total", "result", "refused"); got != 2 {
		t.Errorf("refused: %v", got)
	}
	d.err = nil
	if resp := d.post(t, read(t, "v4.json")); resp.StatusCode != http.StatusOK || len(d.kept) != 2 {
		t.Errorf("afterwards: %d, %d kept", resp.StatusCode, len(d.kept))
	}
}

func TestBearerToken(t *testing.T) { synctest.Test(t, bearerToken) }

func bearerToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("s3cret\n")
	d := newDesk(t, file)
	for _, tt := range []struct {
		name, header string
		code         int
	}{
		{"right", "Bearer s3cret", 200},
		{"scheme in lower case", "bearer  s3cret ", 200},
		{"none", "", 401},
		{"another scheme", "Basic czNjcmV0", 401},
		{"empty", "Bearer ", 401},
		{"wrong", "Bearer s3cret2", 403},
		{"beginning", "Bearer s3cre", 403},
		{"newline in it", "Bearer s3cret\n", 200}, // net/http would not let it through
		{"long", "Bearer " + strings.Repeat("x", 100_000), 403},
	} {
		resp := d.post(t, one(""), "Authorization", tt.header)
		if resp.StatusCode != tt.code {
			t.Errorf("%s: status %d, want %d", tt.name, resp.StatusCode, tt.code)
		}
		if asks := resp.Header.Get("WWW-Authenticate") != ""; asks != (tt.code == 401) {
			t.Errorf("%s: WWW-Authenticate %q with %d", tt.name, resp.Header.Get("WWW-Authenticate"), tt.code)
		}
	}
	if strings.Contains(d.log.String(), "s3cret") {
		t.Errorf("the token is in the log: %s", d.log)
	}
	write("n3wone")
	if resp := d.post(t, one(""), "Authorization", "Bearer s3cret"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("old token: %d", resp.StatusCode)
	}
	if resp := d.post(t, one(""), "Authorization", "Bearer n3wone"); resp.StatusCode != http.StatusOK {
		t.Errorf("new token: %d", resp.StatusCode)
	}
	for name, harm := range map[string]func(){
		"emptied": func() { write(" \n") },
		"huge":    func() { write(strings.Repeat("x", 10_000)) },
		"gone":    func() { _ = os.Remove(file) },
	} {
		write("n3wone")
		harm()
		if resp := d.post(t, one(""), "Authorization", "Bearer n3wone"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503: nobody is let in by accident", name, resp.StatusCode)
		}
		write("")
		if _, err := receiver.New(receiver.Options{BearerTokenFile: file, Registerer: prometheus.NewRegistry()}); err == nil {
			t.Errorf("%s: New accepts a file without a token", name)
		}
	}
}

func TestHostileValuesAreBoundedData(t *testing.T) {
	labels := template.KV{
		"node":     "node-1\x1b[2J\x00\r",
		"playbook": strings.Repeat("ü", 1<<19),
		"bidi":     "abc\u202edef",
		"path":     "../../etc/passwd; rm -rf /",
	}
	annotations := template.KV{"description": "two\nlines\tand\x07bell"}
	for i := range 100 {
		annotations[fmt.Sprintf("z%03d", i)] = strings.Repeat("x", 10_000)
	}
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": []template.Alert{{
		Status: "firing", Fingerprint: "0123456789abcdef", Labels: labels, Annotations: annotations, GeneratorURL: strings.Repeat("u", 1<<16),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	alerts, _, err := receiver.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	a := alerts[0]
	for name, want := range map[string]string{
		"node": "node-1\ufffd[2J\ufffd\ufffd", "bidi": "abc\ufffddef", "path": "../../etc/passwd; rm -rf /",
		"playbook": strings.Repeat("ü", (receiver.MaxLabelValue-3)/2) + "…",
	} {
		if a.Labels[name] != want {
			t.Errorf("label %s = %.100q, want %.100q", name, a.Labels[name], want)
		}
	}
	if got := a.Annotations["description"]; got != "two\nlines\tand\ufffdbell" {
		t.Errorf("annotation %q", got)
	}
	if len(a.Annotations) != receiver.MaxAnnotations || a.Annotations["z030"] == "" || a.Annotations["z031"] != "" {
		t.Errorf("%d annotations", len(a.Annotations))
	}
	within(t, a)
	many := template.KV{}
	for i := range receiver.MaxLabels + 1 {
		many[fmt.Sprint("l", i)] = "x"
	}
	if body, err = json.Marshal(map[string]any{"alerts": []template.Alert{{Status: "firing", Fingerprint: "0123456789abcdef", Labels: many}}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := receiver.Decode(body); err == nil {
		t.Error("too many labels are accepted")
	}
}

// within fails if an alert is larger than promised.
func within(t *testing.T, a receiver.Alert) {
	t.Helper()
	if len(a.Labels) > receiver.MaxLabels || len(a.Annotations) > receiver.MaxAnnotations || len(a.GeneratorURL) > receiver.MaxGeneratorURL {
		t.Errorf("%d labels, %d annotations, %d bytes of URL", len(a.Labels), len(a.Annotations), len(a.GeneratorURL))
	}
	for n, v := range a.Labels {
		if n == "" || len(n) > receiver.MaxName || len(v) > receiver.MaxLabelValue || !utf8.ValidString(v) {
			t.Errorf("label %.300q of %d bytes", n, len(v))
		}
	}
	for n, v := range a.Annotations {
		if n == "" || len(n) > receiver.MaxName || len(v) > receiver.MaxAnnotationValue || !utf8.ValidString(v) {
			t.Errorf("annotation %.300q of %d bytes", n, len(v))
		}
	}
}

func TestMetricsLint(t *testing.T) {
	d := newDesk(t, "")
	problems, err := testutil.GatherAndLint(d.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if _, err := receiver.New(receiver.Options{Registerer: d.registry}); err == nil {
		t.Error("a second receiver on one registry is no error")
	}
}

func TestConcurrentSenders(t *testing.T) {
	d := newDesk(t, "")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if resp := d.post(t, one("")); resp.StatusCode != http.StatusOK {
					t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	if len(d.kept) != 160 {
		t.Errorf("%d kept", len(d.kept))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(read(f, "v4.json")))
	f.Add([]byte(one(`,"startsAt":"2026-01-02T12:00:00Z","annotations":{"a\u202e":"\u0007"}`)))
	f.Add([]byte(`{"alerts":[],"alerts":[{}],"truncatedAlerts":18446744073709551615}`))
	f.Add([]byte(`{"alerts":[{"labels":null}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		alerts, _, err := receiver.Decode(body)
		if err != nil {
			if alerts != nil {
				t.Fatal("alerts beside an error")
			}
			return
		}
		for _, a := range alerts {
			within(t, a)
		}
		// Taken in again, an alert is what it was: nothing is cut or replaced twice.
		text, err := json.Marshal(map[string]any{"alerts": outgoing(alerts)})
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := receiver.Decode(text)
		if err != nil {
			t.Fatalf("what was decoded is malformed: %v", err)
		}
		if diff := cmp.Diff(alerts, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func outgoing(alerts []receiver.Alert) []template.Alert {
	out := []template.Alert{}
	for _, a := range alerts {
		out = append(out, template.Alert{Status: string(a.Status), Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint})
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			one := one(`,"annotations":{"summary":"The node does not get nearer to the head."},"startsAt":"2026-01-02T12:00:00Z"`)
			item := one[strings.Index(one, "[")+1 : strings.LastIndex(one, "]")]
			body := []byte(`{"alerts":[` + strings.Repeat(item+",", n-1) + item + `]}`)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, _, err := receiver.Decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
