# Two commands are enough: `make demo` and `make test`. Both make .venv and install into it.
# With torch installed already: make demo VENV_FLAGS=--system-site-packages

PYTHON ?= python3
VENV_FLAGS ?=
BIN := .venv/bin

.PHONY: demo test test-all check format bench clean

demo: .venv/installed
	$(BIN)/elman demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2

test-all: .venv/installed-dev
	$(BIN)/python -m pytest -m ""

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
