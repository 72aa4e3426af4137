"""A backend: where arrays live and which array module computes with them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.arrays import cuda_probe
from accelnn.arrays.namespace import is_cupy
from accelnn.arrays.ops import PlainOps
from accelnn.arrays.typing import Array, Namespace
from accelnn.errors import BackendError, DeviceMemoryError, invalid, unknown_name, wrong_type

RESIDENT_SHARE = 0.6
"""The part of a device's free memory that data may take; the rest is for the batch and for other programs."""

_logger = logging.getLogger("accelnn")
_fallback_told = threading.Event()


@dataclass(frozen=True)
class Backend:
    """Where a model computes; get one from get_backend.

    name: "cpu" or "cuda".
    device: "cpu", or "cuda:N" for device N.
    xp: the array module, ``numpy`` or ``cupy``.

    Backends are equal when these are. A pickled backend is looked up again where it is loaded.
    """

    name: str
    device: str
    xp: Namespace

    def __reduce__(self) -> tuple[Callable[[str], Backend], tuple[str]]:
        return get_backend, (self.device,)

    @property
    def ops(self) -> PlainOps:
        """The operations that layers are written in."""
        return PlainOps()

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """Return ``x`` (array of any backend, or nested sequence) as an array of this backend.

        ``dtype`` is a name or a dtype of ``xp``; None keeps that of ``x``. Nothing is copied that already
        is on this backend in this dtype.
        """
        if self.name == "cpu":
            return np.asarray(self.to_host(x) if is_cupy(x) else x, dtype=dtype)
        with self.active():
            return self.xp.asarray(x, dtype=dtype)

    def to_host(self, x: Array) -> npt.NDArray[Any]:
        """Return an array of any backend as a NumPy array of the same dtype; waits for its computation."""
        host: npt.NDArray[Any] = x.get() if is_cupy(x) else np.asarray(x)
        return host

    def synchronize(self) -> None:
        """Wait until everything that was started on the device is done; nothing to do on a CPU."""
        if self.name == "cuda":
            self._cuda_device().synchronize()

    def free_bytes(self) -> int:
        """Return how much memory new arrays may take on a CUDA device.

        That is what it has free, and what CuPy's pool holds without using it, within the pool's limit.
        """
        with self.active():
            pool = self.xp.get_default_memory_pool()
            free = int(self.xp.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())
            limit = int(pool.get_limit())
            return min(free, limit - int(pool.used_bytes())) if limit else free

    def active(self) -> AbstractContextManager[Any]:
        """Return a context in which new arrays and computations go to this device.

        It raises DeviceMemoryError where the device's memory runs out.
        """
        return contextlib.nullcontext() if self.name == "cpu" else _OnDevice(self._cuda_device())

    def _cuda_device(self) -> Any:
        return self.xp.cuda.Device(int(self.device.partition(":")[2]))


class _OnDevice(AbstractContextManager[None]):
    """A context in which a device of CuPy's is the current one, and its memory running out is an error of ours."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def __enter__(self) -> None:
        self._device.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._device.__exit__(kind, error, trace)
        if error is not None and _is_full(error):
            raise DeviceMemoryError(f"{str(error).rstrip('.')} on CUDA device {self._device.id}: {_LESS}") from error


_LESS = "use smaller batches or a smaller network, or free what else lies on the device, other programs' arrays too"


def _is_full(error: BaseException) -> bool:
    """Return whether CuPy, whose classes are only known where it is installed, says that no memory is left."""
    is_of_cupy = type(error).__module__.startswith("cupy")
    return is_of_cupy and (isinstance(error, MemoryError) or any(name in str(error) for name in _FULL))


_FULL = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY")
"""What the runtime and, for kernels that are loaded, the driver call it."""


def get_backend(spec: str | Backend = "auto", *, memory_limit_bytes: int | None = None) -> Backend:
    """Return the backend that ``spec`` asks for.

    "cpu" is NumPy. "cuda" (device 0) and "cuda:N" are requirements: BackendError says why the device
    cannot be used and what to install. "auto" is a preference: device 0 if it works, else the CPU, and the
    reason goes once per process to the logger "accelnn" at level INFO. A Backend is returned as it is.

    ``memory_limit_bytes`` limits CuPy's memory pool on the device, for all of this process and until it is set again: 0
    lifts the limit, None leaves it as it is (CUPY_GPU_MEMORY_LIMIT sets the first one). Arrays of accelnn and CuPy
    count, also those that exist already; the driver's own share (its context, loaded kernels, graphs) does not. Where
    "auto" is the CPU there is nothing to limit. A model or a batch that needs more raises DeviceMemoryError, which is
    a MemoryError.

    Raises ArgumentError for another string, for a limit below 0 and for one of the CPU's memory, and
    ArgumentTypeError for another type.
    """
    limit = _checked_limit(memory_limit_bytes)
    backend = _backend_of(spec)
    if limit is not None and backend.name == "cuda":
        with backend.active():
            backend.xp.get_default_memory_pool().set_limit(size=limit)
    elif limit is not None and spec != "auto":
        raise invalid("memory_limit_bytes", limit, "leave it out: it limits the memory of a CUDA device, not the CPU's")
    return backend


def _checked_limit(limit: int | None) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, (bool, np.bool_)) or not isinstance(limit, (int, np.integer)):
        raise wrong_type("memory_limit_bytes", limit, "use a whole number of bytes, such as 4 * 2**30")
    if limit < 0:
        raise invalid("memory_limit_bytes", limit, "use a number of bytes > 0, or 0 for no limit")
    return int(limit)


def _backend_of(spec: str | Backend) -> Backend:
    if isinstance(spec, Backend):
        return spec
    if not isinstance(spec, str):
        raise wrong_type("backend", spec, 'use "auto", "cpu", "cuda", "cuda:N" or a Backend')
    if spec == "auto":
        return _preferred()
    if spec == "cpu":
        return Backend("cpu", "cpu", np)
    return _cuda_backend(_device_index(spec))


def _device_index(spec: str) -> int:
    name, colon, number = spec.partition(":")
    if name != "cuda":
        raise unknown_name("backend", spec, ("auto", "cpu", "cuda", "cuda:N"))
    if not colon:
        return 0
    if not (number.isascii() and number.isdigit()):
        raise invalid("backend", spec, 'number the device, as in "cuda:0"')
    return int(number)


def _cuda_backend(index: int) -> Backend:
    problem = cuda_probe.find_problem(index)
    if problem is not None:
        raise BackendError(
            f"backend 'cuda:{index}' cannot be used: {problem.cause}; to fix it, {problem.remedy}; or use backend 'cpu'"
        )
    return Backend("cuda", f"cuda:{index}", cuda_probe.cupy_module())


def _preferred() -> Backend:
    problem = cuda_probe.find_problem()
    if problem is None:
        return _cuda_backend(0)
    if not _fallback_told.is_set():
        _fallback_told.set()
        _logger.info("backend 'auto' is the CPU: %s (for CUDA, %s)", problem.cause, problem.remedy)
    return get_backend("cpu")
