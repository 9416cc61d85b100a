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

// Target is one HTTP endpoint to scrape, at its path /metrics.
type Target struct {
	Job     string // the label job
	Address string // host:port, and the label instance
}

// scrapeConfig goes through Prometheus' own configuration format, because only
// its loader fills in the defaults.
func scrapeConfig(targets []Target, interval time.Duration, logger *slog.Logger) (*promconfig.Config, error) {
	type job struct {
		Name string `yaml:"job_name"`
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
	for name := range targetGroups(targets) {
		file.Jobs = append(file.Jobs, job{Name: name})
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
