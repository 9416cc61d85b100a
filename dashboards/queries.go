package dashboards

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// Query is one PromQL query of a dashboard.
type Query struct {
	Dashboard string // its uid
	Panel     string // title of the panel, or the name of the annotation
	RefID     string // empty for an annotation
	Expr      string // with Grafana's variables in it
	Instant   bool   // asked for the end of the time range alone
	Legend    string // what names the result: a template of {{label}}s; of an annotation its title, text and tags
}

// String names the query for messages.
func (q Query) String() string { return fmt.Sprintf("%s: %s %s", q.Dashboard, q.Panel, q.RefID) }

// Queries returns the query of every target and annotation in Files, in the order in which they stand there.
func Queries() ([]Query, error) {
	names, err := fs.Glob(Files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list the dashboards: %w", err)
	}
	var queries []Query
	for _, name := range names {
		text, err := Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a dashboard: %w", err)
		}
		var d struct {
			UID         string `json:"uid"`
			Annotations struct {
				List []struct{ Name, Expr, TitleFormat, TextFormat, TagKeys string }
			}
			Panels []struct {
				Title   string
				Targets []struct {
					RefID        string `json:"refId"`
					Expr         string
					Instant      bool
					LegendFormat string
				}
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", name, err)
		}
		for _, a := range d.Annotations.List {
			queries = append(queries, Query{Dashboard: d.UID, Panel: a.Name, Expr: a.Expr, Legend: a.TitleFormat + a.TextFormat + tagsOf(a.TagKeys)})
		}
		for _, p := range d.Panels {
			for _, t := range p.Targets {
				queries = append(queries, Query{Dashboard: d.UID, Panel: p.Title, RefID: t.RefID, Expr: t.Expr, Instant: t.Instant, Legend: t.LegendFormat})
			}
		}
	}
	return queries, nil
}

func tagsOf(keys string) string {
	if keys == "" {
		return ""
	}
	return "{{" + strings.ReplaceAll(keys, ",", "}}{{") + "}}"
}

var variable = regexp.MustCompile(`\$\{?([a-zA-Z_][a-zA-Z0-9_]*)\}?`)

// Expand puts the values in the place of Grafana's variables, written $name or ${name}. A variable without a value is an error.
func Expand(expr string, values map[string]string) (string, error) {
	var unknown []string
	expanded := variable.ReplaceAllStringFunc(expr, func(found string) string {
		name := variable.FindStringSubmatch(found)[1]
		value, ok := values[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if unknown != nil {
		return "", fmt.Errorf("%s: no value for the variables %q", expr, unknown)
	}
	return expanded, nil
}
