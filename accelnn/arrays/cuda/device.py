"""A CUDA device as runners use it: arrays, launches, matrix products and graphs, all on one stream of its own.

The rest of accelnn reaches a device through the few methods of :class:`Device`. So the tests can put one in its place
that keeps its arrays on the host and runs the kernels in a simulator.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from accelnn_kernels.collector import collector_off

from accelnn.arrays.addresses import address_to_read
from accelnn.arrays.backend import Backend
from accelnn.arrays.cuda.cublas import Cublas, Gemm, workspace_bytes
from accelnn.arrays.typing import Array
from accelnn.errors import BackendError


class Graph(Protocol):
    """Launches that were recorded."""

    def replay(self) -> None:
        """Start all of them, in their order."""
        ...


class Transfer(Protocol):
    """A buffer on the device, ``target``, and page-locked host memory of its size from which copies fill it.

    The copies have a stream of their own. Of two transfers one can be filled while work reads the other.
    """

    target: Array

    def await_free(self) -> npt.NDArray[Any]:
        """Wait until the last copy has left the host's memory, and return that memory."""
        ...

    def send(self, first: int, last: int) -> None:
        """Start the copy of the elements [first, last), behind the work that was marked as the last to read them."""
        ...

    def await_copy(self) -> None:
        """Let the work that is started from now on wait for the copy; the host does not wait."""
        ...

    def mark_used(self) -> None:
        """Say that all work that reads the present contents has been started."""
        ...


class Device(Protocol):
    """What runners need of a device. Everything is started in order; only the methods that say so wait for it."""

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Array:
        """Return a new vector of zeros on the device; its address is a multiple of 256."""
        ...

    def address(self, array: Array) -> int:
        """Return the address of the first element of an array on the device."""
        ...

    def holds(self, array: object) -> bool:
        """Return whether an array is one of the device's own."""
        ...

    def free_bytes(self) -> int:
        """Return how much memory new arrays may take."""
        ...

    def transfer(self, size: int, dtype: npt.DTypeLike) -> Transfer:
        """Return a new buffer of ``size`` elements that is filled from the host beside the work on the device."""
        ...

    def upload(self, target: Array, values: npt.NDArray[Any]) -> None:
        """Copy host ``values`` to the first elements of ``target``, of the same dtype."""
        ...

    def download(self, source: Array, size: int) -> npt.NDArray[Any]:
        """Wait, and return the first ``size`` elements of a vector as a host array."""
        ...

    def cooperative_shape(self, threads: int) -> tuple[int, int]:
        """Return how many blocks of a launch may wait for each other, and of how many threads, at most ``threads``.

        0 blocks where none may.
        """
        ...

    def launch(self, kernel: Any, arguments: tuple[float, ...], *, cooperative: bool = False) -> None:
        """Start a kernel, an ``accelnn_kernels.cuda.catalog.CudaKernel``.

        cooperative: its blocks wait for each other, so all of them have to find room at the same time. Raises
        BackendError if they do not.
        """
        ...

    def gemm(self, product: Gemm) -> None:
        """Start a matrix product."""
        ...

    def record(self, launches: Callable[[], None]) -> Graph:
        """Call ``launches`` and return what it starts as a graph; nothing of it runs now.

        Everything that it starts must have run before, so that nothing has to be loaded. Raises BackendError where
        that fails.
        """
        ...

    def synchronize(self) -> None:
        """Wait until everything on the device is done, other streams included."""
        ...


_of_threads = threading.local()


def cuda_device(backend: Backend) -> CudaDevice:
    """Return this thread's device for a CUDA backend.

    It is made once, because loading kernels and making a cuBLAS handle take longer than training a small network; its
    workspace (32 MiB on a Hopper GPU) stays. Every thread has its own, because a stream that is being captured belongs
    to one thread.
    """
    devices: dict[str, CudaDevice] = _of_threads.__dict__.setdefault("devices", {})
    if backend.device not in devices:
        devices[backend.device] = CudaDevice(backend)
    return devices[backend.device]


