//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// monitoring is a real Prometheus and a real Alertmanager with the shipped files, of which only addresses and paths are changed, and a
// receiver in the place where a user names people.
type monitoring struct {
	prometheus, alertmanager *process
	prometheusURL            string
	alertmanagerURL          string
	people                   *people
}

// addresses are those that the shipped files name by their defaults.
type addresses struct {
	exporter, remediator string // host:port
	tokenFile            string // the bearer token that Alertmanager shows the remediator
	alertmanager         int    // port
}

func startMonitoring(tb testing.TB, a addresses) *monitoring {
	tb.Helper()
	dir := workDir(tb)
	m := &monitoring{prometheusURL: local(freePort(tb)), alertmanagerURL: local(a.alertmanager), people: startPeople(tb)}

	m.alertmanager = startAlertmanager(tb, "alertmanager", m.alertmanagerURL, a, m.people, "--cluster.listen-address=")

	copyRules(tb, filepath.Join(dir, "prometheus", "rules"))
	config := filepath.Join(dir, "prometheus", "prometheus.yml")
	copyWith(tb, shipped("deploy/prometheus.yml"), config, map[string]string{
		"127.0.0.1:10177": a.exporter,
		"127.0.0.1:10178": a.remediator,
		"127.0.0.1:9093":  hostPort(m.alertmanagerURL),
	})
	m.prometheus = start(tb, "prometheus", tool(tb, "prometheus", "prometheus"), "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "prometheus", "data"), "--web.listen-address="+hostPort(m.prometheusURL))

	awaitReady(tb, m.alertmanager, m.alertmanagerURL)
	awaitReady(tb, m.prometheus, m.prometheusURL)
	return m
}

// startAlertmanager starts a real Alertmanager with the shipped configuration.
func startAlertmanager(tb testing.TB, name, url string, a addresses, p *people, cluster ...string) *process {
	tb.Helper()
	dir := filepath.Join(workDir(tb), name)
	config := filepath.Join(dir, "alertmanager.yml")
	copyWith(tb, shipped("deploy/alertmanager/alertmanager.yml"), config, map[string]string{
		"127.0.0.1:10178":       a.remediator,
		"/etc/checkpoint/token": a.tokenFile,
		"  - name: people\n":    "  - name: people\n    webhook_configs: [{url: " + strconv.Quote(p.url) + "}]\n",
	})
	return start(tb, name, tool(tb, "alertmanager", "alertmanager"), append([]string{"--config.file=" + config,
		"--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + hostPort(url), "--log.level=debug"}, cluster...)...)
}

func awaitReady(tb testing.TB, p *process, url string) {
	tb.Helper()
	eventually(tb, time.Minute, p.name+" to be ready", func() error {
		return firstError(p.ended, func() error { _, err := get(url + "/-/ready"); return err })
	})
}

// query evaluates an instant query and returns each series' labels and value.
func (m *monitoring) query(expr string) ([]sample, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := getJSON(m.prometheusURL+"/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return nil, err
	}
	var samples []sample
	for _, series := range answer.Data.Result {
		var text string
		if err := json.Unmarshal(series.Value[1], &text); err != nil {
			return nil, err
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{series.Metric, value})
	}
	return samples, nil
}

type sample struct {
	labels map[string]string
	value  float64
}

// firing tells, as nil, that Prometheus holds the alert to fire; labels are in the query's notation.
func (m *monitoring) firing(alert, labels string) error {
	expr := fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing",%s}`, alert, labels)
	samples, err := m.query(expr)
	if err == nil && len(samples) == 0 {
		err = fmt.Errorf("%s is empty", expr)
	}
	return err
}

// scrapes tells, as nil, that every target of the shipped configuration is up.
func (m *monitoring) scrapes() error {
	samples, err := m.query("up")
	if err != nil {
		return err
	}
	if len(samples) != 2 {
		return fmt.Errorf("%d targets, want 2", len(samples))
	}
	for _, s := range samples {
		if s.value != 1 {
			return fmt.Errorf("%s is down", s.labels["job"])
		}
	}
	return nil
}

// people is the receiver of what is meant for people. It remembers what they were told.
type people struct {
	url  string
	mu   sync.Mutex
	told map[string]bool // alertname and status
}

func startPeople(tb testing.TB) *people {
	p := &people{told: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []struct {
				Status string            `json:"status"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, alert := range message.Alerts {
			p.told[alert.Labels["alertname"]+" "+alert.Status] = true
		}
	}))
	tb.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// heard tells, as nil, that people were told of the alert.
func (p *people) heard(alert string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.told[alert+" firing"] {
		return fmt.Errorf("people were told only of %v", p.told)
	}
	return nil
}
