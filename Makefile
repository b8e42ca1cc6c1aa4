# make demo   set up and run the main job once
# make test   set up and run lint, types and the whole test suite
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo lint types test vm-test vm-test-all bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.tested ## .venv with opskit and everything its tests use

# Debian splits venv from Python: where it is missing and may be installed, it is; else pip's line says so.
.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "opskit needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "installing python3-venv, which Debian keeps apart from python3" >&2; \
	    $$([ "$$(id -u)" = 0 ] || echo sudo) sh -c 'apt-get update -q && apt-get install -qy python3-venv' >&2; }
	@$(PYTHON) -m venv .venv
	@echo "setting up .venv (once)" >&2
	@$(BIN)/pip install -q --upgrade pip
	@$(BIN)/pip install -q -e .
	@touch $@

.venv/.tested: .venv/.ready
	@echo "adding what the tests use (once; about a minute)" >&2
	@$(BIN)/pip install -q --group dev -e '.[pypi,cluster]'
	@touch $@

demo: .venv/.ready ## a real server, a file of requests, 20 000 requests, the report
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

lint: setup ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

test: lint types ## lint, types, and every test
	$(BIN)/pytest

vm-test: setup ## swap-mirror in a Debian guest with ZFS: the quick scenarios (the image is built once)
	$(BIN)/pytest -m vm -s --junitxml build/vm-test.xml tests/vm

vm-test-all: setup ## the same, every scenario, with ZFS 2.1 and 2.3; about an hour under emulation
	OPSKIT_VM_SET=all $(BIN)/pytest -m vm -s --junitxml build/vm-test.xml tests/vm

bench: setup ## measured beside the peers; see benchmarks/README.md
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.believed
	$(BIN)/python -m benchmarks.http2
	$(BIN)/python -m benchmarks.macros
	$(BIN)/python -m benchmarks.range_cost
	$(BIN)/python -m benchmarks.index

clean: ## remove what setup made
	rm -rf .venv
