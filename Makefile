# Everything a developer or an operator runs from a checkout. Needs Debian, Go and make; the targets install or build the rest.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BRANCH   := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown)
DATE     := $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
V        := github.com/prometheus/common/version
LDFLAGS  := -s -w -X $(V).Version=$(VERSION) -X $(V).Revision=$(REVISION) -X $(V).Branch=$(BRANCH) -X $(V).BuildUser=make -X $(V).BuildDate=$(DATE)
GOBUILD  := CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)'
FUZZTIME ?= 5000x
# Where the programs go
BIN      ?= $(CURDIR)/bin

.PHONY: help build checkpointd demo test vet fuzz race failures-1 failures-2 bench lint fmt clean

help: ## Say what there is to make
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 19

build: checkpointd ## Build the programs into bin/
	$(GOBUILD) -o $(BIN)/ ./cmd/...

checkpointd:
	cd standalone && $(GOBUILD) -o $(BIN)/ ./cmd/...

demo: checkpointd ## Watch the whole loop work on a simulated network; Ctrl-C ends it
	bin/checkpointd --demo

test: vet race fuzz ## Run the tests

vet:
	@tools/packages.sh gcc
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "run make fmt" >&2; exit 1; }
	go vet ./...
	cd standalone && go vet ./...

race:
	go test -race -timeout=20m ./...
	cd standalone && go test -race -timeout=20m $$(go list ./... | grep -v /rulestest)
	cd standalone && go test ./rulestest # it evaluates days of rules, and has no goroutine of ours
	$(MAKE) -j2 failures-1 failures-2

# Every failure that is known, on the whole loop: a day and a half of simulated time, half of it on each core.
failures-1:
	cd standalone && go test -timeout=30m -run='^TestFailureModes$$/^(1|0[1-4])' .
failures-2:
	cd standalone && go test -timeout=30m -run='^TestFailureModes$$' -skip='^TestFailureModes$$/^(1|0[1-4])' .

fuzz: # FUZZTIME inputs for every fuzz target
	@tools/fuzz.sh $(FUZZTIME)

bench: ## Measure: speed of what is hot, and how long the loop takes from fault to action
	go test -run='^$$' -bench=. -benchmem ./...
	cd standalone && go test -run='^$$' -bench=. -timeout=30m ./...

lint: ## Run golangci-lint, built from its pinned module
	@dir=$$(tools/build.sh lint) && for m in . standalone; do (cd $$m && "$$dir/golangci-lint" run ./...) || exit 1; done

fmt: ## Format the code
	gofmt -w .

clean:
	rm -rf bin dist .cache

include dashboards/dashboards.mk
include e2e/e2e.mk
include deploy/package/package.mk
