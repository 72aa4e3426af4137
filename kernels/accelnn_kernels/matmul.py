"""Matrix products: which BLAS call serves which shape. This is the one room where that is decided.

Matrices are row-major; Fortran's BLAS reads them as their transposes, so ``c = a @ b`` is asked for as
``c^T = b^T @ a^T``.

* ``x @ W`` with a long inner dimension: the sum over slices of it, each so small that OpenBLAS takes its kernels for
  small products (m n k <= 1e6), which do not pack their operands first.
* ``x^T @ dz`` with many rows of W: block after block of these rows, for the same reason.
* Everything else: one call.
"""

from __future__ import annotations

SMALL_PRODUCT = 1_000_000
"""OpenBLAS takes its small-matrix kernels up to this many multiplications."""

MINIMUM_SLICE = 48
"""Shorter inner products than this cost more in calls than the small-matrix kernels save."""


def gemm(blas, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    """Compute c <- alpha op(a) op(b) + beta c for row-major c (m, n), with inner dimension k and row strides ld*."""
    call_gemm(
        blas,
        (character(84) if transpose_b else character(78), character(84) if transpose_a else character(78)),
        (size32(n), size32(m), size32(k), size32(ldb), size32(lda), size32(ldc)),
        (real(alpha), real(beta)),
        (b, a, c),
    )


def slices(inner, product):
    """Return into how many parts to cut a dimension ``inner`` so that each part's product is small."""
    if inner < 256:
        return 1
    parts = min(-(-product // small_product), inner // minimum_slice)
    return parts if parts <= 16 else 1


TEMPLATES = (gemm, slices)


def matmul(blas, x, w, z, rows, n_in, n_out):
    """Compute z (rows, n_out) <- x (rows, n_in) @ w (n_in, n_out)."""
    parts = slices(n_in, rows * n_in * n_out)
    start = 0
    for part in range(parts):
        stop = n_in * (part + 1) // parts
        beta = 0.0 if part == 0 else 1.0
        gemm(
            blas, False, False, rows, n_out, stop - start,
            1.0, x + start * itemsize, n_in, w + start * n_out * itemsize, n_out, beta, z, n_out,
        )  # fmt: skip
        start = stop


def matmul_transposed(blas, dz, w, dx, rows, n_in, n_out):
    """Compute dx (rows, n_in) <- dz (rows, n_out) @ w (n_in, n_out)^T."""
    gemm(blas, False, True, rows, n_in, n_out, 1.0, dz, n_out, w, n_out, 0.0, dx, n_in)


def weight_gradient(blas, x, dz, dw, batch, n_in, n_out, first, last, alpha, beta):
    """Compute rows [first, last) of dw (n_in, n_out) <- alpha x (batch, n_in)^T @ dz (batch, n_out) + beta dw."""
    parts = slices(last - first, batch * (last - first) * n_out)
    start = first
    for part in range(parts):
        stop = first + (last - first) * (part + 1) // parts
        gemm(
            blas, True, False, stop - start, n_out, batch,
            alpha, x + start * itemsize, n_in, dz, n_out, beta, dw + start * n_out * itemsize, n_out,
        )  # fmt: skip
        start = stop
