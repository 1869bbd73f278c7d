# make demo        install into .venv and matte a picture
# make check       what every change must pass: lint, types, tests
# make check-all   all tests, also those that only a release needs, and every shape and type while they run;
#                  a skipped test is a failed one
# make check-gpu   the tests that need an NVIDIA GPU
# make docs        build the documentation site into site/; what is missing is an error
# make wheel       build dist/hdmatt-*.whl
# make faults      plants wrong lines one at a time: the tests must catch each
# make clean       remove .venv, caches and build results
#
# PYTHON=python3.12 picks another Python; it must be 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# two processes, a file's tests in one of them: they share what is made once a file
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: demo check check-all check-gpu docs wheel faults lint types tests clean

demo: .venv/.installed
	$(BIN)/python examples/demo.py

# pyright runs beside the tests
check: lint
	@$(MAKE) --no-print-directory -j2 types tests

check-all: .venv/.installed-release
	HDMATT_EXAMPLES=10 HDMATT_CHECK_TYPES=1 $(PYTEST) -m "not gpu" --no-skips

docs: .venv/.installed-docs
	$(BIN)/zensical build --strict --clean
	$(BIN)/python docs/check_site.py site

wheel: .venv/bin/python
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

faults: .venv/.installed-dev
	$(BIN)/python tests/faults/plant.py

check-gpu: .venv/.installed-dev
	$(BIN)/python -m pytest -m gpu --no-skips

lint: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mdformat --check *.md docs research integrations
	$(BIN)/python docs/rooms.py --check
	$(BIN)/python docs/cli_page.py --check
	$(BIN)/python docs/formats_table.py --check

types: .venv/.installed-dev
	$(BIN)/pyright --pythonpath $(BIN)/python

tests: .venv/.installed-dev
	$(PYTEST)

clean:
	rm -rf .venv build dist site .pytest_cache .ruff_cache .hypothesis
	find src tests examples benchmarks paper recipes research integrations -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hdmatt needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "  Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# editable, so that edits need no new install; the stamps spare a second install
.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[dev]'
	@touch .venv/.installed $@

.venv/.installed-release: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[dev,release]'
	@touch .venv/.installed .venv/.installed-dev $@

.venv/.installed-docs: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[docs]'
	@touch .venv/.installed $@
