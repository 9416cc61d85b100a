package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

const (
	// askTimeout bounds one question, and maxAnswer its answer in bytes.
	askTimeout = 5 * time.Second
	maxAnswer  = 8 << 20
	// maxAlerts bounds how many alerts are shown.
	maxAlerts = 100
)

// incidents is the answer of a remediator's GET /api/v1/incidents.
type incidents struct {
	Mode      string      `json:"mode"`
	Incidents []incident  `json:"incidents"`
	Exhausted []exhausted `json:"exhausted"`
}

type incident struct {
	ID       string     `json:"id"`
	Alert    string     `json:"alert"`
	Node     string     `json:"node"`
	Playbook string     `json:"playbook"`
	Stage    string     `json:"stage"`
	OpenedAt time.Time  `json:"opened_at"`
	ClosedAt *time.Time `json:"closed_at"`
	Closed   string     `json:"closed"`
	Story    []struct {
		At   time.Time `json:"at"`
		Text string    `json:"text"`
	} `json:"story"`
}

type exhausted struct {
	Node     string `json:"node"`
	Playbook string `json:"playbook"`
}

// alert is one of an Alertmanager's GET /api/v2/alerts.
type alert struct {
	Fingerprint string            `json:"fingerprint"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	Status      struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status"`
}

// news is what somebody else told. At is zero when they never answered.
type news[T any] struct {
	value  T
	at     time.Time
	silent bool
}

// asker asks the remediator and Alertmanagers, one after the other and never for a reader of the page. Who never answers is not spoken
// of: most exporters have neither.
type asker struct {
	remediator string
	client     *http.Client
	logger     log.Logger

	mu            sync.Mutex
	alertmanagers []string
	incidents     news[incidents]
	alerts        news[[]alert]
}

func newAsker(remediator string, alertmanagers []string, dial func(context.Context, string, string) (net.Conn, error), logger log.Logger) *asker {
	return &asker{
		remediator: remediator, alertmanagers: alertmanagers, logger: logger,
		client: &http.Client{
			Timeout:   askTimeout,
			Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
			// What stands in the configuration is asked, and nobody that it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (a *asker) setAlertmanagers(urls []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.alertmanagers, urls) {
		a.alertmanagers, a.alerts = urls, news[[]alert]{}
	}
}

// told is what is known of alerts and incidents.
func (a *asker) told() (news[[]alert], news[incidents]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.alerts, a.incidents
}

func (a *asker) run(ctx context.Context) {
	defer a.client.CloseIdleConnections()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		a.once(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *asker) once(ctx context.Context) {
	if a.remediator != "" {
		var told incidents
		err := a.get(ctx, a.remediator, "/api/v1/incidents", nil, &told)
		keep(a, &a.incidents, told, err, "remediator", a.remediator)
	}
	a.mu.Lock()
	peers := a.alertmanagers
	a.mu.Unlock()
	if len(peers) == 0 {
		return
	}
	var all []alert
	var failed error
	answered := false
	for _, peer := range peers {
		var told []alert
		err := a.get(ctx, peer, "/api/v2/alerts", url.Values{"filter": {`alertname=~"Checkpoint.+"`}}, &told)
		if err != nil {
			failed = err
			continue
		}
		answered = true
		for _, one := range told {
			if len(all) < maxAlerts && !slices.ContainsFunc(all, func(x alert) bool { return x.Fingerprint == one.Fingerprint }) {
				all = append(all, one)
			}
		}
	}
	if answered {
		failed = nil // one peer knows what the others do
	}
	a.mu.Lock()
	same := slices.Equal(peers, a.alertmanagers)
	a.mu.Unlock()
	if same {
		keep(a, &a.alerts, all, failed, "alertmanager", strings.Join(peers, ","))
	}
}

// keep takes note of an answer, or that there was none; the last one stands then.
func keep[T any](a *asker, into *news[T], told T, err error, who, where string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := into.silent
	into.silent = err != nil
	if err == nil {
		into.value, into.at = told, time.Now()
		return
	}
	logger := level.Debug(a.logger)
	if !was && !into.at.IsZero() {
		logger = level.Warn(a.logger)
	}
	logger.Log("msg", "no news for the status page", who, where, "err", err)
}

func (a *asker) get(ctx context.Context, base, path string, query url.Values, into any) error {
	target := strings.TrimSuffix(base, "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("%s: more than %d bytes", path, maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
