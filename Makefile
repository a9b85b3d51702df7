# The project's front door; CMake does the building (CMakePresets.json), scripts/ the rest.
#   make          what is missing on this system, and the release program: build/release/dataflow
#   make run      that, and starts it: the live page on http://127.0.0.1:8500, offline, from the demo recording
#   make test     installs, builds and tests everything
# Also: lint, bench, fuzz, asan, tsan, coverage, docs, clean.

.DEFAULT_GOAL := release
.PHONY: release run test dev lint bench fuzz asan tsan coverage docs clean

FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)

release:
	@scripts/install-dependencies build
	@scripts/build release dataflow

run: release
	@build/release/dataflow run

dev:
	@scripts/install-dependencies test
	@scripts/build dev

test:
	@scripts/test

lint:
	@scripts/lint

bench: release
	@build/release/dataflow bench

# Every fuzz target in turn, FUZZ_SECONDS each, from its committed corpus.
fuzz:
	@scripts/install-dependencies lint
	@scripts/build fuzz fuzzers
	@scripts/fuzz build/fuzz $(FUZZ_SECONDS)

asan tsan:
	@scripts/install-dependencies test lint
	@scripts/build $@
	@scripts/test-sanitized $@

coverage:
	@scripts/install-dependencies test
	@scripts/build coverage
	@ctest --preset coverage
	@scripts/coverage build/coverage

# docs/configuration.md out of the program's option table; app/test_documentation checks that it is current.
docs: release
	@build/release/dataflow docs configuration >docs/configuration.md

clean:
	@rm -rf $(filter-out build/packages,$(wildcard build/*))
