"""Stand-ins for CuPy, numba.cuda and the driver, so that every way to fail can be tried without a GPU."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np


class FakeArray:
    """An array on the fake device: it has to be fetched with ``get``."""

    __module__ = "cupy"

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)
        self.dtype = self.values.dtype

    def get(self) -> np.ndarray:
        return self.values


class FakePool:
    """A memory pool that knows its limit."""

    limit = 0

    def set_limit(self, size: int) -> None:
        self.limit = size
        FakeDevice.log.append(("limit", size))

    def get_limit(self) -> int:
        return self.limit


class FakeDevice(contextlib.AbstractContextManager):
    """A device that writes down what was asked of it."""

    log: list[tuple[str, int]] = []  # noqa: RUF012

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> FakeDevice:
        self.log.append(("enter", self.index))
        return self

    def __exit__(self, *error: object) -> None:
        self.log.append(("exit", self.index))

    def synchronize(self) -> None:
        self.log.append(("synchronize", self.index))


def fake_cupy(
    count: int | Exception = 2,
    runtime: int = 13000,
    ones: Callable[..., Any] = np.ones,
    capability: tuple[int, int] = (9, 0),
) -> types.ModuleType:
    """Return a module like CuPy with ``count`` devices (an exception: asking for them fails)."""

    def device_count() -> int:
        if isinstance(count, Exception):
            raise count
        return count

    properties = {"name": b"Fake GPU", "major": capability[0], "minor": capability[1]}
    pool = FakePool()
    module: Any = types.ModuleType("cupy")
    module.get_default_memory_pool = lambda: pool
    module.__version__ = "14.2.0"
    module.float32, module.ones = np.float32, ones
    module.asarray = lambda x, dtype=None: FakeArray(np.asarray(x, dtype))
    module.cuda = types.SimpleNamespace(
        Device=FakeDevice,
        runtime=types.SimpleNamespace(
            getDeviceCount=device_count,
            runtimeGetVersion=lambda: runtime,
            getDeviceProperties=lambda index: properties,
            memGetInfo=lambda: (6 << 30, 8 << 30),
        ),
    )
    return module


def fake_numba_cuda(implementation: str = "NVIDIA") -> types.ModuleType:
    """Return a module like numba.cuda."""
    module: Any = types.ModuleType("numba.cuda")
    module.implementation = implementation
    return module
