# Sets up everything that it needs by itself, without root: Python packages in .venv, real
# Restate servers in .local. Both are pinned with hashes; a second run finds them in place.

.DEFAULT_GOAL := help
.PHONY: help run demo test chaos check bench docs dashboards kubernetes lock clean
.DELETE_ON_ERROR:

BIN := .venv/bin
VENV := .venv/.installed
RESTATE := .local/restate
NEWEST := $(RESTATE)/1.7/.installed
OLDEST := $(RESTATE)/1.6/.installed

# The first Python that will do; say PYTHON=... to choose another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && { echo "$$python"; break; }; done)

help:  ## list what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# `exec`, here and below: signals then reach the program and not a shell before it.
ifdef CONFIG
run: $(VENV)
	@exec $(BIN)/restate-medic run --config.file '$(CONFIG)'
else
run: $(VENV)  ## watch localhost:8080/9070, started if nothing is there; or CONFIG=file
	@if $(BIN)/python deploy/demo/run.py --needs-server; then \
		$(MAKE) --silent --no-print-directory $(NEWEST); fi
	@exec $(BIN)/python deploy/demo/run.py
endif

demo: $(VENV) $(NEWEST)  ## play a failure and its repair on a real Restate
	@exec $(BIN)/python deploy/demo/story.py

# Most tests wait for a server most of the time: one process a core halves the whole run.
test: $(VENV) $(NEWEST) $(OLDEST)  ## run the tests; PYTEST_ARGS='-k name' for some of them
	@exec $(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

chaos: $(VENV) $(NEWEST)  ## kill the daemon 200 times while it repairs; CHAOS_ARGS='--seed 1'
	@exec $(BIN)/python -m tests.chaos $(CHAOS_ARGS)

check: $(VENV)  ## lint, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV) $(NEWEST)  ## measure a doctor pass, a scrape, deciding and a backlog
	@exec $(BIN)/python -m tests.benchmarks

docs: $(VENV)  ## write docs/configuration.md and docs/metrics.md from the code
	$(BIN)/python -m exporter.settings.document >docs/configuration.md
	$(BIN)/python -m exporter.metrics.document >docs/metrics.md

dashboards: $(VENV)  ## write grafana/dashboards; PAGE=https://... is where links to restate-medic lead
	@exec $(BIN)/python -m grafana $(if $(PAGE),--page '$(PAGE)')

kubernetes: $(VENV)  ## write the PrometheusRules of deploy/kubernetes from deploy/prometheus/rules
	@exec $(BIN)/python deploy/kubernetes/rules.py

# One lock serves Python 3.11 to 3.13: the resolution is the same on all three.
COMPILE := pip-compile --quiet --no-config --no-header --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: $(VENV)  ## pin what pyproject.toml asks for; LOCK_ARGS=--upgrade for newer versions
	$(BIN)/$(COMPILE) $(LOCK_ARGS) --output-file requirements.lock pyproject.toml
	$(BIN)/$(COMPILE) $(LOCK_ARGS) --extra dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/$(COMPILE) $(LOCK_ARGS) --constraint requirements-dev.lock \
		--output-file deploy/demo/worker-requirements.lock deploy/demo/worker-requirements.in
	$(BIN)/$(COMPILE) $(LOCK_ARGS) --only-build-deps --build-deps-for wheel \
		--output-file requirements-build.lock pyproject.toml

clean:  ## remove what make made, the sample Restate's data included
	rm -rf .venv .local dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV): requirements-dev.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer with venv is missing; on Debian and' \
		'Ubuntu: apt install python3-venv. Or name one: make PYTHON=...' >&2; exit 1; }
	@echo 'Installing Python packages into .venv'
	@test -x $(BIN)/python || '$(PYTHON)' -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

# npm finds the binary for this machine; no script of a package is run.
$(RESTATE)/%/.installed: deploy/demo/restate/%/package.json deploy/demo/restate/%/package-lock.json
	@echo 'Installing restate-server $* into $(@D)'
	@command -v npm >/dev/null || { echo 'npm is missing, it brings restate-server:' \
		'install Node.js 18 or newer' >&2; exit 1; }
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