class CudaDevice:
    """A device through CuPy and an own cuBLAS handle; see :class:`Device`.

    backend: a CUDA backend. The stream does not wait for CuPy's current stream, nor the reverse: call ``synchronize``
    where work changes hands.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend, self._cupy = backend, backend.xp
        self._functions: dict[str, Any] = {}
        with backend.active():
            self._stream = self._cupy.cuda.Stream(non_blocking=True)
            capability = str(self._cupy.cuda.Device().compute_capability)
            self.compute_capability = int(capability[:-1]), int(capability[-1])
            n_bytes = workspace_bytes(self.compute_capability)
            self._workspace = self._cupy.empty(n_bytes, np.uint8)
            self._cublas = Cublas(self._stream.ptr, self._workspace.data.ptr, n_bytes)
        weakref.finalize(self, _close, backend, self._cublas)

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Array:
        """Return a new vector of zeros on the device."""
        with self._backend.active(), self._stream:  # else the zeros might come after the values
            return self._cupy.zeros(size, dtype)

    def address(self, array: Array) -> int:
        """Return the address of the first element."""
        return int(array.data.ptr)

    def holds(self, array: object) -> bool:
        """Return whether ``array`` is a CuPy array."""
        return isinstance(array, self._cupy.ndarray)

    def free_bytes(self) -> int:
        """Return how much memory new arrays may take."""
        return self._backend.free_bytes()

    def transfer(self, size: int, dtype: npt.DTypeLike) -> Transfer:
        """Return a new buffer with page-locked memory on the host."""
        return _CudaTransfer(self._backend, self._stream, self.zeros(size, dtype))

    def upload(self, target: Array, values: npt.NDArray[Any]) -> None:
        """Copy host ``values`` to the first elements of ``target``."""
        if values.dtype != target.dtype or values.size > target.size:
            raise ValueError(f"{values.size} {values.dtype} do not fit into {target.size} {target.dtype}")
        values = np.ascontiguousarray(values)
        with self._backend.active():
            target.data.copy_from_host_async(address_to_read(values), values.nbytes, self._stream)
            if values.nbytes > _STAGED_BYTES:
                self._stream.synchronize()  # a larger copy may read the host's memory later

    def download(self, source: Array, size: int) -> npt.NDArray[Any]:
        """Wait, and return the first ``size`` elements."""
        with self._backend.active():
            values: npt.NDArray[Any] = source[:size].get(stream=self._stream)
            self._stream.synchronize()
        return values

    def cooperative_shape(self, threads: int) -> tuple[int, int]:
        """Return a block for each multiprocessor: so much room there is, whatever a kernel needs."""
        runtime = self._cupy.cuda.runtime
        with self._backend.active():
            device = runtime.getDevice()
            is_possible = runtime.deviceGetAttribute(runtime.cudaDevAttrCooperativeLaunch, device)
            count = runtime.deviceGetAttribute(runtime.cudaDevAttrMultiProcessorCount, device)
        return (int(count) if is_possible else 0), threads

    def launch(self, kernel: Any, arguments: tuple[float, ...], *, cooperative: bool = False) -> None:
        """Start a kernel."""
        grid, block = kernel.launch_shape(*arguments)
        typed = tuple(dtype.type(value) for dtype, value in zip(kernel.argument_dtypes, arguments, strict=True))
        with self._backend.active():
            function = self._function(kernel)
            try:
                function(grid, block, typed, stream=self._stream, enable_cooperative_groups=cooperative)
            except (RuntimeError, ValueError) as error:
                raise BackendError(f"kernel {kernel.name} could not be launched: {error}") from error

    def gemm(self, product: Gemm) -> None:
        """Start a matrix product."""
        with self._backend.active():
            self._cublas.gemm(product)

    def record(self, launches: Callable[[], None]) -> Graph:
        """Return what ``launches`` starts as a graph."""
        try:
            with self._backend.active(), collector_off():  # freeing device memory is illegal during a capture
                return _CudaGraph(self._captured(launches), self._stream, self._backend)
        except RuntimeError as error:  # of CUDA
            raise BackendError(f"the training step could not be recorded as a CUDA graph: {error}") from error

    def synchronize(self) -> None:
        """Wait until everything on the device is done."""
        self._backend.synchronize()

    def _captured(self, launches: Callable[[], None]) -> Any:
        # Thread-local: what other threads of the process do with the device is none of this capture's business.
        self._stream.begin_capture(self._cupy.cuda.runtime.streamCaptureModeThreadLocal)
        try:
            launches()
        except BaseException:
            _end_quietly(self._stream)
            raise
        return self._stream.end_capture()

    def _function(self, kernel: Any) -> Any:
        """Return the kernel's machine code, loaded onto this device."""
        if kernel.name not in self._functions:
            module = self._cupy.cuda.function.Module()
            module.load(_compiled(kernel, self.compute_capability))
            self._functions[kernel.name] = module.get_function("kernel")
        return self._functions[kernel.name]


