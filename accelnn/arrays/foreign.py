"""Arrays that other libraries made: on which device they lie, and the same memory as an array of NumPy or CuPy.

Memory is shared through DLPack (https://dmlc.github.io/dlpack/latest/python_spec.html), which NumPy, CuPy, PyTorch, JAX
and others speak, or through the CUDA array interface (version 3, in the documentation of Numba). Both order the work of
the library that wrote the array before ours.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.arrays.frames import column_array, frame_array, is_column, is_frame
from accelnn.arrays.namespace import is_cupy, namespace
from accelnn.arrays.typing import Array
from accelnn.errors import AccelnnError, ArgumentTypeError, wrong_type

HOST = "cpu"

KERNEL_ALIGNMENT_BYTES = 16
"""Kernels on a device read so many bytes at a time."""

# Device types of DLPack (enum DLDeviceType in dlpack.h).
_HOST_TYPES = (1, 3, 11)  # pageable memory, and memory that is page-locked for CUDA or ROCm
_CUDA_TYPES = (2, 13)  # 13 is managed memory, which the device that allocated it may read
_OTHER_TYPES = {4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm", 14: "oneapi", 15: "webgpu"}

_TO_HOST = {"cupy": "{}.get()", "torch": "{}.cpu()", "jaxlib": "jax.device_get({})", "numba": "{}.copy_to_host()"}
"""How users of a library copy an array to the host."""


_REFUSALS = (TypeError, ValueError, RuntimeError, BufferError)
"""What libraries raise where they cannot share an array."""


def device_of(values: object) -> str:
    """Return where the numbers of ``values`` lie: ``"cpu"``, ``"cuda:N"``, or e.g. ``"metal:0"``.

    What is no array of a library that knows devices, such as a list, lies on the host. Of an array that has nothing but
    the CUDA array interface the index is known once CuPy is loaded; before that it is ``"cuda"``.
    """
    if isinstance(values, np.ndarray):
        return HOST
    if is_cupy(values):
        return f"cuda:{values.device.id}"  # type: ignore[attr-defined]
    if hasattr(values, "__dlpack__") and hasattr(values, "__dlpack_device__"):
        return _name_of_device(*values.__dlpack_device__())
    interface = getattr(values, "__cuda_array_interface__", None)
    return HOST if interface is None else _device_of_address(interface["data"][0])


def as_array(argument: str, values: Any, backend: Backend) -> Array:
    """Return ``values`` as a NumPy array if they lie on the host, or as a CuPy array if on the backend's device.

    Arrays of other libraries are not copied: the result shares their memory, so it must not be written to. A model on
    a device takes host values too, they stay on the host here. Raises ArgumentTypeError for an array on any other
    device, because a hidden copy would cost more than the computation, and for what is no array.
    """
    device = _known_device(argument, values)
    if device == HOST:
        return _host_array(argument, values)
    if device != backend.device:
        raise _elsewhere(argument, values, device, backend)
    return values if is_cupy(values) else _device_array(argument, values, backend)


def packed(array: Array, dtype: Any) -> Array:
    """Return an array of NumPy or CuPy in ``dtype`` and C order, where kernels can read it; copies only if it must.

    On the host its elements lie at multiples of their size, on a device it begins at a multiple of 16 bytes.
    """
    if not is_cupy(array):
        return np.require(array, dtype, ["C", "A"])
    with array.device:
        result = namespace(array).ascontiguousarray(array, dtype=dtype)
        return result if result.data.ptr % KERNEL_ALIGNMENT_BYTES == 0 else result.copy()


def has_readable_rows(array: Array) -> bool:
    """Return whether the elements of each row of ``array (n, columns)`` are neighbours at multiples of their size."""
    start = array.data.ptr if is_cupy(array) else array.ctypes.data
    size: int = array.dtype.itemsize
    return bool(array.strides[1] == size and array.strides[0] % size == 0 and start % size == 0)


def taken(array: Array, rows: np.ndarray) -> Array:
    """Return the ``rows``, host integers (m,), of an array of NumPy or CuPy, on its device; a copy."""
    if not is_cupy(array):
        return array[rows]
    xp = namespace(array)
    with array.device:
        return xp.take(array, xp.asarray(rows), axis=0)


def _known_device(argument: str, values: Any) -> str:
    try:
        return device_of(values)
    except _REFUSALS as error:  # for example of a JAX array that is shared out over devices
        raise wrong_type(argument, values, f"its library does not say on which device it lies ({error})") from error


def _name_of_device(kind: int, index: int) -> str:
    if kind in _HOST_TYPES:
        return HOST
    if kind in _CUDA_TYPES:
        return f"cuda:{int(index)}"
    return f"{_OTHER_TYPES.get(int(kind), f'device type {int(kind)} of DLPack')}:{int(index)}"


def _device_of_address(address: int) -> str:
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return "cuda"
    return f"cuda:{cupy.cuda.runtime.pointerGetAttributes(address).device}"


def _host_array(argument: str, values: Any) -> np.ndarray:
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        if is_frame(values):
            return frame_array(argument, values)
        return column_array(argument, values) if is_column(values) else np.asarray(values)
    except AccelnnError:
        raise
    except _REFUSALS as error:
        raise wrong_type(argument, values, f"use a NumPy array or a list of rows of equal length ({error})") from error


def _device_array(argument: str, values: Any, backend: Backend) -> Array:
    try:
        with backend.active():
            if hasattr(values, "__dlpack__"):
                return backend.xp.from_dlpack(values)
            return backend.xp.asarray(values)
    except _REFUSALS as error:
        raise wrong_type(argument, values, f"CuPy cannot share this array ({error})") from error


def _elsewhere(argument: str, values: Any, device: str, backend: Backend) -> ArgumentTypeError:
    """Return the error for an array on another device than the model. It is not shown: that would copy it."""
    library = type(values).__module__.partition(".")[0]
    fix = f"copy it to the host, for example with {_TO_HOST.get(library, 'numpy.asarray({})').format(argument)}"
    if device.startswith("cuda"):
        fix += f", or make the model with backend={device!r}"
    seen = f"{argument}, of type {type(values).__name__}, lies on {device} and the model on {backend.device}"
    return ArgumentTypeError(f"{seen}: {fix}")
