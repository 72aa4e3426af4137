"""Arrays and calls from raw addresses, and atomic counters: what the compiled templates use below the language.

Every name exists twice: as an intrinsic for compiled code and as a plain function for the run without a compiler.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from accelnn_kernels.compiler import INNER_FLAGS


@intrinsic
def _as_pointer(typing_context, address):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


def compiled_views(dtype: np.dtype) -> dict[str, Any]:
    """Return ``matrix``, ``vector`` (of ``dtype``), ``integers`` and ``doubles`` for compiled templates."""
    real = dtype.type

    @njit(forceinline=True, **INNER_FLAGS)
    def matrix(address, rows, columns):
        return carray(_as_pointer(address), (rows, columns), real)

    @njit(forceinline=True, **INNER_FLAGS)
    def vector(address, size):
        return carray(_as_pointer(address), (size,), real)

    return {"matrix": matrix, "vector": vector, "integers": _integers, "doubles": _doubles}


@njit(forceinline=True, **INNER_FLAGS)
def _integers(address, size):
    return carray(_as_pointer(address), (size,), np.int64)


@njit(forceinline=True, **INNER_FLAGS)
def _doubles(address, size):
    return carray(_as_pointer(address), (size,), np.float64)


def python_views(dtype: np.dtype) -> dict[str, Any]:
    """Return the same four names for templates that run as plain Python."""
    return {
        "matrix": lambda address, rows, columns: view(address, (rows, columns), dtype),
        "vector": lambda address, size: view(address, (size,), dtype),
        "integers": lambda address, size: view(address, (size,), np.dtype(np.int64)),
        "doubles": lambda address, size: view(address, (size,), np.dtype(np.float64)),
    }


def view(address: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return a C-contiguous array over the memory at ``address``; the caller keeps that memory alive."""
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = (ctypes.c_char * size).from_address(int(address))
    return np.frombuffer(buffer, dtype).reshape(shape)


def _indirect_call(result: types.Type) -> Any:
    """Return an intrinsic ``call(address, arguments)`` for a C function that returns ``result``."""

    @intrinsic
    def call(typing_context, address, arguments):
        def codegen(context, builder, signature, values):
            tuple_value = values[1]
            items = [builder.extract_value(tuple_value, i) for i in range(len(signature.args[1]))]
            nothing = signature.return_type == types.void
            returned = ir.VoidType() if nothing else context.get_value_type(signature.return_type)
            function_type = ir.FunctionType(returned, [item.type for item in items])
            outcome = builder.call(builder.inttoptr(values[0], function_type.as_pointer()), items)
            return context.get_dummy_value() if nothing else outcome

        return result(address, arguments), codegen

    return call


invoke = _indirect_call(types.void)
measure = _indirect_call(types.float64)


def _ordered(builder_call):
    """Make an intrinsic over an int64 counter from ``builder_call(builder, pointer, values)``."""

    def codegen(context, builder, signature, values):
        pointer = builder.inttoptr(values[0], ir.IntType(64).as_pointer())
        return builder_call(builder, pointer, values)

    return codegen


@intrinsic
def atomic_load(typing_context, address):
    """Return the int64 at ``address``; later reads of this thread happen after it."""
    return types.int64(address), _ordered(lambda builder, pointer, values: builder.load_atomic(pointer, "acquire", 8))


@intrinsic
def atomic_add(typing_context, address, amount):
    """Add ``amount`` to the int64 at ``address`` and return what was there before."""
    return types.int64(address, types.int64), _ordered(
        lambda builder, pointer, values: builder.atomic_rmw("add", pointer, values[1], "seq_cst")
    )


@intrinsic
def atomic_store(typing_context, address, value):
    """Write ``value`` to the int64 at ``address``; earlier writes of this thread are seen before it."""

    def store(builder, pointer, values):
        builder.store_atomic(values[1], pointer, "seq_cst", 8)
        return values[1]

    return types.int64(address, types.int64), _ordered(store)


@intrinsic
def prefetch(typing_context, address):
    """Ask for the cache line at ``address``, which may be any number, before it is needed."""

    def codegen(context, builder, signature, arguments):
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = (ir.Constant(flag, value) for value in (0, 3, 1))
        builder.call(function, [builder.inttoptr(arguments[0], byte), read, keep, data])
        return context.get_dummy_value()

    return types.void(address), codegen


def _python_invoke(address: int, arguments: tuple[float, ...]) -> None:
    _foreign(None, arguments)(int(address))(*arguments)


def _python_measure(address: int, arguments: tuple[float, ...]) -> float:
    return _foreign(ctypes.c_double, arguments)(int(address))(*arguments)


def _foreign(result: Any, arguments: tuple[float, ...]) -> Any:
    """Return the ctypes type of a C function with these arguments: floats are doubles, others addresses or sizes."""
    kinds = [ctypes.c_double if isinstance(item, float) else ctypes.c_ssize_t for item in arguments]
    return ctypes.CFUNCTYPE(result, *kinds)


def _python_atomic_add(address: int, amount: int) -> int:
    counter = view(address, (1,), np.dtype(np.int64))
    before = int(counter[0])
    counter[0] += amount
    return before


def _python_atomic_store(address: int, value: int) -> int:
    view(address, (1,), np.dtype(np.int64))[0] = value
    return value


PYTHON_CALLS = {
    "invoke": _python_invoke,
    "measure": _python_measure,
    "prefetch": lambda address: None,
    "atomic_load": lambda address: int(view(address, (1,), np.dtype(np.int64))[0]),
    "atomic_add": _python_atomic_add,
    "atomic_store": _python_atomic_store,
}
"""The calls for templates that run as plain Python, in one thread."""
