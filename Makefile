# Every target needs only Python 3.11 or later and make, and sets up the rest: in .venv, for CUDA in .venv-cuda.
# The first of these that is new enough; `make PYTHON=...` chooses another one.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$name && break; \
	done)
FOUND_PYTHON = test -n "$(PYTHON)" || \
	{ echo "accelnn needs Python 3.11 to 3.14: install one, or name it with make PYTHON=..."; exit 1; }
VENV := .venv
BIN := $(VENV)/bin
# A data folder beside the checkout is used when there is one; without it tests on MNIST skip with a reason.
ifneq ($(wildcard ../shared/data),)
export ACCELNN_DATA_DIR ?= $(abspath ../shared/data)
endif

.PHONY: train test fuzz cuda-check cuda-coverage cuda12-check emulated-gpu gpu-check lint bench faults clean

train: $(VENV)/.installed
	$(BIN)/accelnn train

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --cov --cov-report=term $(PYTEST_ARGS)

# Ten thousand odd files for each reader, and a hundred thousand models and data in odd memory;
# make fuzz FUZZ_ARGS="--executions 1000000" for a night.
fuzz: $(VENV)/.installed-fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

# What can be checked without a GPU. The simulator needs a process of its own. With coverage it takes half as long again,
# and both processes report it together.
cuda-coverage: COVERED := --cov --cov-config=tests/cuda/coverage.toml
cuda-check cuda-coverage: .venv-cuda/.installed
	.venv-cuda/bin/python -c "import cuda.core, cupy, numba_cuda"
	NUMBA_ENABLE_CUDASIM=1 .venv-cuda/bin/python -m pytest -n auto $(COVERED) --cov-report= tests/cuda/simulator
	.venv-cuda/bin/python -m pytest -n auto --dist worksteal $(COVERED) --cov-append --cov-report=term \
		tests/cuda tests/arrays --ignore=tests/cuda/simulator

# GPUs that CUDA 13 no longer knows: another gigabyte, so this is no part of the other checks.
cuda12-check: .venv-cuda12/.installed
	.venv-cuda12/bin/python -m pytest -n auto tests/cuda --ignore=tests/cuda/simulator

# The tests that need a GPU, on CuPy itself over a driver that works on the host. Needs a C++ compiler and minutes.
emulated-gpu: .venv-cuda/.installed
	PYTHONPATH=tests/cuda .venv-cuda/bin/python -m emulated_gpu.build
	PYTHONPATH=tests/cuda .venv-cuda/bin/python -m emulated_gpu -m pytest -n auto --dist worksteal -m gpu \
		$(or $(PYTEST_ARGS),tests)

# What only a GPU can prove, in minutes and in one JSON file. It installs nothing and uses the packages that it finds.
gpu-check:
	@$(FOUND_PYTHON)
	PYTHONPATH=kernels:. $(PYTHON) -m benchmarks.gpu_check $(GPU_CHECK_ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --optimizer adam
	$(BIN)/python -m benchmarks.scaling --rounds 3
	$(BIN)/python -m benchmarks.accuracy --rounds 3

# Training runs are killed 200 times, also while they write a checkpoint, and must end as if nothing had happened.
faults: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/checkpoints
	$(BIN)/python -m benchmarks.faults $(FAULTS_ARGS)

clean:
	rm -rf $(VENV) .venv-cuda .venv-cuda12 tests/cuda/emulated_gpu/built build dist

$(BIN)/python:
	@$(FOUND_PYTHON)
	$(PYTHON) -m venv $(VENV)

.venv-%/.installed: pyproject.toml
	@$(FOUND_PYTHON)
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --editable ".[$*-check]"
	touch $@

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@
