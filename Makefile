# What one does here by hand, and CI too. Each target makes and renews the virtual environment that it runs in.

.DEFAULT_GOAL := help
.PHONY: help demo ui ui-images report-images bench bench-waiting bench-fleet quick test test-unit test-http test-export test-airflow test-dag test-system test-live test-browser test-celery test-warehouses test-versions coverage coverage-report kill-test crowd-test market-test canary-test fuzz fault-matrix long-run matrix lint fmt docs dist sbom licences release-check clean

# Parts of the tests spend much of their time waiting, so more run at once than a small machine has cores.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=4
endif

# Tests start hundreds of processes, of which each would compile the package anew where no bytecode is to be kept.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
# A stamp for each PYTHON that was asked for, so that asking for another one makes the environment anew.
STAMP := $(VENV)/.installed$(if $(PYTHON),-$(subst /,_,$(PYTHON)))
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
UNIT := tests/fast tests/fuzz
HTTP := tests/http --ignore=tests/http/export
EXPORT := tests/http/export
AIRFLOW := tests/airflow --ignore=tests/airflow/dag
DOCS := tests/fast/test_names_in_docs.py tests/fast/test_resources.py tests/fast/test_troubleshooting.py
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' hyperoru_provider/version.py)
# The wheel with its extras in an environment of its own, without pip: nothing is in there that is not shipped.
SHIPPED := build/shipped
# Snowflake's and Google's providers need other versions of what constraints.txt pins.
WAREHOUSES := build/warehouses
# mysqlclient, which Airflow's provider requires, is compiled; without headers, its tests run with the other driver alone.
MYSQL := $(shell pkg-config --exists libmariadb 2>/dev/null && echo ,mysql)
INSTALL := $(BIN)/uv pip install --quiet --constraint constraints.txt --build-constraint constraints.txt --compile-bytecode \
    --python $(BIN)/python

help:  ## Say what there is to make
	@echo "make TARGET [PYTHON=a Python of 3.11 or newer]"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1	\2/p' Makefile

demo: $(STAMP)  ## Let Airflow export a day of trades from a local sandbox, and show the result [DAY=2026-01-15]
	@$(BIN)/python scripts/demo.py

ui: $(STAMP)  ## Run Airflow's UI with the sandbox, its connection and the example DAGs [PORT=8080]
	@$(BIN)/python scripts/ui.py

ui-images: $(STAMP)  ## Write the images of Airflow's UI in docs/images, by looking at all of it
	HYPERORU_UI_IMAGES=docs/images $(BIN)/python -m pytest tests/browser

report-images: $(STAMP)  ## Write the images of docs/report.md
	@$(BIN)/python scripts/report_images.py

bench: $(STAMP)-bench  ## Measure the export beside requests, dlt and HttpOperator; an hour or two [ARGS=--quick]
	@$(BIN)/python -m benchmarks $(ARGS)

bench-waiting: $(STAMP)-bench  ## Measure thousands of deferred sensors in a triggerer; a quarter of an hour
	@$(BIN)/python -m benchmarks.waiting $(ARGS)

bench-fleet: $(STAMP)  ## Measure one window on 2 and 4 Celery workers; needs PostgreSQL and Redis, a quarter of an hour
	@$(BIN)/python -m benchmarks.fleet $(ARGS)

quick: $(STAMP)  ## Run the tests without network and files of any size, in half a minute
	$(BIN)/python -m pytest tests/fast -m 'not slow'

# The longest begin first, and those that wait much stand beside those that don't.
test: test-system test-export test-airflow test-unit test-dag test-http lint test-browser test-live  ## Run all tests, and check format, style, types, layers and workflows [-j1: one part after the other]

test-unit: $(STAMP)  ## Run the tests of what needs neither Airflow nor network
	$(BIN)/python -m pytest $(UNIT)

test-http: $(STAMP)  ## Run the tests of client, doctor and sandbox over real sockets
	$(BIN)/python -m pytest $(HTTP)

test-export: $(STAMP)  ## Run the tests of exports over real sockets, to files, databases and tables
	$(BIN)/python -m pytest $(EXPORT)

