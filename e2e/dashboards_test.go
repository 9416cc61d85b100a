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

// withoutData are the queries that have nothing to show on this test's network, by dashboard, panel and target, and why.
var withoutData = map[string]string{
	"checkpoint-fleet: Network resets ":                    "the network does not reset",
	"checkpoint-node-sync: Network resets ":                "the network does not reset",
	"checkpoint-providers: Network resets ":                "the network does not reset",
	"checkpoint-remediation: Network resets ":              "the network does not reset",
	"checkpoint-fleet: Next reset A":                       "the network does not reset",
	"checkpoint-fleet: Alerts A":                           "what fired has been mended, as far as it can be, and a provider that is down alerts after 5 minutes",
	"checkpoint-node-sync: Sync of the execution client A": "the execution clients do not sync",
	"checkpoint-node-sync: Backfill A":                     "the nodes have their history",
	"checkpoint-providers: Next certificate A":             "the providers are served without TLS",
	"checkpoint-providers: Verdicts G":                     "the providers are served without TLS",
	"checkpoint-remediation: Held back A":                  "whether a guard spoke against an action depends on the moment",
}

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
	unused := map[string]bool{}
	for name := range withoutData {
		unused[name] = true
	}
	for _, q := range queries {
		expr, err := dashboards.Expand(q.Expr, values)
		if err != nil {
			t.Fatal(err)
		}
		delete(unused, q.String())
		switch n, err := m.series(expr, q.Instant, began, now); {
		case err != nil:
			t.Errorf("%s: %v", q, err)
		case n == 0 && withoutData[q.String()] == "":
			t.Errorf("%s: shows nothing: %s", q, expr)
		}
	}
	for name := range unused {
		t.Errorf("%s: there is no such query any more", name)
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
