package standalone

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"go.yaml.in/yaml/v3"
)

// Target is one HTTP endpoint to scrape.
type Target struct {
	Job     string // the label job; targets of one job have one path
	Address string // host:port, and the label instance
	Path    string // of the metrics; /metrics when empty
}

// scrapeConfig goes through Prometheus' own configuration format, because only
// its loader fills in the defaults.
func scrapeConfig(targets []Target, interval time.Duration, logger *slog.Logger) (*promconfig.Config, error) {
	type job struct {
		Name string `yaml:"job_name"`
		Path string `yaml:"metrics_path,omitempty"`
	}
	type global struct {
		Interval model.Duration `yaml:"scrape_interval"`
		Timeout  model.Duration `yaml:"scrape_timeout"`
	}
	var file struct {
		Global global `yaml:"global"`
		Jobs   []job  `yaml:"scrape_configs"`
	}
	file.Global = global{
		Interval: model.Duration(interval),
		Timeout:  model.Duration(min(interval, 10*time.Second)),
	}
	seen := map[string]bool{}
	for _, t := range targets {
		if !seen[t.Job] {
			seen[t.Job] = true
			file.Jobs = append(file.Jobs, job{t.Job, t.Path})
		}
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("write scrape configuration: %w", err)
	}
	config, err := promconfig.Load(string(text), logger)
	if err != nil {
		return nil, fmt.Errorf("scrape configuration: %w", err)
	}
	return config, nil
}

func targetGroups(targets []Target) map[string][]*targetgroup.Group {
	groups := make(map[string][]*targetgroup.Group, len(targets))
	for _, t := range targets {
		groups[t.Job] = append(groups[t.Job], &targetgroup.Group{
			Source:  t.Address,
			Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(t.Address)}},
		})
	}
	return groups
}
