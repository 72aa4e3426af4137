"""Gradients of activations and their column sums on a device, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.activations import KEEPS_Z
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

NAMES = tuple(reference.DERIVATIVES)
EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-8}
REAL = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}
SHAPES = ((1, 1), (1, 8), (9, 1), (3, 5), (20, 16), (33, 24), (17, 70))


def gradient(name, element, d, z, a, **launch):
    """Return (dz, db, db's parts) as the kernel leaves them; without KEEPS_Z there is no z."""
    rows, columns = d.shape
    d_, a_ = device_array(d, element), device_array(a, element)
    z_ = device_array(z, element) if name in KEEPS_Z else a_
    db, parts, counter = (
        poisoned(columns, REAL[element]),
        poisoned((64, columns), REAL[element]),
        device_array([0] * 256),
    )
    simulate(
        cuda_kernel("activation_gradient", name, element), (d_, z_, a_, db, rows, columns, parts, counter), **launch
    )
    assert (counter == 0).all()
    return host_values(d_, element), host_values(db), parts


def some_arrays(name, element, shape):
    rng = np.random.default_rng(shape)
    z, d = rng.normal(scale=3.0, size=shape), rng.normal(size=shape)
    a = reference.ACTIVATIONS[name](z)
    return [host_values(device_array(array, element), element) for array in (d, z, a)]


def check(name, element, shape, **launch):
    d, z, a = some_arrays(name, element, shape)
    dz, db, _ = gradient(name, element, d, z, a, **launch)
    from_z = name in KEEPS_Z
    derivative = reference.DERIVATIVES[name](z, a) if from_z else derivative_of(name, a)
    expected = d * derivative
    np.testing.assert_allclose(dz, expected, rtol=24 * min(EPS[element], 1e-4) + EPS[element] * (element == "bfloat16"),
                               atol=48 * min(EPS[element], 1e-5))  # fmt: skip
    sizes = np.abs(expected).sum(axis=0)
    assert (np.abs(db - expected.sum(axis=0)) <= 30 * min(EPS[element], 1e-5) * (sizes + np.sqrt(shape[0]))).all()


def derivative_of(name, a):
    """Return the derivative from ``a`` alone, as rounded in storage."""
    inverse = {"softplus": lambda a: -np.expm1(-a), "hard_sigmoid": lambda a: ((a > 0) & (a < 1)) / 6.0}
    return inverse[name](a) if name in inverse else reference.DERIVATIVES[name](a, a)


@pytest.mark.parametrize("element", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_gradient(name, shape, element):
    check(name, element, shape)


@pytest.mark.parametrize("shape", [(3, 5), (20, 16), (33, 24)])
@pytest.mark.parametrize("name", ["identity", "relu", "gelu"])
def test_gradient_of_bfloat16(name, shape):
    check(name, "bfloat16", shape)


@pytest.mark.parametrize("grid", [(1, 1), (1, 3), (2, 2), (3, 1)])
@pytest.mark.parametrize("block", [(1, 1), (1, 8), (2, 4), (4, 1)])
@pytest.mark.parametrize("shape", [(37, 24), (37, 7)])
@pytest.mark.parametrize("name", ["identity", "silu"])
def test_every_launch_gives_the_same(name, shape, block, grid):
    check(name, "float32", shape, grid=grid, block=block)


def test_the_identity_reads_and_writes_no_more_than_it_has_to():
    d = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    d_, db = device_array(d), poisoned(8, "float32")
    simulate(cuda_kernel("activation_gradient", "identity", "float32"), (d_, 0, 0, db, 9, 8, 0, 0), grid=(2, 1))
    np.testing.assert_array_equal(d_, d)
    np.testing.assert_allclose(db, d.sum(axis=0), rtol=1e-5, atol=1e-6)


def test_one_block_of_rows_needs_neither_parts_nor_counter():
    d, z, a = some_arrays("relu", "float32", (20, 8))
    assert np.isnan(gradient("relu", "float32", d, z, a, grid=(2, 1))[2]).all()
    assert np.isfinite(gradient("relu", "float32", d, z, a, grid=(1, 2))[2][:2]).all()


@pytest.mark.parametrize("columns", [15, 16])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_extremes(name, columns):
    values = [0.0, 1e-38, 1e-7, 0.5, 3.0, -3.0, 17.0, -17.0, 88.0, -88.0, 1e4, -1e4, 20.0, -0.5, -1.0, 2.0]
    if name == "exponential":
        values = np.minimum(values, 88.0)
    z = np.array([values[:columns]])
    with np.errstate(all="ignore"):
        a = reference.ACTIVATIONS[name](z.astype(np.float32))
        expected = reference.DERIVATIVES[name](z.astype(np.float32), a)
    dz, db, _ = gradient(name, "float32", np.ones(z.shape), z, a)
    np.testing.assert_allclose(dz, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(db, dz[0])


@pytest.mark.parametrize("columns", [6, 8])
@pytest.mark.parametrize("name", NAMES)
def test_nan_reaches_its_column_only(name, columns):
    d = np.ones((5, columns))
    d[3, 2] = np.nan
    a = np.full(d.shape, 0.5)
    dz, db, _ = gradient(name, "float32", d, a, a)
    np.testing.assert_array_equal(np.isnan(dz), np.isnan(d))
    np.testing.assert_array_equal(np.isnan(db), np.isnan(d).any(axis=0))


def test_a_sum_of_many_rows_is_as_accurate_as_a_tree():
    d = np.random.default_rng(1).uniform(size=(3000, 4)).astype(np.float32)
    _, db, _ = gradient("identity", "float32", d, d, d)
    np.testing.assert_allclose(db, d.sum(axis=0, dtype=np.float64), rtol=3e-7)
