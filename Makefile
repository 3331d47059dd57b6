# graphrelay: make build, make test.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# SQLite is C made Go, and slow with the race detector: it goes without.
NO_RACE = -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test lint demo bench crash clean

# One static binary, for the system that GOOS and GOARCH name.
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X graphrelay/internal/buildinfo.version=$(VERSION)" -o . ./cmd/graphrelay

# What needs a tool that is missing (.ci/install lists them) is skipped.
test:
	go test -race $(NO_RACE) -shuffle=on -timeout 20m ./...

lint:
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi
	go vet ./...
	go mod tidy -diff
	go run $(STATICCHECK) ./...

demo:
	go run ./cmd/graphrelay demo

# The memory that a 140 MB message takes, accepts beside Postfix's, with sign-ins and
# beside thousands of idle and slow connections, the pace of delivery, and what 100,000
# messages that wait cost (docs/performance.md).
bench:
	.ci/bench-memory
	go test -count=1 -timeout 1h -v -run '^(TestCompareAccepts|TestCompareSignIns|TestCompareSiege|TestSiege|TestDeliveryRate|TestBacklog)$$' ./test/load -compare

# Kills the relay 500 times while mail flows, and compares what arrived.
crash:
	go test -count=1 -timeout 2h -v -run '^TestCrashMatrix$$' ./test/durability -kills 500

clean:
	rm -rf graphrelay graphrelay.exe dist
