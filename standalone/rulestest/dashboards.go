package rulestest

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// grafana are the variables that Grafana puts in before it asks, and what serves in their place to parse an expression.
var grafana = regexp.MustCompile(`\$\{?__(rate_interval|interval|range)\}?`)

// DashboardExprs returns every expression of a Grafana dashboard's JSON: its panels', its annotations' and its variables'.
func DashboardExprs(text []byte) ([]string, error) {
	var dashboard any
	if err := json.Unmarshal(text, &dashboard); err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	var exprs []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for key, e := range v {
				if expr, ok := e.(string); ok && key == "expr" && expr != "" {
					exprs = append(exprs, grafana.ReplaceAllString(expr, "5m"))
				}
				walk(e)
			}
		}
	}
	walk(dashboard)
	return exprs, nil
}
