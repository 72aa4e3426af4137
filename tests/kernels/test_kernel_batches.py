"""Gathering mini-batches, copying and rescaling."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_case import VARIANTS, wide

from accelnn.arrays import reference

SOURCES = VARIANTS["gather_rows"]


def source_rows(case, name, n, columns):
    """Return n rows: pixels 0..255, or numbers."""
    if name == "uint8":
        return case.place(case.rng.integers(0, 256, (n, columns)), np.uint8)
    return case.place(case.rng.normal(size=(n, columns)), name)


def gathered(case, x, indices, columns, scale=1.0, offset=0.0, n_rows=None):
    """Return x[indices] * scale + offset from the kernel; ``x`` may be a view whose rows lie apart.

    ``n_rows``: gather only so many.
    """
    n_rows = len(indices) if n_rows is None else n_rows
    out, stride = case.empty((n_rows, columns)), x.strides[0] // x.itemsize
    case.run("gather_rows", x.dtype.name, x, stride, indices, len(indices), n_rows, columns, out, scale, offset)
    return out


@pytest.mark.parametrize("source", SOURCES)
def test_gather_rows(case, source):
    x = source_rows(case, source, 2 * case.rows + 1, case.columns)
    indices = case.place(case.rng.integers(0, len(x), case.rows), np.int64)
    out = gathered(case, x, indices, case.columns, 1 / 255, -0.5)
    expected = reference.gather(np.array(x), np.array(indices), "float64", 1 / 255, -0.5)
    case.close(out, expected, 4, scale=1.0)


@pytest.mark.parametrize("source", SOURCES)
def test_rows_that_lie_apart(small_case, source):
    """Views with gaps, reversed views and one repeated row: the distance of rows is an argument, and signed."""
    case = small_case
    x = source_rows(case, source, 9, 11)
    indices = case.place([3, 0, 0, 2], np.int64)
    for rows in (x[::2, 2:7], x[::-1, :5], np.broadcast_to(x[4:5, :5], (4, 5))):
        expected = rows[indices].astype(case.dtype)
        np.testing.assert_array_equal(gathered(case, rows, indices, 5), expected)


@pytest.mark.parametrize("n_rows", [1, 5, 40])
def test_indices_of_rows_that_are_wanted_later(small_case, n_rows):
    case = small_case
    x = source_rows(case, "uint8", 50, 7)
    indices = case.place(case.rng.permutation(50), np.int64)
    np.testing.assert_array_equal(gathered(case, x, indices, 7, n_rows=n_rows), x[indices[:n_rows]])
    case.check_guards()


def test_all_pixel_values(small_case):
    case = small_case
    x, first = case.place(np.arange(256)[None, :], np.uint8), case.place([0], np.int64)
    np.testing.assert_array_equal(gathered(case, x, first, 256)[0], np.arange(256))
    case.close(gathered(case, x, first, 256, 1 / 255)[0], np.arange(256) / 255, 1)


def test_extremes_and_nan_pass_through(small_case):
    case = small_case
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    x = case.place([[1e4, -1e4, 0.0, tiny, np.inf, np.nan]], np.float32)
    np.testing.assert_array_equal(gathered(case, x, case.place([0], np.int64), 6), x.astype(case.dtype))


def test_narrowing_to_float32_rounds_and_overflows_to_infinity():
    from kernel_case import Case

    case = Case("compiled", (1, 3), np.dtype(np.float32))
    x = case.place([[1 / 3, 1e300, -1e300]], np.float64)
    out = gathered(case, x, case.place([0], np.int64), 3)
    np.testing.assert_array_equal(out, [[np.float32(1 / 3), np.inf, -np.inf]])


def test_no_rows(small_case):
    case = small_case
    x, out = source_rows(case, "uint8", 3, 4), case.empty((2, 4))
    case.run("gather_rows", "uint8", x, 4, case.place([0], np.int64), 1, 0, 4, out, 1.0, 0.0)
    assert np.isnan(out).all()


def test_labels_and_weights(case):
    n = 2 * case.rows
    labels = case.place(case.rng.integers(-(2**40), 2**40, n), np.int64)
    weights = case.place(case.rng.uniform(size=n), np.float64)
    indices = case.place(case.rng.permutation(n)[: case.rows], np.int64)
    some_labels, some_weights = case.empty(case.rows, np.int64), case.empty(case.rows, np.float64)
    case.run("gather_labels", "", labels, indices, case.rows, some_labels)
    case.run("gather_weights", "", weights, indices, case.rows, some_weights)
    np.testing.assert_array_equal(some_labels, labels[indices])
    np.testing.assert_array_equal(some_weights, weights[indices])
    total = case.run("sum_weights", "", weights, indices, case.rows)
    assert total == pytest.approx(weights[indices].sum(), rel=1e-13)


def test_copy_and_rescaling(case):
    size = case.rows * case.columns
    x, y, z = case.normal(), case.empty(case.shape), case.empty(case.shape)
    case.run("copy", "", x, y, size)
    np.testing.assert_array_equal(y, x)
    case.run("rescaling", "", x, z, size, 0.3, -1.5)
    case.close(z, wide(x)[0] * 0.3 - 1.5, 4, scale=1.0)
