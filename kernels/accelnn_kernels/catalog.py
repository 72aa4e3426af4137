"""The catalog of kernels: ``kernel("bias_activation", "relu", "float32")`` binds, compiles and keeps."""

from __future__ import annotations

import functools
import math
from functools import cache
from typing import Any

import numpy as np
from numba import carray, njit, types

from accelnn_kernels import (
    activations,
    batches,
    denormals,
    dropout,
    elementary,
    losses,
    matmul,
    memory,
    normalization,
    optimizers,
    profile,
    program,
    softmax,
    team,
    tiles,
    transposition,
)
from accelnn_kernels.compiler import INNER_FLAGS, Kernel, bind, compile_formula, compile_loop, compile_part

DTYPES = ("float32", "float64")
SOURCE_DTYPES = ("uint8", "float32", "float64")

I, D = types.intp, types.float64  # noqa: E741 - an address or size, a double: signatures are read as words


def _no_result(*arguments: Any) -> Any:
    return types.void(*arguments)


def _loss_result(*arguments: Any) -> Any:
    return types.float64(*arguments)


SIGNATURES = {
    "bias_activation": _no_result(I, I, I, I, I),
    "activation_gradient": _no_result(I, I, I, I, I, I),
    "loss": _loss_result(I, I, I, I, D, I, I),
    "update": _no_result(I, I, I, I, I, I),
    "penalize": _loss_result(I, I, I, D, D, D),
    "sum_of_squares": _loss_result(I, I),
    "scale": _no_result(I, I, D),
    "add_parts": _no_result(I, I, I, I, I),
    "gather_rows": _no_result(I, I, I, I, I, I, I, D, D),
    "gather_labels": _no_result(I, I, I, I),
    "gather_weights": _no_result(I, I, I, I),
    "sum_weights": _loss_result(I, I, I),
    "copy": _no_result(I, I, I),
    "rescaling": _no_result(I, I, I, D, D),
    "dropout": _no_result(I, I, I, I, I, I, I, D),
    "column_sums": _no_result(I, I, I, I),
    "column_squares": _no_result(I, I, I, I, I),
    "inverse_deviation": _no_result(I, I, D, I),
    "batch_norm": _no_result(I, I, I, I, I, I, I, I),
    "batch_norm_sums": _no_result(I, I, I, I, I, I, I, I),
    "batch_norm_gradient": _no_result(I, I, I, I, I, I, I, I, I, I, I),
    "running_average": _no_result(I, I, I, D),
    "layer_norm": _no_result(I, I, I, I, I, I, D),
    "layer_norm_gradient": _no_result(I, I, I, I, I, I, I, I, D),
    "gemm": _no_result(I, I, I, I, I, I, I, I, I, I, D, D),
    "matmul": _no_result(I, I, I, I, I, I, I),
    "matmul_transposed": _no_result(I, I, I, I, I, I, I, I),
    "weight_gradient": _no_result(I, I, I, I, I, I, I, I, I, D, D),
}
"""The C signature of every kind of kernel."""

PLAIN_KINDS = {
    template.__name__: template
    for template in (
        optimizers.penalize,
        optimizers.sum_of_squares,
        optimizers.scale,
        optimizers.add_parts,
        batches.gather_labels,
        batches.gather_weights,
        batches.sum_weights,
        batches.copy,
        batches.rescaling,
        dropout.dropout,
        normalization.column_sums,
        normalization.column_squares,
        normalization.inverse_deviation,
        normalization.batch_norm,
        normalization.batch_norm_sums,
        normalization.batch_norm_gradient,
        normalization.running_average,
        normalization.layer_norm,
        normalization.layer_norm_gradient,
        matmul.gemm,
        matmul.matmul,
        matmul.matmul_transposed,
        matmul.weight_gradient,
    )
}
"""Kinds that have one kernel per dtype and no variants."""


@cache
def kernel(kind: str, variant: str, dtype: str) -> Kernel:
    """Return the kernel of ``kind`` (a key of SIGNATURES) for ``variant`` and ``dtype``.

    Variants are: names of activations, losses (``"cross_entropy"`` with labels, ``"cross_entropy_rows"`` with rows of
    probabilities), optimizers and, for ``gather_rows``, the dtype of the source; ``""`` for all other kinds.
    """
    scope = _formulas(dtype, compiled=True)
    template, bound = _template(kind, variant, scope)
    if kind == "gather_rows":
        bound = {"source": _compiled_source(np.dtype(variant)), "source_bytes": np.dtype(variant).itemsize}
    return Kernel(bind(template, {**scope, **bound}, f"{kind}.{variant}.{dtype}"), SIGNATURES[kind])


