package rulestest

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const table = "" +
	"| metric | type | labels | meaning |\n" +
	"|---|---|---|---|\n" +
	"| `a_total` | counter | `node`, `code` | counts |\n" +
	"| `b` | gauge | `node` | measures |\n" +
	"| `c` | gauge | | has no labels |\n" +
	"| `d_seconds` | histogram | `node` | lasts |\n" +
	"\nOther text with `a_total` in it | and | bars | all over |\n"

func metrics(t *testing.T) Metrics {
	t.Helper()
	m, err := ParseMetrics(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParseMetricsRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ table, want string }{
		"an unknown type":      {"| `a` | number | | |\n", `type "number"`},
		"a metric given twice": {"| `a` | gauge | | |\n| `a` | gauge | | |\n", "line 2: metric \"a\" stands there twice"},
		"what is no label":     {"| `a` | gauge | `a-b` | |\n", `"a-b" is no label name`},
		"no table":             {"# Metrics\n", "no row"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseMetrics(strings.NewReader(tc.table)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCheckFinds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ expr, want string }{
		"a metric of nobody":             {`rate(z_total[5m])`, "nobody exports"},
		"a metric without a name":        {`{node="n"}`, "nobody exports"},
		"a rate of a gauge":              {`rate(b[5m])`, "makes sense of a counter"},
		"an increase of a gauge":         {`sum(increase(b[5m]))`, "makes sense of a counter"},
		"a derivative of a counter":      {`deriv(a_total[5m])`, "makes sense of a gauge"},
		"a derivative of a histogram":    {`deriv(d_seconds_count[5m])`, "makes sense of a gauge"},
		"a label that is not there":      {`b{code="200"}`, `no label "code"`},
		"grouping by what is not there":  {`sum by (code) (b)`, "groups by {code}"},
		"grouping twice":                 {`sum by (node) (sum by (code) (a_total))`, "groups by {node}"},
		"matching on what is not there":  {`b and on (code) a_total`, "matches on {code}"},
		"matching what never meets":      {`sum by (node) (b) / sum(b)`, "never meet"},
		"and what never meets":           {`sum by (node) (b) and c`, "never meet"},
		"what does not parse":            {`sum by (`, "parse"},
		"a fault inside of a subquery":   {`max_over_time(rate(b[1m])[5m:])`, "makes sense of a counter"},
		"several at once, the first one": {`z + rate(b[5m])`, "nobody exports"},
		"several at once, and the other": {`z + rate(b[5m])`, "makes sense of a counter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := metrics(t).Check(tc.expr); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %q", tc.expr, err, tc.want)
			}
		})
	}
}

func TestCheckKnowsTheLabels(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`a_total`:                           "code instance job node",
		`sum by (node) (rate(a_total[5m]))`: "node",
		`sum without (instance, job) (rate(a_total[5m]))`: "code node",
		`sum(b)`: "",
		`b > 3`:  "instance job node",
		`3 < b`:  "instance job node",
		`b / on (node) group_left (code) a_total`:             "code instance job node",
		`b * on (node) sum by (node) (a_total)`:               "node",
		`a_total and on (node) b`:                             "code instance job node",
		`b unless on () c == 1`:                               "instance job node",
		`sum by (node) (b) or sum(c)`:                         "",
		`absent(up{job="x"})`:                                 "job",
		`vector(1)`:                                           "",
		`time() - b`:                                          "instance job node",
		`b - scalar(c)`:                                       "instance job node",
		`label_replace(c, "x", "$1", "job", "(.*)")`:          "instance job x",
		`histogram_quantile(0.9, rate(d_seconds_bucket[5m]))`: "instance job node",
		`histogram_quantile(0.9, rate(d_seconds[5m]))`:        "instance job node",
		`max_over_time(sum by (node) (b)[5m:])`:               "node",
		`-b`:                                                  "instance job node",
		`b @ start() offset 5m`:                               "instance job node",
		`1 + 1`:                                               "",
	} {
		t.Run(expr, func(t *testing.T) {
			t.Parallel()
			got, err := metrics(t).Check(expr)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, strings.Fields(want)) {
				t.Errorf("got %v, want %q", got, want)
			}
		})
	}
}

