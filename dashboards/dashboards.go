// Package dashboards holds the Grafana dashboards. Their JSON is written by the program in generate, which is where to change them.
package dashboards

import "embed"

// Files holds one JSON file a dashboard, in the format that Grafana imports and provisions.
//
//go:embed *.json
var Files embed.FS

//go:generate go run ./generate .
