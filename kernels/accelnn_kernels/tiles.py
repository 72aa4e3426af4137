"""Register tiles: the innermost loop of a matrix product, in the vector instructions of this machine.

A tile computes ``c <- alpha * a @ b + beta * c`` for a few rows of ``c`` and a few vectors of columns. All of these
stay in registers while the inner dimension runs by: per inner index the tile loads one row of ``b`` as vectors and
one number of ``a`` per row, which it multiplies into all of them. That is how BLAS libraries work too (Goto & van
de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). What they add, copying both operands into
another order first, does not pay for the small products of a training step.

Loops of scalars would not become this: compilers do not keep a tile in registers across the inner loop. So a tile
is written in LLVM's vector types, through ``numba.extending.intrinsic``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accelnn_kernels.memory import view

VECTOR_BYTES = {"avx512f": 64, "avx2": 32}
"""Bytes of a vector register by CPU feature, the widest first; 16 elsewhere (SSE2, NEON)."""


@cache
def vector_bytes() -> int:
    """Return the bytes of this machine's widest vector registers that are worth using."""
    features = llvm.get_host_cpu_features()
    return next((size for name, size in VECTOR_BYTES.items() if features.get(name)), 16)


def many_registers() -> bool:
    """Return whether there are 32 vector registers: with AVX-512 and on 64-bit Arm; else there are 16."""
    return vector_bytes() == 64 or llvm.get_default_triple().startswith(("aarch64", "arm64"))


def lanes(dtype: np.dtype) -> int:
    """Return the elements of a vector."""
    return vector_bytes() // dtype.itemsize


def widest() -> int:
    """Return the width of the widest tile in vectors."""
    return 4 if many_registers() else 2


def heights(width: int) -> tuple[int, ...]:
    """Return the heights of the tiles of this width in rows, the tallest first.

    The tallest fills the registers: sums, one row of ``b``, one number of ``a``. Two multiply-adds start per cycle and
    take four, so with fewer than eight sums the processor waits. The widest tiles exist in all heights, so that any
    number of rows can be cut into tiles of about the same height.
    """
    if width == widest():
        return (6, 5, 4, 3, 2, 1)
    return (12, 8, 4, 2, 1) if many_registers() else (8, 4, 2, 1)


@dataclass(frozen=True)
class TileShape:
    """``height`` rows by ``width`` vectors of ``lanes`` elements; a masked tile may use fewer columns than it has."""

    height: int
    width: int
    lanes: int
    masked: bool


@cache
def tiles(dtype_name: str, width: int, masked: bool) -> Any:
    """Return the intrinsic ``tile(height, a, a_row, a_inner, b, b_row, c, c_row, inner, alpha, beta, columns)``.

    ``height`` is one of ``heights(width)``. ``a``, ``b``, ``c`` are addresses; ``a_row`` and ``a_inner`` the distances
    in elements from one row, and from one inner index, of ``a`` to the next; ``b_row`` and ``c_row`` those from row to
    row, in which elements are neighbours. ``alpha`` and ``beta`` are of the dtype; with ``beta`` 0 the old ``c`` is not
    read. Only a masked tile uses ``columns``.
    """
    dtype = np.dtype(dtype_name)
    element = ir.DoubleType() if dtype.itemsize == 8 else ir.FloatType()

    def codegen(context, builder, signature, arguments):
        height, *rest = arguments
        done = builder.append_basic_block("tile_done")
        choice = builder.switch(height, done)
        for rows in heights(width):
            block = builder.append_basic_block(f"tile_{rows}")
            choice.add_case(ir.Constant(height.type, rows), block)
            builder.position_at_end(block)
            shape = TileShape(rows, width, lanes(dtype), masked)
            _TileWriter(builder, element, dtype.itemsize, shape, rest).write()
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing_context, height, a, a_row, a_inner, b, b_row, c, c_row, inner, alpha, beta, columns):
        return types.void(height, a, a_row, a_inner, b, b_row, c, c_row, inner, alpha, beta, columns), codegen

    return tile


