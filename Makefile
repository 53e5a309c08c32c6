# Every module is found in go.work: to add one needs no edit here.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.8.0

MODULES = $(shell go list -m -f '{{.Dir}}')
each    = @set -e; for dir in $(MODULES); do echo "== $$(basename $$dir)"; (cd $$dir && $(1)); done

FUZZTIME  ?= 200000x
BENCHTIME ?= 1s

.PHONY: all test lint fmt vet staticcheck vuln bench fuzz sim soak arena arena-short demo

all: lint test

# test runs every test of every module under the race detector, the modules side
# by side. What looks at other people's races runs after that without it.
test:
	go test -race -shuffle=on $(MODULES:%=%/...)
	@set -e; for dir in $$(git grep -l '^//go:build !race' -- '*_test.go' | xargs -rn1 dirname | sort -u); do \
		echo "== $$dir, without the race detector"; (cd $$dir && go test -shuffle=on .); \
	done

lint: fmt vet staticcheck vuln

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }

vet:
	$(call each,go vet ./...)

staticcheck:
	$(call each,go run $(STATICCHECK) ./...)

# vuln looks for known vulnerabilities in what the modules call. It needs the
# database at vuln.go.dev; without it there is nothing to compare with, which is
# said and is no failure. A finding is.
vuln:
	@if curl -sfo /dev/null -m 10 https://vuln.go.dev/index/db.json; then \
		set -e; for dir in $(MODULES); do echo "== $$(basename $$dir)"; (cd $$dir && go run $(GOVULNCHECK) ./...); done; \
	else echo "vuln: vuln.go.dev cannot be reached, not checked"; fi

# bench prints what the stack, its layers and its peers cost over a bare base.
bench:
	@cd bench && out=$$(mktemp) && trap 'rm -f $$out' EXIT && \
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) . >$$out && go run . <$$out

# fuzz runs every fuzz target there is on FUZZTIME inputs. They are counted, not
# timed: before Go 1.27 a run that ends by the clock now and then fails without
# having found anything (go.dev/issue/75804).
fuzz:
	@set -e; for dir in $(MODULES); do (cd $$dir && \
		for pkg in $$(go list ./...); do \
			for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
				echo "== $$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$pkg; \
			done; \
		done); \
	done

# sim runs the virtual-time simulation of the Limiter and prints its figures.
sim:
	go test -count=1 -v -run '^TestSimulation$$' . -sim.full

# soak has 200 callers at work for a minute, under the race detector, and prints
# what they come to and what the process holds meanwhile. It also sends requests
# of a million keys.
soak:
	go test -race -count=1 -v -run '^TestSoak$$' . -soak
	go test -count=1 -v -run '^TestManyKeysHoldTenThousand$$' . -soak

# arena runs the clients against real rate-limiting servers and prints the table.
arena:
	@cd arena && go run .

arena-short:
	@cd arena && go run . -short

# demo shows the command at work against its own provider.
demo:
	@go run ./cmd/steady demo