test-airflow: $(STAMP)  ## Run the tests of hooks, operators, sensors and triggers
	$(BIN)/python -m pytest $(AIRFLOW)

test-dag: $(STAMP)  ## Run DAGs in a real Airflow, and test the built wheel
	$(BIN)/python -m pytest tests/airflow/dag tests/system/test_wheel.py

test-system: $(STAMP)  ## Kill and restart exports, loads, and whole deployments of Airflow
	$(BIN)/python -m pytest tests/system --ignore=tests/system/test_wheel.py --ignore=tests/system/test_live.py \
	    --ignore=tests/system/test_celery.py

test-live: $(STAMP)  ## Watch a market by events in a real Airflow, for half a minute
	$(BIN)/python -m pytest tests/system/test_live.py

test-browser: $(STAMP)  ## Look at Airflow's UI in Chromium, which root installs where there is none
	$(BIN)/python -m pytest tests/browser

test-celery: $(STAMP)  ## Kill and restart a deployment of Celery, Redis, PostgreSQL and S3, for some minutes
	$(BIN)/python -m pytest tests/system/test_celery.py

test-warehouses: $(STAMP)  ## Parse the DAGs of Snowflake, Redshift and BigQuery beside their providers, in an environment of 2 GB
	@mkdir -p build
	grep '^apache-airflow-core==' constraints.txt > build/airflow.txt
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(WAREHOUSES)
	$(BIN)/uv pip install --quiet --python $(WAREHOUSES)/bin/python --constraint build/airflow.txt \
	    --editable '.[parquet,postgres,s3,sandbox]' --group test \
	    'apache-airflow-providers-google>=18' 'apache-airflow-providers-snowflake>=6.5' gcsfs
	$(WAREHOUSES)/bin/python -m pytest tests/warehouses

coverage: $(STAMP)  ## Show which lines and branches the tests reach that run in one process
	$(BIN)/python -m pytest --cov --cov-report= $(UNIT) tests/http $(AIRFLOW)
	@$(MAKE) --no-print-directory coverage-report

coverage-report: $(STAMP)
	$(BIN)/python -m coverage report --fail-under=98

kill-test: $(STAMP)  ## Kill exports at random moments, and see each end as an undisturbed one; some minutes [KILLS=200]
	HYPERORU_KILLS=$(or $(KILLS),200) $(BIN)/python -m pytest -s tests/system/test_kills.py

crowd-test: $(STAMP)  ## Export one window by several runs at once, amid faults and kills, on disk and on S3; hours [ROUNDS=500]
	HYPERORU_CROWDS=$(or $(ROUNDS),500) HYPERORU_COLD_TASKS=100 $(BIN)/python -m pytest -s tests/system/test_crowds.py tests/system/test_cold_tasks.py

market-test: $(STAMP)  ## Watch a market by events for long, with sockets, processes and servers that die [SECONDS=1800]
	HYPERORU_MARKET_SECONDS=$(or $(SECONDS),1800) $(BIN)/python -m pytest -s tests/system/test_live.py

canary-test: $(STAMP)  ## Let servers repeat secrets in each way to all that asks them, and look for them everywhere; long
	HYPERORU_CANARIES=all $(BIN)/python -m pytest tests/airflow/test_canaries.py

fuzz: $(STAMP)-fuzz  ## Fuzz what strangers send or damage by atheris, each target in turn [SECONDS=600] [TARGETS="answers frames"]
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) $(TARGETS)

fault-matrix: $(STAMP)  ## Run every operator, sensor and trigger against every fault, and write the page; long [PAIRS=500]
	$(BIN)/python -m tests.airflow.matrix --pairs $(or $(PAIRS),500) --seed $(or $(SEED),1) --jobs $(or $(JOBS),2)

long-run: $(STAMP)  ## Let a triggerer and exports run for long beside a market sped up: nothing piles up [SECONDS=7200]
	HYPERORU_LONG_SECONDS=$(or $(SECONDS),7200) $(BIN)/python -m pytest -s --basetemp=.long-run tests/system/test_long_run.py

