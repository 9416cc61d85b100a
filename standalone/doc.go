// Package standalone runs the whole loop in one process: Prometheus' storage,
// scraper and rule engine, Alertmanager's pipeline, the exporter and the
// remediator.
//
// The engines are the ones that the two servers are built from, at pinned
// versions, and they meet where the servers would: the exporter and the
// remediator are scraped over HTTP, and the remediator hears of alerts by
// webhook. Only the hop from rules to alerts is a function call. So a rule
// file, an alertmanager.yml or a checkpoint.yml means here what it means there.
//
// It is a module of its own because the engines link some 150 modules, which
// the exporter and the remediator must not carry.
package standalone
