"""Batch and layer normalization in pieces, as the threads of a team put them together, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_case import wide

from accelnn.arrays import reference

EPSILON = 1e-3


def affine(case):
    return case.normal(case.columns), case.normal(case.columns)


def statistics(case, x):
    """Return mean, variance and 1 / sqrt(variance + epsilon), all from the kernels."""
    mean, variance, inverse = (case.empty(case.columns) for _ in range(3))
    case.run("column_sums", "", x, *case.shape, mean)
    case.run("scale", "", mean, case.columns, 1.0 / case.rows)
    case.run("column_squares", "", x, mean, *case.shape, variance)
    case.run("scale", "", variance, case.columns, 1.0 / case.rows)
    case.run("inverse_deviation", "", variance, case.columns, EPSILON, inverse)
    return mean, variance, inverse


def sum_error(case) -> float:
    """Return how many units in the last place a sum over the rows may be off, relative to its terms."""
    return 4 + case.rows


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_batch_norm(case, offset):
    x, (gamma, beta) = case.place(case.normal() + offset), affine(case)
    mean, variance, inverse = statistics(case, x)
    y = case.empty(case.shape)
    case.run("batch_norm", "", x, mean, inverse, gamma, beta, y, *case.shape)
    expected, expected_mean, expected_variance = reference.batch_norm(*wide(x, gamma, beta), EPSILON)
    case.close(mean, expected_mean, sum_error(case), scale=1 + offset)
    case.close(variance, expected_variance, sum_error(case), scale=1.0)
    # An error of the mean is divided by the deviation, which is sqrt(epsilon) at least.
    case.close(y, expected, sum_error(case), scale=8 * (1 + offset) / np.sqrt(EPSILON))


def test_batch_norm_gradient(case):
    x, dy, (gamma, _) = case.normal(), case.normal(), affine(case)
    mean, variance, inverse = statistics(case, x)
    dgamma, dbeta, dx = case.empty(case.columns), case.empty(case.columns), case.empty(case.shape)
    case.run("batch_norm_sums", "", dy, x, mean, inverse, dgamma, dbeta, *case.shape)
    case.run("batch_norm_gradient", "", dy, x, mean, inverse, gamma, dgamma, dbeta, dx, *case.shape, case.rows)
    expected = reference.batch_norm_gradient(*wide(dy, x, mean, variance, gamma), EPSILON)
    scale = 8 / np.sqrt(EPSILON)
    for actual, plain, size in zip((dx, dgamma, dbeta), expected, (scale, 8.0, 8.0), strict=True):
        case.close(actual, plain, sum_error(case), scale=size)


def test_gradient_of_some_rows_uses_the_sums_of_all(compiled_case):
    """A thread computes dx of its rows from the sums over the whole batch."""
    case = compiled_case
    x, dy, gamma = case.normal(), case.normal(), case.normal(case.columns)
    mean, variance, inverse = statistics(case, x)
    dx, dgamma, dbeta = reference.batch_norm_gradient(*wide(dy, x, mean, variance, gamma), EPSILON)
    sums = [case.place(array) for array in (dgamma, dbeta)]
    part = case.empty((3, case.columns))
    rows = [case.place(array[1:]) for array in (dy, x)]
    case.run("batch_norm_gradient", "", *rows, mean, inverse, gamma, *sums, part, 3, case.columns, case.rows)
    case.close(part, dx[1:], 32, scale=8.0)


def test_columns_that_are_constant(small_case):
    case = small_case
    x = case.place(np.full(case.shape, 7.25))
    mean, variance, inverse = statistics(case, x)
    np.testing.assert_array_equal(mean, 7.25)
    np.testing.assert_array_equal(variance, 0.0)
    case.close(inverse, np.full(case.columns, 1 / np.sqrt(EPSILON)), 4)


def test_inverse_deviation_of_extremes(small_case):
    case = small_case
    tiny = float(np.finfo(case.dtype).smallest_subnormal)
    variance = case.place([0.0, tiny, 1e4, 1e30, np.inf, 1.0])
    inverse = case.empty(6)
    case.run("inverse_deviation", "", variance, 6, 1e-5, inverse)
    with np.errstate(over="ignore"):
        case.close(inverse, 1 / np.sqrt(wide(variance)[0] + 1e-5), 4)


def test_running_average(case):
    average, value = case.normal(case.columns), case.normal(case.columns)
    expected = 0.9 * wide(average)[0] + (1 - 0.9) * wide(value)[0]
    case.run("running_average", "", average, value, case.columns, 0.9)
    case.close(average, expected, 4, scale=1.0)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_layer_norm(case, offset):
    x, (gamma, beta) = case.place(case.normal() + offset), affine(case)
    y = case.empty(case.shape)
    case.run("layer_norm", "", x, gamma, beta, y, *case.shape, EPSILON)
    expected = reference.layer_norm(*wide(x, gamma, beta), EPSILON)
    case.close(y, expected, 4 + case.columns, scale=8 * (1 + offset) / np.sqrt(EPSILON))


def test_layer_norm_gradient(case):
    x, dy, (gamma, _) = case.normal(), case.normal(), affine(case)
    dx, dgamma, dbeta = case.empty(case.shape), case.empty(case.columns), case.empty(case.columns)
    case.run("layer_norm_gradient", "", dy, x, gamma, dx, dgamma, dbeta, *case.shape, EPSILON)
    expected = reference.layer_norm_gradient(*wide(dy, x, gamma), EPSILON)
    for actual, plain, count in zip((dx, dgamma, dbeta), expected, (case.columns, case.rows, case.rows), strict=True):
        case.close(actual, plain, 16 + count, scale=8 / np.sqrt(EPSILON))


def test_sums_over_no_rows_are_zero(small_case):
    """A thread without rows takes part in the sums."""
    case = small_case
    x, mean, inverse = case.normal(), case.normal(case.columns), case.normal(case.columns)
    for kind, arguments in {
        "column_sums": (x, 0, case.columns),
        "column_squares": (x, mean, 0, case.columns),
    }.items():
        sums = case.empty(case.columns)
        case.run(kind, "", *arguments, sums)
        np.testing.assert_array_equal(sums, 0.0)
    dgamma, dbeta = case.empty(case.columns), case.empty(case.columns)
    case.run("batch_norm_sums", "", x, x, mean, inverse, dgamma, dbeta, 0, case.columns)
    np.testing.assert_array_equal([dgamma, dbeta], 0.0)
    case.run("layer_norm_gradient", "", x, x, mean, case.empty(case.shape), dgamma, dbeta, 0, case.columns, EPSILON)
    np.testing.assert_array_equal([dgamma, dbeta], 0.0)


def test_nan_stays_in_its_column_or_row(compiled_case):
    case = compiled_case
    x, ones, zeros = case.normal(), case.place(np.ones(case.columns)), case.place(np.zeros(case.columns))
    x[1, 2] = np.nan
    mean, _, inverse = statistics(case, x)
    y = case.empty(case.shape)
    case.run("batch_norm", "", x, mean, inverse, ones, zeros, y, *case.shape)
    np.testing.assert_array_equal(np.isnan(y), np.arange(case.columns) == np.full(case.shape, 2))
    case.run("layer_norm", "", x, ones, zeros, y, *case.shape, EPSILON)
    np.testing.assert_array_equal(np.isnan(y), np.arange(case.rows)[:, None] == np.full(case.shape, 1))
