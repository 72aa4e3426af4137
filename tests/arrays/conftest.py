"""The array libraries on which every reference formula has to give the same results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import array_api_strict
import numpy as np
import pytest

STRICT_DEVICE = array_api_strict.Device("device1")
STRICT_HOST = array_api_strict.Device("CPU_DEVICE")


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
        assert array.device == (self.device or STRICT_HOST)
        return np.array(array.to_device(STRICT_HOST), dtype=np.float64)

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


@pytest.fixture(
    params=[
        pytest.param((xp, name, device), id=f"{label}-{name}")
        for label, xp, device in (
            ("numpy", np, None),
            ("strict", array_api_strict, None),
            ("strict_device1", array_api_strict, STRICT_DEVICE),
        )
        for name in ("float32", "float64")
    ]
)
def space(request) -> Space:
    return Space(*request.param)
