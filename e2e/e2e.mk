# The tests against the real parts; e2e/README.md says what they need. Included by the Makefile, run from the repository's root.

# A regular expression of tests: make e2e STORY=TestRealChain
STORY ?= .
E2E_TOOLS := alertmanager prometheus nodes/geth nodes/checkpointz nodes/prysm package sbom

.PHONY: e2e

e2e: build ## Run the programs beside the real ones: Prometheus, Alertmanager, systemd, Docker, Ethereum clients
	@tools/packages.sh systemd dbus polkitd util-linux curl gcc chromium docker.io docker-compose iptables acl man-db
	@tools/build.sh $(E2E_TOOLS) >/dev/null
	go vet -tags=e2e ./e2e ./remediate/actuator ./remediate/source ./remediate/chaindata ./remediate/netfiles
	CHECKPOINT_E2E_BIN=$(CURDIR)/bin go test -tags=e2e -count=1 -timeout=45m -parallel=3 -v -run='$(STORY)' ./e2e