@cache
def python_kernel(kind: str, variant: str, dtype: str) -> Any:
    """Return the same kernel as a plain Python function over addresses: slow, for tests and for reading along."""
    scope = _formulas(dtype, compiled=False)
    template, bound = _template(kind, variant, scope)
    if kind == "gather_rows":
        bound = {"source": _python_source(np.dtype(variant)), "source_bytes": np.dtype(variant).itemsize}
    return bind(template, {**scope, **bound}, f"{kind}.{variant}.{dtype}.python")


@cache
def program_loop(entry: Any, *sources: Any, profiled: bool = False) -> Any:
    """Compile ``entry``, a function that calls the operations of :mod:`accelnn_kernels.program` by their names.

    ``sources`` are further functions that it calls. All are bound to the compiled operations, whatever their own
    module imports under these names. The result works on a tuple of tables, see there. ``profiled``: take the time of
    every kernel that the tables name by a row of a profile, see :mod:`accelnn_kernels.profile`. While it runs, denormal
    numbers are zero, see :mod:`accelnn_kernels.denormals`.
    """
    scope = program_scope(compiled=True, profiled=profiled) | denormals.constants()
    for source in (*sources, entry):
        scope[source.__name__] = compile_part(bind(source, scope, source.__name__))
    scope["steps"] = scope[entry.__name__]
    name = f"{entry.__name__}.{'profiled' if profiled else 'compiled'}"
    return compile_loop(bind(denormals.run_without_denormals, scope, name))


@cache
def python_program_loop(entry: Any, *sources: Any) -> Any:
    """Return the same as plain Python, for a team of one: slow, for tests and for reading along."""
    scope = dict(program_scope(compiled=False))
    for source in sources:
        scope[source.__name__] = bind(source, scope, source.__name__)
    return bind(entry, scope, f"{entry.__name__}.python")


@cache
def program_scope(compiled: bool, profiled: bool = False) -> dict[str, Any]:
    """Return the operations of a program by name. They know no dtype, so float64 stands for both.

    All loops share them: what one loop has made the compiler look at is ready for the next one.
    """
    scope = {**_formulas("float64", compiled), **program.constants()}
    if profiled:
        scope |= timed_calls(compiled)
    finish = compile_part if compiled else lambda function: function
    for template in program.TEMPLATES:
        scope[template.__name__] = finish(bind(template, scope, template.__name__))
    return scope


@cache
def timed_calls(compiled: bool) -> dict[str, Any]:
    """Return ``invoke``, ``measure`` and ``wait`` as they are where times are taken."""
    scope = {**_formulas("float64", compiled), **profile.constants(compiled)}
    finish = functools.partial(compile_part, inline=True) if compiled else lambda function: function
    for part in profile.PARTS:
        scope[part.__name__] = finish(bind(part, scope, part.__name__))
    return {name: finish(bind(call, scope, call.__name__)) for name, call in profile.CALLS_BY_NAME.items()}


@cache
def probe() -> Any:
    """Compile :func:`accelnn_kernels.profile.probe`, a loop of timed calls."""
    scope = {**profile.constants(compiled=True), **timed_calls(compiled=True)}
    return compile_loop(bind(profile.probe, scope, "probe.compiled"))


