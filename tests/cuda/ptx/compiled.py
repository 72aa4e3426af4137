"""Kernels as the machine executes them: compiled once for all tests, and kept beside the machine code of kernels."""

from __future__ import annotations

import contextlib
import itertools
import os
from functools import cache
from typing import Any

from accelnn_kernels.cuda.catalog import CudaKernel, image_directory

from ptx.machine import Launch
from ptx.memory import Memory
from ptx.translation import Machine, translate

COMPUTE_CAPABILITY = (9, 0)


@cache
def machine_of(kernel: CudaKernel) -> Machine:
    """Return a kernel of the catalog, translated."""
    return translate(ptx_of(kernel))


def ptx_of(kernel: CudaKernel) -> str:
    """Return the PTX of a kernel; from the cache on disk if it was compiled before. Its folder says for which code."""
    directory = image_directory()
    if directory is None:
        return kernel.ptx(COMPUTE_CAPABILITY)
    path = directory / f"{kernel.name}.sm_90.ptx"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    text = kernel.ptx(COMPUTE_CAPABILITY)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)  # no other process ever sees a part of it
    return text


launched: set[str] = set()
"""The kinds of the kernels that were launched since the last test began."""

_seeds = itertools.count()


def execute(
    kernel: CudaKernel,
    arguments: tuple[float, ...],
    grid: tuple[int, ...],
    block: tuple[int, ...],
    memory: Memory,
    *,
    is_cooperative: bool = False,
    seed: int | None = None,
) -> Launch:
    """Launch a kernel of the catalog. Without a ``seed`` every launch has turns of its own, the same in every run."""
    typed: tuple[Any, ...] = tuple(
        dtype.type(value) for dtype, value in zip(kernel.argument_dtypes, arguments, strict=True)
    )
    seed = next(_seeds) if seed is None else seed
    launch = Launch(
        machine_of(kernel), kernel.name, typed, grid, block, memory, seed=seed, is_cooperative=is_cooperative
    )
    launch.run()
    launched.add(kernel.kind)
    return launch


def restart_seeds(first: int = 0) -> None:
    """Say which turns the next launch has, whatever ran before; each launch after it has others."""
    global _seeds
    _seeds = itertools.count(first)
