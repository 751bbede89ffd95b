# The front door: `make help` lists the rooms, docs/building.md describes them. Meson does the work.

BENCH =
FUZZ =
SECONDS = 60
LONG =
CLUSTER =
KEEP =
GUEST = tiny

.PHONY: build help setup test test-long bench demo cluster fuzz model lint format docs clean

build: ## build with gcc into build/ (what plain `make` does)
	@scripts/configure.sh build

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install the Debian packages that building, testing and running need
	@scripts/setup.sh

test: setup ## everything that a change must pass: gcc, clang, sanitizers, checks
	@scripts/test.py

test-long: setup ## the same with long tests, fresh seeds, more rounds, and fuzzing
	@scripts/test.py --long

bench: ## run all benches, or one: BENCH=name
	@scripts/bench.sh $(BENCH)

demo: ## watch virtual machines survive their hosts, half a minute long; KEEP=1 leaves it running, GUEST=linux boots Debian's kernel
	@scripts/setup.sh build demo
	@scripts/configure.sh build demo-programs
	@scripts/demo.py --guest $(GUEST) $(if $(KEEP),--keep)

cluster: build ## run three members on loopback; CLUSTER=--tls with certificates
	@scripts/cluster.py $(CLUSTER)

fuzz: ## fuzz all targets in turn, or one: FUZZ=name, each for SECONDS=60
	@scripts/fuzz.sh $(SECONDS) $(FUZZ)

model: ## check the models of spec/ with spin; the large ones as well with LONG=1
	@spec/check.py $(if $(LONG),--long)

lint: build ## layout, include direction, names, imports of the core
	@meson test -C build --no-rebuild --print-errorlogs --suite lint

format: ## lay out every C file as .clang-format says
	@scripts/layout.sh -i

docs: build ## write the pages that are generated from the code
	@build/tests/raft-config-page > docs/raft-config.md
	@build/tests/scenarios-page > docs/scenarios.md

clean: ## remove all build folders
	@rm -rf build build-clang build-asan build-debug build-fuzz build-release
