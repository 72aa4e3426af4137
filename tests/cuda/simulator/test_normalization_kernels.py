"""Batch and layer normalization in their pieces, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel
from accelnn_kernels.cuda.shapes import real_of
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

EPSILON = 1e-3
SHAPES = ((1, 1), (1, 8), (9, 1), (5, 7), (21, 16), (6, 40))
CASES = [(shape, element) for shape in SHAPES for element in ("float32", "float64")]
CASES += [((5, 7), "bfloat16"), ((9, 24), "bfloat16")]
COLUMN_LAUNCHES = (((2, 3), (4, 2)), ((1, 2), (2, 1)), ((1, 1), (1, 8)))
ROW_LAUNCHES = (((1, 3), (4, 2)), ((1, 1), (2, 1)), ((1, 4), (1, 4)), ((1, 2), (32, 2)))
"""Shapes of launches beside the kernels' own: threads and blocks do several things, or have nothing to do."""


def with_launches(launches):
    """Return the parameters of a test: all cases as they are launched, and two shapes with other launches."""
    others = [((21, 16), "float32", launch) for launch in launches]
    others += [((5, 7), "float32", launch) for launch in launches]
    return [(*case, None) for case in CASES] + others


class Case:
    """Arrays of one shape on a device, and launches with scratch for sums over rows."""

    def __init__(self, shape, element, launch=None):
        self.shape, self.element, self.real = shape, element, real_of(element)
        self.rng = np.random.default_rng(shape)
        self.launch = {} if launch is None else {"grid": launch[0], "block": launch[1]}
        self.scratch = poisoned(8 * 2 * shape[1], self.real), device_array(np.zeros(64, np.int64))

    def normal(self, scale=1.0, offset=0.0):
        return device_array(self.rng.normal(size=self.shape) * scale + offset, self.element)

    def vector(self):
        return device_array(self.rng.normal(size=self.shape[1]), self.real)

    def empty(self, *shape):
        return poisoned(shape or self.shape[1], self.element if shape else self.real)

    def run(self, kind, *arguments, **launch):
        simulate(cuda_kernel(kind, "", self.element), arguments, **launch)

    def run_sums(self, kind, *arguments):
        self.run(kind, *arguments, *self.scratch, **self.launch)
        assert (self.scratch[1] == 0).all()

    def plain(self, *arrays):
        """Return arrays as float64; those of two dimensions are elements."""
        return [host_values(array, self.element if array.ndim == 2 else None) for array in arrays]

    def close(self, actual, expected, ulps, scale=1.0):
        eps = {"float32": 2.0**-23, "float64": 2.0**-52}[self.real]
        if self.element == "bfloat16" and actual.ndim == 2:
            eps = 2.0**-8
        np.testing.assert_allclose(*self.plain(actual), expected, rtol=ulps * eps, atol=ulps * eps * scale)


def statistics(case, x):
    """Return mean, variance and 1 / sqrt(variance + epsilon), all from the kernels."""
    mean, variance, inverse = (case.empty() for _ in range(3))
    rows, columns = case.shape
    case.run_sums("column_sums", x, rows, columns, mean)
    case.run("scale", mean, columns, 1.0 / rows)
    case.run_sums("column_squares", x, mean, rows, columns, variance)
    case.run("scale", variance, columns, 1.0 / rows)
    case.run("inverse_deviation", variance, columns, EPSILON, inverse)
    return mean, variance, inverse


@pytest.mark.parametrize(("shape", "element", "launch"), with_launches(COLUMN_LAUNCHES))
def test_batch_norm(shape, element, launch):
    case = Case(shape, element, launch)
    x, gamma, beta, y = case.normal(offset=3.0), case.vector(), case.vector(), case.empty(*shape)
    mean, variance, inverse = statistics(case, x)
    case.run("batch_norm", x, mean, inverse, gamma, beta, y, *shape, **case.launch)
    expected, plain_mean, plain_variance = reference.batch_norm(*case.plain(x, gamma, beta), EPSILON)
    case.close(mean, plain_mean, 8, 4.0)
    case.close(variance, plain_variance, 16)
    case.close(y, expected, 32, 4 / np.sqrt(EPSILON) if element != "bfloat16" else 1.0)


@pytest.mark.parametrize(("shape", "element", "launch"), with_launches(COLUMN_LAUNCHES))
def test_batch_norm_gradient(shape, element, launch):
    case = Case(shape, element, launch)
    x, dy, gamma = case.normal(), case.normal(), case.vector()
    mean, variance, inverse = statistics(case, x)
    dgamma, dbeta, dx = case.empty(), case.empty(), case.empty(*shape)
    case.run_sums("batch_norm_sums", dy, x, mean, inverse, dgamma, dbeta, *shape)
    places = (dy, x, mean, inverse, gamma, dgamma, dbeta, dx, *shape, shape[0])
    case.run("batch_norm_gradient", *places, **case.launch)
    expected = reference.batch_norm_gradient(*case.plain(dy, x, mean, variance, gamma), EPSILON)
    scale = 4 / np.sqrt(EPSILON)
    case.close(dx, expected[0], 32, scale if element != "bfloat16" else 1.0)
    case.close(dgamma, expected[1], 32, 4.0)
    case.close(dbeta, expected[2], 32, 4.0)


