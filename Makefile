# The same words for people and for CI. `make help` lists them.
#
# Needed beforehand: Rust, Node with npm, Python 3.10 or newer with venv, a JDK 17 or newer with Maven, make. What the tests need beside that
# installs itself into ignored folders (`.cache/`, `tests/counterparts/node_modules`); Chromium, JDK and Maven come from apt when they are missing
# and you are root, and so does Swift, into a folder of its own (`SMALT_CACHE`, default /var/cache/smalt). Where Swift can't be had, `make test`
# says so at its end; with `CI` set it fails.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo test python node kotlin swift contract lint conformance reliability fuzz bench counterparts tools

# Where cargo builds. Demo and tests share one folder and the dev profile, so that nothing is built twice.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# No colours where nobody sees them.
ifeq ($(MAKE_TERMOUT),)
export CARGO_TERM_COLOR := never
export NO_COLOR := 1
endif
export CARGO_TERM_PROGRESS_WHEN ?= never

# Cases say themselves which master key an engine is given, and that it is given none.
unexport SMALT_KEY SMALT_KEY_FILE

# Some tests panic on purpose; printing their traces takes seconds on a busy machine.
export RUST_BACKTRACE := 0

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1 /p' Makefile | while read -r name about; do printf '  make %-12s %s\n' "$$name" "$$about"; done

demo: ## connect, use and disconnect two sandbox applications, offline
	@bin="$(TARGET)/debug/smalt" built="$(TARGET)/.smalt-built"
	if [ ! -x "$$bin" ] || [ ! -e "$$built" ]; then
		echo "Building smalt and its libraries: 4 to 8 minutes on 2 cores, once."
	elif [ -n "$$(find core Cargo.toml Cargo.lock -newer "$$built" -print -quit)" ]; then
		echo "Building what changed in smalt: up to a minute."
	fi
	cargo build -q --workspace --bin smalt
	touch "$$built"
	exec "$$bin" demo

test: lint counterparts ## everything that must hold: lint, Rust tests, counterparts, packages of other languages
	@tests/conformance/grid.py clear
	echo "== Rust tests"
	cargo test -q --workspace --no-run
	cargo test --workspace --no-fail-fast
	echo "== Counterparts: a provider and a browser that others wrote"
	npm --prefix tests/counterparts test --silent
	echo "== The HTTP API against its own document"
	tests/contract/run.sh 1
	$(MAKE) python
	$(MAKE) node
	$(MAKE) kotlin
	echo "== Swift"
	swift=0 without=()
	bindings-swift/swift.sh || swift=$$?
	if [ "$$swift" = 69 ] && [ -z "$${CI:-}" ]; then without=(without swift); elif [ "$$swift" != 0 ]; then exit "$$swift"; fi
	echo "== The conformance cases, as the parts above counted them"
	tests/conformance/grid.py "$${without[@]}"
	if [ "$$swift" != 0 ]; then
		echo "== All of this held. NOT RUN: the Swift package, since Swift can't be had here, as said above. In CI that fails."
	fi

python: ## the Python package: its wheel in a clean virtualenv, and its tests
	@echo "== Python"
	bindings-python/test.sh

node: ## the Node package: its tarball in an ESM and a CJS project, the conformance cases and its tests
	@echo "== Node"
	tests/counterparts/install.sh
	tests/node/install.sh
	tests/node/run.sh

kotlin: ## the Kotlin and Android packages: their tests, and a project that uses the jar
	@echo "== Kotlin"
	bindings-swift/kotlin.sh

swift: ## the Swift package: warnings as errors, its tests, and a project that adds it by a git URL
	@echo "== Swift"
	bindings-swift/swift.sh

contract: ## the HTTP API against its own OpenAPI document, judged by schemathesis, at full size
	@cargo build -q --workspace --bin smalt
	tests/contract/run.sh 20

lint: tools ## formatting, and every warning as an error
	@echo "== Lint"
	cargo fmt --all --check
	cargo clippy -q --workspace --all-targets -- -D warnings
	cargo check -q -p smalt --no-default-features --features remote
	cargo test -q -p smalt-ffi --no-default-features
	python3 bindings-python/generate.py --check
	python3 bindings-swift/generate.py --check
	python3 bindings-swift/versions.py
	node bindings-node/scripts/generate.mjs --check
	python3 tests/parity/parity.py
	python3 tests/parity/lines.py
	python3 tests/parity/contract.py
	(cd tests/parity && python3 -m unittest -q)
	tests/conformance/grid.py check
	(cd tests/conformance && python3 -m unittest -q)
	for script in .ci/run tests/*.sh tests/conformance/*.sh tests/counterparts/*.sh tests/faults/*.sh tests/fuzz/*.sh tests/contract/*.sh bindings-python/*.sh bindings-swift/*.sh bindings-swift/swift/*.sh tests/node/*.sh; do bash -n "$$script"; done
	for module in tests/*.mjs tests/counterparts/*.mjs core/portal/*/*.mjs tests/node/*.mjs tests/node/test/*.mjs tests/node/runtimes/*.mjs tests/node/cjs/*.cjs bindings-node/scripts/*.mjs bindings-node/bench/*.mjs bindings-node/examples/*.mjs examples/*/*.mjs; do node --check "$$module"; done

