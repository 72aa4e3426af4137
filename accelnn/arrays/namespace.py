"""Which array library an array belongs to, and the two questions on which libraries still differ."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from accelnn.arrays.typing import Array, DTypeName, Namespace
from accelnn.errors import ArgumentTypeError, wrong_type


def namespace(*arrays: Array) -> Namespace:
    """Return the array module to which all of ``arrays`` (one or more) belong.

    Raises ArgumentTypeError for an object that is no array, and for arrays of different libraries:
    a hidden copy between host and device would cost more than the computation.
    """
    first = _module(arrays[0])
    for array in arrays[1:]:
        other = _module(array)
        if other is not first:
            raise ArgumentTypeError(
                f"arrays of {first.__name__} and {other.__name__} were mixed: "
                "move all of them to one backend with backend.asarray(...)"
            )
    return first


def is_cupy(array: object) -> bool:
    """Tell whether ``array`` is a CuPy array, without importing CuPy."""
    return type(array).__module__.partition(".")[0] == "cupy"


def dtype_name(array: Array) -> DTypeName:
    """Return "float32" or "float64", the dtype of a floating ``array`` of any namespace."""
    return "float32" if array.dtype == namespace(array).float32 else "float64"


def arange(xp: Namespace, count: int, dtype: object, device: Any = None) -> Array:
    """Return 0, 1, ..., ``count`` - 1 on the ``device`` that another array names (None: the default one)."""
    if device is None:
        return xp.arange(count, dtype=dtype)
    if hasattr(device, "__enter__"):  # CuPy: a device is a context, and arange takes no device
        with device:
            return xp.arange(count, dtype=dtype)
    return xp.arange(count, dtype=dtype, device=device)


def _module(array: Array) -> Namespace:
    if type(array) is np.ndarray or isinstance(array, np.generic):
        return np
    if is_cupy(array):  # up to version 15, CuPy's arrays do not name their namespace themselves
        return sys.modules["cupy"]
    method = getattr(array, "__array_namespace__", None)
    if method is None:
        raise wrong_type("array", array, "use an array, e.g. backend.asarray(values)")
    return method()
