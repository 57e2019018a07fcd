PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait more than they compute: for servers to start, and for things to time out.
PROCESSES := $(shell $(PYTHON) -c 'import os; print(2 * os.cpu_count())')

.PHONY: help venv demo serve screenshots check test test-all fuzz soak azurite uploads clients lint bench requirements clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

venv: $(VENV)/.installed  ## make .venv with all that the other targets need

$(VENV)/.installed: requirements.txt setup.cfg setup.py
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer expected, " + sys.executable + " is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv  ## run the main job end to end on this machine, then stop everything (KEEP=1: at Ctrl-C, and look)
	KEEP=$(KEEP) $(BIN)/python -m contactexport.embedded.demo

serve: venv  ## run the whole service on this machine until Ctrl-C (PORT=8025)
	$(BIN)/python -m contactexport.embedded.playground --port $(or $(PORT),8025)

screenshots: venv  ## pictures of the console for docs/console.md, from the data of the demo (needs Chromium)
	$(BIN)/python -m tests.support.screenshots

lint: venv  ## style, types and import contracts
	$(BIN)/ruff check --config config/ruff.toml .
	$(BIN)/ruff format --config config/ruff.toml --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint  ## lint and the tests that need no server: the inner loop, less than a minute
	$(BIN)/pytest --quiet --numprocesses auto tests/unit tests/architecture

ifdef T
test: venv  ## lint, then all tests but the slow ones; T=tests/unit/test_settings.py for one place
	$(BIN)/pytest -m "not clients" $(T)
else
test: lint
	$(BIN)/pytest --quiet --numprocesses $(PROCESSES) --dist loadfile
endif

# A machine that stalls fails tests that wait for something. So what failed runs once more, alone. Both runs are printed.
test-all: lint azurite  ## every test, with coverage: what runs on every submission
	rm -f .coverage .coverage.*
	export FUZZ_CASES=400 FUZZ_SAME=1 WINDOW_SECONDS=8; \
	    $(BIN)/pytest --quiet --numprocesses $(PROCESSES) --dist loadfile -m "not clients" --durations=40 --cov --cov-report= \
	    || { test $$? -eq 1 && $(BIN)/pytest --last-failed --last-failed-no-failures none -m "not clients"; }

fuzz: venv  ## hostile requests by the thousands (FUZZ_CASES=20000); test tries few, always the same ones
	FUZZ_CASES=$(or $(FUZZ_CASES),20000) $(BIN)/pytest tests/fuzz --timeout=1800 --durations=5

soak: venv  ## parts die at random under a steady load, then all is counted (MINUTES=5 SEED=1 BROKER=redis://127.0.0.1/9 STORAGE=s3)
	$(BIN)/python -m tests.soak \
	    --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED)) $(if $(BROKER),--broker $(BROKER)) $(if $(STORAGE),--storage $(STORAGE))

tests/support/azurite/node_modules/.installed: tests/support/azurite/package-lock.json
	cd tests/support/azurite && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error \
	    && touch node_modules/.installed || echo "Azurite is not installed, its tests will be skipped"

# Without npm the tests that need it are skipped.
azurite: $(if $(shell command -v npm),tests/support/azurite/node_modules/.installed)  ## an Azure Blob Storage for tests, from npm

uploads: venv  ## uploads over TLS to vsftpd, ProFTPD and pyftpdlib, each compared by its hash (COUNT=50 SIZE=30000000)
	$(BIN)/python -m tests.support.ftp_uploads \
	    --count $(or $(COUNT),50) --size $(or $(SIZE),30000000)

$(VENV)/.clients-installed: tests/clients/requirements.txt $(VENV)/.installed
	$(PYTHON) -m venv --clear $(VENV)/clients
	$(VENV)/clients/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/clients/requirements.txt
	@touch $@

tests/clients/node_modules/.installed: tests/clients/package-lock.json
	cd tests/clients && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

# Without npm those in Node are skipped.
clients: venv $(VENV)/.clients-installed $(if $(shell command -v npm),tests/clients/node_modules/.installed)  ## clients of the original, from PyPI and npm, receive every contact
	$(BIN)/pytest tests/clients -m clients -rs

$(VENV)/.bench-installed: requirements-bench.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $@

bench: venv $(VENV)/.bench-installed  ## measure against what people use instead; a quick look: SCALE=0.05
	$(BIN)/python benchmarks/run_all.py --scale $(or $(SCALE),1)

requirements: venv  ## pin the full set again after a change of setup.cfg
	$(BIN)/pip-compile --quiet --no-strip-extras --extra test --allow-unsafe --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-emit-options --output-file requirements.txt setup.cfg
	$(BIN)/pip-compile --quiet --no-strip-extras --extra bench --allow-unsafe --generate-hashes \
	    --constraint requirements.txt --no-emit-index-url --no-emit-find-links --no-emit-options --output-file requirements-bench.txt setup.cfg

clean:  ## remove the environment and everything made by demo, serve and test
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* *.egg-info build tests/clients/node_modules tests/support/azurite/node_modules