# Every part runs, whatever became of the one before: the grid says what failed.
conformance: ## every case of tests/conformance in every language against every backend: a grid, target/conformance.json and the README's table
	@tests/conformance/grid.py clear
	failed=""
	{ cargo test -q --workspace --test conformance --no-run && cargo test -q --workspace --test conformance -- --nocapture; } || failed+=" rust"
	bindings-python/test.sh -s -k every_case_holds || failed+=" python"
	{ tests/node/install.sh && tests/node/run.sh conformance; } || failed+=" node"
	bindings-swift/kotlin.sh -Dtest=ConformanceTest || failed+=" kotlin"
	bindings-swift/swift.sh test --filter everyCase || failed+=" swift"
	if [ -n "$${CASE:-}$${BACKEND:-}" ]; then echo "CASE and BACKEND choose: there is no grid"; else tests/conformance/grid.py readme || failed+=" grid"; fi
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

# Tests that prove a numbered requirement are named after it (`s50_...`, `r09_...`); so does that of bad networks, in each language. One at a time: they use
# all cores themselves. Each part runs, whatever became of the one before; the report says of each test whether it held, failed or was not run.
reliability: counterparts ## the reliability and security requirements at their full figures (hours); writes target/reliability.json
	@cargo test -q --workspace --lib --bins --tests --no-run
	cargo test -q --workspace --lib --bins --tests -- --list --format terse | sed -nE 's/^((.*::)?([rs][0-9]{2}[a-z0-9_]*|every_fault_ends_as_it_should)): test$$/\1/p' > "$(TARGET)/reliability.names"
	mapfile -t names < <(sort -u "$(TARGET)/reliability.names")
	if [ "$${#names[@]}" -eq 0 ]; then echo "no test is named after a requirement" >&2; exit 1; fi
	echo "== $${#names[@]} tests at full size"
	export SMALT_FULL=1 failed="" logs="$(TARGET)/reliability"
	rm -rf "$$logs" && mkdir -p "$$logs"
	cargo test --workspace --lib --bins --tests --no-fail-fast -- --exact --test-threads=1 "$${names[@]}" | tee "$(TARGET)/reliability.log" || failed+=" tests"
	npm --prefix tests/counterparts test --silent 2>&1 | tee "$$logs/counterparts.log" || failed+=" counterparts"
	bindings-python/test.sh -vv -k "s41 or s77 or s78 or s79 or s80 or interpreter_ends or every_fault" 2>&1 | tee "$$logs/python.log" || failed+=" python"
	{ tests/node/install.sh && tests/node/run.sh test; } 2>&1 | tee "$$logs/node.log" || failed+=" node"
	rm -rf bindings-swift/kotlin/*/target/surefire-reports
	bindings-swift/kotlin.sh jvm '-Dtest=*#s41*+s77*+s78*+s79*+*loop*+everyFault*' || failed+=" kotlin"
	cat bindings-swift/kotlin/*/target/surefire-reports/TEST-*.xml > "$$logs/kotlin.log" 2>/dev/null || true
	swift=0
	bindings-swift/swift.sh test --filter 's41_|s77_|s78_|s79_|Loop|everyFault' 2>&1 | tee "$$logs/swift.log" || swift=$$?
	if [ "$$swift" = 69 ] && [ -z "$${CI:-}" ]; then echo "NOT RUN: the Swift package's rows, since Swift can't be had here." >&2; elif [ "$$swift" != 0 ]; then failed+=" swift"; fi
	node tests/report.mjs "$(TARGET)/reliability.log" "$(TARGET)/reliability.names" "$$logs" > "$(TARGET)/reliability.json" || failed+=" rows"
	unset SMALT_FULL
	tests/contract/run.sh 20 || failed+=" contract"
	tests/fuzz/run.sh 60 || failed+=" fuzz"
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

fuzz: ## look for inputs that break what reads them, a minute for each target (FUZZ_SECONDS); with KEEP=1 what reaches new code joins tests/fuzz/corpus
	@tests/fuzz/run.sh $(or $(FUZZ_SECONDS),60)

bench: ## measure against named peers; writes target/bench.json
	@cargo run -q --profile fast -p smalt-bench
	bindings-python/bench.sh
	bindings-node/bench.sh
	bindings-swift/bench.sh

counterparts:
	@tests/counterparts/install.sh

tools:
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
