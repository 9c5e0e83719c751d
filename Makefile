# What can be done here: `make help`. Needed: Go, gcc, make, and apt to get libzmq (tools/setup sees to it).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

# Go's own installer does not touch PATH; look where it puts the go command.
export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED := 1

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BIN := bin
TOOLS := .cache/bin

# How long the tests of one package may take, and a run of the long ones.
TEST_TIMEOUT ?= 10m
LONG_TIMEOUT ?= 60m

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-24s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Install what is missing to build and test (libzmq, pkg-config, Python's zmq and msgpack)
	@tools/setup

.PHONY: build
build: setup ## Build the programs into bin/
	@mkdir -p $(BIN)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/weft ./cmd/weft
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/weft-bench ./bench
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./examples/wordfreq ./examples/mandelbrot ./examples/montecarlo ./examples/pyservice

BUILD_PEERS := go -C bench/peers build -o $(CURDIR)/$(BIN)/weft-bench-peers .
.PHONY: build-peers
build-peers: setup ## Build the peers that bench-compare measures weft beside (a module of its own; needs the network once)
	@mkdir -p $(BIN)
	$(BUILD_PEERS)

.PHONY: demo
demo: build ## Run real jobs through a broker, an agent and instances on this machine
	@tools/demo

.PHONY: test
test: setup test-python ## Run the tests, with the race detector, but for the long ones
	go test -race -short -count=1 -timeout $(TEST_TIMEOUT) ./...
	@$(MAKE) sim sim-bugs

# The simulation. A failure prints the call of this that runs it again.
SEEDS ?= 2000
FIRST ?= 1
STEPS ?= 5000
BUG ?=
SIMFLAGS ?=

.PHONY: sim
sim: ## Simulate the whole fabric with faults: SEEDS from FIRST on, STEPS each (docs/simulation.md)
	go test -count=1 -timeout $(LONG_TIMEOUT) $(if $(BUG),-tags plantedbugs) -run '^TestSim$$' -v ./internal/sim -sim.seeds=$(SEEDS) -sim.first=$(FIRST) -sim.steps=$(STEPS) $(if $(BUG),-sim.bug=$(BUG)) $(SIMFLAGS)

.PHONY: sim-bugs
sim-bugs: ## Plant bugs in the cores, one by one, and have the simulation find each
	go test -count=1 -timeout $(LONG_TIMEOUT) -tags plantedbugs -run '^TestPlantedBugs$$' -v ./internal/sim $(if $(BUG),-sim.bug=$(BUG)) $(SIMFLAGS)

# How often each property of the scheduler is tried.
CHECKS ?= 20000

.PHONY: test-sched-long
test-sched-long: ## Hold the scheduler to its oracle and its promises in CHECKS random worlds
	go test -count=1 -timeout $(LONG_TIMEOUT) -run '^(TestTheSchedulerDecidesAsTheOracle|TestScenariosEndAsTheOracleSays|TestEveryDecisionKeepsThePromises|TestNobodyStarves|TestEqualInputsGiveEqualOutputs|TestDominantSharesDifferByOneContainerAtMost|TestWaterFillIsTheFairOne|TestRoomsAreWhatEveryNodeHas)$$' -v ./sched -rapid.checks=$(CHECKS)
	go test -count=1 -timeout $(LONG_TIMEOUT) -run '^(TestShortCutsDecideTheSame|TestShortCutsDecideTheSameForManyClasses)$$' -v ./sched -rapid.checks=$$(( $(CHECKS) / 10 ))

# The interpreter of the system: tools/setup installs its packages.
.PHONY: test-python
test-python: setup ## Run the tests of the Python SDK, and mypy where it is installed
	@tools/test-python

.PHONY: race
race: setup ## Run all tests with the race detector, the long ones too
	go test -race -count=1 -timeout $(LONG_TIMEOUT) ./...

.PHONY: bench
bench: build ## Measure: benchmarks of the packages, then the fabric as a whole
	go test -run '^$$' -bench . -benchmem ./...
	$(BIN)/weft-bench run

# The commit to compare with, how often, and what to measure.
BEFORE ?= HEAD~1
PASSES ?= 7
COMPARE ?= --payload 16 --window 4096 --seconds 2
.PHONY: bench-before
bench-before: setup ## Measure the throughput of commit BEFORE and of the working tree in turns
	@tools/compare-before $(BEFORE) $(PASSES) $(COMPARE)

# How to compare with the peers, and where the report goes.
COMPARISON ?= --passes 5
COMPARISON_OUT ?= bench/results/compare
.PHONY: bench-compare
bench-compare: build ## Measure weft and its peers (NATS, gRPC, libzmq's proxy) in turns: a table and a chart
	$(BUILD_PEERS) || { rm -f $(BIN)/weft-bench-peers; echo "the peers cannot be built (see above): weft is measured alone" >&2; }
	$(BIN)/weft-bench compare $(COMPARISON) --out $(COMPARISON_OUT)

.PHONY: fmt
fmt: $(TOOLS)/gofumpt ## Format the code
	$(TOOLS)/gofumpt -w .

.PHONY: lint
lint: setup $(TOOLS)/golangci-lint ## Run the linters
	$(TOOLS)/golangci-lint run ./...

.PHONY: generate
generate: setup ## Write again what is generated
	go generate ./...

.PHONY: check
check: check-format check-modules check-vet check-peers lint check-generated check-vulnerabilities test ## All that must be green before a change goes in

.PHONY: check-format
check-format: $(TOOLS)/gofumpt
	@echo "$(TOOLS)/gofumpt -l ."
	unformatted=$$($(TOOLS)/gofumpt -l .)
	if [ -n "$$unformatted" ]; then
		printf 'not formatted (make fmt):\n%s\n' "$$unformatted" >&2
		exit 1
	fi

.PHONY: check-modules
check-modules: setup
	go mod verify
	go mod tidy -diff

.PHONY: check-vet
check-vet: setup
	go vet ./...

.PHONY: check-peers
check-peers: setup
	@tools/check-peers

.PHONY: check-generated
check-generated: setup
	@tools/check-generated

.PHONY: check-vulnerabilities
check-vulnerabilities: setup $(TOOLS)/govulncheck
	@tools/check-vulnerabilities $(TOOLS)/govulncheck

# The figures that the fabric must reach. A test that does not exist, or is skipped, has not passed.
.PHONY: acceptance
acceptance: acceptance-throughput acceptance-kill acceptance-stalls acceptance-cancel acceptance-fairness acceptance-callbacks acceptance-exec acceptance-tour acceptance-analyze acceptance-overload acceptance-long-task acceptance-pause acceptance-slow-reader acceptance-sched acceptance-sched-live acceptance-soak ## Check the promised figures and behaviour (takes long)

.PHONY: acceptance-throughput
acceptance-throughput: build ## - at least 1,000,000 small tasks/s through one client and one instance
	@tools/acceptance throughput 1000000 $(BIN)/weft-bench run --payload 16 --clients 1 --instances 1 --window 4096 --transport tcp --seconds 2 --format lines

.PHONY: acceptance-kill
acceptance-kill: build ## - 1,000,000 tasks while instances, agents and connections die; then poison among 100,000
	$(BIN)/weft-bench kill --tasks 1000000 --clients 4 --nodes 2 --instances 4 --slots 16 --every 1s --agents 7s --cuts 2s --execution 2ms \
		--poison 3 --others 100000 --timeout 5m

.PHONY: acceptance-stalls
acceptance-stalls: build ## - 60,000,000 small tasks while processes stand still for moments
	$(BIN)/weft-bench kill --tasks 60000000 --clients 4 --nodes 2 --instances 4 --slots 1 --execution 0s --every 0s --agents 0s --cuts 0s --stalls 20ms \
		--poison 0 --timeout 5m

.PHONY: acceptance-cancel
acceptance-cancel: build ## - a cancel of 201 tasks stops all within its grace, and kills only the instance that does not heed it
	$(BIN)/weft-bench cancel --instances 20 --slots 10 --execution 60s --grace 3s --slack 1s

.PHONY: acceptance-fairness
acceptance-fairness: build ## - one session with a million tasks does not slow another down
	$(BIN)/weft-bench fairness --sessions 1000 --flood 1000000

.PHONY: acceptance-callbacks
acceptance-callbacks: build ## - callbacks that block, panic or close; contexts that end at random
	@tools/acceptance test TestAcceptanceCallbacks ./internal/e2e

.PHONY: acceptance-exec
acceptance-exec: build ## - weft exec gzip over 1,000 files: right, with progress, and Ctrl-C leaves nothing
	@tools/acceptance-exec

.PHONY: acceptance-tour
acceptance-tour: build ## - what README tells a new user to do, done
	@tools/acceptance test TestAcceptanceTour ./internal/e2e

.PHONY: acceptance-analyze
acceptance-analyze: build ## - weft session analyze names what holds a session up, in five cases of five
	@WEFT_BINARY=$(CURDIR)/$(BIN)/weft tools/acceptance test TestAcceptanceAnalyze ./internal/e2e

.PHONY: acceptance-overload
acceptance-overload: build ## - ten times too much for 40 s, a stopped instance, a stopped client: memory, results, recovery
	$(BIN)/weft-bench overload --time 40s --large 200

.PHONY: acceptance-overload-long
acceptance-overload-long: build ## The same for 5 minutes, with 10,000 results of 8 MiB for the stopped client
	$(BIN)/weft-bench overload --time 5m --large 10000

.PHONY: acceptance-long-task
acceptance-long-task: build ## - one task of 10 s among 10,000 of 1 ms holds nobody up
	$(BIN)/weft-bench long-task

.PHONY: acceptance-pause
acceptance-pause: build ## - a node stands still for 5 s and counts as lost after 2 s
	$(BIN)/weft-bench pause

.PHONY: acceptance-slow-reader
acceptance-slow-reader: build ## - 1 GiB of results for a client that reads slowly: bounded memory, all right
	$(BIN)/weft-bench slow-reader --time 25s
	$(BIN)/weft-bench slow-reader --time 25s --by callbacks --credits 4

.PHONY: acceptance-sched
acceptance-sched: build ## - decisions of the scheduler on one core: rate, latency, memory, fairness, and what more nodes and queues cost
	$(BIN)/weft-bench sched --check

.PHONY: acceptance-sched-live
acceptance-sched-live: build ## - containers in a fabric of processes as weft sched simulate says, and every planted reason by weft explain
	@WEFT_BINARY=$(CURDIR)/$(BIN)/weft tools/acceptance test TestAcceptanceSchedLive ./internal/e2e

# Garbage that is not collected yet lets the memory of all parties grow for the first minute or two: the short form has slack.
.PHONY: acceptance-soak
acceptance-soak: build ## - a minute of load at 80 % of the maximum: no memory grows, no long pauses
	$(BIN)/weft-bench soak --time 1m --warm 15s --slack 0.2 --seconds 3

.PHONY: acceptance-soak-long
acceptance-soak-long: build ## The same for 10 minutes, with less slack
	$(BIN)/weft-bench soak --time 10m --warm 1m

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) build .cache demo-output

# The tools, in the versions that tools/go.mod pins.
TOOL_MODULE := tools/go.mod tools/go.sum

$(TOOLS)/golangci-lint: TOOL_PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/gofumpt: TOOL_PACKAGE := mvdan.cc/gofumpt
$(TOOLS)/govulncheck: TOOL_PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/benchstat: TOOL_PACKAGE := golang.org/x/perf/cmd/benchstat

$(TOOLS)/%: $(TOOL_MODULE)
	@echo "building $* (once; the linters take some minutes)"
	mkdir -p $(TOOLS)
	CGO_ENABLED=0 go -C tools build -o ../$@ $(TOOL_PACKAGE)
	touch $@
