"""Kernels are tried in both dtypes: the compiled form on a grid of shapes, the plain-Python form on tiny ones."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_case import SHAPES, TINY_SHAPES, Case

BOTH = [("compiled", shape) for shape in SHAPES] + [("python", shape) for shape in TINY_SHAPES]


def a_name(setting) -> str:
    form, (rows, columns) = setting
    return f"{form}-{rows}x{columns}"


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture(params=BOTH, ids=a_name)
def case(request, dtype):
    """Return a case for every form, shape and dtype; the guards are looked at in the end."""
    a_case = Case(*request.param, dtype)
    yield a_case
    a_case.check_guards()


@pytest.fixture(params=["compiled", "python"])
def small_case(request, dtype):
    """Return a case of one small shape for tests that bring their own values."""
    a_case = Case(request.param, (4, 6), dtype)
    yield a_case
    a_case.check_guards()


@pytest.fixture
def compiled_case(dtype):
    """Return a case for the machine code only."""
    a_case = Case("compiled", (4, 6), dtype)
    yield a_case
    a_case.check_guards()
