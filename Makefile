# graphrelay: make build, make test.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# SQLite, which is translated from C, and the cipher that bcrypt uses are very slow with the
# race detector and share no memory between goroutines: they are compiled without it.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false \
	-gcflags=golang.org/x/crypto/blowfish=-race=false
# The packages that make test tests.
# The packages that take longest begin first, so that none is left alone at the end.
TESTS = ./relay/delivery ./test/durability ./test/chaos ./test/nodes ./test/load ./test/inprocess ./relay/smtpd ./test/clients ./...
# Runs a tool at the version, and with the checksums, of .ci/tools.
TOOL = go tool -modfile=.ci/tools/go.mod

.PHONY: build msi man share packages image release site sbom test test-bare lint vulncheck vulndb demo benchmarks bench crash worlds chaos nodes clean

# One static binary in OUT, for the system that GOOS and GOARCH name.
OUT = .
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X graphrelay/internal/buildinfo.version=$(VERSION)" -o $(OUT) ./cmd/graphrelay

# Writes dist/graphrelay.msi, the installer for Windows. It needs wixl, msitools and
# faketime (Debian).
msi:
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -trimpath -ldflags "-s -w -X graphrelay/internal/buildinfo.version=$(VERSION)" -o dist/windows-amd64/ ./cmd/graphrelay
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) deploy/windows/build dist/windows-amd64/graphrelay.exe "$(VERSION)" dist/graphrelay.msi

# Writes a man page for each command into dist/man, dated by the last commit.
DIST = dist
man:
	mkdir -p $(DIST)/man
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null) \
		CGO_ENABLED=0 go run -tags manpages -ldflags "-X graphrelay/internal/buildinfo.version=$(VERSION)" ./cmd/graphrelay $(DIST)/man

# Writes man pages and the completion of each shell into dist/share. PROGRAM names a binary that
# runs here.
PROGRAM = ./graphrelay
share:
	$(MAKE) man DIST=$(DIST)/share
	mkdir -p $(DIST)/share/completions
	for shell in bash zsh fish powershell; do \
		$(PROGRAM) completion $$shell > $(DIST)/share/completions/graphrelay.$$shell || exit 1; \
	done

# Builds the deb and the rpm from PROGRAM, a binary for Linux on ARCH, into dist.
ARCH = $(shell go env GOARCH)
packages: share
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) deploy/package/build $(VERSION) $(ARCH) $(PROGRAM) $(DIST)/share $(DIST)

# Builds the container image from PROGRAM, into an archive that docker load and podman load take.
image:
	mkdir -p $(DIST)
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) deploy/container/build $(VERSION) $(ARCH) $(PROGRAM) $(DIST)/graphrelay-$(VERSION)-linux-$(ARCH).image.tar

# Builds all files of a release into dist/release, for all systems (CONTRIBUTING.md).
release:
	deploy/release/build $(VERSION) $(DIST)

# Writes the documentation as a site into dist/site, with Debian's mkdocs and mkdocs-material.
SITE = dist/site
site:
	PYTHONPATH=tools/site PYTHONDONTWRITEBYTECODE=1 mkdocs build --quiet --strict --site-dir "$(abspath $(SITE))"

# Writes graphrelay.cdx.json, which names the modules in ./graphrelay (CycloneDX). BINARY
# names another binary.
BINARY = graphrelay
sbom:
	@test -e $(BINARY) || { echo "$(BINARY) is not there: run make build first"; exit 1; }
	go run ./tools/sbom -version $(VERSION) $(BINARY) > $(BINARY).cdx.json