class _TileWriter:
    """Writes the instructions of one tile."""

    def __init__(self, builder: Any, element: Any, itemsize: int, shape: TileShape, arguments: Any) -> None:
        self.builder, self.element, self.itemsize, self.shape = builder, element, itemsize, shape
        self.vector = ir.VectorType(element, shape.lanes)
        (self.a, self.a_row, self.a_inner, self.b, self.b_row, self.c, self.c_row, self.inner, self.alpha, self.beta,
         self.columns) = arguments  # fmt: skip
        self.mask = self._mask() if shape.masked else None

    def write(self) -> None:
        """Write the loop over the inner dimension and the stores behind it."""
        self._store(self._inner_loop())

    def _inner_loop(self) -> list[Any]:
        """Write the loop; return the sums, one vector per position.

        They are phi nodes, because LLVM keeps these in registers: out of sums in stack slots it did not always make
        registers, which halved the speed.
        """
        builder, zeros = self.builder, ir.Constant(self.vector, None)
        before = builder.block
        body, done = builder.append_basic_block("inner"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", self.inner, self._integer(0)), body, done)
        builder.position_at_end(body)
        index = self._phi(ir.IntType(64), self._integer(0), before)
        sums = [self._phi(self.vector, zeros, before) for _ in self._positions()]
        added = self._multiply_add(sums, index)
        next_index = builder.add(index, self._integer(1))
        self._forbid_unrolling()
        for variable, value in [(index, next_index), *zip(sums, added, strict=True)]:
            variable.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", next_index, self.inner), body, done)
        builder.position_at_end(done)
        totals = [self._phi(self.vector, zeros, before) for _ in sums]
        for total, value in zip(totals, added, strict=True):
            total.add_incoming(value, body)
        return totals

    def _forbid_unrolling(self) -> None:
        """Write an empty piece of assembly, over which LLVM does not unroll a loop.

        Unrolled, the loop needs more registers than there are, and a sum that waits in memory for its next product
        costs up to a quarter of the speed (measured on Zen 5).
        """
        self.builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], True)

    def _phi(self, kind: Any, value: Any, block: Any) -> Any:
        variable = self.builder.phi(kind)
        variable.add_incoming(value, block)
        return variable

    def _positions(self) -> list[tuple[int, int]]:
        return [(row, column) for row in range(self.shape.height) for column in range(self.shape.width)]

    def _multiply_add(self, sums: list[Any], index: Any) -> list[Any]:
        """Return the sums plus the products of one inner index."""
        builder = self.builder
        multiply_add = self._llvm_function("fmuladd", self.vector, [self.vector] * 3)
        b_start = builder.mul(index, self.b_row)
        b_vectors = [self._load(self.b, b_start, column) for column in range(self.shape.width)]
        a_start = builder.mul(index, self.a_inner)
        factors = [self._broadcast(self._load_number(row, a_start)) for row in range(self.shape.height)]
        return [
            builder.call(multiply_add, [factors[row], b_vectors[column], total])
            for total, (row, column) in zip(sums, self._positions(), strict=True)
        ]

    def _store(self, sums: list[Any]) -> None:
        """Write alpha * sums, or alpha * sums + beta * c."""
        builder = self.builder
        alpha, beta = self._broadcast(self.alpha), self._broadcast(self.beta)
        is_zero = builder.fcmp_ordered("==", self.beta, ir.Constant(self.element, 0.0))
        with builder.if_else(is_zero) as (overwrite, accumulate):
            with overwrite:
                for total, (row, column) in zip(sums, self._positions(), strict=True):
                    self._store_vector(builder.fmul(alpha, total), row, column)
            with accumulate:
                for total, (row, column) in zip(sums, self._positions(), strict=True):
                    old = self._load(self.c, self._row_start(row), column)
                    kept = builder.fmul(beta, old)
                    self._store_vector(builder.fadd(kept, builder.fmul(alpha, total)), row, column)

    def _row_start(self, row: int) -> Any:
        return self.builder.mul(self._integer(row), self.c_row)

    def _load_number(self, row: int, start: Any) -> Any:
        offset = self.builder.add(start, self.builder.mul(self._integer(row), self.a_row))
        return self.builder.load(self._pointer(self.a, offset, self.element), align=self.itemsize)

    def _load(self, base: Any, start: Any, column: int) -> Any:
        pointer = self._pointer(base, self._at_column(start, column), self.vector)
        if self.mask is None:
            return self.builder.load(pointer, align=self.itemsize)
        kinds = [pointer.type, ir.IntType(32), self.mask.type, self.vector]
        function = self._llvm_function("masked.load", self.vector, kinds, ".p0")
        zeros = ir.Constant(self.vector, None)
        return self.builder.call(function, [pointer, ir.Constant(ir.IntType(32), self.itemsize), self.mask, zeros])

    def _store_vector(self, value: Any, row: int, column: int) -> None:
        pointer = self._pointer(self.c, self._at_column(self._row_start(row), column), self.vector)
        if self.mask is None:
            self.builder.store(value, pointer, align=self.itemsize)
            return
        kinds = [self.vector, pointer.type, ir.IntType(32), self.mask.type]
        function = self._llvm_function("masked.store", ir.VoidType(), kinds, ".p0")
        self.builder.call(function, [value, pointer, ir.Constant(ir.IntType(32), self.itemsize), self.mask])

    def _llvm_function(self, name: str, result: Any, arguments: list[Any], suffix: str = "") -> Any:
        """Return the intrinsic function ``llvm.<name>`` of LLVM for vectors of this tile."""
        full_name = f"llvm.{name}.v{self.shape.lanes}f{8 * self.itemsize}{suffix}"
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), full_name)

    def _mask(self) -> Any:
        """Return which lanes are columns of the matrix."""
        numbers = ir.VectorType(ir.IntType(64), self.shape.lanes)
        lane = ir.Constant(numbers, list(range(self.shape.lanes)))
        return self.builder.icmp_signed("<", lane, self._broadcast(self.columns))

    def _broadcast(self, value: Any) -> Any:
        vector = ir.VectorType(value.type, self.shape.lanes)
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        order = ir.Constant(ir.VectorType(ir.IntType(32), self.shape.lanes), None)
        return self.builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), order)

    def _at_column(self, start: Any, column: int) -> Any:
        return self.builder.add(start, self._integer(column * self.shape.lanes))

    def _pointer(self, base: Any, offset: Any, kind: Any) -> Any:
        address = self.builder.add(base, self.builder.mul(offset, self._integer(self.itemsize)))
        return self.builder.inttoptr(address, kind.as_pointer())

    @staticmethod
    def _integer(value: int) -> Any:
        return ir.Constant(ir.IntType(64), value)


def python_tiles(dtype_name: str, width: int, masked: bool) -> Any:
    """Return the same as a plain Python function."""
    dtype = np.dtype(dtype_name)
    full = width * lanes(dtype)

    def tile(height, a, a_row, a_inner, b, b_row, c, c_row, inner, alpha, beta, columns):
        used = columns if masked else full
        left = strided(a, (height, inner), (a_row, a_inner), dtype)
        right = strided(b, (inner, used), (b_row, 1), dtype)
        target = strided(c, (height, used), (c_row, 1), dtype)
        kept = beta * target if beta != 0 else 0
        target[...] = alpha * (left @ right) + kept

    return tile


def strided(address: int, shape: tuple[int, int], strides: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Return a view of the memory at ``address``; strides are in elements."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    return np.lib.stride_tricks.as_strided(
        view(address, (reach,), dtype), shape, [stride * dtype.itemsize for stride in strides]
    )
