"""Whether the Python packages that CUDA needs are there and fit together.

Each check takes ``driver``, the CUDA that the driver supports (13000 is 13.0), and returns a Problem, or None. None of
them needs a device, so that they can be tried without one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from types import ModuleType
from typing import Any

import numpy as np

from accelnn.arrays.cuda_problem import INSTALL_DRIVER, Problem, dotted, install_line, reason
from accelnn.errors import BackendError


def cupy_problem(driver: int) -> Problem | None:
    """Check that CuPy can be imported, and that the driver knows the CUDA that it was made for."""
    try:
        cupy = importlib.import_module("cupy")
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
        f"the driver supports CUDA {dotted(driver)} and the installed CuPy needs CUDA {runtime // 1000}",
        f"{INSTALL_DRIVER}, or remove this CuPy and {install_line(driver)}",
    )


def numba_problem(driver: int) -> Problem | None:
    """Check that ``numba.cuda`` is NVIDIA's, and that this NumPy still has what it calls."""
    try:
        module: ModuleType = importlib.import_module("numba.cuda")
    except Exception as error:  # numba-cuda fails in several ways when versions do not fit together
        return Problem(f"numba.cuda cannot be imported ({reason(error)})", install_line(driver))
    # Without numba-cuda, an older copy inside Numba answers to the same name and compiles less.
    if getattr(module, "implementation", None) != "NVIDIA":
        return Problem("NVIDIA's package numba-cuda is not installed", install_line(driver))
    return _numpy_problem(driver)


def _numpy_problem(driver: int) -> Problem | None:
    """Check the one known pair that imports and then compiles nothing: NumPy 2.5 has no row_stack any more."""
    try:
        numba_cuda = importlib.metadata.version("numba-cuda")
    except importlib.metadata.PackageNotFoundError:  # put on the path without its metadata
        return None
    if _first_two(np.__version__) < (2, 5) or _first_two(numba_cuda) > (0, 30):
        return None
    cause = f"numba-cuda {numba_cuda} does not work with NumPy {np.__version__}"
    return Problem(cause, f'pip install "numpy<2.5", or {install_line(driver)}')


def _first_two(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def cublas_problem(driver: int) -> Problem | None:
    """Check that cuBLAS can be loaded."""
    from accelnn.arrays.cuda.cublas import load_library

    try:
        load_library()
    except BackendError as error:
        return Problem(f"cuBLAS cannot be loaded ({reason(error.__cause__ or error)})", install_line(driver))
    return None


def compiler_problem(driver: int, capability: tuple[int, int]) -> Problem | None:
    """Compile a kernel for a compute capability, e.g. (9, 0), and assemble it.

    It is one that training needs and that has an atomic operation, which CUDA 12 cannot compile for a Blackwell GPU.
    """
    try:
        catalog = importlib.import_module("accelnn_kernels.cuda.catalog")
        catalog.cuda_kernel("loss", "mse", "float32").image(capability)
    except Exception as error:  # compiler, assembler and their loaders each have errors of their own
        return Problem(f"kernels cannot be compiled ({reason(error)})", install_line(driver))
    return None
