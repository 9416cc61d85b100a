package rulestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

// UnitTests is a file in the format of `promtool test rules`, as far as ours use it.
type UnitTests struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []UnitTest     `yaml:"tests"`

	dir string
}

// UnitTest is one story: what was scraped, and what is to be seen when.
type UnitTest struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval"`
	Series   []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []AlertTest `yaml:"alert_rule_test"`
	Exprs  []ExprTest  `yaml:"promql_expr_test"`
}

// AlertTest says which alerts of a name fire at a time; none when Want is empty.
type AlertTest struct {
	At   model.Duration `yaml:"eval_time"`
	Name string         `yaml:"alertname"`
	Want []FiringAlert  `yaml:"exp_alerts"`
}

// FiringAlert is an alert without its name.
type FiringAlert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// ExprTest says what an expression yields at a time.
type ExprTest struct {
	Expr string         `yaml:"expr"`
	At   model.Duration `yaml:"eval_time"`
	Want []Sample       `yaml:"exp_samples"`
}

// Sample is one element of a vector, its labels in the notation of a series.
type Sample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

// ReadUnitTests reads a file. Its rule files are relative to it and may be patterns.
func ReadUnitTests(file string) (*UnitTests, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read unit tests: %w", err)
	}
	u := UnitTests{dir: filepath.Dir(file)}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&u); err != nil {
		return nil, fmt.Errorf("read unit tests %s: %w", file, err)
	}
	if u.EvaluationInterval <= 0 {
		return nil, fmt.Errorf("read unit tests %s: evaluation_interval: not set", file)
	}
	return &u, nil
}

// Run tells a story to the rules and returns all that was not as it should be.
func (u *UnitTests) Run(ctx context.Context, t UnitTest) error {
	var load strings.Builder
	fmt.Fprintf(&load, "load %s\n", t.Interval)
	for _, s := range t.Series {
		fmt.Fprintf(&load, "  %s %s\n", s.Series, s.Values)
	}
	story, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		return fmt.Errorf("load series: %w", err)
	}
	story.SubqueryInterval = time.Duration(u.EvaluationInterval)
	return errors.Join(u.tell(ctx, t, story), story.Close())
}

func (u *UnitTests) tell(ctx context.Context, t UnitTest, story *promqltest.LazyLoader) error {
	groups, err := u.groups(ctx, t, story)
	if err != nil {
		return err
	}
	var end model.Duration
	for _, a := range t.Alerts {
		end = max(end, a.At)
	}
	for _, e := range t.Exprs {
		end = max(end, e.At)
	}
	var problems []error
	for at := model.Duration(0); at <= end; at += u.EvaluationInterval {
		now := time.UnixMilli(time.Duration(at).Milliseconds()).UTC()
		var broken error
		story.WithSamplesTill(now, func(err error) { broken = errors.Join(err, evaluate(ctx, groups, now)) })
		if broken != nil {
			return fmt.Errorf("at %s: %w", at, errors.Join(append(problems, broken)...))
		}
		for _, a := range t.Alerts {
			if at <= a.At && a.At < at+u.EvaluationInterval {
				problems = append(problems, a.compare(groups))
			}
		}
	}
	for _, e := range t.Exprs {
		problems = append(problems, e.compare(ctx, story))
	}
	return errors.Join(problems...)
}

func evaluate(ctx context.Context, groups []*rules.Group, now time.Time) error {
	var problems []error
	for _, g := range groups {
		g.Eval(ctx, now)
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				problems = append(problems, fmt.Errorf("evaluate rule %s: %w", r.Name(), err))
			}
		}
	}
	return errors.Join(problems...)
}

