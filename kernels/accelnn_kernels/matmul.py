"""Matrix products of a training step, from the register tiles of :mod:`accelnn_kernels.tiles`.

There are three: forward ``x @ W``, and backward ``dz @ W^T`` and ``x^T @ dz``. All are one loop, :func:`gemm`,
because a tile reads single numbers of its left operand and can do so along rows or along columns; only its right
operand must have its rows in order, so ``W^T`` is transposed on the way, in pieces that stay in the cache.

Measured on one core of an AVX-512 machine (float32, 784 x 128 weights; GFLOP/s): 228 against 55 of NumPy's OpenBLAS
for 10 rows, 227 against 100 for 64, 218 against 108 for 128. OpenBLAS spends its time copying operands when they
are small, and where it does not know a new processor it takes kernels of an older one.

Every element of a result is summed in the order of the inner dimension, whatever the tile: a product is bitwise the
same for any number of threads and any way of cutting its rows.
"""

from __future__ import annotations

import numpy as np

from accelnn_kernels import tiles

INNER_BLOCK = 256
"""Inner indices to work through before going on to the next columns: the piece of ``b`` stays in the L1 cache."""


def panel(a, a_row, a_inner, b, b_row, c, c_row, rows, inner, alpha, beta, columns):
    """Compute ``rows`` rows of the columns of one tile: with the tallest tiles first, the rest with lower ones."""
    row = 0
    while rows - row >= tall:
        left, target = place(a, row, a_row), place(c, row, c_row)
        tile_tall(left, a_row, a_inner, b, b_row, target, c_row, inner, alpha, beta, columns)
        row += tall
    while rows - row >= 4:
        left, target = place(a, row, a_row), place(c, row, c_row)
        tile_4(left, a_row, a_inner, b, b_row, target, c_row, inner, alpha, beta, columns)
        row += 4
    if rows - row >= 2:
        left, target = place(a, row, a_row), place(c, row, c_row)
        tile_2(left, a_row, a_inner, b, b_row, target, c_row, inner, alpha, beta, columns)
        row += 2
    if rows - row >= 1:
        left, target = place(a, row, a_row), place(c, row, c_row)
        tile_1(left, a_row, a_inner, b, b_row, target, c_row, inner, alpha, beta, columns)


def place(address, index, stride):
    """Return where element ``index * stride`` from ``address`` lies."""
    return address + index * stride * itemsize


def gemm(a, a_row, a_inner, b, b_row, c, c_row, rows, columns, inner, alpha, beta):
    """Compute c <- alpha a @ b + beta c for a (rows, inner), b (inner, columns), c (rows, columns).

    Element (i, p) of ``a`` lies at ``i * a_row + p * a_inner`` elements from its address; rows of ``b`` and ``c`` are
    ``b_row`` and ``c_row`` elements apart. With ``beta`` 0 the old ``c`` is not read.
    """
    for start in range(0, inner, inner_block):
        part = min(inner_block, inner - start)
        factor = real(beta) if start == 0 else real(1)
        left, right = place(a, start, a_inner), place(b, start, b_row)
        one_block(left, a_row, a_inner, right, b_row, c, c_row, rows, columns, part, real(alpha), factor)


def one_block(a, a_row, a_inner, b, b_row, c, c_row, rows, columns, inner, alpha, beta):
    """Do the same for an inner dimension that is short enough for the cache, one panel of columns after the other."""
    j = 0
    while columns - j >= wide * lanes:
        panel_wide(a, a_row, a_inner, place(b, j, 1), b_row, place(c, j, 1), c_row, rows, inner, alpha, beta, 0)
        j += wide * lanes
    if columns - j >= 2 * lanes:
        panel_2(a, a_row, a_inner, place(b, j, 1), b_row, place(c, j, 1), c_row, rows, inner, alpha, beta, 0)
        j += 2 * lanes
    if columns - j >= lanes:
        panel_1(a, a_row, a_inner, place(b, j, 1), b_row, place(c, j, 1), c_row, rows, inner, alpha, beta, 0)
        j += lanes
    if columns > j:
        rest = columns - j
        panel_rest(a, a_row, a_inner, place(b, j, 1), b_row, place(c, j, 1), c_row, rows, inner, alpha, beta, rest)


def matmul(gemm, x, w, z, rows, n_in, n_out):
    """Compute z (rows, n_out) <- x (rows, n_in) @ w (n_in, n_out)."""
    invoke(gemm, (x, n_in, 1, w, n_out, z, n_out, rows, n_out, n_in, 1.0, 0.0))


def weight_gradient(gemm, x, dz, dw, batch, n_in, n_out, first, last, alpha, beta):
    """Compute rows [first, last) of dw (n_in, n_out) <- alpha x (batch, n_in)^T @ dz (batch, n_out) + beta dw."""
    target = place(dw, first, n_out)
    invoke(gemm, (place(x, first, 1), 1, n_in, dz, n_out, target, n_out, last - first, n_out, batch, alpha, beta))


def matmul_transposed(gemm, piece, dz, w, dx, rows, n_in, n_out):
    """Compute dx (rows, n_in) <- dz (rows, n_out) @ w (n_in, n_out)^T, transposing w piece by piece.

    ``piece`` is the address of ``scratch_bytes()`` bytes for the transposed piece.
    """
    width = wide * lanes
    for i in range(0, n_in, width):
        columns = min(width, n_in - i)
        for j in range(0, n_out, inner_block):
            inner = min(inner_block, n_out - j)
            transpose(place(w, i, n_out) + j * itemsize, n_out, piece, columns, inner)
            beta = 0.0 if j == 0 else 1.0
            left, target = place(dz, j, 1), place(dx, i, 1)
            invoke(gemm, (left, n_out, 1, piece, columns, target, n_in, rows, columns, inner, 1.0, beta))


def transpose(source_start, row, target, rows, columns):
    """Write the transpose of a (rows, columns) piece of a matrix, whose rows are ``row`` apart, to ``target``."""
    target_ = matrix(target, columns, rows)
    for i in range(rows):
        source_row = vector(place(source_start, i, row), columns)
        for j in range(columns):
            target_[j, i] = source_row[j]


TEMPLATES = (place, one_block, transpose)


def constants(dtype: np.dtype) -> dict[str, int]:
    """Return the names that the templates of this file need, for ``dtype``."""
    return {"inner_block": INNER_BLOCK, "lanes": tiles.lanes(dtype), "wide": tiles.widest()}


def scratch_bytes() -> int:
    """Return the size of a transposed piece, an inner block of rows by a wide tile of columns, for any dtype."""
    return INNER_BLOCK * tiles.widest() * tiles.vector_bytes()


def panels() -> dict[str, tuple[int, bool]]:
    """Return the panels that ``one_block`` calls by name: their width in vectors, and whether they are masked."""
    return {
        "panel_wide": (tiles.widest(), False),
        "panel_2": (2, False),
        "panel_1": (1, False),
        "panel_rest": (1, True),
    }
