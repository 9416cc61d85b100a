//go:build e2e

package e2e

import (
	"bytes"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metrics is what one scrape answered.
type metrics map[string]*dto.MetricFamily

func scrape(base string) (metrics, error) {
	body, err := get(base + "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	return metrics(families), err
}

// value is that of the first series with the given labels, as name and value pairs; false when there is none.
func (m metrics) value(name string, labels ...string) (float64, bool) {
	for _, series := range m.series(name, labels...) {
		switch {
		case series.Gauge != nil:
			return series.Gauge.GetValue(), true
		case series.Counter != nil:
			return series.Counter.GetValue(), true
		case series.Untyped != nil:
			return series.Untyped.GetValue(), true
		}
	}
	return 0, false
}

// label is a label of the only series of a family with the given labels that has the value 1.
func (m metrics) label(of, name string, labels ...string) string {
	for _, series := range m.series(name, labels...) {
		if series.Gauge.GetValue() != 1 {
			continue
		}
		for _, pair := range series.Label {
			if pair.GetName() == of {
				return pair.GetValue()
			}
		}
	}
	return ""
}

func (m metrics) series(name string, labels ...string) []*dto.Metric {
	family, ok := m[name]
	if !ok {
		return nil
	}
	var matching []*dto.Metric
series:
	for _, series := range family.Metric {
		for i := 0; i < len(labels); i += 2 {
			found := false
			for _, pair := range series.Label {
				found = found || pair.GetName() == labels[i] && pair.GetValue() == labels[i+1]
			}
			if !found {
				continue series
			}
		}
		matching = append(matching, series)
	}
	return matching
}

// is tells, as nil, that a scrape shows the value.
func is(base string, want float64, name string, labels ...string) error {
	m, err := scrape(base)
	if err != nil {
		return err
	}
	got, ok := m.value(name, labels...)
	if !ok {
		return fmt.Errorf("%s%v is absent", name, labels)
	}
	if got != want {
		return fmt.Errorf("%s%v is %v, want %v", name, labels, got, want)
	}
	return nil
}