// groups loads the rule files; every alert is taken as restored, or it would wait for a restart's grace.
func (u *UnitTests) groups(ctx context.Context, t UnitTest, story *promqltest.LazyLoader) ([]*rules.Group, error) {
	var files []string
	for _, pattern := range u.RuleFiles {
		match, err := filepath.Glob(filepath.Join(u.dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("rule files %q: %w", pattern, err)
		}
		if len(match) == 0 {
			return nil, fmt.Errorf("rule files %q: there are none", pattern)
		}
		files = append(files, match...)
	}
	loader := asked{alerts: map[string]bool{}, parser: parser.NewParser(parser.Options{})}
	for _, a := range t.Alerts {
		loader.alerts[a.Name] = true
	}
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:   rules.EngineQueryFunc(story.QueryEngine(), story.Storage()),
		Appendable:  story.Storage(),
		Context:     ctx,
		NotifyFunc:  func(context.Context, string, ...*rules.Alert) {},
		Logger:      slog.New(slog.DiscardHandler),
		Parser:      loader.parser,
		GroupLoader: loader,
	})
	byName, errs := m.LoadGroups(time.Duration(t.Interval), labels.EmptyLabels(), "", nil, false, files...)
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	var groups []*rules.Group
	for _, g := range byName {
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				a.SetRestored(true)
			}
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *rules.Group) int { return strings.Compare(a.Name(), b.Name()) })
	return groups, nil
}

// asked loads recording rules and those alerts that a story asks for. No alert of ours reads another, and most of a run's
// time would go to the others.
type asked struct {
	alerts map[string]bool
	parser parser.Parser
}

func (l asked) Load(file string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	groups, errs := rulefmt.ParseFile(file, ignoreUnknown, scheme, l.parser, slog.New(slog.DiscardHandler))
	if errs != nil {
		return nil, errs
	}
	for i := range groups.Groups {
		g := &groups.Groups[i]
		g.Rules = slices.DeleteFunc(g.Rules, func(r rulefmt.Rule) bool { return r.Alert != "" && !l.alerts[r.Alert] })
	}
	return groups, nil
}

func (l asked) Parse(query string) (parser.Expr, error) { return l.parser.ParseExpr(query) }

func (a AlertTest) compare(groups []*rules.Group) error {
	var got []FiringAlert
	for _, g := range groups {
		for _, r := range g.Rules() {
			rule, ok := r.(*rules.AlertingRule)
			if !ok || rule.Name() != a.Name {
				continue
			}
			for _, alert := range rule.ActiveAlerts() {
				if alert.State == rules.StateFiring {
					l := alert.Labels.Map()
					delete(l, labels.AlertName)
					got = append(got, FiringAlert{l, alert.Annotations.Map()})
				}
			}
		}
	}
	less := cmpopts.SortSlices(func(a, b FiringAlert) bool { return fmt.Sprint(a.Labels) < fmt.Sprint(b.Labels) })
	if diff := cmp.Diff(a.Want, got, less, cmpopts.EquateEmpty()); diff != "" {
		return fmt.Errorf("at %s: %s: -want +got\n%s", a.At, a.Name, diff)
	}
	return nil
}

func (e ExprTest) compare(ctx context.Context, story *promqltest.LazyLoader) error {
	at := time.UnixMilli(time.Duration(e.At).Milliseconds()).UTC()
	q, err := story.QueryEngine().NewInstantQuery(ctx, story.Storage(), nil, e.Expr, at)
	if err != nil {
		return fmt.Errorf("query %s: %w", e.Expr, err)
	}
	defer q.Close()
	result := q.Exec(ctx)
	vector, err := result.Vector()
	if err != nil {
		return fmt.Errorf("query %s at %s: %w", e.Expr, e.At, err)
	}
	var want, got promql.Vector
	for _, s := range e.Want {
		metric, err := parser.NewParser(parser.Options{}).ParseMetric(s.Labels)
		if err != nil {
			return fmt.Errorf("labels %q: %w", s.Labels, err)
		}
		want = append(want, promql.Sample{Metric: metric, F: s.Value})
	}
	for _, s := range vector {
		got = append(got, promql.Sample{Metric: s.Metric, F: s.F})
	}
	less := cmpopts.SortSlices(func(a, b promql.Sample) bool { return labels.Compare(a.Metric, b.Metric) < 0 })
	if diff := cmp.Diff(want, got, less, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(promql.Sample{}), cmp.Comparer(labels.Equal)); diff != "" {
		return fmt.Errorf("at %s: %s: -want +got\n%s", e.At, e.Expr, diff)
	}
	return nil
}
