package rulestest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// set is a set of label names.
type set map[string]bool

func setOf(names ...string) set {
	s := set{}
	for _, n := range names {
		s[n] = true
	}
	return s
}

func (s set) sorted() []string { return slices.Sorted(maps.Keys(s)) }

func (s set) String() string { return "{" + strings.Join(s.sorted(), ", ") + "}" }

func (s set) keep(names []string) set {
	return maps.Collect(func(yield func(string, bool) bool) {
		for _, n := range names {
			if s[n] && !yield(n, true) {
				return
			}
		}
	})
}

func (s set) drop(names []string) set {
	out := maps.Clone(s)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// labelsOf returns the labels that every element of an expression's result has, given Prometheus' rules for operators. It
// fails where an expression groups by, or matches on, a label that is not there to be found.
func (m Metrics) labelsOf(e parser.Expr) (set, error) {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return setOf(m[e.Name].Labels...), nil
	case *parser.AggregateExpr:
		in, err := m.labelsOf(e.Expr)
		if err != nil {
			return nil, err
		}
		if missing := setOf(e.Grouping...).drop(in.sorted()); len(missing) > 0 {
			return nil, fmt.Errorf("%s: groups by %s, but there is only %s", e, missing, in)
		}
		if e.Without {
			return in.drop(e.Grouping), nil
		}
		return in.keep(e.Grouping), nil
	case *parser.BinaryExpr:
		return m.labelsOfBinary(e)
	case *parser.Call:
		return m.labelsOfCall(e)
	case *parser.ParenExpr:
		return m.labelsOf(e.Expr)
	case *parser.UnaryExpr:
		return m.labelsOf(e.Expr)
	case *parser.MatrixSelector:
		return m.labelsOf(e.VectorSelector)
	case *parser.SubqueryExpr:
		return m.labelsOf(e.Expr)
	case *parser.StepInvariantExpr:
		return m.labelsOf(e.Expr)
	case *parser.NumberLiteral, *parser.StringLiteral:
		return set{}, nil
	}
	return nil, fmt.Errorf("%s: an expression of a kind that is not known here", e)
}

func (m Metrics) labelsOfBinary(e *parser.BinaryExpr) (set, error) {
	l, err := m.labelsOf(e.LHS)
	if err != nil {
		return nil, err
	}
	r, err := m.labelsOf(e.RHS)
	if err != nil {
		return nil, err
	}
	if e.LHS.Type() == parser.ValueTypeScalar {
		return r, nil
	}
	if e.RHS.Type() == parser.ValueTypeScalar {
		return l, nil
	}
	v := e.VectorMatching
	if v.On {
		for side, have := range map[string]set{"left": l, "right": r} {
			if missing := setOf(v.MatchingLabels...).drop(have.sorted()); len(missing) > 0 {
				return nil, fmt.Errorf("%s: matches on %s, but there is only %s on the %s", e, missing, have, side)
			}
		}
	} else if a, b := l.drop(v.MatchingLabels), r.drop(v.MatchingLabels); e.Op != parser.LOR && !maps.Equal(a, b) {
		return nil, fmt.Errorf("%s: matches %s with %s, which never meet", e, a, b)
	}
	switch {
	case e.Op == parser.LAND || e.Op == parser.LUNLESS:
		return l, nil
	case e.Op == parser.LOR:
		return l.keep(r.sorted()), nil
	case v.Card == parser.CardManyToOne:
		return setOf(append(l.sorted(), v.Include...)...), nil
	case v.Card == parser.CardOneToMany:
		return setOf(append(r.sorted(), v.Include...)...), nil
	case v.On:
		return l.keep(v.MatchingLabels), nil
	}
	return l.drop(v.MatchingLabels), nil
}

func (m Metrics) labelsOfCall(e *parser.Call) (set, error) {
	switch e.Func.Name {
	case "absent", "absent_over_time":
		// The result bears what its selector asks for with `=`.
		out := set{}
		parser.Inspect(e.Args[0], func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				for _, matcher := range s.LabelMatchers {
					if matcher.Type == labels.MatchEqual && matcher.Name != model.MetricNameLabel {
						out[matcher.Name] = true
					}
				}
			}
			return nil
		})
		return out, nil
	case "label_replace", "label_join":
		in, err := m.labelsOf(e.Args[0])
		if err != nil {
			return nil, err
		}
		return setOf(append(in.sorted(), e.Args[1].(*parser.StringLiteral).Val)...), nil
	case "histogram_quantile":
		in, err := m.labelsOf(e.Args[1])
		return in.drop([]string{"le"}), err
	case "scalar", "vector", "time":
		return set{}, nil
	}
	for _, arg := range e.Args {
		if t := arg.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			return m.labelsOf(arg)
		}
	}
	return set{}, nil
}
