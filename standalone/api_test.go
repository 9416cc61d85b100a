package standalone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone"
)

// newAPI returns an API over engines, of which only Alertmanager's runs.
func newAPI(t testing.TB) (standalone.API, http.Handler) {
	t.Helper()
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, "http://127.0.0.1:0")
	p, err := standalone.NewPrometheus(standalone.PrometheusOptions{
		Dir: t.TempDir(), Rules: fstest.MapFS{"a.yml": {Data: []byte(stalledRule)}}, Interval: time.Minute, Retention: time.Hour,
		ExternalURL: here, Notify: am.Notify("", silent()), Logger: silent(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	api, mux := standalone.API{Alertmanager: am, Prometheus: p}, http.NewServeMux()
	api.Routes(mux)
	return api, mux
}

func ask(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type gettableAlert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	Fingerprint         string
	Receivers           []struct{ Name string }
	Status              struct {
		State                   string
		SilencedBy, InhibitedBy []string
	}
}

func alertsOf(t *testing.T, h http.Handler, query string) map[string]gettableAlert {
	t.Helper()
	w := ask(h, "GET", "/api/v2/alerts?"+query, "")
	var all []gettableAlert
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	byName := map[string]gettableAlert{}
	for _, a := range all {
		byName[a.Labels["alertname"]] = a
	}
	return byName
}

func TestAPIAlerts(t *testing.T) {
	t.Parallel()
	api, h := newAPI(t)
	if got := ask(h, "GET", "/api/v2/alerts", "").Body.String(); got != "[]\n" {
		t.Errorf("no alerts are %q, want an empty list", got)
	}
	put(t, api.Alertmanager, model.AlertFiring, "Loud", "Quiet")
	put(t, api.Alertmanager, model.AlertResolved, "Over")
	id := silenceAlert(t, api.Alertmanager, "Quiet")

	got := alertsOf(t, h, "")
	if len(got) != 2 {
		t.Errorf("%d alerts, want Loud and Quiet", len(got))
	}
	loud := got["Loud"]
	if loud.Fingerprint == "" || loud.Status.State != "active" || loud.StartsAt.IsZero() || len(loud.Receivers) != 1 {
		t.Errorf("Loud is %+v", loud)
	}
	if q := got["Quiet"].Status; q.State != "suppressed" || !cmp.Equal(q.SilencedBy, []string{id}) {
		t.Errorf("Quiet is %+v", q)
	}
	for query, want := range map[string]int{
		"filter=alertname%3D%22Loud%22": 1, "filter=node%3D~%22node-.*%22": 2, "filter=playbook%3D~%22.%2B%22": 0,
		"silenced=false": 1, "active=false": 1, "inhibited=false": 2,
	} {
		if n := len(alertsOf(t, h, query)); n != want {
			t.Errorf("%s: %d alerts, want %d", query, n, want)
		}
	}
	if w := ask(h, "GET", "/api/v2/alerts?filter=%7B%7B", ""); w.Code != http.StatusBadRequest {
		t.Errorf("a broken filter is answered %d", w.Code)
	}
}

// The remediator takes what is not told for ended. So nothing is told before the rules have settled, and then an alert that
// is about to fire is told as well.
func TestAPIQuestions(t *testing.T) {
	t.Parallel()
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, newHook(t).URL)
	gauge, address := target(t, "test_stalled")
	gauge.Set(1)
	o := options(t, am, address)
	o.Rules = ruleFiles(strings.Replace(stalledRule, "for: 200ms", "for: 1h", 1))
	p, err := standalone.NewPrometheus(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	standalone.API{Alertmanager: am, Prometheus: p}.Questions(mux)
	if w := ask(mux, "GET", "/api/v2/alerts", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before rules were evaluated: %d %s", w.Code, w.Body)
	}
	run(t, p.Run)
	eventually(t, "settled", func() bool { return ask(mux, "GET", "/api/v2/alerts", "").Code == http.StatusOK })
	var waiting gettableAlert
	eventually(t, "told of the pending alert", func() (ok bool) {
		waiting, ok = alertsOf(t, mux, "filter=playbook%3D~%22.%2B%22")["NodeStalled"]
		return ok
	})
	labels := model.LabelSet{}
	for name, value := range waiting.Labels {
		labels[model.LabelName(name)] = model.LabelValue(value)
	}
	if waiting.Status.State != "unprocessed" || waiting.Fingerprint != labels.Fingerprint().String() {
		t.Errorf("the pending alert is told as %+v", waiting)
	}
}

func TestAPISilences(t *testing.T) {
	t.Parallel()
	api, h := newAPI(t)
	put(t, api.Alertmanager, model.AlertFiring, "Stalled")
	post := func(matcher string, start, end time.Duration) *httptest.ResponseRecorder {
		now := time.Now()
		return ask(h, "POST", "/api/v2/silences", fmt.Sprintf(
			`{"matchers":[%s],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"mending it"}`,
			matcher, now.Add(start).Format(time.RFC3339Nano), now.Add(end).Format(time.RFC3339Nano)))
	}
	w := post(`{"name":"alertname","value":"Sta.*","isRegex":true}`, 0, time.Hour)
	var made struct{ SilenceID string }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made.SilenceID == "" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if s := alertsOf(t, h, "")["Stalled"].Status; !cmp.Equal(s.SilencedBy, []string{made.SilenceID}) {
		t.Errorf("silenced by %q, want %q", s.SilencedBy, made.SilenceID)
	}
	listed := ask(h, "GET", "/api/v2/silences?filter=alertname%3DStalled", "").Body.String()
	if strings.Contains(listed, made.SilenceID) {
		t.Errorf("a filter that the silence's value does not match lists it: %s", listed)
	}
	listed = ask(h, "GET", "/api/v2/silences", "").Body.String()
	for _, want := range []string{made.SilenceID, `"state":"active"`, `"value":"Sta.*","isRegex":true,"isEqual":true`, `"comment":"mending it"`} {
		if !strings.Contains(listed, want) {
			t.Errorf("no %s in %s", want, listed)
		}
	}
	if one := ask(h, "GET", "/api/v2/silence/"+made.SilenceID, "").Body.String(); !strings.Contains(one, `"createdBy":"me"`) {
		t.Errorf("asked for alone, it is %s", one)
	}
	if w := ask(h, "GET", "/api/v2/silence/none", ""); w.Code != http.StatusNotFound {
		t.Errorf("ask for what is not there: %d", w.Code)
	}
	if w := ask(h, "DELETE", "/api/v2/silence/"+made.SilenceID, ""); w.Code != http.StatusOK {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	if s := alertsOf(t, h, "")["Stalled"].Status; s.State != "active" {
		t.Errorf("after the silence the alert is %+v", s)
	}
	if w := ask(h, "DELETE", "/api/v2/silence/none", ""); w.Code != http.StatusNotFound {
		t.Errorf("delete what is not there: %d", w.Code)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"past":        post(`{"name":"a","value":"b","isRegex":false}`, -2*time.Hour, -time.Hour),
		"backwards":   post(`{"name":"a","value":"b","isRegex":false}`, 2*time.Hour, time.Hour),
		"bad regexp":  post(`{"name":"a","value":"(","isRegex":true}`, 0, time.Hour),
		"matches all": post(`{"name":"a","value":".*","isRegex":true}`, 0, time.Hour),
		"no JSON":     ask(h, "POST", "/api/v2/silences", "hello"),
		"too large":   ask(h, "POST", "/api/v2/silences", `{"comment":"`+strings.Repeat("x", 2<<20)+`"}`),
	} {
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestAPIQuery(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	am, _, _ := runAlertmanager(t, t.TempDir(), fast, h.URL)
	gauge, address := target(t, "test_stalled")
	gauge.Set(7)
	p, err := standalone.NewPrometheus(options(t, am, address))
	if err != nil {
		t.Fatal(err)
	}
	run(t, p.Run)
	mux := http.NewServeMux()
	standalone.API{Alertmanager: am, Prometheus: p}.Routes(mux)
	eventually(t, "scraped", func() bool {
		return strings.Contains(ask(mux, "GET", "/api/v1/query?query=test_stalled", "").Body.String(), `"7"`)
	})
	now := time.Now().Unix()
	for _, tc := range []struct {
		method, target string
		code           int
		want           string
	}{
		{"GET", "/api/v1/query?query=1%2B1&time=10", 200, `{"status":"success","data":{"resultType":"scalar","result":[10,"2"]}}`},
		{"GET", "/api/v1/query?query=test_stalled", 200, `{"metric":{"__name__":"test_stalled","instance":"` + address + `","job":"test"},"value":[`},
		{"GET", "/api/v1/query?query=up%7Bjob%3D%22test%22%7D", 200, `"1"]`},
		{"GET", "/api/v1/query?query=nothing", 200, `{"resultType":"vector","result":[]}`},
		{"GET", "/api/v1/query?query=sum(", 400, `"errorType":"bad_data"`},
		{"GET", "/api/v1/query?query=1&time=yesterday", 400, `time: \"yesterday\" is no time`},
		{"GET", fmt.Sprintf("/api/v1/query_range?query=vector(1)&start=%d&end=%d&step=15s", now-30, now), 200, `"resultType":"matrix","result":[{"metric":{},"values":[[`},
		{"GET", fmt.Sprintf("/api/v1/query_range?query=1&start=%d&end=%d&step=0.001", now-300, now), 400, "more than 11000 points"},
		{"GET", "/api/v1/query_range?query=1&start=2&end=1&step=1", 400, "end is before start"},
		{"GET", "/api/v1/query_range?query=1&end=1&step=1", 400, "start is missing"},
		{"GET", "/api/v1/query_range?query=1&start=1&end=1&step=-1", 400, "step must be positive"},
		{"GET", "/api/v1/label/job/values?match[]=test_stalled", 200, `{"status":"success","data":["test"]}`},
		{"GET", "/api/v1/label/job/values?match[]=nothing", 200, `{"status":"success","data":[]}`},
		{"GET", "/api/v1/label/job/values?match[]=%7B", 400, `"errorType":"bad_data"`},
		{"GET", "/api/v1/labels?match[]=test_stalled", 200, `["__name__","instance","job"]`},
	} {
		w := ask(mux, tc.method, tc.target, "")
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s: %d %s\nwant %d %s", tc.target, w.Code, w.Body, tc.code, tc.want)
		}
	}
	form := httptest.NewRequest(http.MethodPost, "/api/v1/query", strings.NewReader("query=test_stalled"))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, form)
	if !strings.Contains(w.Body.String(), `"7"`) {
		t.Errorf("asked by POST: %s", w.Body)
	}
}

// What anybody may send is never answered with a 500.
func TestAPIHostile(t *testing.T) {
	t.Parallel()
	_, h := newAPI(t)
	for _, tc := range []struct{ name, query, start, end, step, filter string }{
		{"plain", "sum(up)", "1790000000", "1790000060", "15s", `alertname="X"`},
		{"huge", "rate(a[5m])", "2026-01-01T00:00:00Z", "1e300", "NaN", `{a=~"b"}`},
		{"odd selectors", "{a!~\"\"}", "-1", "", "5m", "a=b,c!=d"},
		{"deep", strings.Repeat("(", 10_000) + "1", "0", "1", "1", strings.Repeat(`"`, 1000)},
		{"bytes", "\xff\x00", "\x00", "0x1p60", "-0", "{\xff}"},
		{"heavy", "count_over_time({__name__=~\".+\"}[100y])", "0", "253402300799", "1y", `{}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			values := url.Values{"query": {tc.query}, "time": {tc.start}, "start": {tc.start}, "end": {tc.end}, "step": {tc.step}, "match[]": {tc.query}}
			filter := url.Values{"filter": {tc.filter}}.Encode()
			for _, target := range []string{
				"/api/v1/query?" + values.Encode(), "/api/v1/query_range?" + values.Encode(), "/api/v1/labels?" + values.Encode(),
				"/api/v1/label/" + url.PathEscape(tc.name) + "/values?" + values.Encode(), "/api/v2/alerts?" + filter, "/api/v2/silences?" + filter,
			} {
				if w := ask(h, "GET", target, ""); w.Code == http.StatusInternalServerError {
					t.Errorf("%s: %s", target, w.Body)
				}
			}
			if w := ask(h, "POST", "/api/v2/silences", tc.filter); w.Code == http.StatusInternalServerError {
				t.Errorf("silence %q: %s", tc.filter, w.Body)
			}
		})
	}
}
