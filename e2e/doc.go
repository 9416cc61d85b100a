// Package e2e holds the tests that run the programs of this module against the real parts around them: Prometheus and Alertmanager, a
// systemd of their own, and a chain of Ethereum clients. They carry the build tag e2e and are run by "make e2e"; README.md says what
// they need and where they leave their logs.
package e2e