def _template(kind: str, variant: str, scope: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the loop for a kind and variant, and the formulas that it binds."""
    if kind in PLAIN_KINDS:
        return PLAIN_KINDS[kind], {}
    return _CHOICES[kind](variant, scope)


def _bias_activation(name: str, scope: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if name == "softmax":
        return activations.bias_softmax, {}
    keeps_z = name in activations.KEEPS_Z
    loop = activations.bias_activation_keeping_z if keeps_z else activations.bias_activation_in_place
    return loop, {"activation": scope[name]}


def _activation_gradient(name: str, scope: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if name == "softmax":
        return activations.softmax_gradient, {}
    return activations.activation_gradient, {"derivative": scope[f"{name}_derivative"]}


def _loss(name: str, scope: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if name == "cross_entropy":
        return losses.softmax_cross_entropy_labels, {}
    if name == "cross_entropy_rows":
        return losses.softmax_cross_entropy_rows, {}
    value, slope = losses.ELEMENTWISE[name]
    return losses.elementwise_loss, {"value": scope[value.__name__], "slope": scope[slope.__name__]}


def _update(name: str, scope: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return optimizers.UPDATE_LOOPS[optimizers.N_MOMENTS[name]], {"update": scope[name]}


_CHOICES = {
    "bias_activation": _bias_activation,
    "activation_gradient": _activation_gradient,
    "loss": _loss,
    "update": _update,
    "gather_rows": lambda variant, scope: (batches.gather_rows, {}),
}

FORMULA_TEMPLATES = (
    *elementary.TEMPLATES,
    *activations.TEMPLATES,
    *losses.TEMPLATES,
    *optimizers.TEMPLATES,
    *softmax.FORMULA_TEMPLATES,
    *dropout.TEMPLATES,
    *normalization.TEMPLATES,
    *matmul.TEMPLATES,
    *transposition.TEMPLATES,
    *team.TEMPLATES,
)

LOOP_TEMPLATES = (*normalization.LOOP_TEMPLATES, *softmax.LOOP_TEMPLATES, *losses.LOOP_TEMPLATES)
"""Loops that kernels are made of; each may call those before it."""


@cache
def _formulas(name: str, compiled: bool) -> dict[str, Any]:
    """Return the scope in which all templates of one dtype find their names."""
    dtype = np.dtype(name)
    scope = _constants(dtype) | (_compiled_names(dtype) if compiled else _python_names(dtype))
    scope["transpose_square"] = (transposition.square if compiled else transposition.python_square)(name)
    finish = compile_formula if compiled else lambda function: function
    own = {
        "taylor_expm1": getattr(elementary, f"taylor_expm1_{name}"),
        "atanh_series": getattr(elementary, f"atanh_series_{name}"),
    }
    for free_name, template in own.items() | {f.__name__: f for f in FORMULA_TEMPLATES}.items():
        scope[free_name] = finish(bind(template, scope, free_name))
    for template in LOOP_TEMPLATES:
        part = bind(template, scope, template.__name__)
        scope[template.__name__] = compile_part(part, inline=True) if compiled else part
    scope |= _panels(scope, name, compiled)
    return scope


def _panels(scope: dict[str, Any], dtype: str, compiled: bool) -> dict[str, Any]:
    """Return the panels of a matrix product with their tiles, and the loop over panels.

    None of them is inlined: a kernel's code exists twice, as a function and as a C function.
    """
    make_tile = tiles.tiles if compiled else tiles.python_tiles
    finish = compile_part if compiled else lambda function: function
    inline = compile_formula if compiled else lambda function: function
    panels = {}
    for name, (width, masked) in matmul.panels().items():
        own = {**scope, "heights": tiles.heights(width), "tile": make_tile(dtype, width, masked)}
        own["next_height"] = inline(bind(matmul.next_height, own, f"next_height.{name}"))
        panels[name] = finish(bind(matmul.panel, own, name))
    return panels | {"one_block": finish(bind(matmul.one_block, {**scope, **panels}, "one_block"))}


def _constants(dtype: np.dtype) -> dict[str, Any]:
    return {
        "__name__": __package__,  # tools that measure coverage ask a frame for its package
        "real": dtype.type,
        "double": np.float64,  # not float, which leaves a float32 as it is in compiled code
        "itemsize": dtype.itemsize,
        "math": math,
        "word": np.uint32,
        "smallest_moment": optimizers.SMALLEST_MOMENT[dtype.name],
        **matmul.constants(dtype),
        **activations.CONSTANTS,
        **softmax.CONSTANTS,
        **batches.CONSTANTS,
        **elementary.constants(dtype),
        **team.constants(),
    }


def _compiled_names(dtype: np.dtype) -> dict[str, Any]:
    names = ("invoke", "measure", "prefetch", "atomic_load", "atomic_add", "atomic_store")
    functions = {name: getattr(memory, name) for name in names}
    return memory.compiled_views(dtype) | functions | {"floor": np.floor, "sqrt": np.sqrt}


def _python_names(dtype: np.dtype) -> dict[str, Any]:
    return memory.python_views(dtype) | memory.PYTHON_CALLS | {"floor": np.floor, "sqrt": np.sqrt}


def _compiled_source(dtype: np.dtype) -> Any:
    element, size = dtype.type, dtype.itemsize

    @njit(forceinline=True, **INNER_FLAGS)
    def source(address, first, count):
        return carray(memory._as_pointer(address + first * size), (count,), element)

    return source


def _python_source(dtype: np.dtype) -> Any:
    return lambda address, first, count: memory.view(address + first * dtype.itemsize, (count,), dtype)