_STAGED_BYTES = 64 << 10
"""Copies up to this size have left pageable host memory when the call returns."""


class _CudaTransfer:
    """See :class:`Transfer`."""

    def __init__(self, backend: Backend, stream: Any, target: Array) -> None:
        self.target = target
        self._backend, self._work = backend, stream
        cuda = backend.xp.cuda
        with backend.active():
            self._copies = cuda.Stream(non_blocking=True)
            self._copied, self._used = cuda.Event(disable_timing=True), cuda.Event(disable_timing=True)
            self._pinned = cuda.alloc_pinned_memory(target.nbytes)
        self._host = np.frombuffer(self._pinned, target.dtype, target.size)

    def await_free(self) -> npt.NDArray[Any]:
        """Wait for the last copy and return the host's memory."""
        self._copied.synchronize()
        return self._host

    def send(self, first: int, last: int) -> None:
        """Start the copy of the elements [first, last)."""
        part, into = self._host[first:last], self.target[first:last]
        with self._backend.active():
            self._copies.wait_event(self._used)
            into.data.copy_from_host_async(address_to_read(part), part.nbytes, self._copies)
            self._copied.record(self._copies)

    def await_copy(self) -> None:
        """Let the device's work wait for the copy."""
        self._work.wait_event(self._copied)

    def mark_used(self) -> None:
        """Remember how far the device's work has been started."""
        with self._backend.active():
            self._used.record(self._work)


class _CudaGraph:
    """A CUDA graph on its stream."""

    def __init__(self, graph: Any, stream: Any, backend: Backend) -> None:
        self._graph, self._stream, self._backend = graph, stream, backend

    def replay(self) -> None:
        """Start the graph."""
        with self._backend.active():
            self._graph.launch(stream=self._stream)


def _compiled(kernel: Any, compute_capability: tuple[int, int]) -> bytes:
    """Return the kernel's machine code; whatever the compiler or the assembler raises becomes an error of ours."""
    try:
        image: bytes = kernel.image(compute_capability)
    except Exception as error:  # packages that do not fit together fail in ways of their own
        problem = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise BackendError(
            f"kernel {kernel.name} could not be compiled for sm_{_digits(compute_capability)}: {problem}"
        ) from error
    return image


def _digits(compute_capability: tuple[int, int]) -> str:
    return f"{compute_capability[0]}{compute_capability[1]}"


def _close(backend: Backend, cublas: Cublas) -> None:
    with backend.active():
        cublas.close()


def _end_quietly(stream: Any) -> None:
    """End a capture that has failed already: the stream has to leave that state, the first error is the one to show."""
    try:
        stream.end_capture()
    except RuntimeError:
        return
