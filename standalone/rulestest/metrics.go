package rulestest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Type is the type of a metric, as its exposition names it.
type Type string

// The types that matter to an expression.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// untyped is what a gauge is exposed as that has a label reserved for another type.
const untyped Type = "untyped"

// Metric is what may be asked of a series' name.
type Metric struct {
	Type   Type
	Labels []string
}

// Metrics maps the name of every series to what it is.
type Metrics map[string]Metric

// scraped are the labels that Prometheus gives every series it scrapes.
var scraped = []string{"instance", "job"}

// builtin are the series that Prometheus writes by itself.
func builtin() Metrics {
	return Metrics{
		"up":     {Type: Gauge, Labels: scraped},
		"ALERTS": {Type: Gauge, Labels: []string{"alertname", "alertstate", "severity", "playbook", "provider", "node"}},
	}
}

var (
	row   = regexp.MustCompile("^\\|\\s*`([a-zA-Z_:][a-zA-Z0-9_:]*)`\\s*\\|([^|]*)\\|([^|]*)\\|")
	quote = regexp.MustCompile("`([^`]*)`")
	label = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// ParseMetrics reads the rows | `name` | type | labels | … of Markdown tables; other lines say nothing. Labels stand in
// backquotes; those that a scrape adds do not. The series of a histogram are added under their own names.
func ParseMetrics(r io.Reader) (Metrics, error) {
	all := builtin()
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		m := row.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		name, typ := m[1], Type(strings.Trim(m[2], " `"))
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("line %d: metric %q stands there twice", n, name)
		}
		labels := slices.Clone(scraped)
		for _, q := range quote.FindAllStringSubmatch(m[3], -1) {
			if !label.MatchString(q[1]) {
				return nil, fmt.Errorf("line %d: metric %q: %q is no label name", n, name, q[1])
			}
			labels = append(labels, q[1])
		}
		switch typ {
		case Counter, Gauge:
			all[name] = Metric{typ, labels}
		case untyped:
			all[name] = Metric{Gauge, labels}
		case Histogram:
			// A native histogram has the plain name, a classic one the other three.
			all[name] = Metric{Histogram, labels}
			all[name+"_bucket"] = Metric{Counter, append(slices.Clone(labels), "le")}
			all[name+"_count"] = Metric{Counter, labels}
			all[name+"_sum"] = Metric{Counter, labels}
		default:
			return nil, fmt.Errorf("line %d: metric %q: type %q is none of counter, gauge, histogram, untyped", n, name, typ)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the table of metrics: %w", err)
	}
	if len(all) == len(builtin()) {
		return nil, errors.New("no row of the form | `name` | type | labels | meaning |")
	}
	return all, nil
}
