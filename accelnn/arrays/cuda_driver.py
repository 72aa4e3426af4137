"""Which CUDA the driver of this machine supports."""

from __future__ import annotations

import ctypes
import functools
import sys


@functools.cache
def driver_version() -> int:
    """Return the CUDA version that the driver supports, e.g. 13000 for 13.0, and 0 without a driver."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    return version.value
