"""The catalog of CUDA kernels: ``cuda_kernel("bias_activation", "relu", "float32")`` binds, compiles and keeps.

A kernel takes the arguments of its CPU namesake, addresses of device memory instead of host memory and factors in its
own ``real``, and behind them what only a device needs (EXTRA):

cursor, ahead: ``cursor`` is the address of two int64, the step in the tables of the chunk and the row of the epoch at
    which the next replay of a graph begins; ``ahead`` is the number of steps before this one in the graph. The cursor
    moves only between replays, so a captured kernel finds its own step without the host.
indices: the epoch's permutation, where the kernel itself looks up the rows of the batch.
parts, counter: scratch for reductions in two stages: every block writes its part, and the block that finishes last (the
    counter, int64 and 0 between launches, tells) adds them in order. So sums are the same from run to run.
total, squares: addresses of numbers that an earlier kernel has left, 0 where they do not count.
result: where a kernel leaves the number that its CPU namesake returns.
copy: where parameters are written once more, as elements of the matrix products.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from accelnn_kernels import activations, dropout, losses, optimizers
from accelnn_kernels.compiler import bind, cache_directory
from accelnn_kernels.cuda import kinds, shapes, target

ELEMENTS = ("float32", "float64", "bfloat16")
"""Dtypes of the arrays of a batch; parameters, moments and sums are of ``target.real_of`` of it."""

FORMULA_TEMPLATES = (
    *activations.TEMPLATES,
    *losses.TEMPLATES,
    *optimizers.TEMPLATES,
    *dropout.TEMPLATES,
)
"""The scalar formulas that both targets share."""


class Launch(NamedTuple):
    """The shape of a launch: blocks in each direction, threads of a block in each direction."""

    grid: tuple[int, ...]
    block: tuple[int, ...]


class CudaKernel:
    """A bound template and its machine code for the compute capabilities that were asked for."""

    def __init__(self, function: Callable, kind: str, element: str) -> None:
        self.python = function
        self.kind, self.element = kind, element
        self.parameters: tuple[str, ...] = function.__code__.co_varnames[: function.__code__.co_argcount]

    @property
    def name(self) -> str:
        """The unique name, e.g. ``"bias_activation.relu.float32"``."""
        return self.python.__qualname__

    @cached_property
    def argument_dtypes(self) -> tuple[np.dtype, ...]:
        """The dtype of every argument: int64 for addresses and sizes, the kernel's real for factors."""
        real = np.dtype(target.real_of(self.element))
        return tuple(real if name in kinds.FACTORS else np.dtype(np.int64) for name in self.parameters)

    def launch_shape(self, *arguments: float) -> Launch:
        """Return the shape of the launch for these arguments."""
        return Launch(*kinds.KINDS[self.kind].shape(dict(zip(self.parameters, arguments, strict=True)), self.element))

    def ptx(self, compute_capability: tuple[int, int]) -> str:
        """Return the PTX; the entry is called ``kernel``."""
        types_ = tuple(target.types.float64 if d == np.float64 else target.types.float32 if d == np.float32
                       else target.types.int64 for d in self.argument_dtypes)
        return target.compile_ptx(self.python, types_, compute_capability)

    def assembled(self, compute_capability: tuple[int, int]) -> target.Assembled:
        """Compile and assemble, without the cache."""
        return target.assemble(self.ptx(compute_capability), compute_capability)

    def image(self, compute_capability: tuple[int, int]) -> bytes:
        """Return the machine code, a cubin; from the cache on disk if it was compiled before."""
        path = _cached_file(self.name, compute_capability)
        if path is not None and path.exists():
            return path.read_bytes()
        image = self.assembled(compute_capability).image
        if path is not None:
            _write(path, image)
        return image


@cache
def cuda_kernel(kind: str, variant: str, element: str) -> CudaKernel:
    """Return the kernel of ``kind`` (a key of ``kinds.KINDS``) for ``variant`` and the dtype of the batch's arrays.

    Kinds and variants are those of the CPU's catalog.
    """
    scope = _scope(element)
    template, formulas = kinds.KINDS[kind].template(variant)
    if kind == "gather_rows":
        scope |= target.accesses(variant, "_source") | {"source_width": target.width_of(variant)}
    scope |= {name: scope[formula] for name, formula in formulas.items()}
    return CudaKernel(bind(template, scope, f"{kind}.{variant}.{element}"), kind, element)


def _scope(element: str) -> dict[str, Any]:
    """Return what a kernel finds its names in.

    Every kernel has its own: the simulator exchanges the module ``cuda`` in the kernel's own dictionary, and the
    functions that the kernel calls have to see that.
    """
    scope = _names(element) | target.elementary()
    for template in (*FORMULA_TEMPLATES, *kinds.TEMPLATES):
        scope[template.__name__] = target.device_function(bind(template, scope, template.__name__))
    return scope


def _names(element: str) -> dict[str, Any]:
    real = target.real_of(element)
    return {
        "__name__": __package__,
        "cuda": target.module,
        "real": np.dtype(real).type,
        "word": np.uint32,
        "flag_type": np.int32,
        "width": target.width_of(element),
        "real_width": target.width_of(real),
        "block_threads": shapes.THREADS,
        "add_to_counter": target.add_to_counter,
        "smallest_moment": optimizers.SMALLEST_MOMENT[real],
        **target.accesses(element),
        **target.accesses(real, "_real"),
        **target.accesses("int64", "_int"),
        **activations.CONSTANTS,
    }


def _cached_file(name: str, compute_capability: tuple[int, int]) -> pathlib.Path | None:
    directory = cache_directory()
    if directory is None:
        return None
    versions = hashlib.sha256(target.versions().encode()).hexdigest()[:8]
    return directory / f"{name}.sm_{compute_capability[0]}{compute_capability[1]}.{versions}.cubin"


def _write(path: pathlib.Path, image: bytes) -> None:
    """Write a file so that no other process ever sees a part of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(image)
    os.replace(temporary, path)
