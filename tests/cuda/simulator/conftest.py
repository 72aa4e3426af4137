"""Kernels in Numba's simulator: host memory stands in for the device's, Python threads for those of a block.

The simulator replaces all of ``numba.cuda`` when it is imported, so these tests need a process of their own:
``NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/cuda/simulator``, which is a part of ``make cuda-check``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simulation


def reason_to_skip() -> str:
    """Return why kernels cannot be simulated in this process, "" if they can."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: make cuda-check installs it and runs these tests"
    if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
        return "Numba's simulator is off: make cuda-check runs these tests in a process with NUMBA_ENABLE_CUDASIM=1"
    return ""


class SkippedModule(pytest.Module):
    """A file of tests that is not even imported: its kernels would find another ``numba.cuda``, or none."""

    def collect(self) -> list[pytest.Item]:
        raise pytest.skip.Exception(reason_to_skip(), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if reason_to_skip():
        return SkippedModule.from_parent(parent, path=module_path)
    return None


@pytest.fixture(scope="session", autouse=True)
def quick_switches() -> Iterator[None]:
    """Threads of a block wait for each other by polling, so the interpreter has to move on quickly."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="session", autouse=True)
def shared_arrays_that_are_shared() -> Iterator[None]:
    """Threads that come to a shared array at the same time get the same one.

    Numba's simulator makes it for the first thread, but two can be the first: then sums miss what one of them wrote.
    As there, a line of code has one array in each block.
    """
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    making = threading.Lock()

    def array(self: Any, shape: Any, dtype: Any, alignment: None = None) -> np.ndarray:
        frame = sys._getframe(1)
        line = frame.f_code.co_filename, frame.f_lineno
        with making:
            return self._allocations.setdefault(line, np.empty(shape, dtype))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeCUDAShared, "array", array)
        yield


@pytest.fixture(autouse=True)
def device_arithmetic() -> Iterator[None]:
    """Arithmetic on a device overflows and divides by zero without a word; NumPy's scalars warn when they do.

    ``np.errstate`` would not reach the simulator's threads. All other warnings are errors, as everywhere.
    """
    with warnings.catch_warnings():
        for cause in ("overflow", "invalid value", "divide by zero", "underflow"):
            warnings.filterwarnings("ignore", f"{cause} encountered", RuntimeWarning)
        yield


@pytest.fixture(autouse=True)
def guarded_arrays() -> Iterator[None]:
    """Forget the arrays of the test before, and look at the guards of all arrays in the end."""
    simulation.forget_arrays()
    yield
    simulation.check_guards()
    simulation.forget_arrays()


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes fits from now on run on a simulated device, which it returns."""
    from captured_training import put_on_device

    return partial(put_on_device, monkeypatch)


@pytest.fixture
def use_form(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that says what steps are made of, one of ``captured_training.FORMS``."""
    import captured_training

    return partial(captured_training.use_form, monkeypatch)
