// checkpoint_exporter watches checkpoint providers and Ethereum nodes and serves what it sees to Prometheus.
package main

import (
	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

func main() {
	var allowAny bool
	server.Program{
		Name: "checkpoint_exporter", Address: "127.0.0.1:10177",
		Help: "Watches Ethereum checkpoint sync: probes checkpoint providers, follows nodes, and serves what it sees to Prometheus.",
		Flags: func(app *kingpin.Application) {
			app.Flag("probe.allow-any", "Let /probe ask any URL, and not only the configured ones: whoever reaches the port can then make the exporter ask any host.").
				BoolVar(&allowAny)
		},
		New: func(c *config.Config, logger log.Logger, reg *prometheus.Registry, flags *server.Flags) (server.App, error) {
			e, err := collector.New(c, logger, collector.Options{AllowAny: allowAny, Version: version.Version, TelemetryPath: flags.TelemetryPath})
			if err != nil {
				return nil, err
			}
			return e, e.Register(reg)
		},
	}.Main()
}
