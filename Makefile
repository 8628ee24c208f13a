# Everything a developer types. `make` alone lists it.
#   PYTHON=python3.12   which Python makes the virtual environment (3.11 to 3.13)
#   PORT, HOST, DATA_DIR and every other setting of .env.example are honoured: make dev PORT=5077

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
WORKERS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN)) # much of a test is waiting
PYTEST := $(BIN)/python -m pytest -q --durations=10
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
unexport PYTHONDONTWRITEBYTECODE # or every worker compiles every test again

.DEFAULT_GOAL := help
.PHONY: help dev test check fmt schema env seed bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

dev: $(READY) ## everything on this machine: private databases, demo films, API and workers
	@$(BIN)/python -m server dev

test: $(READY) ## all tests, on a real MongoDB and Redis that they start themselves; ARGS="-k name"
	@$(PYTEST) $(PARALLEL) $(if $(ARGS),$(ARGS),-m "not serial")
	@$(if $(ARGS),true,$(PYTEST) -n 0 -m serial $$(grep -rl mark.serial tests --include="test_*.py"))

check: $(READY) ## lint, format, types, import contracts, generated files in step
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo
	@$(BIN)/python -m server schema | diff -u schema.graphql - \
		|| { echo "schema.graphql is out of step: run make schema" >&2; exit 1; }
	@changes=$$($(BIN)/python -m server schema check docs/schema-released.graphql schema.graphql) \
		|| { echo "$$changes" | grep -v "^✔"; echo "clients of the released schema break:" \
		"deprecate, or release a new major version (CONTRIBUTING.md)" >&2; exit 1; }
	@$(BIN)/python -m server env | diff -u .env.example - \
		|| { echo ".env.example is out of step: run make env" >&2; exit 1; }

fmt: $(READY) ## format, sort imports, mend what can be mended
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

schema: $(READY) ## write schema.graphql from the code
	@$(BIN)/python -m server schema --write

env: $(READY) ## write .env.example from the settings
	@$(BIN)/python -m server env --write

seed: $(READY) ## a synthetic catalogue into MONGODB_URI; ARGS="--movies 10000 --people 20000"
	@$(BIN)/python -m server seed $(ARGS)

bench: $(READY) ## our server beside its peers, one table; ARGS=...
	@$(BIN)/python -m bench $(ARGS)

lock: ## choose the newest versions pyproject.toml allows, with hashes; write sbom.cdx.json
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv
	@$(VENV)-lock/bin/uv pip compile pyproject.toml --quiet --upgrade --universal \
		--python-version 3.11 --extra dev --extra embedded --extra media --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	@rm -rf $(VENV)-lock
	@$(PYTHON) server/commands/sbom.py

clean: ## remove the virtual environment and all caches; keeps .data
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || \
		{ echo "marquee: $(PYTHON) was not found: install Python 3.11, 3.12 or 3.13." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "marquee: $$($(PYTHON) --version 2>&1) does not fit: Marquee needs Python 3.11, 3.12 or 3.13; name one, e.g. make PYTHON=python3.12 dev" >&2; exit 1; }
	@test -x $(BIN)/pip || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing what requirements.lock names ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(READY)