# Needs only Go. Without a C compiler the race detector is left out, and a test that needs
# a missing program (.ci/install lists them) is skipped. The end-to-end tests share the two
# programs that are built first: one like the tests, one as for a release. They mostly wait
# for these, so four packages run at a time. The nodes of test/nodes have leases, and the
# machine to themselves. Without the race detector run test/costs, which counts allocations, to
# which it adds, and relay/delivery once more, in worlds that take too long with it.
test:
	@race='$(RACE)'; \
	if ! go build -race runtime/cgo 2>/dev/null; then \
		race=; echo "without the race detector: it needs cgo, and so a C compiler that works"; \
	fi; \
	programs=$$(mktemp -d) && trap 'rm -rf "$$programs"' EXIT && \
	go build -trimpath $$race -o "$$programs/graphrelay" ./cmd/graphrelay && \
	CGO_ENABLED=0 go build -trimpath -o "$$programs/graphrelay-released" ./cmd/graphrelay && \
	export GRAPHRELAY_TEST_PROGRAMS="$$programs" && \
	all=$$(go list $(TESTS)) && \
	alone= plain= others= && for p in $$all; do case $$p in \
		*/test/nodes) alone=$$p ;; \
		*/test/costs) plain="$$plain $$p" ;; \
		*/relay/delivery) others="$$others $$p"; if [ -n "$$race" ]; then plain="$$plain $$p"; fi ;; \
		*) others="$$others $$p" ;; \
	esac; done && \
	if [ -n "$$others" ]; then go test $$race -p 4 -shuffle=on -timeout 40m $$others; fi && \
	if [ -n "$$alone" ]; then go test $$race -shuffle=on -timeout 20m $$alone; fi && \
	if [ -n "$$plain" ]; then CGO_ENABLED=0 go test -p 1 -count=1 -shuffle=on -timeout 20m $$plain; fi

# Runs the end-to-end tests as on a machine that has only Go, git and make.
test-bare:
	.ci/bare $(MAKE) test TESTS=./test/...

lint:
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi
	go vet ./...
	go vet -tags manpages ./cmd/graphrelay
	GOOS=windows go vet ./cmd/graphrelay ./internal/private ./internal/winservice ./relay/control
	go mod tidy -diff
	$(TOOL) staticcheck ./...
	go mod verify

# Fails when code with a known vulnerability can be reached (tools/vulncheck). Before a
# release, ARGS=-strict makes it fail for vulnerabilities of Go itself, too.
vulncheck:
	go run ./tools/vulncheck $(ARGS)

# Brings the newest list of known vulnerabilities for make vulncheck.
vulndb:
	cd .ci/vulndb && rm -f go.sum && go get golang.org/x/vulndb

demo:
	go run ./cmd/graphrelay demo

# The benchmarks, ready for benchstat: make benchmarks > new.txt. BENCH chooses some of them, and
# COUNT says how often each runs. Those of hostile input take long and are for one at a time.
BENCH = .
COUNT = 6
benchmarks:
	go test -p 1 -run '^$$' -bench '$(BENCH)' -skip '^BenchmarkHostile$$' -benchmem -count $(COUNT) -timeout 2h ./mime ./graph ./internal/... ./relay/... ./test/costs

# The memory that large messages take, accepts beside Postfix's, with sign-ins and
# beside thousands of idle and slow connections, the pace of delivery, and what 100,000
# messages that wait cost (docs/performance.md).
bench:
	.ci/bench-memory
	go test -count=1 -timeout 2h -v -run '^(TestCompareAccepts|TestCompareSecureAccepts|TestCompareSignIns|TestCompareSiege|TestSiege|TestDeliveryRate|TestDeliveryMemory|TestBacklog|TestCompareNodes)$$' ./test/load -compare

# Kills the relay 500 times while mail flows, and compares what arrived.
crash:
	go test -count=1 -timeout 2h -v -run '^TestCrashMatrix(Shared)?$$' ./test/durability -kills 500

# Sends 500 messages through worlds that change at random, for each of six seeds, and runs the
# tests of lost answers and crashes in all worlds.
worlds:
	go test -count=1 -timeout 2h -v -run '^TestWorlds$$' ./test/durability -world-messages 500 -world-kills 25 -world-seeds 6
	go test -count=1 -timeout 1h -run '^(TestAssumption|TestLostAnswer|TestCrash)' ./relay/delivery -worlds

# Makes all kinds of trouble at random, for an hour, and looks whether mail is lost or doubled.
chaos:
	go test -count=1 -timeout 2h -v -run '^TestChaos$$' ./test/chaos -chaos-time 1h

# Kills, freezes, cuts off and drains three relays on one queue at random, for an hour, and looks
# whether mail is lost or doubled.
nodes:
	go test -count=1 -timeout 2h -v -run '^TestNodes$$' ./test/nodes -nodes-time 1h

clean:
	rm -rf graphrelay graphrelay.exe graphrelay.cdx.json dist
