# `make` alone lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
GOBUILD   := go build -trimpath -ldflags='-s -w'
# where goroutines meet: the race detector looks at these
RACE      := ./internal/testdb/... ./internal/engine/... ./internal/snapshot/... ./internal/verify/... ./internal/migrate/... ./cmd/...
# tests whose cases are drawn, and judged by a model: restores of captures, and of each source of a journal
MODELS    := ^(TestRestoreEqualsReference|TestRestoreLosesNoWrite|TestRestoreOfUniqueValues|TestRestoreFamily|TestModel|TestSlotModel|TestBinlogModel|TestRestoreOfTiedTables)$$
TESTFLAGS ?=
# Most tests wait for servers more than they compute: three at a time on two processors.
TEST      := TMPDIR=$$(scripts/test-tmp.sh) go test -timeout 80m -parallel 3 $(TESTFLAGS)

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## the program for this machine, in bin/
	$(GOBUILD) -o bin/dbrollback ./cmd/dbrollback

.PHONY: build-all
build-all: ## the program for every platform, without cgo, in dist/
	@for p in $(PLATFORMS); do \
		out=dist/dbrollback-$${p%/*}-$${p#*/}; \
		case $$p in windows/*) out=$$out.exe ;; esac; \
		echo "$$out"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GOBUILD) -o $$out ./cmd/dbrollback; \
	done

.PHONY: servers
servers: ## install the database servers and the browser that the tests start, where they are missing
	@scripts/install-test-servers.sh

.PHONY: test
test: servers ## every test, on real servers
	$(TEST) ./...

.PHONY: test-matrix
test-matrix: servers ## every test again on PostgreSQL 16, 17, 18 and MariaDB 11.8
	@export DBROLLBACK_TEST_PG_DUMP PATH; DBROLLBACK_TEST_PG_DUMP=$$(scripts/install-test-servers.sh pg_dump); \
	PATH=$$(dirname "$$DBROLLBACK_TEST_PG_DUMP"):$$PATH; \
	for v in 16 17 18; do \
		bin=$$(scripts/install-test-servers.sh postgres-$$v); \
		echo "== PostgreSQL $$v"; \
		DBROLLBACK_TEST_PG_BIN=$$bin $(TEST) ./...; \
	done
	@bin=$$(scripts/install-test-servers.sh mariadb-11); \
	echo "== MariaDB 11.8"; \
	DBROLLBACK_TEST_MARIADB_BIN=$$bin $(TEST) ./...

.PHONY: race
race: servers ## the packages with concurrency under the race detector
	$(TEST) -race $$(go list -e -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' $(RACE))

.PHONY: kill
kill: servers ## hundreds of kills (KILLS=300) at random instants of up, rollback and restore; SEED=n repeats one
	KILLS=$${KILLS:-300} go test -count=1 -timeout 240m -run 'Killed|CutOff' -v ./internal/migrate

.PHONY: property
property: servers ## random migrations, restores and journals (CASES=2000 of each), judged by models; SEED=n repeats them
	@export CASES=$${CASES:-2000} SEED=$${SEED:-$$(date +%s)}; echo "CASES=$$CASES SEED=$$SEED repeats it"; \
	go test -count=1 -timeout 600m -run '$(MODELS)' -v ./internal/snapshot ./internal/journal; \
	go test -count=1 -timeout 120m -run TestAnyMigration -v ./internal/migrate

.PHONY: bench
bench: servers ## ratios against peers and the server's limits, into docs/benchmarks.* (ROWS=500000 ROUNDS=5 CASE=DROP_COLUMN)
	ROWS=$${ROWS:-500000} ROUNDS=$${ROUNDS:-5} OUT=$(CURDIR)/docs go test -count=1 -v -run "TestCompare/cases/$${CASE:-.}" -timeout 180m ./bench

.PHONY: demo
demo: ## the whole story on an embedded SQLite file, nothing to set up
	@go run ./cmd/dbrollback demo

.PHONY: lint
lint: ## golangci-lint (built once, then kept in the user's cache)
	@scripts/lint.sh

.PHONY: fmt
fmt: ## format the code
	gofmt -s -w cmd internal

.PHONY: golden
golden: ## write the golden files anew from what the code gives now
	@packages=$$(grep -rlE --include='*_test.go' 'flag\.Bool(Var)?\(.*"update"' cmd internal | xargs -r -n1 dirname | sort -u | sed 's#^#./#'); \
	if [ -z "$$packages" ]; then echo "no package has golden files"; else go test -count=1 $$packages -update; fi

.PHONY: ci
ci: ## what continuous integration runs
	@.ci/run
