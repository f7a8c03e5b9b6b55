# DotMac Edge: what a person or a machine runs. Everything works on a Debian 12 with git, make, gcc
# and cargo; `make deps` (part of the rest) brings what is missing, or says which line to run.

.PHONY: demo test deps fmt fmt-check lint lint-code unit deny bench fuzz help

CARGO ?= cargo
ARGS ?=
# Seconds per fuzz target.
FUZZ_SECONDS ?= 60

help:
	@echo "make demo [ARGS=--once]   as root: build, and take a phone and a NAS through the whole journey, in a"
	@echo "                          network of its own that goes with it"
	@echo "make test                 everything that CI runs, with the time of each step"
	@echo "make fmt | lint           format the code | format check and lints only"
	@echo "make bench | fuzz         measure | fuzz each target for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make deps                 install the Debian packages that tests and demo need"

demo: deps
	$(CARGO) run --release --locked --bin dotmac-edge -- demo $(ARGS)

test: deps
	@.ci/step format  $(MAKE) --no-print-directory fmt-check
	@.ci/step lints   $(MAKE) --no-print-directory lint-code
	@.ci/step tests   $(MAKE) --no-print-directory unit
	@.ci/step deny    $(MAKE) --no-print-directory deny

deps:
	@.ci/deps

fmt:
	$(CARGO) fmt

lint: fmt-check lint-code

fmt-check:
	@.ci/lints format

lint-code:
	@.ci/lints code

unit:
	$(CARGO) test --locked --quiet --no-fail-fast

deny:
	@.ci/deny

bench:
	$(CARGO) bench --locked

fuzz:
	@.ci/fuzz $(FUZZ_SECONDS)
