package rulestest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/checkpoint-exporter/checkpoint_exporter/dashboards"
)

// What Grafana's variables become here: nothing that a query could hold by itself.
var (
	chosen = map[string]string{"job": "chosen-job", "instance": "chosen-instance", "node": "chosen-node", "provider": "chosen-provider"}
	spans  = map[string]time.Duration{"__rate_interval": 61 * time.Second, "__interval": 17 * time.Second, "__range": 21601 * time.Second}
)

func grafana() map[string]string {
	values := maps.Clone(chosen)
	for name, span := range spans {
		values[name] = span.String()
	}
	return values
}

func queries(t *testing.T) []dashboards.Query {
	t.Helper()
	q, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	if len(q) < 80 {
		t.Fatalf("found only %d queries", len(q))
	}
	return q
}

// variables are the names of each dashboard's, by its uid, with the queries of those that have one.
func variables(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := fs.Glob(dashboards.Files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for _, file := range files {
		text, err := dashboards.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			UID        string
			Templating struct {
				List []struct {
					Name, Type string
					Query      json.RawMessage
				}
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		all[d.UID] = map[string]string{}
		for _, v := range d.Templating.List {
			var q struct{ Query string }
			if v.Type == "query" {
				if err := json.Unmarshal(v.Query, &q); err != nil {
					t.Fatal(err)
				}
			}
			all[d.UID][v.Name] = q.Query
		}
	}
	return all
}

// TestDashboards holds every query to the metrics and to what grafana/dashboard-linter asks of queries.
func TestDashboards(t *testing.T) {
	t.Parallel()
	r, vars := shipped(t), variables(t)
	for _, q := range queries(t) {
		for _, problem := range checkQuery(q, slices.Collect(maps.Keys(vars[q.Dashboard])), r.Metrics) {
			t.Errorf("%s: %v", q, problem)
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

func checkQuery(q dashboards.Query, vars []string, metrics Metrics) []error {
	expr, err := dashboards.Expand(q.Expr, grafana())
	if err != nil {
		return []error{err}
	}
	have, err := metrics.Check(expr)
	if err != nil {
		return []error{err}
	}
	var problems []error
	for _, m := range legendLabel.FindAllStringSubmatch(q.Legend, -1) {
		if !slices.Contains(have, m[1]) {
			problems = append(problems, fmt.Errorf("the legend uses the label %q, and there is only %v", m[1], have))
		}
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []error{err}
	}
	known := values()
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			problems = append(problems, checkMatchers(n, vars, metrics[n.Name].Labels, known)...)
			if metrics[n.Name].Type == Counter && !counted(n, path) {
				problems = append(problems, fmt.Errorf("target-counter-agg: %s is a counter, and its value says when the program started", n))
			}
		case *parser.Call:
			problems = append(problems, checkRange(n)...)
		}
		return nil
	})
	return problems
}

// checkMatchers wants every label that can be chosen by to be matched with what was chosen. A recorded series has neither job
// nor instance.
func checkMatchers(s *parser.VectorSelector, vars, have []string, known map[string][]string) []error {
	var problems []error
	if s.Name != "ALERTS" {
		for _, name := range vars {
			value, choice := chosen[name]
			if choice && slices.Contains(have, name) && !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
				return m.Name == name && m.Type == labels.MatchRegexp && m.Value == value
			}) {
				problems = append(problems, fmt.Errorf(`target-%s: %s does not match %s=~"$%s"`, name, s, name, name))
			}
		}
	}
	for _, m := range s.LabelMatchers {
		for _, value := range strings.Split(m.Value, "|") {
			if of, ok := known[m.Name]; ok && value != chosen[m.Name] && !slices.Contains(of, value) {
				problems = append(problems, fmt.Errorf("%s: there is no %s %q", s, m.Name, value))
			}
		}
	}
	return problems
}

func checkRange(c *parser.Call) []error {
	matrix, ok := c.Args[0].(*parser.MatrixSelector)
	if _, known := wants[c.Func.Name]; !ok || !known {
		return nil
	}
	want := "__rate_interval"
	if c.Func.Name == "increase" {
		want = "__range" // how often something happened within what is shown
	}
	if matrix.Range != spans[want] {
		return []error{fmt.Errorf("target-rate-interval: %s is not over $%s", c, want)}
	}
	return nil
}

// counted tells whether something makes sense of a counter: a function, or, for rare events, the comparison with the same series before.
func counted(s *parser.VectorSelector, path []parser.Node) bool {
	for _, node := range slices.Backward(path) {
		switch node := node.(type) {
		case *parser.Call:
			return wants[node.Func.Name] == Counter
		case *parser.BinaryExpr:
			if node.Op != parser.SUB && node.Op != parser.LUNLESS {
				continue
			}
			l, okL := node.LHS.(*parser.VectorSelector)
			r, okR := node.RHS.(*parser.VectorSelector)
			return okL && okR && (l == s || r == s) && l.OriginalOffset == 0 && r.OriginalOffset > 0 && l.Name == r.Name
		}
	}
	return false
}

