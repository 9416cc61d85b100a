package rulestest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// wants is the type of metric that a function makes sense of.
var wants = map[string]Type{
	"rate": Counter, "irate": Counter, "increase": Counter, "resets": Counter,
	"deriv": Gauge, "delta": Gauge, "idelta": Gauge, "predict_linear": Gauge, "double_exponential_smoothing": Gauge,
}

// Check parses an expression and returns the labels that every element of its result has, sorted. It fails, with all
// there is to say, if the expression selects a metric or label that is not exported, gives a function the wrong type of
// metric, or groups by or matches on a label that is not there.
func (m Metrics) Check(expr string) ([]string, error) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, fmt.Errorf("parse %q: %w", expr, err)
	}
	var problems []error
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			problems = append(problems, m.checkSelector(n)...)
		case *parser.Call:
			if err := m.checkCall(n); err != nil {
				problems = append(problems, err)
			}
		}
		return nil
	})
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	out, err := m.labelsOf(e)
	if err != nil {
		return nil, err
	}
	return out.sorted(), nil
}

func (m Metrics) checkSelector(s *parser.VectorSelector) []error {
	metric, ok := m[s.Name]
	if !ok {
		return []error{fmt.Errorf("%s: nobody exports a metric of that name", s)}
	}
	var problems []error
	for _, matcher := range s.LabelMatchers {
		if matcher.Name != model.MetricNameLabel && !slices.Contains(metric.Labels, matcher.Name) {
			problems = append(problems, fmt.Errorf("%s: the metric has no label %q, only %s", s, matcher.Name, setOf(metric.Labels...)))
		}
	}
	return problems
}

func (m Metrics) checkCall(c *parser.Call) error {
	want, ok := wants[c.Func.Name]
	if !ok {
		return nil
	}
	matrix, ok := c.Args[0].(*parser.MatrixSelector)
	if !ok {
		return nil
	}
	s := matrix.VectorSelector.(*parser.VectorSelector)
	have := m[s.Name].Type
	if have == want || (want == Counter && have == Histogram) || have == "" {
		return nil
	}
	return fmt.Errorf("%s: %s is a %s, and %s makes sense of a %s alone", c, s.Name, have, c.Func.Name, want)
}
