# Every target sets up what it needs: on a bare clone only Python >= 3.11 and make have to be there.
#   make test PYTHON=python3.13 VENV=.venv-3.13     another Python, in an environment of its own
#   make test PYTEST_ARGS='-k store -x'             anything more for pytest

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
VENV ?= .venv
PYTEST_WORKERS ?= 3
PYTEST_ARGS ?=

# Relative on purpose: make cannot handle spaces in names, and the checkout's path may have some.
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# f3dasm, whose tables ours are compared with, needs another antlr4 than Dagster: it gets an environment of its own.
F3DASM := $(VENV)-f3dasm
export CURATOR_F3DASM_PYTHON := $(CURDIR)/$(F3DASM)/bin/python
# The oldest supported release of Dagster, for an instance that is upgraded from it.
OLDEST := $(VENV)-upgrade
export CURATOR_OLDEST_DAGSTER_PYTHON := $(CURDIR)/$(OLDEST)/bin/python
OLDEST_RELEASES := sed -n 's/^ *"\(dagster[a-z-]*\)>=\([0-9.]*\),.*/\1==\2/p' pyproject.toml

# Compiled modules are kept, whatever the shell says: compiling takes half of a process's start, and of a collection.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo demo-grid demo-mesh ui test test-all test-bare campaigns test-oldest kills schedules lint format bench docs \
    pictures clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 19

install: $(STAMP) ## create .venv with both packages and all that development needs

$(STAMP): pyproject.toml
	@python=''; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11 python); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "error: $(if $(PYTHON),$(PYTHON) is not a,found no) Python 3.11 or newer." \
	        "Install one, or name it: make install PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	    echo "error: $$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$("$$python" -V) (a few minutes the first time) ..."; \
	"$$python" -m venv "$(VENV)"
	@"$(BIN)/python" -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch "$@"

demo: $(STAMP) ## make a small dataset, curate it and show the result
	"$(BIN)/curator" demo

demo-grid: $(STAMP) ## the same with weather in NetCDF and GRIB files
	"$(BIN)/curator" demo grid

demo-mesh: $(STAMP) ## the same with heat through pipes in VTU files
	"$(BIN)/curator" demo mesh

ui: $(STAMP) ## open Dagster's UI on the demos (run one of them first)
	@test -d demo/dagster_home || { echo "error: there is no demo/dagster_home: run 'make demo', 'make demo-grid' or 'make demo-mesh' first" >&2; exit 1; }
	DAGSTER_HOME="$(CURDIR)/demo/dagster_home" "$(BIN)/dagster" dev -w workspace.yaml --host 127.0.0.1

$(F3DASM)/.installed: $(STAMP)
	@"$(BIN)/python" -m venv "$(F3DASM)"
	@"$(F3DASM)/bin/python" -m pip install -qq --disable-pip-version-check 'f3dasm>=2.4,<2.5'
	@touch "$@"

$(OLDEST)/.installed: $(STAMP)
	@"$(BIN)/python" -m venv "$(OLDEST)"
	@$(OLDEST_RELEASES) > "$(OLDEST)/oldest.txt"
	@"$(OLDEST)/bin/python" -m pip install -qq --disable-pip-version-check --constraint "$(OLDEST)/oldest.txt" \
	    --editable '.[dagster,postgres]'
	@touch "$@"

test: $(STAMP) $(F3DASM)/.installed ## run the tests
	"$(BIN)/python" -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m 'not campaign' $(PYTEST_ARGS)

test-all: $(STAMP) $(F3DASM)/.installed ## run all tests, and fail where one is skipped because a program is missing
	@missing=$$(.ci/missing); if [ -n "$$missing" ]; then \
	    echo "error: some tests need programs that are not here: sudo apt-get install $$missing" >&2; exit 1; \
	fi
	@$(MAKE) --no-print-directory $(OLDEST)/.installed
	CURATOR_CI=1 "$(BIN)/python" -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(PYTEST_ARGS)

# What needs a program from outside, or reads something of the user's home.
BARE := tests/browser tests/slurm tests/dagster/test_init.py tests/dagster/test_postgres.py tests/project \
    tests/storage tests/pipeline tests/session tests/test_*.py tests/cli tests/docs/test_reference.py tests/report

test-bare: $(STAMP) ## run the tests that tell a machine with browser, PostgreSQL and SLURM from one without
	"$(BIN)/python" -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m 'not campaign' $(PYTEST_ARGS) $(BARE)

campaigns: $(STAMP) $(F3DASM)/.installed $(OLDEST)/.installed ## run the tests that take long, on clusters, daemons and the backend of Dagster
	"$(BIN)/python" -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m campaign $(PYTEST_ARGS)

test-oldest: $(STAMP) ## run the tests of Dagster with its oldest supported release (give a VENV of its own)
	"$(BIN)/python" -m pip install -qq --disable-pip-version-check $$($(OLDEST_RELEASES))
	"$(BIN)/python" -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m 'not campaign' $(PYTEST_ARGS) tests/dagster

kills: $(STAMP) ## the long campaign of kill -9 at random moments (`make test` has a sample of it)
	CURATOR_DEMO_KILLS=10 CURATOR_KILLS=8 CURATOR_PUBLICATION_KILLS=300 "$(BIN)/python" -m pytest \
	    -n $(PYTEST_WORKERS) --dist loadgroup --timeout 1800 tests/demo/test_demo_kills.py tests/dagster/test_kill.py \
	    tests/run/test_kill.py tests/run/test_random_kills.py tests/datasets/test_publication_kills.py \
	    tests/storage/objects/test_publishing.py $(PYTEST_ARGS)

schedules: $(STAMP) ## ten thousand random schedules of processes that write one dataset (`make test` has a sample of them)
	CURATOR_SCHEDULES=10000 "$(BIN)/python" -m pytest -n $(PYTEST_WORKERS) --timeout 1800 \
	    tests/domains/grid/test_schedules.py $(PYTEST_ARGS)

lint: $(STAMP) ## ruff, mypy, import layers, spelling
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports" --no-logo
	"$(BIN)/codespell"

format: $(STAMP) ## format the code and fix what ruff can fix
	"$(BIN)/ruff" check --fix-only --quiet .
	"$(BIN)/ruff" format .

bench: $(STAMP) ## run the benchmarks
	"$(BIN)/python" -m benchmarks

docs: $(STAMP) ## build the documentation into site/
	"$(BIN)/mkdocs" build --strict

# They are taken by the tests that click through the pages; those of the page on partitions follow the demo.
pictures: $(STAMP) ## take the pictures of Dagster in docs/images anew (needs chromium)
	CURATOR_SCREENSHOTS="$(CURDIR)/docs/images" "$(BIN)/python" -m pytest -n 0 --basetemp "$${TMPDIR:-/tmp}/curator" \
	    tests/browser/test_tutorial.py tests/browser/test_partitions_page.py $(PYTEST_ARGS)

clean: ## remove the environment, caches, builds and the demo
	rm -rf .venv .venv-* "$(VENV)" build dist site demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
