"""What NumPy does about overflow, underflow and their like: inside accelnn, and in functions of the user's it calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

_callers: ContextVar[Any] = ContextVar("_callers", default=None)
"""What ``np.seterr`` says where accelnn was called, None outside of it."""


@contextlib.contextmanager
def own_float_errors() -> Iterator[None]:
    """Return the block of a public call: errors do what they do by default, whatever ``np.seterr`` says.

    Numbers that are too small are as good as 0 to a training, and those that are too large have a check of their own.
    What the caller ignores stays ignored.
    """
    if _callers.get() is not None:
        yield
        return
    callers: Any = np.geterr()
    token = _callers.set(callers)
    own: Any = {kind: "ignore" if kind == "under" or way == "ignore" else "warn" for kind, way in callers.items()}
    try:
        with np.errstate(**own):
            yield
    finally:
        _callers.reset(token)


@contextlib.contextmanager
def callers_float_errors() -> Iterator[None]:
    """Return the block in which a function of the user's runs: errors do what the caller wants them to."""
    callers = _callers.get()
    if callers is None:
        yield
        return
    token = _callers.set(None)
    try:
        with np.errstate(**callers):
            yield
    finally:
        _callers.reset(token)