func TestLoadRulesFinds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ rules, want string }{
		"an unknown key":         {"groups: [{name: g, rules: [{alert: A, expr: b, foR: 1m}]}]", "foR"},
		"a metric of nobody":     {"groups: [{name: g, rules: [{alert: A, expr: z}]}]", "alert A: z: nobody exports"},
		"a rule on a broken one": {"groups: [{name: g, rules: [{record: 'l:b:x', expr: 'rate(b[5m])'}]}]", "recording rule l:b:x"},
		"rules in a circle":      {"groups: [{name: g, rules: [{record: 'l:b:x', expr: 'l:b:y'}, {record: 'l:b:y', expr: 'l:b:x'}]}]", "nobody exports"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadRules(fstest.MapFS{"r.yml": {Data: []byte(tc.rules)}}, metrics(t))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestRecordingRulesInAnyOrder has one read another that stands below it.
func TestRecordingRulesInAnyOrder(t *testing.T) {
	t.Parallel()
	r, err := LoadRules(fstest.MapFS{"r.yml": {Data: []byte(
		"groups: [{name: g, rules: [{record: 'l:b:y', expr: 'max(l:b:x)'}, {record: 'l:b:x', expr: 'b', labels: {tier: one}}]}]",
	)}}, metrics(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Metrics["l:b:x"].Labels, " "); got != "instance job node tier" {
		t.Errorf("labels are %q", got)
	}
}

// TestConventionsFind breaks an alert in each way that the conventions know.
func TestConventionsFind(t *testing.T) {
	t.Parallel()
	good := func() Alert {
		return Alert{
			Name: "CheckpointGood", Expr: "b == 0", For: time.Minute, Keep: time.Minute, Bears: []string{"node"},
			Labels: map[string]string{"severity": "warning", "playbook": "node_stalled"},
			Annotations: map[string]string{
				"summary": "Something is wrong.", "description": "Node {{ $labels.node }} has {{ $value }}.", "runbook_url": runbookURL + "CheckpointGood.md",
			},
		}
	}
	if errs := checkAlert(good(), metrics(t)); errs != nil {
		t.Fatalf("the good one is refused: %v", errs)
	}
	for name, tc := range map[string]struct {
		spoil func(*Alert)
		want  string
	}{
		"name":                     {func(a *Alert) { a.Name = "checkpoint_bad" }, "the name"},
		"for":                      {func(a *Alert) { a.For = 0 }, "for: is 0"},
		"keep_firing_for":          {func(a *Alert) { a.Keep = 0 }, "keep_firing_for: is 0"},
		"playbook":                 {func(a *Alert) { a.Labels["playbook"] = "reboot" }, `no playbook "reboot"`},
		"playbook for a provider":  {func(a *Alert) { a.Bears = []string{"provider"} }, "is about a node"},
		"leaked label":             {func(a *Alert) { a.Bears = []string{"instance", "job", "node"} }, "leaves the labels"},
		"severity":                 {func(a *Alert) { a.Labels["severity"] = "page" }, "severity: is"},
		"value in a label":         {func(a *Alert) { a.Labels["severity"] = "{{ $value }}" }, "is templated"},
		"label of another kind":    {func(a *Alert) { a.Labels["team"] = "x" }, `label "team"`},
		"changing summary":         {func(a *Alert) { a.Annotations["summary"] = "Now {{ $value }}." }, "summary:"},
		"no runbook":               {func(a *Alert) { delete(a.Annotations, "runbook_url") }, "runbook_url:"},
		"label not there":          {func(a *Alert) { a.Annotations["description"] = "It is {{ $labels.provider }}." }, `uses the label "provider"`},
		"broken template":          {func(a *Alert) { a.Annotations["description"] = "It is {{ .Nothing" }, "description:"},
		"query of nobody's metric": {func(a *Alert) { a.Annotations["description"] = `{{ range query "z" }}{{ . }}{{ end }}` }, "nobody exports"},
		"template that needs data": {func(a *Alert) { a.Annotations["description"] = `{{ query "b" | first | value }}` }, "first() called on vector with no elements"},
		"annotation":               {func(a *Alert) { a.Annotations["message"] = "x" }, `annotation "message"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := good()
			tc.spoil(&a)
			for _, err := range checkAlert(a, metrics(t)) {
				if strings.Contains(err.Error(), tc.want) {
					return
				}
			}
			t.Errorf("nothing was found with %q", tc.want)
		})
	}
}
