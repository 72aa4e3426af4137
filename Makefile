# `make train` and `make test` need only Python 3.11 or later and make; they set up everything else in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A data folder beside the checkout is used when there is one; without it tests on MNIST skip with a reason.
ifneq ($(wildcard ../shared/data),)
export ACCELNN_DATA_DIR ?= $(abspath ../shared/data)
endif

.PHONY: train test lint bench clean

train: $(VENV)/.installed
	$(BIN)/accelnn train

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --cov --cov-report=term $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@
