"""Losses on a device: value and gradient in one pass through the permutation, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel
from accelnn_kernels.losses import ELEMENTWISE, MEAN_OVER_OUTPUTS
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays.reference import LOSSES, loss_and_gradient

NAMES = (*ELEMENTWISE, "cross_entropy", "cross_entropy_rows")
EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-8}
REAL = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}
SHAPES = ((1, 1), (9, 1), (1, 8), (5, 7), (21, 10), (6, 40), (3, 130))
LAUNCHES = ({"grid": (2,), "block": (1, 4)}, {"grid": (1,), "block": (4, 2)}, {"grid": (3,), "block": (32, 1)})
STEP, BATCH, AHEAD = 5, 2, 1
"""Where the cursor stands: the slot of the loss, the batch of the permutation, and how far this step is ahead of it."""


class Epoch:
    """A data set of more rows than the batch, its permutation and a cursor, on the device."""

    def __init__(self, name, element, shape, weights=None):
        self.name, self.element, (rows, columns) = name, element, shape
        rng = np.random.default_rng([*shape, len(name)])
        n = 4 * rows + 3
        indices = rng.permutation(n)
        first = (BATCH - 1) * rows
        self.rows = indices[first + AHEAD * rows :][:rows]
        self.indices, self.cursor = device_array(indices), device_array([STEP, first])
        target = a_target(rng, name, n, columns)
        self.target = device_array(target, "int64" if name == "cross_entropy" else REAL[element])
        self.weights = 0 if weights is None else device_array(weights(rng, n), REAL[element])
        self.weight = np.ones(rows) if weights is None else host_values(self.weights)[self.rows]

    def run(self, output, factor, total=0, **launch):
        """Return (loss, d)."""
        output_, d = device_array(output, self.element), poisoned(output.shape, self.element)
        result, parts, counter = (
            poisoned(10, REAL[self.element]),
            poisoned(1024, REAL[self.element]),
            device_array([0]),
        )
        place = (output_, d, self.target, self.weights, factor, *output.shape, self.indices, self.cursor, AHEAD)
        kernel = cuda_kernel("loss", self.name, self.element)
        simulate(kernel, (*place, total, parts, counter, result), **launch)
        assert counter[0] == 0
        assert np.isnan(np.delete(result, STEP + AHEAD)).all()
        return float(result[STEP + AHEAD]), host_values(d, self.element)


def a_target(rng, name, n, columns):
    if name == "cross_entropy":
        return rng.integers(0, columns, n)
    if name == "binary_cross_entropy":
        return rng.integers(0, 2, (n, columns))
    if name == "poisson":
        return rng.poisson(2.0, (n, columns))
    return rng.uniform(0.0, 1.0, (n, columns)) if name == "cross_entropy_rows" else rng.normal(size=(n, columns))


def compare(epoch, output, **launch):
    """Compare value and gradient with the formula in float64; the sum of weights is left by another kernel."""
    name, element, weight = epoch.name, epoch.element, epoch.weight
    formula = LOSSES[name.removesuffix("_rows")]
    factor = 1.0 / output.shape[1] if name in MEAN_OVER_OUTPUTS else 1.0
    is_mean = formula.reduction == "mean"
    total = device_array([weight.sum()], REAL[element]) if is_mean else 0
    value, d = epoch.run(output, factor, total, **launch)
    stored = host_values(device_array(output, element), element)
    target = epoch.target[epoch.rows] if name == "cross_entropy" else host_values(epoch.target)[epoch.rows]
    loss, gradient = loss_and_gradient(formula.name, stored, target, weight)
    eps = EPS[REAL[element]]
    size = np.sum(np.abs(formula.rows(stored, target)[0]) * weight) / (max(weight.sum(), 1e-9) if is_mean else 1.0)
    assert abs(value - float(loss)) <= 20 * eps * max(size, 1e-3)
    steepness = np.abs(gradient).max(initial=0.0)
    np.testing.assert_allclose(d, gradient, rtol=EPS[element], atol=40 * eps * steepness)


def some_zero(rng, n):
    return rng.uniform(0.5, 2.0, n) * (rng.uniform(size=n) < 0.6)


def all_zero(rng, n):
    return np.zeros(n)


@pytest.mark.parametrize("element", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(name, shape, element):
    output = np.random.default_rng(shape).normal(scale=2.0, size=shape)
    compare(Epoch(name, element, shape, some_zero), output)


@pytest.mark.parametrize("weights", [None, all_zero])
@pytest.mark.parametrize("name", NAMES)
def test_weights(name, weights):
    output = np.random.default_rng(0).normal(size=(6, 8))
    compare(Epoch(name, "float32", (6, 8), weights), output)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
def test_targets_may_lie_anywhere(element):
    """They are the user's; outputs are read 16 bytes at a time, and targets if they begin where that is possible."""
    epoch = Epoch("mse", element, (5, 16), some_zero)
    moved = poisoned(epoch.target.size + 1, REAL[element])[1:].reshape(epoch.target.shape)
    moved[...] = epoch.target
    epoch.target = moved
    compare(epoch, np.random.default_rng(1).normal(size=(5, 16)))


