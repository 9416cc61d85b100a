package standalone

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Query evaluates a PromQL expression at one time. The result is a
// promql.Vector, promql.Matrix, promql.Scalar or promql.String.
func (p *Prometheus) Query(ctx context.Context, expr string, at time.Time) (parser.Value, error) {
	q, err := p.engine.NewInstantQuery(ctx, p.db, nil, expr, at)
	if err != nil {
		return nil, err
	}
	return finish(ctx, q)
}

// QueryRange evaluates a PromQL expression at every step from start to end.
func (p *Prometheus) QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration) (parser.Value, error) {
	q, err := p.engine.NewRangeQuery(ctx, p.db, nil, expr, start, end, step)
	if err != nil {
		return nil, err
	}
	return finish(ctx, q)
}

// finish copies what the engine takes back when a query is closed.
func finish(ctx context.Context, q promql.Query) (parser.Value, error) {
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		return nil, r.Err
	}
	m, ok := r.Value.(promql.Matrix)
	if !ok {
		return r.Value, nil
	}
	copied := make(promql.Matrix, len(m))
	for i, s := range m {
		s.Floats = append([]promql.FPoint(nil), s.Floats...)
		s.Histograms = append([]promql.HPoint(nil), s.Histograms...)
		copied[i] = s
	}
	return copied, nil
}

// LabelNames returns the names of the labels of all series that match any of
// the selectors and have samples between start and end; of all series when
// there is no selector.
func (p *Prometheus) LabelNames(ctx context.Context, selectors []string, start, end time.Time) ([]string, error) {
	return p.eachSelector(selectors, start, end, func(q storage.Querier, m []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(ctx, nil, m...)
		return names, err
	})
}

// LabelValues is LabelNames for the values of one label.
func (p *Prometheus) LabelValues(ctx context.Context, name string, selectors []string, start, end time.Time) ([]string, error) {
	return p.eachSelector(selectors, start, end, func(q storage.Querier, m []*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(ctx, name, nil, m...)
		return values, err
	})
}

func (p *Prometheus) eachSelector(
	selectors []string, start, end time.Time, read func(storage.Querier, []*labels.Matcher) ([]string, error),
) ([]string, error) {
	sets, err := parser.NewParser(parser.Options{}).ParseMetricSelectors(selectors)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		sets = append(sets, nil)
	}
	q, err := p.db.Querier(start.UnixMilli(), end.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("read time series: %w", err)
	}
	defer q.Close()
	seen := make(map[string]struct{})
	for _, set := range sets {
		found, err := read(q, set)
		if err != nil {
			return nil, fmt.Errorf("read labels: %w", err)
		}
		for _, s := range found {
			// The querier's strings live in mapped files that may go away.
			seen[strings.Clone(s)] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}
