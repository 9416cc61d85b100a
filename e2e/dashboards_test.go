//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/dashboards"
)

// What has nothing to show on this test's network, by dashboard, panel and target, and why.
var (
	withoutData = map[string]string{
		"checkpoint-fleet: Network resets ":                    noReset,
		"checkpoint-node-sync: Network resets ":                noReset,
		"checkpoint-providers: Network resets ":                noReset,
		"checkpoint-remediation: Network resets ":              noReset,
		"checkpoint-fleet: Next reset A":                       noReset,
		"checkpoint-node-sync: Sync of the execution client A": "the execution clients do not sync",
		"checkpoint-providers: Next certificate A":             noTLS,
		"checkpoint-providers: Verdicts now G":                 noTLS,
	}
	atTimesWithoutData = map[string]string{
		"checkpoint-fleet: Alerts A":          "what fired has been mended, and may have resolved",
		"checkpoint-remediation: Held back A": "whether a guard spoke against an action depends on the moment",
	}
)

const (
	noReset = "the network does not reset"
	noTLS   = "the providers are served without TLS"
)

// showsData asks the Prometheus for everything that the dashboards ask, after the stories have been told.
func (m *monitoring) showsData(t *testing.T, began time.Time) {
	t.Helper()
	queries, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	values := map[string]string{
		"job": ".+", "instance": ".+", "node": ".+", "provider": ".+",
		"__interval": "10s", "__rate_interval": "40s", "__range": fmt.Sprintf("%ds", int(now.Sub(began).Seconds())),
	}
	met := map[string]bool{}
	for _, q := range queries {
		expr, err := dashboards.Expand(q.Expr, values)
		if err != nil {
			t.Fatal(err)
		}
		name := q.String()
		met[name] = true
		switch n, err := m.series(expr, q.Instant, began, now); {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case n == 0 && withoutData[name] == "" && atTimesWithoutData[name] == "":
			t.Errorf("%s: shows nothing: %s", name, expr)
		case n > 0 && withoutData[name] != "":
			t.Errorf("%s: shows something, although %s", name, withoutData[name])
		}
	}
	for _, list := range []map[string]string{withoutData, atTimesWithoutData} {
		for name := range list {
			if !met[name] {
				t.Errorf("%s: there is no such query any more", name)
			}
		}
	}
}

// series tells how many series a query has, at the end of the time or within it.
func (m *monitoring) series(expr string, instant bool, from, to time.Time) (int, error) {
	path, parameters := "query_range", url.Values{"query": {expr}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {"10"}}
	if instant {
		path, parameters = "query", url.Values{"query": {expr}, "time": {seconds(to)}}
	}
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	err := getJSON(m.prometheusURL+"/api/v1/"+path+"?"+parameters.Encode(), &answer)
	return len(answer.Data.Result), err
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
