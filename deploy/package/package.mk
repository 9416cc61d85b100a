# The packages and the container images; docs/install.md says more. Included by the Makefile, run from the repository's root.

# Architectures in Go's words: make package ARCHES="amd64 arm64"
ARCHES     ?= $(shell go env GOHOSTARCH)
# docker or podman
CONTAINER  ?= docker
PACKAGES   := .cache/programs

.PHONY: package container

package: ## Make deb, rpm, SBOM and checksums in dist/
	@for arch in $(sort $(ARCHES) $(shell go env GOHOSTARCH)); do \
		$(MAKE) --no-print-directory build BIN=$(CURDIR)/$(PACKAGES)/$$arch GOARCH=$$arch || exit 1; \
	done
	@deploy/package/build.sh $(CURDIR)/dist $(CURDIR)/$(PACKAGES) $(ARCHES)
	@cd dist && ls -l

container: ## Build the container images checkpoint_exporter, checkpoint_remediator and checkpointd
	for program in checkpoint_exporter checkpoint_remediator checkpointd; do \
		$(CONTAINER) build --file=deploy/container/Containerfile --target=$$program --tag=$$program:$(VERSION) \
			--build-arg=VERSION=$(VERSION) --build-arg=REVISION=$(REVISION) --build-arg=BRANCH=$(BRANCH) --build-arg=DATE=$(DATE) . || exit 1; \
	done
