"""How fast this machine multiplies matrices and copies memory: the two limits of a training step.

Both are measured on as many threads as the step uses, all at once, and the best of several rounds counts: a limit
is what the machine can do, not what it does while something else disturbs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelnn_kernels.catalog import kernel, probe
from accelnn_kernels.team import new_team_memory

from accelnn.arrays.addresses import address_to_read, address_to_write
from accelnn.training.runners.team import run_together

OWN_WIDTHS = (288, 480)
"""Widths of the square matrices of the kernels' own product: whole tiles everywhere, and few enough for a cache."""

NUMPY_WIDTH = 2048
"""Width of the square matrices of NumPy's product, which is at its best where they are large."""

MEMORY_COPY_BYTES = 256 << 20
"""Bytes of source and target together: much more than a last-level cache holds."""

CACHE_COPY_BYTES = 256 << 10
"""The same for a copy that each thread's own cache holds."""

USUAL_CACHE_BYTES = 8 << 20
"""Size of a last-level cache where the machine does not tell."""

CALL_BYTES = 4 << 20
"""A call of a copy that is smaller is repeated to this size, so that calling it costs nothing."""

RUN_S = 0.01
"""How long to do the same before looking at the clock."""

Job = Callable[[], object]


@dataclass(frozen=True)
class MachineRates:
    """Rates of all ``threads`` together.

    own_flops_per_s, numpy_flops_per_s: floating-point operations of matrix products, by the kernels of accelnn and by
    NumPy. memory_copy_bytes_per_s, cache_copy_bytes_per_s: bytes read and written by a copy in main memory, and by one
    within a cache. cache_bytes: size of the last-level cache.
    """

    threads: int
    own_flops_per_s: float
    numpy_flops_per_s: float
    memory_copy_bytes_per_s: float
    cache_copy_bytes_per_s: float
    cache_bytes: int

    @property
    def gemm_flops_per_s(self) -> float:
        """The best known rate of a matrix product."""
        return max(self.own_flops_per_s, self.numpy_flops_per_s)


class RateMeter:
    """Measures the rates of this machine again and again, and keeps the best.

    dtype: of the matrix products, ``"float32"`` or ``"float64"``. threads: how many work at once.
    """

    def __init__(self, dtype: str, threads: int) -> None:
        self._threads = threads
        self._numpy_product = Race([_numpy_product(dtype)], 2.0 * NUMPY_WIDTH**3)
        self._own_products = [_own_products(dtype, width, threads) for width in OWN_WIDTHS]
        self._memory_copies = _copies(MEMORY_COPY_BYTES // threads, threads)
        self._cache_copies = _copies(CACHE_COPY_BYTES, threads)

    def measure(self) -> None:
        """Measure all rates but that of NumPy's product, in a few hundredths of a second."""
        for race in (*self._own_products, *self._memory_copies, *self._cache_copies):
            race.run()

    def measure_large_product(self) -> None:
        """Measure the rate of NumPy's product, which takes a while and leaves threads spinning behind it."""
        import threadpoolctl

        with threadpoolctl.threadpool_limits(self._threads, "blas"):
            self._numpy_product.run()

    def rates(self) -> MachineRates:
        """Return the best rates so far."""
        return MachineRates(
            self._threads,
            own_flops_per_s=_best(self._own_products),
            numpy_flops_per_s=self._numpy_product.best_per_s,
            memory_copy_bytes_per_s=_best(self._memory_copies),
            cache_copy_bytes_per_s=_best(self._cache_copies),
            cache_bytes=cache_bytes(),
        )


class Race:
    """Jobs that run at once, each in a thread of its own, and the best rate that they have reached together.

    amount: what one call of all jobs does, in any unit; ``best_per_s`` is in this unit per second.
    """

    def __init__(self, jobs: Sequence[Job], amount: float) -> None:
        self.best_per_s = 0.0
        self._jobs, self._amount, self._times = jobs, amount, 1

    def run(self) -> None:
        """Run the jobs for about ``RUN_S``, but once at least; the first time just once."""
        start_s = time.perf_counter()
        run_together(_repeat, [(job, self._times) for job in self._jobs], new_team_memory())
        elapsed_s = time.perf_counter() - start_s
        self.best_per_s = max(self.best_per_s, self._amount * self._times / elapsed_s)
        self._times = max(1, int(self._times * RUN_S / elapsed_s))


def _best(races: Sequence[Race]) -> float:
    return max(race.best_per_s for race in races)


def _repeat(job: Job, times: int) -> None:
    for _ in range(times):
        job()


def _numpy_product(dtype: str) -> Job:
    """Return the product of two large matrices, which NumPy hands to its BLAS."""
    a = np.random.default_rng(0).random((NUMPY_WIDTH, NUMPY_WIDTH)).astype(dtype)
    b, c = a.copy(), np.empty_like(a)
    return lambda: np.matmul(a, b, out=c)


def _own_products(dtype: str, width: int, threads: int) -> Race:
    """Return the kernels' product of matrices that lie in the cache, in every thread."""
    return Race([_own_product(dtype, width) for _ in range(threads)], 2.0 * threads * width**3)


def _own_product(dtype: str, n: int) -> Job:
    gemm = kernel("gemm", "", dtype)
    a = np.random.default_rng(0).random((n, n)).astype(dtype)
    b, c = a.copy(), np.zeros_like(a)
    return lambda: gemm(address_to_read(a), n, 1, address_to_read(b), n, _written(c), n, n, n, n, 1.0, 0.0)


def _copies(n_bytes: int, threads: int) -> list[Race]:
    """Return copies within ``n_bytes`` of each thread, by a plain loop and by NumPy, which may bypass the caches."""
    pairs = [(np.ones(n_bytes // 16), np.zeros(n_bytes // 16)) for _ in range(threads)]
    times = max(1, CALL_BYTES // n_bytes)
    moved = 2.0 * pairs[0][0].nbytes * times * threads
    return [Race([copy(*pair, times) for pair in pairs], moved) for copy in (_loop_copy, _numpy_copy)]


def _loop_copy(source: np.ndarray, target: np.ndarray, times: int) -> Job:
    copy, repeat = kernel("copy", "", "float64").address, probe()
    return lambda: repeat(copy, (address_to_read(source), _written(target), source.size), times)


def _written(array: np.ndarray) -> int:
    return address_to_write("a result", array, array.dtype)


def _numpy_copy(source: np.ndarray, target: np.ndarray, times: int) -> Job:
    def copy() -> None:
        for _ in range(times):
            np.copyto(target, source)

    return copy


def cache_bytes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Return the size of the last-level cache as Linux tells it in ``folder``; elsewhere that of a usual one."""
    sizes = [path.read_text().strip() for path in folder.glob("index*/size")]
    return max((int(size[:-1]) << 10 for size in sizes if size.endswith("K")), default=USUAL_CACHE_BYTES)
