# What scripts and people type. Each target installs what it needs: into build/venv, and (make test, as root) Debian's packages.
SHELL := /bin/bash -euo pipefail
.DEFAULT_GOAL := help

PYTHON  ?= python3
BUILD   := $(CURDIR)/build
VENV    := $(BUILD)/venv
BIN     := $(VENV)/bin
CACHE   := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/condafleet
DEMO    := $(BUILD)/demo
# All that pip, npm and uv keep goes into condafleet's own cache folder.
export PIP_CACHE_DIR := $(CACHE)/pip
export npm_config_cache := $(CACHE)/npm
export UV_CACHE_DIR := $(CACHE)/uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(BIN):$(PATH)

.PHONY: help demo fleet-demo test lint unit contract sanity molecule integration bench depot docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 22

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "PYTHON: %s is %d.%d. Accepted: Python 3.11 or newer. Next: make PYTHON=python3.12 …" % (sys.executable, *v[:2]))'
	@echo "Setting up build/venv …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@echo "Adding the tools of the tests to build/venv …"
	@$(BIN)/python -m pip install --quiet --group lint --group test
	@touch $@

depot: $(VENV)/.ready
	@$(BIN)/condafleet depot build --embedded $(DEMO)/depot --sha256-file $(DEMO)/depot.sha256

demo: depot ## this machine as a fleet of one, in build/demo: no root, nothing outside build/ and the cache folder
	@mkdir -p $(DEMO)/home
	@HOME=$(DEMO)/home $(BIN)/condafleet provision -i inventories/local --json $(DEMO)/report.json
	@echo "The report: build/demo/report.json"

fleet-demo: $(VENV)/.ready-test depot ## the same over SSH, on two containers (root)
	@tests/containers/fleet_demo.sh

test: ## everything, on a fresh machine: sets up what it needs (root), lint, unit, contract, sanity, molecule, integration
	@$(MAKE) --no-print-directory $(VENV)/.ready-test
	@tests/run.sh

lint unit contract sanity integration: $(VENV)/.ready-test ## one part of make test
	@tests/run.sh $@

molecule: $(VENV)/.ready-test ## one scenario: make molecule SCENARIO=default
	@SCENARIO=$(or $(SCENARIO),default) tests/run.sh molecule

bench: $(VENV)/.ready-test depot ## benchmarks against the patterns of others, as ratios: build/bench/*.json (root)
	@$(BIN)/python -m tests.benchmarks

docs: $(VENV)/.ready-test ## the pages made from code: variables, from the argument specs, and checks, from their catalog
	@$(BIN)/python -m tests.contract.variables_page
	@$(BIN)/python -m tests.contract.checks_page
	@$(BIN)/python -m tests.contract.schema_names

clean: ## remove build/ (the cache folder stays)
	rm -rf $(BUILD)
