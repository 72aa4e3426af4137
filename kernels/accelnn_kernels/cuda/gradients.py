"""Gradients of activations, and of biases, which are sums over the rows of a batch."""

from __future__ import annotations

from accelnn_kernels.cuda import softmax
from accelnn_kernels.cuda.shapes import Kind, stripes


def activation_gradient(d, z, a, db, rows, columns, parts, counter):
    """Compute d <- d * g'(z, a), from da to dz, and db <- sum of the rows of dz.

    ``d, z, a (rows, columns)`` are elements, ``db (columns,)`` real. The identity leaves ``d`` as it is and reads
    nothing else.
    """
    sums = cuda.local.array(width, real)
    stripe = cuda.blockIdx.x
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        clear_columns(sums)
        if count == width:
            add_wide_rows(d, z, a, rows, columns, column, sums)
        elif count == 1:
            add_rows(d, z, a, rows, columns, column, sums)
        finish_sums(sums, db, stripe, columns, parts, counter)
        stripe += cuda.gridDim.x


def wide_gradient(d, z, a, rows, columns, column, sums):
    """Do ``width`` columns from ``column`` on. Several rows are read before the first is written, to wait only once."""
    d_, z_, a_ = cuda.local.array(16, real), cuda.local.array(16, real), cuda.local.array(16, real)
    step, together = all_row_threads(), 4 * real_width // width
    row = first_row()
    while row < rows:
        for m in range(together):
            if row + m * step < rows:
                place = (row + m * step) * columns + column
                load_wide(d, place, d_[m * width : (m + 1) * width])
                load_wide(z, place, z_[m * width : (m + 1) * width])
                load_wide(a, place, a_[m * width : (m + 1) * width])
        for m in range(together):
            if row + m * step < rows:
                for k in range(width):
                    d_[m * width + k] *= derivative(z_[m * width + k], a_[m * width + k])
                    sums[k] += d_[m * width + k]
                store_wide(d, (row + m * step) * columns + column, d_[m * width : (m + 1) * width])
        row += together * step


def narrow_gradient(d, z, a, rows, columns, column, sums):
    """Do one column."""
    d_, z_, a_ = cuda.local.array(4, real), cuda.local.array(4, real), cuda.local.array(4, real)
    step = all_row_threads()
    row = first_row()
    while row < rows:
        for m in range(4):
            if row + m * step < rows:
                place = (row + m * step) * columns + column
                d_[m], z_[m], a_[m] = load(d, place), load(z, place), load(a, place)
        for m in range(4):
            if row + m * step < rows:
                dz = d_[m] * derivative(z_[m], a_[m])
                store(d, (row + m * step) * columns + column, dz)
                sums[0] += dz
        row += 4 * step


def wide_sums(d, z, a, rows, columns, column, sums):
    """Add up ``width`` columns from ``column`` on."""
    values = cuda.local.array(width, real)
    row, step = first_row(), all_row_threads()
    while row < rows:
        load_wide(d, row * columns + column, values)
        for k in range(width):
            sums[k] += values[k]
        row += step


def narrow_sums(d, z, a, rows, columns, column, sums):
    """Add up one column."""
    row, step = first_row(), all_row_threads()
    while row < rows:
        sums[0] += load(d, row * columns + column)
        row += step


def _activation_gradient(name):
    if name == "softmax":
        return softmax.softmax_gradient, {}
    if name == "identity":
        return activation_gradient, {"add_wide_rows": "wide_sums", "add_rows": "narrow_sums"}
    rows = {"add_wide_rows": "wide_gradient", "add_rows": "narrow_gradient"}
    return activation_gradient, {"derivative": f"{name}_derivative", **rows}


TEMPLATES = (wide_gradient, narrow_gradient, wide_sums, narrow_sums)
KINDS = {"activation_gradient": Kind(_activation_gradient, stripes, {"softmax": softmax.gradient_shape})}
