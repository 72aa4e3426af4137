"""Where SciPy's BLAS can be called from compiled code, and how many threads it uses while accelnn's own threads run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any


@cache
def gemm_address(dtype: str) -> int:
    """Return the address of Fortran's ``sgemm`` (float32) or ``dgemm`` (float64) in the BLAS that SciPy carries."""
    from numba.extending import get_cython_function_address

    return get_cython_function_address("scipy.linalg.cython_blas", {"float32": "sgemm", "float64": "dgemm"}[dtype])


@cache
def _libraries() -> Any:
    """Return a controller of the loaded BLAS libraries. Finding them is slow, so once is enough."""
    import scipy.linalg.cython_blas  # noqa: F401 - loads the library that is to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


class _SingleThread:
    """Counts who needs single-threaded BLAS: the setting is one for the whole process, its users are many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limit = _libraries().limit(limits=1)
                self._limit.__enter__()
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.__exit__(*exception)


_single_thread = _SingleThread()


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let BLAS calls use one thread each until the last of all such blocks, in any thread, has ended."""
    with _single_thread:
        yield
