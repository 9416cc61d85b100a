package rulestest

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// Alert is an alerting rule together with the labels its alerts bear.
type Alert struct {
	Name        string
	File        string
	Expr        string
	For         time.Duration
	Keep        time.Duration // keep_firing_for
	Labels      map[string]string
	Annotations map[string]string
	// Bears are the names of the labels that come from the expression, sorted.
	Bears []string
}

// Rules are the rule files of a directory.
type Rules struct {
	Alerts  []Alert
	Metrics Metrics // those given, and what the recording rules add
}

// LoadRules parses every *.yml in the root of fsys and checks every expression against the metrics and the recording
// rules. All that is wrong is reported at once.
func LoadRules(fsys fs.FS, metrics Metrics) (*Rules, error) {
	files, err := fs.Glob(fsys, "*.yml")
	if err != nil {
		return nil, fmt.Errorf("list rule files: %w", err)
	}
	r := &Rules{Metrics: Metrics{}}
	for name, m := range metrics {
		r.Metrics[name] = m
	}
	var problems []error
	var alerts []Alert
	var records []rulefmt.Rule
	for _, file := range files {
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("read rule file: %w", err)
		}
		groups, errs := rulefmt.Parse(text, false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		for _, err := range errs {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		}
		if errs != nil {
			continue
		}
		for _, g := range groups.Groups {
			for _, rule := range g.Rules {
				if rule.Record != "" {
					records = append(records, rule)
					continue
				}
				alerts = append(alerts, Alert{
					Name: rule.Alert, File: file, Expr: rule.Expr, Labels: rule.Labels, Annotations: rule.Annotations,
					For: time.Duration(rule.For), Keep: time.Duration(rule.KeepFiringFor),
				})
			}
		}
	}
	problems = append(problems, r.record(records)...)
	for _, a := range alerts {
		if a.Bears, err = r.Metrics.Check(a.Expr); err != nil {
			problems = append(problems, fmt.Errorf("%s: alert %s: %w", a.File, a.Name, err))
		}
		r.Alerts = append(r.Alerts, a)
	}
	slices.SortFunc(r.Alerts, func(a, b Alert) int { return strings.Compare(a.Name, b.Name) })
	return r, errors.Join(problems...)
}

// record adds the series that recording rules write. A rule may read another's, so those that fail are tried again as
// long as one more succeeds.
func (r *Rules) record(rules []rulefmt.Rule) []error {
	for {
		var failed []rulefmt.Rule
		var problems []error
		for _, rule := range rules {
			labels, err := r.Metrics.Check(rule.Expr)
			if err != nil {
				failed = append(failed, rule)
				problems = append(problems, fmt.Errorf("recording rule %s: %w", rule.Record, err))
				continue
			}
			for name := range rule.Labels {
				labels = append(labels, name)
			}
			r.Metrics[rule.Record] = Metric{Type: Gauge, Labels: labels}
		}
		if len(failed) == 0 || len(failed) == len(rules) {
			return problems
		}
		rules = failed
	}
}