def test_the_gradient_is_written_over_its_input():
    """Nothing that a thread reads was written by another one, so dx may be dy."""
    case = Case((5, 8), "float32")
    x, dy, gamma = case.normal(), case.normal(), case.vector()
    mean, _, inverse = statistics(case, x)
    places, rest = (dy, x, mean, inverse, gamma, case.vector(), case.vector()), (*case.shape, 5)
    dx = case.empty(*case.shape)
    case.run("batch_norm_gradient", *places, dx, *rest)
    case.run("batch_norm_gradient", *places, dy, *rest)
    np.testing.assert_array_equal(dy, dx)


@pytest.mark.parametrize(("shape", "element", "launch"), with_launches([(grid[1:], b) for grid, b in ROW_LAUNCHES]))
def test_layer_norm(shape, element, launch):
    case = Case(shape, element, launch)
    x, gamma, beta, y = case.normal(offset=3.0), case.vector(), case.vector(), case.empty(*shape)
    case.run("layer_norm", x, gamma, beta, y, *shape, EPSILON, **case.launch)
    expected = reference.layer_norm(*case.plain(x, gamma, beta), EPSILON)
    case.close(y, expected, 16, 16 / np.sqrt(EPSILON) if element != "bfloat16" else 1.0)


@pytest.mark.parametrize(("shape", "element", "launch"), with_launches(ROW_LAUNCHES))
def test_layer_norm_gradient(shape, element, launch):
    case = Case(shape, element, launch)
    x, dy, gamma = case.normal(), case.normal(), case.vector()
    dx, dgamma, dbeta = case.empty(*shape), case.empty(), case.empty()
    case.run_sums("layer_norm_gradient", dy, x, gamma, dx, dgamma, dbeta, *shape, EPSILON)
    expected = reference.layer_norm_gradient(*case.plain(dy, x, gamma), EPSILON)
    scale = 4 / np.sqrt(EPSILON)
    case.close(dx, expected[0], 32, scale if element != "bfloat16" else 1.0)
    case.close(dgamma, expected[1], 64, scale)
    case.close(dbeta, expected[2], 32, 4.0)


@pytest.mark.parametrize("blocks", [16, 17, 40])
def test_many_blocks_add_up_in_two_rounds(blocks):
    case = Case((50, 4), "float64", ((1, blocks), (1, 2)))
    case.scratch = poisoned((blocks, 2, 4), "float64"), case.scratch[1]
    x, dy, gamma = case.normal(), case.normal(), case.vector()
    dx, dgamma, dbeta = case.empty(50, 4), case.empty(), case.empty()
    case.run_sums("layer_norm_gradient", dy, x, gamma, dx, dgamma, dbeta, 50, 4, EPSILON)
    expected = reference.layer_norm_gradient(*case.plain(dy, x, gamma), EPSILON)
    case.close(dgamma, expected[1], 256)
    case.close(dbeta, expected[2], 256)


def test_columns_that_are_constant():
    case = Case((6, 4), "float32")
    mean, variance, inverse = statistics(case, device_array(np.full((6, 4), 7.25), "float32"))
    np.testing.assert_array_equal(mean, 7.25)
    np.testing.assert_array_equal(variance, 0.0)
    case.close(inverse, np.full(4, 1 / np.sqrt(EPSILON)), 4)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
def test_running_average(element):
    case = Case((1, 21), element)
    average, value = case.vector(), case.vector()
    expected = 0.9 * host_values(average) + (1 - 0.9) * host_values(value)
    case.run("running_average", average, value, 21, 0.9)
    case.close(average, expected, 8)


def test_nan_stays_in_its_column_or_row():
    case = Case((5, 8), "float32")
    x, ones, zeros = case.normal(), device_array(np.ones(8), "float32"), device_array(np.zeros(8), "float32")
    x[1, 2] = np.nan
    mean, _, inverse = statistics(case, x)
    y = case.empty(5, 8)
    case.run("batch_norm", x, mean, inverse, ones, zeros, y, 5, 8)
    np.testing.assert_array_equal(np.isnan(y), np.arange(8) == np.full((5, 8), 2))
    case.run("layer_norm", x, ones, zeros, y, 5, 8, EPSILON)
    np.testing.assert_array_equal(np.isnan(y), np.arange(5)[:, None] == np.full((5, 8), 1))
