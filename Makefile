# Two commands are enough: `make demo` and `make test`. Both make .venv and install into it.
# With torch installed already: make demo VENV_FLAGS=--system-site-packages

PYTHON ?= python3
VENV_FLAGS ?=
BIN := .venv/bin

# `make fuzz STEPS=500 SEED=70000` runs other random steps than the tests do.
STEPS ?= 10000
SEED ?= 0
WORKERS ?= 2

.PHONY: coverage demo test test-all test-gpu fuzz check format bench clean

demo: .venv/installed
	$(BIN)/elman demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2

# Also what takes long: 10,000 random steps, 10,000 compilations, 100,000 calls. About an hour.
test-all: test
	$(BIN)/python -m pytest -m "slow and not gpu"

test-gpu: .venv/installed-dev
	$(BIN)/python -m pytest -m gpu

fuzz: .venv/installed-dev
	$(BIN)/python -m tests.engine.fuzz --steps $(STEPS) --seed $(SEED) --workers $(WORKERS)

# Which lines no test reaches; workers and helpers of the tests in other processes are not counted.
coverage: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --cov elman --cov-report term-missing:skip-covered

bench: .venv/installed-bench
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/layers.py

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/bin/python:
	$(PYTHON) -m venv $(VENV_FLAGS) .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[dev]
	touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[bench]
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
