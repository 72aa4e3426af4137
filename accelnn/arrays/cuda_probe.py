"""Whether CUDA can be used here, and if not, why and what to install.

The only module that looks for a GPU. Nothing is imported before someone asks, and nothing counts as
usable before a matrix product has run on the device.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

INSTALL_DRIVER = "install a current NVIDIA driver (https://www.nvidia.com/drivers)"


@dataclass(frozen=True)
class Problem:
    """Why CUDA cannot be used (``cause``) and what helps (``remedy``), each without a final full stop."""

    cause: str
    remedy: str


def find_problem(index: int = 0) -> Problem | None:
    """Return what prevents the use of CUDA device ``index`` (0 or more), or None if it works.

    A device that worked is not tried again in this process; a problem is looked for afresh each time.
    """
    if index in _working:
        return None
    driver = driver_version()
    problem = (
        _driver_problem(driver)
        or _cupy_problem(driver)
        or _device_problem(index)
        or _numba_problem(driver)
        or _compute_problem(index, driver)
    )
    if problem is None:
        _working.add(index)
    return problem


_working: set[int] = set()


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


def cupy_module() -> Any:
    """Return the module ``cupy``; only call it after find_problem returned None."""
    return importlib.import_module("cupy")


def describe_device(index: int) -> dict[str, Any]:
    """Return name, memory_bytes, compute_capability and versions of a device that works, JSON-able."""
    cupy = cupy_module()
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    return {
        "name": properties["name"].decode(),
        "memory_bytes": int(properties["totalGlobalMem"]),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "driver_cuda": _dotted(driver_version()),
        "runtime_cuda": _dotted(int(cupy.cuda.runtime.runtimeGetVersion())),
        "cupy": str(cupy.__version__),
    }


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def install_line(driver: int) -> str:
    """Return the command that installs the packages for a driver; ``driver`` is as driver_version returns it."""
    if driver >= 13000:
        return 'pip install "accelnn[cuda13]" (on a Volta GPU: "accelnn[cuda12]")'
    return 'pip install "accelnn[cuda12]"'


def reason(error: BaseException) -> str:
    """Return type and first line of an error, for a message of one line."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


def _driver_problem(driver: int) -> Problem | None:
    if driver == 0:
        return Problem("no NVIDIA driver was found", f"{INSTALL_DRIVER}, then " + install_line(13000))
    if driver < 12000:
        return Problem(f"the driver supports CUDA {_dotted(driver)} and 12.0 is needed", INSTALL_DRIVER)
    return None


def _cupy_problem(driver: int) -> Problem | None:
    try:
        cupy = cupy_module()
    except ModuleNotFoundError as error:
        missing = "CuPy" if error.name == "cupy" else f"the package {error.name!r}, which CuPy needs,"
        return Problem(f"{missing} is not installed", install_line(driver))
    except Exception as error:  # a broken binary package can raise anything on import
        return Problem(f"CuPy cannot be imported ({reason(error)})", install_line(driver))
    return _version_problem(cupy, driver)


def _version_problem(cupy: Any, driver: int) -> Problem | None:
    runtime = int(cupy.cuda.runtime.runtimeGetVersion())
    if runtime // 1000 <= driver // 1000:
        return None
    return Problem(
        f"the driver supports CUDA {_dotted(driver)} and the installed CuPy needs CUDA {runtime // 1000}",
        f"{INSTALL_DRIVER}, or remove this CuPy and {install_line(driver)}",
    )


def _device_problem(index: int) -> Problem | None:
    try:
        count = int(cupy_module().cuda.runtime.getDeviceCount())
    except RuntimeError as error:
        return Problem(f"no CUDA device answers ({reason(error)})", _visibility_hint())
    if count == 0:
        return Problem("no CUDA device was found", _visibility_hint())
    if index >= count:
        known = ", ".join(f"'cuda:{i}'" for i in range(count))
        return Problem(f"there is no device {index}", f"use one of {known}")
    return None


def _visibility_hint() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return "run nvidia-smi to see whether the driver finds a GPU"
    return f"check the environment variable CUDA_VISIBLE_DEVICES, which is {visible!r}"


def _numba_problem(driver: int) -> Problem | None:
    try:
        module: ModuleType = importlib.import_module("numba.cuda")
    except Exception as error:  # numba-cuda fails in several ways when versions do not fit together
        return Problem(f"numba.cuda cannot be imported ({reason(error)})", install_line(driver))
    # Without numba-cuda, an older copy inside Numba answers to the same name and compiles less.
    if getattr(module, "implementation", None) == "NVIDIA":
        return None
    return Problem("NVIDIA's package numba-cuda is not installed", install_line(driver))


def _compute_problem(index: int, driver: int) -> Problem | None:
    """Compile an elementwise kernel, run it and a product, wait for the result and look at it."""
    try:
        product = _product_on_device(index)
    except Exception as error:  # loaders, compilers and the driver each have errors of their own
        what = "cuBLAS cannot be loaded" if "cublas" in str(error).lower() else "a test computation failed"
        return Problem(f"{what} on device {index} ({reason(error)})", install_line(driver))
    if product == 8.0:
        return None
    return Problem(f"device {index} computes wrong results (8 expected, {product} seen)", INSTALL_DRIVER)


def _product_on_device(index: int) -> float:
    cupy = cupy_module()
    with cupy.cuda.Device(index):
        twos = cupy.ones((2, 2), dtype=cupy.float32) * 2.0
        return float((twos @ twos)[0, 0])
