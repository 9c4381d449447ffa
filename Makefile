# What people and CI call. Where a PostgreSQL server is installed nothing here
# needs root; where none is, installing one does.

# By `go run`, so that its version is the same everywhere and go.mod stays
# ours alone.
GOLANGCI_LINT ?= github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# So is goreleaser, which packages are made with: its first compilation takes minutes.
GORELEASER ?= github.com/goreleaser/goreleaser/v2@v2.15.4

# Made of the installed server: no registry is asked for it.
IMAGE := pgumbra-postgres:installed

# git refuses to look into a clone that another user owns; such a build goes
# without the commit in its version.
BUILDVCS := $(shell git status >/dev/null 2>&1 && echo auto || echo false)

export CGO_ENABLED ?= 0
# The program and the tests are of the same compiled packages then.
export GOFLAGS ?= -trimpath

.PHONY: all build schemas man packages image demo server versions test test-matrix test-long test-whole test-faults test-older test-docker bench bench-against bench-rehearsal lint clean

all: build

build:
	go build -buildvcs=$(BUILDVCS) -ldflags '-s -w' -o bin/pgumbra ./cmd/pgumbra

# docs/schemas, from the types that --json prints.
schemas:
	PGUMBRA_UPDATE=1 go test -count=1 -run SchemasArePublished ./cmd/pgumbra

# bin/man, a page a command.
man:
	PGUMBRA_MAN=$(CURDIR)/bin/man go test -count=1 -run ManPages ./cmd/pgumbra

# Archives, debs and checksums, into bin/dist (.goreleaser.yaml). Nothing is uploaded.
packages:
	go run $(GORELEASER) release --snapshot --clean --skip=docker

# The same, and a container image with pg_dump; BASE=debian:trixie-slim makes it of
# another one. It needs a Docker engine.
image:
	go run $(GORELEASER) release --snapshot --clean

# A whole upgrade under live traffic, on a disposable server; with SHADOW=17 to
# another one of that version, clients led over by PgBouncer.
demo: build server
ifdef SHADOW
	@testcontainers/install-versions $(SHADOW)
	@testcontainers/install-pgbouncer
endif
	bin/pgumbra demo $(if $(SHADOW),--shadow $(SHADOW))

# Installs a PostgreSQL server unless there is one.
server:
	@testcontainers/install-server

# Servers of the other major versions, into a cache folder.
versions:
	@testcontainers/install-versions all

# Servers of tests live in memory where there is room for them: files are a quarter of
# their time.
test: export PGUMBRA_TEST_SERVERS ?= $(shell [ "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt 8388608 ] && echo /dev/shm)
test: server
	@testcontainers/install-versions 14 17 18
	@testcontainers/install-pgbouncer
	go vet ./...
	# The longest first, so that neither processor waits for it at the end.
	go test -vet=off -ldflags '-s -w' -timeout 80m -p 2 ./upgrade ./cmd/pgumbra ./...

# Upgrades between all pairs of major versions; make test goes through one.
test-matrix: server versions
	PGUMBRA_TEST_PAIRS=all go test -timeout 60m -run Matrix ./upgrade

# Before a release: random traffic and ledgers under faults, again and again, each
# time with another seed, which is printed.
test-long: server
	@testcontainers/install-versions 17
	@testcontainers/install-pgbouncer
	PGUMBRA_TEST_LONG=$(or $(PGUMBRA_TEST_LONG),1h) go test -count=1 -timeout 24h -p 1 -run '^TestLong$$' -v ./upgrade ./cmd/pgumbra

# All cases and faults of which make test takes a sample, by a seed that it prints.
test-whole: server
	@testcontainers/install-versions 14 17 18
	@testcontainers/install-pgbouncer
	PGUMBRA_TEST_WHOLE=1 go test -count=1 -timeout 6h -p 1 ./...

# A process is stopped at each statement of a cutover, killed and cut off at each
# moment of a run, and each fault happens at each moment (docs/fault-matrix.md); make
# test takes a few. With PGUMBRA_TEST_PART=2/6 statements are every sixth. Disks are
# filled where file systems can be mounted, by root as a rule.
test-faults: server
	@testcontainers/install-pgbouncer
	@testcontainers/install-faketime
	PGUMBRA_TEST_WHOLE=1 go test -count=1 -timeout 3h -run 'Stopped|Kill|Network|CutConnections|FaultMatrix' -v ./cmd/pgumbra
	PGUMBRA_TEST_WHOLE=1 go test -count=1 -run RowTooLarge -v ./shadow

# The program of an older revision, made from the history.
bin/pgumbra-%:
	@rm -rf bin/src-$* && mkdir -p bin/src-$*
	git archive $* | tar x -C bin/src-$*
	cd bin/src-$* && go build -buildvcs=false -ldflags '-s -w' -o ../pgumbra-$* ./cmd/pgumbra
	@rm -rf bin/src-$*

# What an older pgumbra began, this one finishes or undoes: make test-older REV=v0.1
test-older: server bin/pgumbra-$(REV)
	PGUMBRA_TEST_OLDER=$(CURDIR)/bin/pgumbra-$(REV) go test -count=1 -timeout 10m -run Older -v ./cmd/pgumbra

# Capture, copy, catch-up and stall of this and of an older pgumbra in one run, as
# ratios: make bench-against REV=v0.1
bench-against: server bin/pgumbra-$(REV)
	PGUMBRA_BENCH_OLDER=$(CURDIR)/bin/pgumbra-$(REV) go test -run '^$$' -bench Against -benchtime 1x -timeout 60m ./cmd/pgumbra

# Servers in Docker: an image of the installed server, and testcontainers-go
# without its reaper, whose image would have to be pulled.
test-docker: server
	testcontainers/image/with-engine $(MAKE) --no-print-directory in-docker

.PHONY: in-docker
in-docker:
	testcontainers/image/build $(IMAGE)
	TESTCONTAINERS_RYUK_DISABLED=true PGUMBRA_PG_IMAGE=$(IMAGE) \
		go test -count=1 -timeout 5m -run Container -v ./testcontainers

bench: server
	go test -run '^$$' -bench . -benchtime 1x -timeout 60m -p 1 ./...

# 50 tables with a million rows: time, its parts, and pgumbra's memory.
bench-rehearsal: server
	go test -run '^$$' -bench '^BenchmarkRehearsal$$' -benchtime 1x -timeout 30m ./cmd/pgumbra

lint:
	go run $(GOLANGCI_LINT) run ./...

clean:
	rm -rf bin
	go clean -testcache
