"""The array libraries on which every reference formula has to give the same results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Space:
    """One array library with one dtype: where a formula is tried."""

    xp: Any
    name: str
    device: Any = None

    @property
    def dtype(self):
        return getattr(self.xp, self.name)

    @property
    def eps(self) -> float:
        return float(np.finfo(self.name).eps)

    def array(self, values, dtype=None):
        dtype = self.dtype if dtype is None else dtype
        return self.xp.asarray(np.asarray(values).tolist(), dtype=dtype, device=self.device)

    def host(self, array):
        """Return a float64 NumPy copy; checks library, dtype and device on the way."""
        assert array.__array_namespace__() is self.xp
        assert array.dtype == self.dtype
        if self.xp is np:
            return np.array(array, dtype=np.float64)
        host = self.xp.Device("CPU_DEVICE")
        assert array.device == (self.device or host)
        return np.array(array.to_device(host), dtype=np.float64)

    def call(self, function, *args, **kwargs):
        """Call a formula; checks that it leaves its arrays alone and returns other ones."""
        arrays = [a for a in args if hasattr(a, "dtype")]
        before = [self.xp.asarray(a, copy=True) for a in arrays]
        result = function(*args, **kwargs)
        for array, copy in zip(arrays, before, strict=True):
            assert bool(self.xp.all(array == copy)), "an input was modified"
        if self.xp is np:
            results = result if isinstance(result, tuple) else (result,)
            assert not any(np.shares_memory(r, a) for r in results for a in arrays)
        return result


@pytest.fixture(params=["numpy", "strict", "strict_device1"])
def library(request: Any) -> tuple[Any, Any]:
    """Return an array library and a device of its own, None for the host."""
    if request.param == "numpy":
        return np, None
    import array_api_strict  # here, because machines with a GPU have tests in this folder, but not this package

    return array_api_strict, array_api_strict.Device("device1") if request.param == "strict_device1" else None


@pytest.fixture(params=["float32", "float64"])
def space(request: Any, library: tuple[Any, Any]) -> Space:
    xp, device = library
    return Space(xp, request.param, device)
