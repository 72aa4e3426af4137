"""What there is to tell about a CUDA device that works: for people, and to read beside measured figures."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import sys
from typing import Any

from accelnn.arrays import cuda_driver, cuda_probe
from accelnn.arrays.cuda_problem import dotted


def describe_device(index: int) -> dict[str, Any]:
    """Return what is known about a device that works, JSON-able.

    name; compute_capability, e.g. "9.0"; memory_bytes and memory_free_bytes (of all processes); memory_limit_bytes of
    CuPy's pool, None without one; devices, how many there are; driver, the version of the NVIDIA driver or None;
    driver_cuda and runtime_cuda, the versions of CUDA that the driver supports and CuPy uses; cupy and numba_cuda,
    versions of the packages or None.
    """
    cupy = cuda_probe.cupy_module()
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    with cupy.cuda.Device(index):
        free, total = cupy.cuda.runtime.memGetInfo()
        limit = cupy.get_default_memory_pool().get_limit()
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "memory_bytes": int(total),
        "memory_free_bytes": int(free),
        "memory_limit_bytes": int(limit) or None,
        "devices": int(cupy.cuda.runtime.getDeviceCount()),
        "driver": nvidia_driver(),
        "driver_cuda": dotted(cuda_driver.driver_version()),
        "runtime_cuda": dotted(int(cupy.cuda.runtime.runtimeGetVersion())),
        "cupy": str(cupy.__version__),
        "numba_cuda": _version("numba-cuda"),
    }


def nvidia_driver() -> str | None:
    """Return the version of the NVIDIA driver, e.g. "580.65.06", or None where its management library is missing."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    text = ctypes.create_string_buffer(_VERSION_BYTES)
    if library.nvmlInit_v2() != 0:
        return None
    status = library.nvmlSystemGetDriverVersion(text, _VERSION_BYTES)
    library.nvmlShutdown()
    return text.value.decode() if status == 0 else None


_VERSION_BYTES = 80
"""What NVML asks to have room for (NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE)."""


def _version(distribution: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return None
