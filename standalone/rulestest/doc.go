// Package rulestest holds everything that is said in PromQL to what the programs say in metrics: the shipped rules, the
// configuration of Alertmanager that routes them, and whatever else carries expressions, such as dashboards.
//
// It reads the table of docs/metrics.md, which is tested against the code elsewhere, and reports expressions that name a
// metric or label nobody exports, take a rate of a gauge or a derivative of a counter, or lose a label that is read later.
// It also runs promtool's unit tests by the libraries that promtool uses, so that `go test` needs no other program.
package rulestest
