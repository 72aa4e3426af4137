"""Activations fused with the bias, and their gradients, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.activations import KEEPS_Z
from kernel_case import VARIANTS, wide

from accelnn.arrays import reference

NAMES = VARIANTS["bias_activation"]

ARGUMENT_GROWS = {"gelu": 400.0}
"""Units in the last place by which an error of the argument is magnified where e^u has a large u."""


def activate(case, name, z, bias):
    """Return (z, a) as the kernel leaves them; without KEEPS_Z the layer has one buffer for both."""
    a = case.empty(z.shape) if name in KEEPS_Z else z
    case.run("bias_activation", name, z, bias, a, *z.shape)
    return z, a


def extremes(dtype):
    """Return large, small and denormal numbers, zeros and infinities, around all thresholds of the formulas."""
    info = np.finfo(dtype)
    positive = [0.0, float(info.smallest_subnormal), float(info.tiny) / 8, float(info.tiny), 1e-7, 0.5, 1.0, 2.999,
                3.001, 17.0, 40.0, 87.0, 88.8, 103.0, 120.0, 700.0, 709.9, 745.0, 1e4, np.inf]  # fmt: skip
    values = np.array(positive)
    return np.concatenate([values, -values])


@pytest.mark.parametrize("name", NAMES)
def test_forward(case, name):
    z, bias = case.normal(scale=4.0), case.normal(case.columns)
    shifted, expected = reference.bias_activation(*wide(z + bias), None, name)
    kept, a = activate(case, name, z, bias)
    case.close(a, expected, ulps=24, scale=1e-3)
    if name in KEEPS_Z:
        case.close(kept, shifted, ulps=1)


@pytest.mark.parametrize("name", NAMES)
def test_gradient(case, name):
    z, d = case.normal(scale=3.0), case.normal()
    a = case.place(reference.bias_activation(*wide(z), None, name)[1])
    dz, db = reference.activation_gradient(*wide(d, z, a), name)
    sizes = np.abs(dz).sum(axis=0)
    result = case.empty(case.columns)
    case.run("activation_gradient", name, d, z if name in KEEPS_Z else a, a, result, *case.shape)
    case.close(d, dz, ulps=24, scale=2.0)
    np.testing.assert_array_less(np.abs(result - db), 30 * case.eps * (sizes + np.sqrt(case.rows)))


@pytest.mark.parametrize("name", NAMES)
def test_extremes(small_case, name):
    case = small_case
    values = extremes(case.dtype)
    if name == "softmax":
        values = values[np.abs(values) <= 1e4]
    z = case.place(values[None, :])
    with np.errstate(all="ignore"):
        expected = reference.ACTIVATIONS[name](np.array(z, np.float64))
    _, a = activate(case, name, z, case.place(np.zeros(z.shape[1])))
    # Below the smallest normal number an error of one unit in the last place of e^u is larger than the spacing.
    floor = float(np.finfo(case.dtype).tiny) / case.eps
    case.close(a, expected, ulps=ARGUMENT_GROWS.get(name, 8.0), scale=floor * 1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "softmax"])
def test_gradient_of_extremes(small_case, name):
    case = small_case
    z = case.place(extremes(case.dtype)[None, :])
    with np.errstate(all="ignore"):
        a = case.place(reference.ACTIVATIONS[name](z))
        expected = reference.DERIVATIVES[name](np.array(z), np.array(a))
    d = case.place(np.ones(z.shape))
    case.run("activation_gradient", name, d, z, a, case.empty(z.shape[1]), *z.shape)
    case.close(d, expected, ulps=8, scale=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(compiled_case, name):
    case = compiled_case
    z = case.normal()
    z[1, 2] = np.nan
    _, a = activate(case, name, z, case.place(np.zeros(case.columns)))
    spoiled = np.zeros(case.shape, bool)
    spoiled[1, slice(None) if name == "softmax" else 2] = True
    np.testing.assert_array_equal(np.isnan(a), spoiled)


def test_softmax_of_one_output_and_of_equal_large_scores(small_case):
    case = small_case
    one = case.place([[-1e4], [0.0], [1e4]])
    activate(case, "softmax", one, case.place([3.0]))
    np.testing.assert_array_equal(one, 1.0)
    many = case.place([[1e4, 1e4, -1e4, 1e4]])
    activate(case, "softmax", many, case.place(np.zeros(4)))
    case.close(many, [[1 / 3, 1 / 3, 0, 1 / 3]], ulps=2)


def test_rows_are_independent(compiled_case):
    """Threads share the rows of a batch out among them: a row must not depend on its neighbours."""
    case = compiled_case
    z, bias = case.normal(33, 19), case.normal(19)
    for name in NAMES:
        _, whole = activate(case, name, case.place(z), bias)
        parts = [activate(case, name, case.place(z[rows]), bias)[1] for rows in (slice(0, 5), slice(5, 33))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
