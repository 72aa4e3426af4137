"""``accelnn info``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from accelnn import __version__
from accelnn.arrays import describe_environment
from accelnn.cli.files import print_json


def run_info(as_json: bool) -> None:
    """Print what is usable on this machine."""
    environment = describe_environment() | {"accelnn": __version__}  # also in a checkout that is not installed
    if as_json:
        print_json(environment)
        return
    for title, text in _lines(environment):
        print(f"{title:<9}{text}")


def _lines(environment: dict[str, Any]) -> Iterator[tuple[str, str]]:
    cpu, numba = environment["cpu"], environment["numba"]
    yield "accelnn", f"{environment['accelnn']}, Python {environment['python']} on {environment['platform']}"
    yield "packages", ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    variable = "ACCELNN_NUM_THREADS" if os.environ.get("ACCELNN_NUM_THREADS") else "OMP_NUM_THREADS"
    limit = f" ({variable} is {cpu['thread_limit']})" if cpu["thread_limit"] else ""
    yield "cpu", f"{cpu['model']}, {cpu['cores']} cores, {cpu['usable_threads']} usable threads{limit}"
    for library in environment["blas"]:
        yield "blas", _blas(library)
    usable = [name for name, works in numba["threading_layers"].items() if works]
    yield "numba", f"{numba['threads']} threads, threading layer {numba['threading_layer']} of {', '.join(usable)}"
    if numba["problem"] is not None:
        yield "numba", numba["problem"]
    for name, backend in environment["backends"].items():
        yield "backend", f"{name}: {_backend(backend)}"
    details = environment["backends"]["cuda"]["details"]
    if details is not None:
        yield from _device(details)


def _blas(library: dict[str, Any]) -> str:
    return (
        f"{library['name']} {library['version']} for {library['architecture']}, {library['threads']} threads "
        f"({library['file']})"
    )


def _device(details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines about the first CUDA device and what it is used through."""
    count = details["devices"]
    others = f", the first of {count} devices" if count > 1 else ""
    yield "device", f"{details['name']}, compute capability {details['compute_capability']}{others}"
    limit = details["memory_limit_bytes"]
    limited = f", of which accelnn may take {_gib(limit)}" if limit else ""
    yield "memory", f"{_gib(details['memory_bytes'])}, {_gib(details['memory_free_bytes'])} free{limited}"
    driver = details["driver"] or "of unknown version"
    versions = f"CuPy {details['cupy']}, numba-cuda {details['numba_cuda'] or 'of unknown version'}"
    yield "cuda", f"driver {driver} for CUDA {details['driver_cuda']}, CUDA {details['runtime_cuda']}, {versions}"


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"


def _backend(backend: dict[str, Any]) -> str:
    if backend["usable"]:
        return "usable"
    return f"not usable, {backend['cause']}; to use it, {backend['remedy']}"
