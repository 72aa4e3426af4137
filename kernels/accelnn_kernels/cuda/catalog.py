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
clip_norm: the norm down to which gradients are scaled if the root of ``squares`` is larger.
keys: the table of a dropout layer's keys, instead of one key.
threshold, keep_scale: what dropout makes of its rate, computed in float64 by the host.
result: where a kernel leaves the number that its CPU namesake returns.
copy: where parameters are written once more, as elements of the matrix products.
"""

from __future__ import annotations

import logging
import os
import pathlib
import secrets
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from accelnn_kernels import activations, compiler, dropout, losses, notice, optimizers
from accelnn_kernels.compiler import bind
from accelnn_kernels.cuda import dense_products, dense_shapes, kinds, shapes, target
from accelnn_kernels.cuda import losses as device_losses
from accelnn_kernels.cuda.shapes import real_of, width_of

logger = logging.getLogger("accelnn")

ELEMENTS = ("float32", "float64", "bfloat16")
"""Dtypes of the arrays of a batch; parameters, moments and sums are of ``shapes.real_of`` of it."""

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
    """A bound template and its machine code for the compute capabilities that were asked for.

    rules: shapes of launches and the most threads of a block; those of ``kind`` unless told otherwise.
    """

    def __init__(
        self, function: Callable, kind: str, element: str, variant: str = "", rules: shapes.Kind | None = None
    ) -> None:
        rules = rules or kinds.KINDS[kind]
        self.python = function
        self.kind, self.element = kind, element
        self._shape, self.max_threads = rules.other_shapes.get(variant, rules.shape), rules.max_threads
        self.parameters: tuple[str, ...] = function.__code__.co_varnames[: function.__code__.co_argcount]

    @property
    def name(self) -> str:
        """The unique name, e.g. ``"bias_activation.relu.float32"``."""
        return self.python.__qualname__

    @cached_property
    def argument_dtypes(self) -> tuple[np.dtype, ...]:
        """The dtype of every argument: int64 for addresses and sizes, the kernel's real for factors."""
        real = np.dtype(real_of(self.element))
        return tuple(real if name in kinds.FACTORS else np.dtype(np.int64) for name in self.parameters)

    def launch_shape(self, *arguments: float) -> Launch:
        """Return the shape of the launch for these arguments."""
        return Launch(*self._shape(dict(zip(self.parameters, arguments, strict=True)), self.element))

    def ptx(self, compute_capability: tuple[int, int]) -> str:
        """Return the PTX for a compute capability, e.g. (9, 0); the entry is called ``kernel``."""
        return target.compile_ptx(self.python, self.argument_dtypes, compute_capability, self.max_threads)

    def assembled(self, compute_capability: tuple[int, int]) -> target.Assembled:
        """Compile and assemble, without the cache."""
        return target.assemble(self.ptx(compute_capability), compute_capability)

    def image(self, compute_capability: tuple[int, int]) -> bytes:
        """Return the machine code, a cubin; from the cache on disk if it was compiled before."""
        directory = image_directory()
        path = directory / f"{self.name}.sm_{''.join(map(str, compute_capability))}.cubin" if directory else None
        is_kept = path is not None and path.exists()
        if is_kept:
            image = path.read_bytes()
        else:
            notice.announce(notice.DEVICE_MESSAGE)
            image = self.assembled(compute_capability).image
            _keep(image, path)
        compiler.note(self.name, from_cache=is_kept)
        return image


@cache
def cuda_kernel(kind: str, variant: str, element: str) -> CudaKernel:
    """Return the kernel of ``kind`` (a key of ``kinds.KINDS``) for ``variant`` and the dtype of the batch's arrays.

    Kinds and variants are those of the CPU's catalog, and those of :mod:`accelnn_kernels.cuda.dense`: activations,
    dtypes of the data, or both as ``"relu.uint8"``.
    """
    scope = new_scope(element)
    template, formulas = kinds.KINDS[kind].template(variant)
    if kind in kinds.GATHERING:
        scope |= names_of_source(variant.rpartition(".")[2])
    scope |= {name: scope[formula] for name, formula in formulas.items()}
    return CudaKernel(bind(template, scope, f"{kind}.{variant}.{element}"), kind, element, variant)


def names_of_source(source: str) -> dict[str, Any]:
    """Return the names in templates that read rows of the data of this dtype."""
    return target.accesses(source, "_source") | {"source_width": width_of(source), "source_type": np.dtype(source).type}


def new_scope(element: str) -> dict[str, Any]:
    """Return what a kernel finds its names in.

    Every kernel has its own: the simulator exchanges the module ``cuda`` in the kernel's own dictionary, and the
    functions that the kernel calls have to see that.
    """
    scope = _names(element) | target.elementary()
    for template in (*FORMULA_TEMPLATES, *kinds.TEMPLATES):
        scope[template.__name__] = target.device_function(bind(template, scope, template.__name__))
    return scope


def _names(element: str) -> dict[str, Any]:
    real = real_of(element)
    return {
        "__name__": __package__,
        "cuda": target.module,
        "real": np.dtype(real).type,
        "word": np.uint32,
        "flag_type": np.int32,
        "int32": np.int32,
        "int64": np.int64,
        "width": width_of(element),
        "real_width": width_of(real),
        "block_threads": shapes.THREADS,
        "add_to_counter": target.add_to_counter(),
        "Cube": dense_products.Cube,
        "RowThreads": device_losses.RowThreads,
        "smallest_moment": optimizers.SMALLEST_MOMENT[real],
        **target.shifts(),
        **target.accesses(element),
        **target.accesses(real, "_real"),
        **target.accesses("int64", "_int"),
        **activations.CONSTANTS,
        **dense_shapes.constants(real),
    }


_SOURCES = pathlib.Path(__file__).parent


@cache
def image_directory() -> pathlib.Path | None:
    """Return the directory for machine code of CUDA kernels, or None (with one warning) when none can be written.

    It is another one than that of the CPU's code, so that a change here leaves that as it is.
    """
    digest = compiler.source_hash(_SOURCES.parent, _SOURCES, versions=target.versions())
    return compiler.writable_directory(f"cuda-{digest}")


def _keep(image: bytes, path: pathlib.Path | None) -> None:
    """Write a file so that no other process ever sees a part of it; where that fails, go on without."""
    if path is None:
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(image)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        logger.debug("%s cannot be kept: %s", path, error)
        temporary.unlink(missing_ok=True)
