"""Matrix products of a training step, from the register tiles of :mod:`accelnn_kernels.tiles`.

There are three: forward ``x @ W``, and backward ``dz @ W^T`` and ``x^T @ dz``. All are one loop, :func:`gemm`,
because a tile reads single numbers of its left operand and can do so along rows or along columns; only its right
operand must have its rows in order, so ``W^T`` is transposed on the way, in pieces that stay in the cache.

How a product is cut, and what was measured (float32, one core of a Zen 5 with AVX-512, whose tiles reach 243 GFLOP/s
on operands in the L1 cache; fractions of that):

====================  ============================================================  =================================
cut                   when                                                          measured
====================  ============================================================  =================================
columns by tile       always: 4 vectors, then 2, then single masked ones            10 columns: 0.50; 64: 1.00
rows by tile          always: as few tiles as suffice, about equally high           10 rows: 0.97, 1.06 times 6 + 4
inner by INNER_BLOCK  more than 256 inner indices: ``b`` stays in the L1/L2 cache   784 x 128: 0.98
transposed pieces     ``dz @ W^T``: squares of vectors, transposed in registers     10 rows: 0.66 (one by one: 0.23)
straight into W       plain gradient descent: alpha = -learning_rate, beta = 1      10 rows: 0.83; 128: 0.98
rows over threads     ``program.load_batch``: every thread has its rows             see docs/performance.md
bands over threads    first layer, ``layer_program.banded_forward``                 see docs/performance.md
====================  ============================================================  =================================

Whether threads share a product by rows of the batch or by bands of the inputs is decided once per training run, from
the shapes (``accelnn/training/runners/team.py``); the other cuts follow from the sizes, here.

Every element of a result is summed in the order of the inner dimension, whatever the tile: a product is bitwise the
same for any way of cutting its rows and columns.

What did not pay: copying the columns of ``x`` together before ``x^T @ dz``, as BLAS libraries do: 0.94 to 1.07 times as
fast, for 10 to 512 rows and 128 to 1024 columns.
"""

from __future__ import annotations

import numpy as np

from accelnn_kernels import tiles

INNER_BLOCK = 256
"""Inner indices to work through before going on to the next columns: the piece of ``b`` stays in the L1 cache."""


def panel(a, a_row, a_inner, b, b_row, c, c_row, rows, inner, alpha, beta, columns):
    """Compute ``rows`` rows of the columns of one tile, in tiles of about the same height."""
    row = 0
    while row < rows:
        height = next_height(rows - row)
        left, target = place(a, row, a_row), place(c, row, c_row)
        tile(height, left, a_row, a_inner, b, b_row, target, c_row, inner, alpha, beta, columns)
        row += height


def next_height(rows):
    """Return the height of the first tile of so many rows: the fewest tiles that suffice share the rows evenly."""
    even = -(-rows // -(-rows // heights[0]))
    for height in heights:
        if height <= even:
            return height
    return 1


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
    while columns > j:
        rest = min(columns - j, lanes)
        panel_rest(a, a_row, a_inner, place(b, j, 1), b_row, place(c, j, 1), c_row, rows, inner, alpha, beta, rest)
        j += rest


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


TEMPLATES = (place,)


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
        "panel_rest": (1, True),
    }
