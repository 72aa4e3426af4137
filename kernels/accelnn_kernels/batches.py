"""Gather the rows of a mini-batch: select, convert and scale in one pass."""

from __future__ import annotations

ROWS_AHEAD = 16
"""How many rows before its turn a row is asked for: no processor foresees which rows of a random order come next."""

CONSTANTS = {"rows_ahead": ROWS_AHEAD, "line_bytes": 64}


def gather_rows(x, stride, indices, n_indices, rows, columns, out, scale, offset):
    """Write x[indices] * scale + offset to ``out (rows, columns)``.

    ``x`` is the address of the first of all rows, of the element type that ``source`` is bound to (uint8, float32 or
    float64), and ``stride`` the distance of two rows in elements; ``indices`` are int64
    ``(n_indices,)``: behind those of the ``rows`` rows may be the ones that are wanted next.
    """
    indices_ = integers(indices, n_indices)
    out_ = matrix(out, rows, columns)
    by = real(scale)
    shift = real(offset)
    for i in range(rows):
        ahead = x + indices_[min(i + rows_ahead, n_indices - 1)] * stride * source_bytes
        for byte in range(0, columns * source_bytes, line_bytes):
            prefetch(ahead + byte)
        row = source(x, indices_[i] * stride, columns)
        for j in range(columns):
            out_[i, j] = real(row[j]) * by + shift


def gather_labels(labels, indices, rows, out):
    """Write labels[indices] to ``out``, all int64."""
    indices_ = integers(indices, rows)
    out_ = integers(out, rows)
    for i in range(rows):
        out_[i] = integers(labels + 8 * indices_[i], 1)[0]


def gather_weights(weights, indices, rows, out):
    """Write weights[indices] to ``out``, all float64."""
    indices_ = integers(indices, rows)
    out_ = doubles(out, rows)
    for i in range(rows):
        out_[i] = doubles(weights + 8 * indices_[i], 1)[0]


def sum_weights(weights, indices, rows):
    """Return the sum of weights[indices]."""
    indices_ = integers(indices, rows)
    total = 0.0
    for i in range(rows):
        total += doubles(weights + 8 * indices_[i], 1)[0]
    return total


def copy(source_values, target_values, size):
    """Copy ``size`` elements."""
    source_ = vector(source_values, size)
    target_ = vector(target_values, size)
    for i in range(size):
        target_[i] = source_[i]


def rescaling(x, y, size, scale, offset):
    """Write x * scale + offset to ``y (size,)``."""
    x_ = vector(x, size)
    y_ = vector(y, size)
    by, shift = real(scale), real(offset)
    for i in range(size):
        y_[i] = x_[i] * by + shift
