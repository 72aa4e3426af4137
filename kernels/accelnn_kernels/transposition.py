"""Transpose a matrix: squares of as many rows as a vector has elements in registers, the edges one by one.

A square of n x n is transposed in log2(n) rounds. Round k exchanges, in every pair of rows that are 2^k apart, the
blocks of 2^k elements off the diagonal (Eklundh, "A fast computer method for matrix transposing", 1972). Each exchange
is one shuffle of two vectors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from accelnn_kernels.tiles import lanes, strided


def transpose(source, row, target, rows, columns):
    """Write the transpose of a (rows, columns) matrix, whose rows are ``row`` elements apart, to ``target``.

    ``target`` has memory for ``columns`` rows, rounded up to the elements of a vector: what is behind the last column
    of the matrix may be written there too.
    """
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            start, out = source + (i * row + j) * itemsize, target + (j * rows + i) * itemsize
            last = (i + lanes - 1) * row + j + lanes  # a square may reach over the end of a row, not of the matrix
            if i + lanes <= rows and last <= (rows - 1) * row + columns:
                transpose_square(start, row, out, rows)
            else:
                transpose_edge(start, row, out, rows, min(lanes, rows - i), min(lanes, columns - j))


def transpose_edge(source, row, target, target_row, rows, columns):
    """Do the same element by element; rows of ``target`` are ``target_row`` elements apart."""
    for i in range(rows):
        source_row = vector(source + i * row * itemsize, columns)
        for j in range(columns):
            vector(target + j * target_row * itemsize, rows)[i] = source_row[j]


TEMPLATES = (transpose_edge, transpose)


@cache
def square(dtype_name: str) -> Any:
    """Return the intrinsic ``transpose_square(source, source_row, target, target_row)`` for squares of vectors.

    ``source`` and ``target`` are addresses; the others are the distances of rows in elements.
    """
    dtype = np.dtype(dtype_name)
    n = lanes(dtype)
    vector = ir.VectorType(ir.DoubleType() if dtype.itemsize == 8 else ir.FloatType(), n)

    @intrinsic
    def transpose_square(typing_context, source, source_row, target, target_row):
        def codegen(context, builder, signature, arguments):
            source_, source_row_, target_, target_row_ = arguments

            def row(start, distance, index):
                offset = builder.mul(distance, ir.Constant(distance.type, index * dtype.itemsize))
                return builder.inttoptr(builder.add(start, offset), vector.as_pointer())

            rows = [builder.load(row(source_, source_row_, i), align=dtype.itemsize) for i in range(n)]
            for i, value in enumerate(_exchange_blocks(builder, rows)):
                builder.store(value, row(target_, target_row_, i), align=dtype.itemsize)
            return context.get_dummy_value()

        return types.void(source, source_row, target, target_row), codegen

    return transpose_square


def _exchange_blocks(builder: Any, rows: list[Any]) -> list[Any]:
    n, rows = len(rows), list(rows)
    size = 1
    while size < n:
        upper = [lane if not lane & size else n + lane - size for lane in range(n)]
        lower = [lane + size if not lane & size else n + lane for lane in range(n)]
        for i in (i for i in range(n) if not i & size):
            first, second = rows[i], rows[i + size]
            rows[i] = builder.shuffle_vector(first, second, _order(upper))
            rows[i + size] = builder.shuffle_vector(first, second, _order(lower))
        size *= 2
    return rows


def _order(lanes_: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes_)), lanes_)


def python_square(dtype_name: str) -> Any:
    """Return the same as a plain Python function."""
    dtype = np.dtype(dtype_name)
    shape = (lanes(dtype), lanes(dtype))

    def transpose_square(source, source_row, target, target_row):
        strided(target, shape, (target_row, 1), dtype)[...] = strided(source, shape, (source_row, 1), dtype).T

    return transpose_square
