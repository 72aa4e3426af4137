"""What this machine offers: versions, processor, threads, BLAS, and which backends work."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import os
import platform
from pathlib import Path
from typing import Any

from accelnn.arrays import cuda_details, cuda_probe
from accelnn.errors import invalid

_PACKAGES = (
    *("numpy", "scipy", "numba", "scikit-learn"),
    *("cupy", "cupy-cuda12x", "cupy-cuda13x", "numba-cuda", "cuda-core", "nvidia-cublas", "nvidia-cublas-cu12"),
)
_NUMBA_POOLS = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}


def describe_environment() -> dict[str, Any]:
    """Return everything that decides how fast accelnn is here, JSON-able; takes about a second.

    Keys: "accelnn", "python", "platform" (text); "packages" (versions by name, None if not installed);
    "cpu" (model, cores, usable_threads, thread_limit: the user's or None); "blas" (one dict per loaded
    library: name, version, threads, architecture, file); "numba" (threading_layers: usable or not by
    name, threading_layer: the setting, threads, problem: why nothing is compiled, or None);
    "backends" (by name: usable, device, cause, remedy, details; cause and remedy are None where it is usable, details
    None where it is not, and for CUDA those of accelnn.arrays.cuda_details).
    """
    return {
        "accelnn": _version("accelnn"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": {
            "model": cpu_model(),
            "cores": os.cpu_count(),
            "usable_threads": usable_threads(),
            "thread_limit": thread_limit(),
        },
        "blas": _blas_libraries(),
        "numba": _numba_threads(),
        "backends": {"cpu": _cpu_backend(), "cuda": _cuda_backend()},
    }


def usable_threads() -> int:
    """Return how many threads accelnn may use: CPU affinity, container quota and ``thread_limit`` count.

    Raises ArgumentError as ``thread_limit`` does.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS and Windows do not
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(allowed, _container_quota(), thread_limit() or allowed))


def thread_limit() -> int | None:
    """Return the limit that is set in ``ACCELNN_NUM_THREADS``, or else in ``OMP_NUM_THREADS``, None without one.

    The second is what programs set for all numerical libraries when they start several processes: joblib does, and so
    scikit-learn with ``n_jobs``. What is no number in it is the business of OpenMP. Raises ArgumentError if the first
    is set to something else than a whole number >= 1.
    """
    limit = os.environ.get("ACCELNN_NUM_THREADS")
    if not limit:
        general = os.environ.get("OMP_NUM_THREADS", "")
        return int(general) if general.isascii() and general.isdigit() and int(general) > 0 else None
    if not (limit.isascii() and limit.isdigit()) or int(limit) < 1:
        raise invalid("ACCELNN_NUM_THREADS", limit, "set it to a whole number >= 1, or unset it")
    return int(limit)


def _container_quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the CPUs that a Linux control group (version 2) grants, a huge number without a limit."""
    try:
        quota, period = path.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or the word "max"
        return 1 << 30


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the maker calls this processor, or what kind it is where that is not told."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _blas_libraries() -> list[dict[str, Any]]:
    import scipy.linalg  # noqa: F401  loads the BLAS of SciPy beside that of NumPy
    import threadpoolctl

    return [
        {
            "name": library["internal_api"],
            "version": library["version"],
            "threads": library["num_threads"],
            "architecture": library.get("architecture"),
            "file": Path(library["filepath"]).name,
        }
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    ]


def _numba_threads() -> dict[str, Any]:
    import numba
    from accelnn_kernels.compiler import why_nothing_compiles

    config: Any = numba.config
    return {
        "threading_layers": {name: _importable(f"numba.np.ufunc.{m}") for name, m in _NUMBA_POOLS.items()},
        "threading_layer": str(config.THREADING_LAYER),
        "threads": int(config.NUMBA_NUM_THREADS),
        "problem": why_nothing_compiles(),
    }


def _importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:  # the library that the layer stands on is missing
        return False
    return True


def _cpu_backend() -> dict[str, Any]:
    return {"usable": True, "device": "cpu", "cause": None, "remedy": None, "details": {"name": cpu_model()}}


def _cuda_backend() -> dict[str, Any]:
    problem = cuda_probe.find_problem()
    return {
        "usable": problem is None,
        "device": "cuda:0",
        "cause": problem.cause if problem else None,
        "remedy": problem.remedy if problem else None,
        "details": None if problem else cuda_details.describe_device(0),
    }
