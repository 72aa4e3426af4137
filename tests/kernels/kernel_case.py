"""What a test of a kernel stands on: a dtype, a shape, one of the kernel's two forms, and guarded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from accelnn_kernels.catalog import DTYPES, PLAIN_KINDS, SIGNATURES, kernel, python_kernel
from accelnn_kernels.inventory import VARIANTS, kernel_names

SHAPES = ((1, 1), (1, 7), (9, 1), (3, 5), (17, 33), (128, 64), (601, 259))
TINY_SHAPES = ((1, 1), (1, 4), (3, 1), (2, 5))
GUARD_BYTES = 256


def all_kernels() -> list[tuple[str, str, str]]:
    """Return (kind, variant, dtype) of every kernel in the catalog."""
    assert set(SIGNATURES) == {*PLAIN_KINDS, *VARIANTS}
    return list(kernel_names(DTYPES))


@dataclass
class Case:
    """A kernel is called with arrays; every array lies between guards, which a kernel must not touch.

    The guards are bytes 0xFF: read as floats they are NaN, so reading beyond an input shows in the result.
    """

    form: str
    shape: tuple[int, int]
    dtype: np.dtype
    seed: int = 0
    buffers: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, *self.shape])

    @property
    def eps(self) -> float:
        return float(np.finfo(self.dtype).eps)

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def columns(self) -> int:
        return self.shape[1]

    def place(self, values: Any, dtype: Any = None) -> np.ndarray:
        """Return a C-contiguous copy of ``values`` between guards, in the dtype of the case unless told otherwise."""
        values = np.asarray(values)
        out = self.empty(values.shape, dtype)
        with np.errstate(over="ignore", under="ignore"):
            out[...] = values
        return out

    def empty(self, shape: Any, dtype: Any = None) -> np.ndarray:
        """Return an array of NaN (integers: -1) between guards."""
        dtype = np.dtype(dtype or self.dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        buffer = np.full(size + 2 * GUARD_BYTES, 0xFF, np.uint8)
        self.buffers.append(buffer)
        return buffer[GUARD_BYTES : GUARD_BYTES + size].view(dtype).reshape(shape)

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Return normal random numbers, of the case's shape if none is given."""
        return self.place(self.rng.normal(scale=scale, size=shape or self.shape))

    def run(self, kind: str, variant: str, *arguments: Any) -> float | None:
        """Call the kernel; arrays go by their address."""
        return self.call(kernel if self.form == "compiled" else python_kernel, kind, variant, *arguments)

    def call(self, form: Any, kind: str, variant: str, *arguments: Any) -> float | None:
        passed = [item.ctypes.data if isinstance(item, np.ndarray) else item for item in arguments]
        with np.errstate(all="ignore"):
            return form(kind, variant, self.dtype.name)(*passed)

    def close(self, actual: Any, expected: Any, ulps: float, scale: float = 0.0) -> None:
        """Assert equality up to ``ulps`` units in the last place of the value, or of ``scale``; NaN equals NaN."""
        with np.errstate(over="ignore", under="ignore"):
            expected = np.asarray(expected).astype(self.dtype)
        np.testing.assert_allclose(actual, expected, rtol=ulps * self.eps, atol=ulps * self.eps * scale)

    def check_guards(self) -> None:
        for buffer in self.buffers:
            assert (buffer[:GUARD_BYTES] == 0xFF).all(), "a kernel wrote before an array"
            assert (buffer[-GUARD_BYTES:] == 0xFF).all(), "a kernel wrote behind an array"


def wide(*arrays: Any) -> list[Any]:
    """Return float arrays as float64, in which the plain formulas are the truth for float32 kernels."""
    return [np.array(array, np.float64) for array in arrays]