// TestDashboardVariables holds the queries of variables to the metrics.
func TestDashboardVariables(t *testing.T) {
	t.Parallel()
	metrics := exported(t)
	form := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for uid, vars := range variables(t) {
		for name, query := range vars {
			if query == "" {
				continue
			}
			m := form.FindStringSubmatch(query)
			if m == nil {
				t.Errorf("%s: variable %s: %s is no label_values", uid, name, query)
				continue
			}
			expr, err := dashboards.Expand(m[1], grafana())
			if err != nil {
				t.Error(err)
			}
			have, err := metrics.Check(expr)
			if err != nil {
				t.Errorf("%s: variable %s: %v", uid, name, err)
			} else if !slices.Contains(have, m[2]) || m[2] != name {
				t.Errorf("%s: variable %s: takes the values of %s, of %v", uid, name, m[2], have)
			}
		}
	}
}

// TestRecordedSeriesAreShown holds the recording rules to a use.
func TestRecordedSeriesAreShown(t *testing.T) {
	t.Parallel()
	unshown := map[string]string{
		"node:checkpoint_node_sync_eta_seconds:deriv15m": "it swings where the exporter's own estimate, of finer looks, does not",
		"node:checkpoint_remediation_actions:increase1d": "the dashboards count within the time range that is shown",
	}
	var text strings.Builder
	for _, q := range queries(t) {
		text.WriteString(q.Expr + "\n")
	}
	ours := exported(t)
	for name := range shipped(t).Metrics {
		if _, given := ours[name]; given {
			continue
		}
		if shown := strings.Contains(text.String(), name); shown == (unshown[name] != "") {
			t.Errorf("%s: shown %t, and the list of those that are not says %q", name, shown, unshown[name])
		}
	}
}

// TestCheckQueryFinds spoils a query in each way.
func TestCheckQueryFinds(t *testing.T) {
	t.Parallel()
	const pick = `job=~"$job", instance=~"$instance", node=~"$node"`
	vars := []string{"datasource", "job", "instance", "node"}
	good := []string{
		`rate(a_total{` + pick + `}[$__rate_interval])`, `b{` + pick + `}`, `increase(a_total{` + pick + `}[$__range])`,
		`a_total{` + pick + `} unless a_total{` + pick + `} offset $__range`, `a_total{` + pick + `} - a_total{` + pick + `} offset $__interval > 0`,
	}
	for _, expr := range good {
		if problems := checkQuery(dashboards.Query{Expr: expr, Legend: "{{node}}"}, vars, metrics(t)); problems != nil {
			t.Errorf("%s: %v", expr, problems)
		}
	}
	for name, tc := range map[string]struct{ expr, legend, want string }{
		"an unknown variable":              {`b{` + pick + `} > $limit`, "", "no value for the variables"},
		"a metric of nobody":               {`z{` + pick + `}`, "", "nobody exports"},
		"no job":                           {`b{instance=~"$instance", node=~"$node"}`, "", "target-job"},
		"no instance":                      {`b{job=~"$job", node=~"$node"}`, "", "target-instance"},
		"an instance by equality":          {`b{job=~"$job", instance="$instance", node=~"$node"}`, "", "target-instance"},
		"no node":                          {`b{job=~"$job", instance=~"$instance"}`, "", "target-node"},
		"a rate over five minutes":         {`rate(a_total{` + pick + `}[5m])`, "", "target-rate-interval"},
		"an increase over a step":          {`increase(a_total{` + pick + `}[$__rate_interval])`, "", "target-rate-interval"},
		"a derivative over five minutes":   {`deriv(b{` + pick + `}[5m])`, "", "target-rate-interval"},
		"a counter as it is":               {`a_total{` + pick + `}`, "", "target-counter-agg"},
		"a counter in an aggregation":      {`sum(a_total{` + pick + `})`, "", "target-counter-agg"},
		"a counter less itself":            {`a_total{` + pick + `} - a_total{` + pick + `}`, "", "target-counter-agg"},
		"a legend of what is not there":    {`sum(b{` + pick + `})`, "{{node}}", "the legend uses"},
		"a quantile that nobody tells":     {`checkpoint_node_sync_eta_seconds{` + pick + `, quantile="0.99"}`, "", "there is no quantile"},
		"what does not parse":              {`sum by (`, "", "parse"},
		"a counter beside what counts one": {`rate(a_total{` + pick + `}[$__rate_interval]) + a_total{` + pick + `}`, "", "target-counter-agg"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := metrics(t)
			if strings.Contains(tc.expr, "checkpoint_") {
				from = exported(t)
			}
			for _, problem := range checkQuery(dashboards.Query{Expr: tc.expr, Legend: tc.legend}, vars, from) {
				if strings.Contains(problem.Error(), tc.want) {
					return
				}
			}
			t.Errorf("nothing was found with %q", tc.want)
		})
	}
}
