# Two commands: `make quickstart` and `make test`. Both set themselves up; nothing is installed outside .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS := $(VENV)/.installed-docs

# Threads that wait spin briefly, then sleep: ever spinning ones slow each other down on machines with few cores.
export GOMP_SPINCOUNT ?= 10000

.PHONY: help setup quickstart check test fast test-slow fuzz bench docs clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv and install noiseda into it (once; again when its requirements change).

$(INSTALLED): pyproject.toml research/pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null \
		|| { echo "error: $(PYTHON) not found; noiseda needs Python 3.11 or newer (make PYTHON=... names it)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: noiseda needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); make PYTHON=python3.11 names another" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
		|| { echo "error: $(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "installing noiseda into $(VENV) (PyTorch is large: this takes a few minutes, once)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' -e research
	@touch $@

quickstart: setup ## Adapt to a simulated camera, restore, measure: pictures and figures in runs/quickstart, in minutes.
	$(BIN)/noiseda quickstart

check: setup ## Lint, formatting, types, layers.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The networks of the tests are tiny: one thread each is fastest, and leaves room for the processes some of them start.
test fast test-slow: export OMP_NUM_THREADS ?= 1
# Real photographs, which may not be part of the project: tests that need them are skipped where this folder is absent.
test fast test-slow: export NOISEDA_DATA ?= $(abspath $(wildcard ../shared/data))
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
# The checks read types for most of a minute, on one core: the tests begin meanwhile.
test: setup ## Checks, and the tests but for the slow ones (5 to 6 minutes on two cores).
	@$(MAKE) --no-print-directory --jobs=2 check fast

fast:
	$(PYTEST) -m "not slow"

test-slow: setup ## The slow tests: several processes, kills, real photographs, every network.
	$(PYTEST) -m slow

fuzz: setup ## Broken images, weights, shards, nonsense flags and kills: 730 cases, always the same (5 minutes on two cores).
	$(BIN)/python -m fuzz

bench: setup ## Measure what is fast and large, as ratios of one run: a table, and bench/results.json (about 10 minutes).
	$(BIN)/python -m bench.all

docs: $(DOCS) ## Build the documentation into site/: strict, links and anchors checked, nothing asked for from outside.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	$(BIN)/python -m website.requests_outside site
	@echo "open site/index.html, or: $(BIN)/python -m http.server --directory site"

# By itself, since who only uses noiseda should not wait for it.
$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean: ## Remove .venv and every cache; runs/ is kept.
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
