# `make train` and `make test` need only Python 3.11 or later and make; they set up everything else in .venv.
# The first of these that is new enough; `make PYTHON=...` chooses another one.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$name && break; \
	done)
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
	$(BIN)/python -m benchmarks --optimizer sgd
	$(BIN)/python -m benchmarks --optimizer adam
	$(BIN)/python -m benchmarks.scaling --rounds 3
	$(BIN)/python -m benchmarks.accuracy --rounds 3

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "accelnn needs Python 3.11 to 3.14: install one, or name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@
