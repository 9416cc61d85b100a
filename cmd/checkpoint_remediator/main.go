// checkpoint_remediator takes Alertmanager's webhooks and restarts clients or changes their checkpoint source, safely.
package main

import (
	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

func main() {
	server.Program{
		Name: "checkpoint_remediator", Address: "127.0.0.1:10178",
		Help:  "Remediates Ethereum nodes on alerts: restarts clients, switches their checkpoint source, checks that it helped.",
		Check: remediate.Check,
		New: func(c *config.Config, logger log.Logger, reg *prometheus.Registry, _ *server.Flags) (server.App, error) {
			return remediate.New(c, logger, reg, remediate.Options{})
		},
	}.Main()
}
