"""Section environment: the device, its driver and state, the versions of everything, and which data there are."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from typing import Any

from accelnn.arrays.cuda_driver import driver_version
from accelnn.arrays.environment import usable_threads
from benchmarks.gpu_check import compatibility
from benchmarks.gpu_check.child import Task

PACKAGES = (
    "numpy", "numba", "numba-cuda", "cupy-cuda13x", "cupy-cuda12x", "cuda-core", "cuda-bindings", "cuda-pathfinder",
    "nvidia-cublas", "nvidia-cublas-cu12", "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "torch", "jax", "jaxlib",
    "jax-cuda13-plugin", "scipy", "scikit-learn", "pytest", "hypothesis", "array-api-strict", "typer", "rich", "pooch",
)  # fmt: skip
"""Distributions whose versions are written down; None is one that is missing."""

STATE = (
    "name", "driver_version", "pstate", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw", "power.limit",
    "temperature.gpu", "utilization.gpu", "memory.used", "memory.total", "compute_mode", "persistence_mode",
)  # fmt: skip
"""What nvidia-smi is asked for; nothing is ever set."""


def measure(task: Task) -> None:
    task.report("python", {"version": platform.python_version(), "executable": os.path.basename(sys.executable)})
    task.report("cpu", {"cores": os.cpu_count(), "usable": usable_threads(), "machine": platform.machine()})
    packages = versions()
    task.report("packages", packages)
    task.report("missing", [name for name, version in packages.items() if version is None])
    task.report("numpy_was_mended", compatibility.MENDED)
    task.report("driver_cuda", driver_version())
    task.attempt("nvidia_smi", gpu_state)
    task.attempt("imports", lambda: {name: import_error(name) for name in ("cupy", "numba.cuda", "cuda.core")})
    task.report("data", found_data())
    if task.device == "cuda" and driver_version():
        task.attempt("gpu", gpu)
        task.attempt("accelnn_cuda", why_accelnn_cannot)


def versions() -> dict[str, str | None]:
    """Return the version of each package, None for those that are missing."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def import_error(module: str) -> str | None:
    """Return why a module cannot be imported, None if it can."""
    try:
        importlib.import_module(module)
    except Exception as error:  # packages that do not fit together raise anything
        return f"{type(error).__name__}: {error}"
    return None


def gpu_state() -> dict[str, str]:
    """Return clocks, power and temperature as nvidia-smi reports them; asking changes nothing."""
    command = ["nvidia-smi", f"--query-gpu={','.join(STATE)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"unavailable": str(error)}
    if answer.returncode:
        return {"unavailable": (answer.stdout + answer.stderr).strip()[:300]}
    first = answer.stdout.strip().splitlines()[0]
    return dict(zip(STATE, (value.strip() for value in first.split(",")), strict=False))


def gpu() -> dict[str, Any]:
    """Return what CuPy knows of device 0."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": properties["totalGlobalMem"],
        "l2_cache_bytes": properties["l2CacheSize"],
        "runtime_cuda": int(cupy.cuda.runtime.runtimeGetVersion()),
    }


def why_accelnn_cannot() -> str | None:
    """Return the error of ``get_backend("cuda")``, None where it works."""
    from accelnn.arrays.backend import get_backend
    from accelnn.errors import AccelnnError

    try:
        get_backend("cuda")
    except AccelnnError as error:
        return str(error)
    return None


def found_data() -> str:
    """Return "mnist" where it is found without a network, else "synthetic"."""
    from benchmarks.work import load_rows

    try:
        load_rows("mnist")
    except Exception as error:  # a package for reading it may be missing too
        print("MNIST is not found:", error)
        return "synthetic"
    return "mnist"
