"""Whether CUDA can be used here, and if not, why and what to install.

The only module that looks for a GPU. Nothing is imported before someone asks, and nothing counts as usable before a
kernel has been compiled and a matrix product has run on the device.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from accelnn.arrays import cuda_driver, cuda_packages
from accelnn.arrays.cuda_problem import INSTALL_DRIVER, Problem, dotted, install_line, reason


def find_problem(index: int = 0) -> Problem | None:
    """Return what prevents the use of CUDA device ``index`` (0 or more), or None if it works.

    A device that worked is not tried again in this process; a problem is looked for afresh each time.
    """
    if index in _working:
        return None
    driver = cuda_driver.driver_version()
    problem = (
        _driver_problem(driver)
        or cuda_packages.cupy_problem(driver)
        or _device_problem(index)
        or _capability_problem(index)
        or cuda_packages.numba_problem(driver)
        or cuda_packages.cublas_problem(driver)
        or cuda_packages.compiler_problem(driver, compute_capability(index))
        or _compute_problem(index, driver)
    )
    if problem is None:
        _working.add(index)
    return problem


_working: set[int] = set()


def cupy_module() -> Any:
    """Return the module ``cupy``; only call it after find_problem returned None."""
    return importlib.import_module("cupy")


def compute_capability(index: int) -> tuple[int, int]:
    """Return the compute capability of a device, e.g. (9, 0)."""
    properties = cupy_module().cuda.runtime.getDeviceProperties(index)
    return int(properties["major"]), int(properties["minor"])


def _driver_problem(driver: int) -> Problem | None:
    if driver == 0:
        return Problem("no NVIDIA driver was found", f"{INSTALL_DRIVER}, then " + install_line(13000))
    if driver < 12000:
        return Problem(f"the driver supports CUDA {dotted(driver)} and 12.0 is needed", INSTALL_DRIVER)
    return None


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


def _capability_problem(index: int) -> Problem | None:
    """Say so where a device is older, or newer, than the CUDA that CuPy was made for."""
    capability = compute_capability(index)
    cuda = int(cupy_module().cuda.runtime.runtimeGetVersion()) // 1000
    device = f"device {index} has compute capability {capability[0]}.{capability[1]}"
    if capability < (7, 0):
        return Problem(f"{device} and 7.0 is needed", "use a newer GPU")
    if capability < (7, 5) and cuda >= 13:
        return Problem(f"{device}, which CUDA {cuda} no longer knows", f"remove this CuPy and {install_line(12000)}")
    if capability >= (10, 0) and cuda < 13:
        fix = f"remove this CuPy, and with a driver for CUDA 13 {install_line(13000)}"
        return Problem(f"{device}, and our kernels need CUDA 13 on it", fix)
    return None


def _compute_problem(index: int, driver: int) -> Problem | None:
    """Let CuPy compile an elementwise kernel, run it and a product, wait for the result and look at it."""
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
