"""Gathering mini-batches, copying and rescaling, against plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array, host_values, poisoned, simulate

SOURCES = ("uint8", "float32", "float64")
ELEMENTS = ("float32", "float64", "bfloat16")
EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-8}
UNSAVORY = [np.nan, np.inf, -np.inf, 0.0]


def data_rows(source, n, columns):
    """Return n rows: pixels 0..255, or numbers."""
    rng = np.random.default_rng(columns)
    values = rng.integers(0, 256, (n, columns)) if source == "uint8" else rng.normal(size=(n, columns))
    return device_array(values, source)


def gathered(x, indices, rows, columns, element, scale=1.0, offset=0.0, cursor=0, ahead=0, **shape):
    """Return the rows of the batch from the kernel; ``x`` may be a view whose rows lie apart."""
    out = poisoned((rows, columns), element)
    stride = x.strides[0] // x.itemsize
    places = (x, stride, indices, len(indices), rows, columns, out, scale, offset, cursor, ahead)
    simulate(cuda_kernel("gather_rows", x.dtype.name, element), places, **shape)
    return host_values(out, element)


def close(actual, expected, element, ulps=2.0):
    np.testing.assert_allclose(actual, expected, rtol=ulps * EPS[element], atol=ulps * EPS[element])


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("columns", [1, 7, 32, 40])
def test_gather_rows(source, element, columns):
    x, indices = data_rows(source, 9, columns), device_array([3, 8, 0, 0, 5])
    actual = gathered(x, indices, 5, columns, element, 1 / 255, -0.5)
    close(actual, x[indices].astype(np.float64) / 255 - 0.5, element)


@pytest.mark.parametrize("ahead", [0, 2])
def test_rows_of_a_later_step(ahead):
    """The row of the epoch at which the batch begins comes from the cursor and the steps before it in the graph."""
    x, indices = data_rows("uint8", 12, 16), device_array(np.random.default_rng(0).permutation(12))
    first = 2 + ahead * 3
    actual = gathered(x, indices, 3, 16, "float32", cursor=device_array([9, 2]), ahead=ahead)
    np.testing.assert_array_equal(actual, x[indices[first : first + 3]])


@pytest.mark.parametrize("element", ["float32", "float64"])
@pytest.mark.parametrize("source", SOURCES)
def test_rows_that_lie_apart_or_begin_anywhere(source, element):
    x, odd, indices = data_rows(source, 8, 24), data_rows(source, 8, 17), device_array([3, 0, 2])
    views = (x[::2, :16], x[:, 1:17], x[::-1, 3:19], np.broadcast_to(x[4:5, :16], (4, 16)), odd[:, :16])
    for rows in views:
        np.testing.assert_array_equal(gathered(rows, indices, 3, 16, element), rows[indices].astype(element))


@pytest.mark.parametrize("shape", [((1,), (1,)), ((2,), (4, 2)), ((1,), (2, 16)), ((3,), (8, 1))])
@pytest.mark.parametrize("columns", [28, 30])
def test_launches_of_other_shapes(shape, columns):
    x, indices = data_rows("float32", 20, columns), device_array(np.arange(19, -1, -1))
    actual = gathered(x, indices, 20, columns, "float32", grid=shape[0], block=shape[1])
    np.testing.assert_array_equal(actual, x[::-1])


def test_all_pixel_values():
    x = device_array(np.arange(256)[None, :], "uint8")
    np.testing.assert_array_equal(gathered(x, device_array([0]), 1, 256, "float32")[0], np.arange(256))
    np.testing.assert_array_equal(gathered(x, device_array([0]), 1, 256, "bfloat16")[0], np.arange(256))


@pytest.mark.parametrize("columns", [4, 3])
def test_extremes_pass_through_and_narrowing_overflows(columns):
    x = device_array([UNSAVORY[:columns]], "float64")
    np.testing.assert_array_equal(gathered(x, device_array([0]), 1, columns, "float32"), x)
    x = device_array([[1e300] * columns], "float64")
    assert (gathered(x, device_array([0]), 1, columns, "float32") == np.inf).all()


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("size", [1, 16, 45, 300])
def test_copy_and_rescaling(element, size):
    x, y = device_array(np.random.default_rng(size).normal(size=size), element), poisoned(size, element)
    simulate(cuda_kernel("copy", "", element), (x, y, size))
    np.testing.assert_array_equal(y, x)
    expected = host_values(x, element) * 0.3 - 1.5
    simulate(cuda_kernel("rescaling", "", element), (x, y, size, 0.3, -1.5))
    close(host_values(y, element), expected, element, 4)
    simulate(cuda_kernel("rescaling", "", element), (x, x, size, 0.3, -1.5))
    np.testing.assert_array_equal(x, y)