test-versions: $(STAMP)  ## Test what knows Airflow with the lowest version that is supported, and with the one to come
	$(BIN)/python scripts/matrix.py lowest 3.4 --quick --jobs 2

matrix: $(STAMP)  ## Test with each version of Airflow that is supported, and write the README's table; long [VERSIONS="3.1 3.4"]
	$(BIN)/python scripts/matrix.py $(VERSIONS) --jobs $(or $(JOBS),1) $(ARGS)

lint: $(STAMP)  ## Check format, style, types, layers and workflows
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy
	$(BIN)/jactionlint --strict-exit --shellcheck=$(BIN)/shellcheck
	$(BIN)/zizmor --offline --quiet --pedantic --strict-collection .

fmt: $(STAMP)  ## Format the code, and mend what can be mended by itself
	$(BIN)/python -m ruff check --fix-only .
	$(BIN)/python -m ruff format .

docs: $(STAMP)  ## Check the documentation, and build its site into build/site, with warnings as errors
	$(BIN)/python -m pytest $(DOCS)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --doctree-dir build/doctrees docs build/site

dist: $(STAMP)-release  ## Build the source distribution, and the wheel from it, into dist/, and check both
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents --toplevel hyperoru_provider,airflow_provider_hyperoru dist/*.whl

sbom: $(SHIPPED)/.installed  ## Write build/sbom.cdx.json: the wheel and all that it and its extras bring along
	sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml > build/pyproject.toml
	$(BIN)/cyclonedx-py environment --pyproject build/pyproject.toml --mc-type library --output-reproducible \
	    --output-file build/sbom.cdx.json $(SHIPPED)/bin/python

licences: $(SHIPPED)/.installed  ## Check the licences of the same against the list in pyproject.toml
	$(BIN)/pip-licenses --python $(SHIPPED)/bin/python

release-check:  ## Do all that a release does before it uploads something [TAG=v0.1.0]
	@mkdir -p build
	python3 scripts/release.py "$$TAG" > build/notes.md
	@$(MAKE) --no-print-directory dist sbom licences

clean:  ## Remove all that was made here: the environment, the demo's files, caches
	rm -rf $(VENV) .demo .matrix .long-run build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@if [ -n "$(PYTHON)" ] || ! $(BIN)/python -c '$(FITS)' 2>/dev/null; then \
	    for python in $(PYTHONS) none; do "$$python" -c '$(FITS)' >/dev/null 2>&1 && break; done; \
	    if [ "$$python" = none ]; then \
	        echo "No Python of 3.11 or newer with its venv module among: $(PYTHONS)." \
	            "Give one with: make PYTHON=/path/to/python" >&2; \
	        exit 1; \
	    fi; \
	    echo "Making $(VENV) with $$python, $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV); \
	fi
	@echo "Installing Airflow, the provider and the tools into $(VENV); the first time takes some minutes"
	@$(BIN)/python -m pip --disable-pip-version-check --no-input install -qq --constraint constraints.txt uv
	@$(INSTALL) --editable '.[all$(MYSQL)]' --group dev
	@$(if $(MYSQL),,$(INSTALL) --no-deps apache-airflow-providers-mysql)
	@touch $@

$(STAMP)-fuzz: $(STAMP)
	@$(INSTALL) --group fuzz
	@touch $@

$(STAMP)-release: $(STAMP)
	@$(INSTALL) --group release
	@touch $@

$(SHIPPED)/.installed: pyproject.toml constraints.txt hyperoru_provider/version.py | dist
	$(BIN)/python -m venv --clear --without-pip $(SHIPPED)
	$(BIN)/python -m pip --python $(SHIPPED)/bin/python --disable-pip-version-check --no-input install -qq \
	    --constraint constraints.txt "$$(echo dist/*.whl)[all]"
	@touch $@

$(STAMP)-bench: $(STAMP)
	@echo "Installing what is measured beside the provider into $(VENV)"
	@$(INSTALL) --group bench
	@touch $@
