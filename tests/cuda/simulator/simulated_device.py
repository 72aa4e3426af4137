"""A device for tests: its arrays lie on the host, its kernels run in Numba's simulator, its graphs are lists.

What would be illegal while a real stream is captured raises here: allocating, copying, waiting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from accelnn_kernels.cuda import target
from accelnn_kernels.cuda.simulated_accesses import to_bfloat16
from accelnn_kernels.memory import view

from accelnn.arrays.cuda.cublas import Gemm

THREADS = 8
"""Threads of a block at most: they are Python threads."""

ALIGNMENT = 256


class SimulatedDevice:
    """See ``accelnn.arrays.cuda.device.Device``.

    ``log`` has a line for everything that was asked of the device; launches inside a graph stand where they were
    recorded, and a replay is a line of its own. ``capacity_bytes`` is what ``free_bytes`` answers.
    """

    def __init__(self, capacity_bytes: int = 1 << 40, max_threads: int = THREADS) -> None:
        self.log: list[str] = []
        self._recorded: list[Callable[[], None]] | None = None
        self._capacity_bytes, self._max_threads = capacity_bytes, max_threads

    def zeros(self, size: int, dtype: Any) -> np.ndarray:
        self._check_not_recording("allocated")
        self.log.append("zeros")
        return aligned(size, np.dtype(dtype))

    def address(self, array: np.ndarray) -> int:
        return int(array.ctypes.data)

    def holds(self, array: object) -> bool:
        return False

    def free_bytes(self) -> int:
        return self._capacity_bytes

    def transfer(self, size: int, dtype: Any) -> SimulatedTransfer:
        return SimulatedTransfer(self, size, np.dtype(dtype))

    def upload(self, target: np.ndarray, values: np.ndarray) -> None:
        self._check_not_recording("copied to")
        assert values.dtype == target.dtype
        self.log.append("upload")
        target[: values.size] = values

    def download(self, source: np.ndarray, size: int) -> np.ndarray:
        self._check_not_recording("waited for")
        self.log.append("download")
        return source[:size].copy()

    def cooperative_shape(self, threads: int) -> tuple[int, int]:
        return 1, min(threads, self._max_threads)  # the simulator runs one block after the other

    def launch(self, kernel: Any, arguments: tuple[float, ...], *, cooperative: bool = False) -> None:
        grid, block = kernel.launch_shape(*arguments)
        assert is_legal(grid, block), f"{kernel.name} {grid} {block}"
        typed = tuple(dtype.type(value) for dtype, value in zip(kernel.argument_dtypes, arguments, strict=True))
        assert not cooperative or math.prod(grid) == 1, "these blocks would wait for each other for ever"
        self._start(kernel.name, lambda: target.simulate(kernel.python, grid, self._fewer(block), typed))

    def gemm(self, product: Gemm) -> None:
        self._start("gemm", lambda: multiply(product))

    def record(self, launches: Callable[[], None]) -> SimulatedGraph:
        self._recorded = []
        try:
            launches()
            return SimulatedGraph(self, self._recorded)
        finally:
            self._recorded = None

    def synchronize(self) -> None:
        self._check_not_recording("waited for")
        self.log.append("synchronize")

    def _start(self, name: str, run: Callable[[], None]) -> None:
        self.log.append(name)
        if self._recorded is None:
            run()
        else:
            self._recorded.append(run)

    def _fewer(self, block: tuple[int, ...]) -> tuple[int, ...]:
        """Return a block with fewer threads, a power of two still: kernels ask how many there are."""
        sizes = list(block)
        while math.prod(sizes) > self._max_threads:
            longest = sizes.index(max(sizes))
            sizes[longest] //= 2
        return tuple(sizes)

    def _check_not_recording(self, done: str) -> None:
        if self._recorded is not None:
            raise RuntimeError(f"the device was {done} while a graph was recorded")


def is_legal(grid: tuple[int, ...], block: tuple[int, ...]) -> bool:
    """Return whether CUDA accepts a launch of this shape, on any device."""
    grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
    fits = all(
        1 <= n <= most for n, most in zip((*grid, *block), (2**31 - 1, 65535, 65535, 1024, 1024, 64), strict=True)
    )
    return fits and math.prod(block) <= 1024


class SimulatedGraph:
    """Launches one after the other."""

    def __init__(self, device: SimulatedDevice, launches: list[Callable[[], None]]) -> None:
        self._device, self._launches = device, launches

    def replay(self) -> None:
        self._device.log.append("replay")
        for run in self._launches:
            run()


class SimulatedTransfer:
    """A copy happens at once; whoever uses the buffer without waiting for its copy gets poisoned numbers."""

    def __init__(self, device: SimulatedDevice, size: int, dtype: np.dtype[Any]) -> None:
        self.target = aligned(size, dtype)
        self._host, self._pending, self._device = aligned(size, dtype), (0, 0), device
        self._in_use = False

    def await_free(self) -> np.ndarray:
        return self._host

    def send(self, first: int, last: int) -> None:
        assert not self._in_use, "the buffer is overwritten while work that reads it is still being started"
        self._device.log.append("send")
        self.target.view(np.uint8)[:] = 0xFF
        self._pending = first, last

    def await_copy(self) -> None:
        first, last = self._pending
        self.target[first:last] = self._host[first:last]
        self._in_use = True

    def mark_used(self) -> None:
        self._in_use = False


def aligned(size: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return zeros at an address that is a multiple of ALIGNMENT, as device memory is."""
    raw = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)


def multiply(product: Gemm) -> None:
    """Compute a product with NumPy."""
    a = _matrix(product.a, product.rows, product.inner, product.a_transposed, product.element)
    b = _matrix(product.b, product.inner, product.columns, product.b_transposed, product.element)
    bits = view(product.c, (product.rows, product.columns), _stored(product.result))
    values = product.alpha * (a @ b)
    if product.beta:
        values += product.beta * _decoded(bits, product.result)
    bits[:] = to_bfloat16(values) if product.result == "bfloat16" else values


def _matrix(address: int, rows: int, columns: int, transposed: bool, element: str) -> np.ndarray:
    shape = (columns, rows) if transposed else (rows, columns)
    values = _decoded(view(address, shape, _stored(element)), element)
    return values.T if transposed else values


def _stored(element: str) -> np.dtype[Any]:
    return np.dtype(np.uint16 if element == "bfloat16" else element)


def _decoded(bits: np.ndarray, element: str) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32) if element == "bfloat16" else bits
