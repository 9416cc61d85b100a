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
	"github.com/checkpoint-exporter/checkpoint_exporter/web"
)

func main() {
	var allowAny bool
	var remediator string
	server.Program{
		Name: "checkpoint_exporter", Address: "127.0.0.1:10177",
		Help: "Watches Ethereum checkpoint sync: probes checkpoint providers, follows nodes, and serves what it sees to Prometheus.",
		Flags: func(app *kingpin.Application) {
			app.Flag("probe.allow-any", "Let /probe ask any URL, and not only the configured ones: whoever reaches the port can then make the exporter ask any host.").
				BoolVar(&allowAny)
			app.Flag("web.remediator-url", "Remediator whose incidents the status page shows, if it answers; empty for none. Alerts come from the Alertmanagers of the configuration.").
				Default("http://127.0.0.1:10178").StringVar(&remediator)
		},
		New: func(c *config.Config, logger log.Logger, reg *prometheus.Registry, flags *server.Flags) (server.App, error) {
			e, err := collector.New(c, logger, collector.Options{AllowAny: allowAny, Version: version.Version})
			if err != nil {
				return nil, err
			}
			page := web.New(c, logger, e.Status, web.Options{Version: version.Version, TelemetryPath: flags.TelemetryPath, Remediator: remediator})
			return web.Exporter{Exporter: e, Page: page}, e.Register(reg)
		},
	}.Main()
}
