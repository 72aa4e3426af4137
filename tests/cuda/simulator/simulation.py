"""What a test of a simulated kernel stands on: arrays that lie as on a device, and launches that take little time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ALIGNMENT_BYTES = 256
"""Where arrays on a device begin: at multiples of this."""

MAX_BLOCKS = 4
MAX_THREADS = 64
"""Of a simulated launch. A thread of Python stands for one of the device, so larger launches take long."""

_POISON = {"float32": np.uint32(0x7FBFFFFF), "float64": np.uint64(0x7FF7FFFFFFFFFFFF), "uint16": np.uint16(0x7FBF)}
"""NaN that signal, in the bits of float32, float64 and bfloat16: a number made from one has other bits."""

_guarded: list[tuple[np.ndarray, int, int, np.generic]] = []
"""The memory of every array of a test: all its bytes, where in them the array begins and ends, and its poison."""


def device_array(values: Any, dtype: str | np.dtype | None = None) -> np.ndarray:
    """Return a C-contiguous copy of ``values`` where a device would have put it, between guards.

    ``dtype``: the dtype of the copy, that of ``values`` unless told otherwise; for ``"bfloat16"`` the array holds the
    bits, as uint16. The guards are NaN (of integers: -1): reading one shows in results, overwriting one fails the test.
    """
    from accelnn_kernels.cuda import simulated_accesses

    values = np.asarray(values)
    if dtype == "bfloat16":
        values, dtype = simulated_accesses.to_bfloat16(values.astype(np.float32)), "uint16"
    out = poisoned(values.shape, dtype or values.dtype)
    with np.errstate(over="ignore", under="ignore"):
        out[...] = values
    return out


def poisoned(shape: int | tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """Return an array for results, full of NaN (integers: -1), between guards; ``"bfloat16"`` as in device_array."""
    dtype = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    size_bytes = math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize
    poison = _POISON.get(dtype.name, np.uint8(0xFF))
    buffer = np.full((size_bytes + 3 * ALIGNMENT_BYTES) // poison.itemsize, poison).view(np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT_BYTES + ALIGNMENT_BYTES
    end = start + size_bytes
    _guarded.append((buffer, start, end, poison))
    return buffer[start:end].view(dtype).reshape(shape)


def host_values(array: np.ndarray, element: str | None = None) -> np.ndarray:
    """Return the numbers in ``array`` as float64; ``element="bfloat16"`` says that uint16 are bits of these."""
    from accelnn_kernels.cuda import simulated_accesses

    return (simulated_accesses.from_bfloat16(array) if element == "bfloat16" else array).astype(np.float64)


def simulate(
    kernel: Any,
    arguments: tuple[Any, ...],
    grid: tuple[int, ...] | None = None,
    block: tuple[int, ...] | None = None,
) -> None:
    """Run ``kernel`` (from ``cuda_kernel``) in the simulator.

    ``arguments``: in the kernel's order; arrays go by their address, numbers get the dtype that the kernel declares.
    ``grid``, ``block``: the shape of the launch. Without them it is the kernel's own, its last direction halved until
    it has at most MAX_BLOCKS blocks and MAX_THREADS threads: kernels do not rely on how many there are.
    """
    addresses = tuple(item.ctypes.data if isinstance(item, np.ndarray) else item for item in arguments)
    assert len(addresses) == len(kernel.parameters), f"{kernel.name} takes {', '.join(kernel.parameters)}"
    execute(kernel, addresses, grid, block)


def execute(
    kernel: Any, arguments: tuple[float, ...], grid: tuple[int, ...] | None, block: tuple[int, ...] | None
) -> None:
    """Run a kernel, whose arrays are addresses here; tests of compiled code put another function in this place."""
    from accelnn_kernels.cuda import target

    launch = kernel.launch_shape(*arguments)
    typed = tuple(dtype.type(item) for dtype, item in zip(kernel.argument_dtypes, arguments, strict=True))
    target.simulate(
        kernel.python, grid or _at_most(MAX_BLOCKS, launch.grid), block or _at_most(MAX_THREADS, launch.block), typed
    )


def _at_most(limit: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Halve the last direction, in which kernels loop over rows; the first one of two stands for columns."""
    *others, last = shape
    while last > 1 and math.prod(others) * last > limit:
        last //= 2
    return (*others, last)


def arrays() -> list[tuple[np.ndarray, np.generic]]:
    """Return the bytes of each array of the test, and what its elements are before they are written."""
    return [(buffer[start:end], poison) for buffer, start, end, poison in _guarded if end > start]


def forget_arrays() -> None:
    """Let go of the arrays of the last test."""
    _guarded.clear()


def check_guards() -> None:
    """Assert that nothing was written before or behind any array."""
    for buffer, start, end, poison in _guarded:
        guard = poison.tobytes() * (ALIGNMENT_BYTES // poison.itemsize)
        assert buffer[start - ALIGNMENT_BYTES : start].tobytes() == guard, "a kernel wrote before an array"
        assert buffer[end : end + ALIGNMENT_BYTES].tobytes() == guard, "a kernel wrote behind an array"
