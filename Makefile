# Everything below needs Python 3.11 or newer with pip, make, and a package index; nothing else has to be installed.
# PYTHON=3.12 chooses another Python for .venv than the newest supported one that the machine has.

PYTHON3 ?= python3
PYTHON ?=
PY := .venv/bin/python
ENVIRONMENT = $(PYTHON3) tools/environment.py
# Test processes: one per core; of `make test` and `make test-quick` two more, as many tests wait.
# T="-k retry tests/api" passes options on to pytest.
JOBS ?= auto
JOBS_THAT_WAIT = $(if $(filter auto,$(JOBS)),$(shell $(PYTHON3) -c 'import os; print((os.cpu_count() or 1) + 2)'),$(JOBS))
T ?=
# Containers often set it: then each of many processes compiles our modules, and pytest its tests, again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv ministack demo ui test test-quick coverage mutants screenshots soak test-celery test-matrix test-lowest lint format docs pages tables bench bench-quick lock build release clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv  ## Run an example DAG in real Airflow against a simulated vendor and a real S3 server, and show what landed
	@$(PY) demo/run.py

ui: venv  ## The same set-up with Airflow's UI, until Ctrl-C
	@$(PY) demo/ui.py

test: venv ministack  ## The whole suite on the newest Airflow
	$(PY) -m pytest -n $(JOBS_THAT_WAIT) --dist loadgroup -m "not soak" $(T)

test-quick: venv  ## The core without Airflow, slow tests and long searches, for while you write; says what it left out
	$(PY) -m pytest -n $(JOBS_THAT_WAIT) --dist loadgroup -m "not slow and not system and not soak and not debian and not once and not exhaustive" --ignore tests/airflow $(T)
	@echo "Left out: tests/airflow, and what is marked slow, system, debian, once, exhaustive or soak. make test runs all but soak."

coverage: venv ministack  ## The suite without Airflow components, counting the lines that it runs
	@mkdir -p .cache/coverage
	$(PY) -m pytest -n $(JOBS) --dist loadgroup -m "not system and not soak" --cov --cov-report=term --cov-report=html:.cache/coverage/html $(T)

mutants: venv  ## Take one guard after the other out of a copy of the package: the test of its promise must fail
	$(PY) tools/mutants.py $(T)

test-celery: venv  ## Of the suite, what befalls a walk on Celery workers: alone, and telling how much was read twice
	$(PY) -m pytest tests/system/test_celery.py -s $(T)

pages: venv  ## Draw the picture of the rooms in the docs anew, from the imports
	$(PY) tools/architecture.py

screenshots: venv  ## Take the pictures in docs/images anew, from Airflow's UI in a real browser
	KORE_TEST_PICTURES=docs/images $(PY) -m pytest tests/browser $(T)

soak: venv ministack  ## Long rounds of random misfortune: thousands of kills and schedules, whole searches, for an evening
	KORE_SEARCH=whole $(PY) -m pytest -n $(JOBS) -m "soak or exhaustive" $(T)

test-matrix: ministack  ## The suite on every supported pair of Airflow and Python (SKIP_NEWEST=1: all but the pair of `make test`)
	@$(PYTHON3) tools/test_matrix.py $(if $(SKIP_NEWEST),--skip-newest) $(if $(T),-- $(T))

test-lowest: ministack  ## The suite with the lowest version of every dependency that pyproject.toml allows
	@$(PYTHON3) tools/test_matrix.py --lowest $(if $(T),-- $(T))

lint: venv  ## ruff, mypy --strict, and the import contracts
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -m mypy kit demo tools benchmarks tests/conftest.py tests/packaging
	$(PY) tools/types_of_tests.py
	@.venv/bin/lint-imports --no-logo

format: venv  ## Let ruff format the code and fix what it can
	$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

tables: venv  ## Fill the tables in docs/ and the parameters in docstrings, from signatures and declarations
	$(PY) tools/docstrings.py
	$(PY) tools/doc_tables.py

docs: venv  ## Build the documentation into docs/_build/html; a warning is an error
	$(PY) -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

bench: venv  ## Measure ours beside other ways to do it, and its memory, and print the results into docs/benchmarks.md
	@$(ENVIRONMENT) .cache/bench bench --without-project
	@$(PY) benchmarks/compare.py
	@$(PY) benchmarks/report.py
	@.cache/bench/bin/python benchmarks/plots.py
	@$(PY) benchmarks/memory.py
	@$(PY) benchmarks/wide_table.py
	@$(PY) benchmarks/verify.py
	@$(PY) benchmarks/erasure.py
	@$(PY) benchmarks/iceberg.py
	@$(PY) benchmarks/incremental.py
	@$(PY) benchmarks/sharing.py

bench-quick: venv  ## The same with a tiny list, to see whether everything still works; changes nothing
	@$(ENVIRONMENT) .cache/bench bench --without-project
	@$(PY) benchmarks/compare.py --quick --output .cache/bench-quick.json

lock:  ## Resolve all lock files in requirements/ anew (ONLY=docs: one of them)
	@$(PYTHON3) tools/lock.py $(ONLY)

build: venv  ## Build the wheel and the source distribution into dist/
	@rm -rf dist
	$(PY) -m hatchling build

release: venv  ## Build what a tag vX.Y.Z releases; refuses a commit that is not tagged, dated and clean
	@$(PY) tools/check_release.py
	@$(MAKE) --no-print-directory build

clean:  ## Remove everything that make has made
	rm -rf .venv .tools .cache .demo dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

venv:
	@$(ENVIRONMENT) .venv airflow-3.3 lint docs browser iceberg $(if $(PYTHON),--python $(PYTHON))

ministack:
	@$(ENVIRONMENT) .cache/ministack ministack --without-project