@pytest.mark.parametrize("shape", [(5, 7), (6, 8), (6, 40)])
@pytest.mark.parametrize("name", ["mse", "cross_entropy", "cross_entropy_rows"])
def test_bfloat16(name, shape):
    compare(Epoch(name, "bfloat16", shape, some_zero), np.random.default_rng(shape).normal(scale=2.0, size=shape))


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("shape", [(13, 10), (13, 16), (3, 130)])
@pytest.mark.parametrize("name", ["huber", "cross_entropy", "cross_entropy_rows"])
def test_every_launch_gives_the_same(name, shape, launch):
    output = np.random.default_rng(shape).normal(scale=2.0, size=shape)
    compare(Epoch(name, "float32", shape, some_zero), output, **launch)


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "poisson"])
def test_extreme_outputs(name, launch):
    row = [1e4, -1e4, 0.0, 1e-45, -1e-45, 30.0]
    output = np.array([row, row[::-1]])
    epoch = Epoch(name, "float32", output.shape)
    compare(epoch, output, **launch)
    value, d = epoch.run(output, 1.0, **launch)
    assert np.isfinite(value)
    assert np.isfinite(d).all()


def test_confident_mistakes_cost_what_they_should():
    epoch = Epoch("cross_entropy", "float32", (1, 3))
    epoch.target[:] = 1
    loss, d = epoch.run(np.array([[1e4, -1e4, 0.0]]), 1.0)
    assert loss == 2e4
    np.testing.assert_array_equal(d, [[1.0, -1.0, 0.0]])


def test_one_class_has_no_loss():
    loss, d = Epoch("cross_entropy", "float32", (5, 1)).run(np.ones((5, 1)), 0.2)
    assert loss == 0.0
    np.testing.assert_array_equal(d, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_nan_reaches_the_value_and_the_gradient_of_its_row(name):
    output = np.random.default_rng(0).normal(size=(4, 6))
    output[2, 3] = np.nan
    loss, d = Epoch(name, "float32", output.shape).run(output, 0.25)
    assert np.isnan(loss)
    assert np.isnan(d[2, 3]) or (name, d[2, 3]) == ("mae", 0.0)  # sign(NaN) counts as no error
    assert np.isfinite(np.delete(d, 2, axis=0)).all()


def test_a_loss_of_many_rows_is_as_accurate_as_a_tree():
    shape = (2500, 4)
    epoch = Epoch("sse", "float32", shape)
    output = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    error = output - host_values(epoch.target)[epoch.rows]
    assert epoch.run(output, 1.0)[0] == pytest.approx(float(np.sum(error * error)), rel=3e-7)


@pytest.mark.parametrize("rows", [1, 7, 64, 700])
@pytest.mark.parametrize("block", [1, 8, 32])
def test_sum_of_weights(rows, block):
    epoch, result = Epoch("mse", "float32", (rows, 1), some_zero), poisoned(1, "float32")
    place = (epoch.weights, epoch.indices, rows, epoch.cursor, AHEAD, result)
    simulate(cuda_kernel("sum_weights", "", "float32"), place, grid=(1,), block=(block,))
    assert result[0] == pytest.approx(epoch.weight.sum(), rel=1e-6)


def shape_of(name, rows, columns):
    return cuda_kernel("loss", name, "float32").launch_shape(0, 0, 0, 0, 1.0, rows, columns, 0, 0, 0, 0, 0, 0, 0)


def test_small_batches_are_one_block_and_long_rows_are_shared():
    assert shape_of("cross_entropy", 128, 10) == ((1,), (2, 128))
    assert shape_of("cross_entropy", 10, 10) == ((1,), (16, 16))
    assert shape_of("cross_entropy", 100, 10) == ((1,), (2, 128))
    assert shape_of("cross_entropy", 16384, 10) == ((256,), (4, 64))
    assert shape_of("cross_entropy", 16384, 1000) == ((1024,), (256, 1))
    assert shape_of("mse", 128, 1) == ((1,), (1, 256))
    assert cuda_kernel("sum_weights", "", "float32").launch_shape(0, 0, 16384, 0, 0, 0) == ((1,), (256,))
