"""Addresses of host arrays for machine code. It checks nothing, so every address that it gets is taken here.

Arrays that it reads may be anyone's: read-only, or mapped from a file. Those that it writes to are made by us. Whoever
owns such arrays copies into them what comes from outside (weights, moments of a pickle, a checkpoint), so neither a
file nor an array of the user's is ever written to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelnn.errors import ArgumentError


def address_to_read(array: np.ndarray[Any, Any]) -> int:
    """Return the address of an array whose elements are aligned, and neighbours within each of its rows."""
    flags = array.flags
    if not (flags.aligned and (flags.c_contiguous or (array.ndim == 2 and array.strides[1] == array.itemsize))):
        raise ArgumentError(f"an array of strides {array.strides} cannot be read: copy it with numpy.ascontiguousarray")
    return int(array.ctypes.data)


def address_to_write(what: str, array: np.ndarray[Any, Any], dtype: Any, size: int | None = None) -> int:
    """Return the address of an array of ``dtype`` in C order, in memory that NumPy has allocated.

    ``what`` names the array; ``size`` is the number of its elements, None for as many as there are. Raises
    ArgumentError for an array that is read-only, of another dtype, size or order, or a view of memory that is not
    NumPy's, such as a file.
    """
    owner = array if array.base is None else array.base
    is_own = isinstance(owner, np.ndarray) and owner.flags.owndata
    if not (is_own and array.flags.carray and array.dtype == dtype and size in (None, array.size)):
        found = f"{array.size} elements of {array.dtype}" + ("" if array.flags.writeable else ", read-only")
        needed = f"{array.size if size is None else size} of {np.dtype(dtype)}"
        fix = f"it takes memory of its own for {needed}; leave the arrays of a model as it has made them"
        raise ArgumentError(f"{what} cannot be written to, an array of {found}: {fix}")
    return int(array.ctypes.data)
