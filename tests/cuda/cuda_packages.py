"""What tests of compiled CUDA kernels need, and the compute capabilities for which they are compiled."""

from __future__ import annotations

import importlib.util
import os
from importlib.metadata import version

import pytest

CAPABILITIES = {"13": ((8, 0), (9, 0), (10, 0)), "12": ((7, 0), (7, 5), (8, 0), (9, 0))}
"""By the major version of CUDA: 13 knows no sm_70 any more, and 12 compiles no atomic operation for sm_100.

With 13, which runs in CI, sm_75 is left out to save minutes: make cuda12-check has it.
"""


def reason_to_skip() -> str:
    """Return why kernels cannot be compiled in this process, "" if they can."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: make cuda-check installs it and runs these tests"
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return "Numba's simulator is on, which compiles nothing"
    return ""


def require_compiler() -> None:
    """Skip the module that calls this where kernels cannot be compiled."""
    if reason_to_skip():
        pytest.skip(reason_to_skip(), allow_module_level=True)


def capabilities() -> tuple[tuple[int, int], ...]:
    """Return the compute capabilities that the installed CUDA packages are asked to compile for."""
    return CAPABILITIES[version("cuda-toolkit").partition(".")[0]]
