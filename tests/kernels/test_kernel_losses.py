"""Loss kernels: value and gradient in one pass, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.losses import MEAN_OVER_OUTPUTS
from kernel_case import VARIANTS, wide

from accelnn.arrays.reference import LOSSES, loss_and_gradient

NAMES = VARIANTS["loss"]


def formula_of(name):
    return LOSSES[name.removesuffix("_rows")]


def a_target(case, name, output):
    """Return a target that suits the loss: labels, shares that do not sum to 1, 0 or 1, counts, or numbers."""
    rng, (rows, columns) = case.rng, output.shape
    if name == "cross_entropy":
        return case.place(rng.integers(0, columns, rows), np.int64)
    if name == "cross_entropy_rows":
        return case.place(rng.uniform(0.0, 1.0, (rows, columns)))
    if name == "binary_cross_entropy":
        return case.place(rng.integers(0, 2, (rows, columns)))
    if name == "poisson":
        return case.place(rng.poisson(2.0, (rows, columns)))
    return case.place(rng.normal(size=(rows, columns)))


def some_weights(case, kind):
    weights = {
        "ones": np.ones(case.rows),
        "some zero": case.rng.uniform(0.5, 2.0, case.rows) * (case.rng.uniform(size=case.rows) < 0.6),
        "all zero": np.zeros(case.rows),
    }[kind]
    return case.place(weights, np.float64)


def factor_of(name, weights, columns):
    factor = 1.0 / columns if name in MEAN_OVER_OUTPUTS else 1.0
    total = weights.sum() if formula_of(name).reduction == "mean" else 1.0
    return factor / total if total > 0 else 0.0


def compare(case, name, output, target, weights, ulps=40.0):
    """Run the kernel and compare value and gradient with the formula in float64."""
    d = case.empty(output.shape)
    factor = factor_of(name, weights, output.shape[1])
    value = case.run("loss", name, output, d, target, weights, factor, *output.shape)
    plain_target = np.array(target) if target.dtype == np.int64 else wide(target)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        loss, gradient = loss_and_gradient(formula_of(name).name, *wide(output), plain_target, np.array(weights))
        rows = formula_of(name).rows(*wide(output), plain_target)
    size = np.sum(np.abs(rows[0]) * weights) * (factor if name not in MEAN_OVER_OUTPUTS else factor * output.shape[1])
    assert value == pytest.approx(float(loss), rel=1e-12, abs=ulps * case.eps * float(size))
    steepness = np.abs(gradient).max(initial=0.0)
    case.close(d, gradient, ulps=ulps, scale=float(steepness))


@pytest.mark.parametrize("weighting", ["ones", "some zero", "all zero"])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(case, name, weighting):
    output = case.normal(scale=2.0)
    compare(case, name, output, a_target(case, name, output), some_weights(case, weighting))


@pytest.mark.parametrize("name", NAMES)
def test_output_and_target_are_left_alone(small_case, name):
    case = small_case
    output, weights = case.normal(), some_weights(case, "some zero")
    target = a_target(case, name, output)
    before = [np.array(array) for array in (output, target, weights)]
    case.run("loss", name, output, case.empty(case.shape), target, weights, 0.25, *case.shape)
    for array, copy in zip((output, target, weights), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_outputs(small_case, name):
    """Saturated scores: the value is exact and the gradient does not vanish where the sigmoid or softmax does."""
    case = small_case
    tiny = float(np.finfo(case.dtype).smallest_subnormal)
    row = [1e4, -1e4, 0.0, tiny, -tiny, 30.0] if name != "poisson" else [-1e4, 0.0, tiny, -tiny, 30.0, 2.0]
    output = case.place([row, row[::-1]])
    target = a_target(case, name, output)
    compare(case, name, output, target, case.place(np.ones(2), np.float64))


def test_confident_mistakes_cost_what_they_should(small_case):
    case = small_case
    ones = case.place(np.ones(1), np.float64)
    scores, d = case.place([[1e4, -1e4, 0.0]]), case.empty((1, 3))
    loss = case.run("loss", "cross_entropy", scores, d, case.place([1], np.int64), ones, 1.0, 1, 3)
    assert loss == 2e4
    np.testing.assert_array_equal(d, [[1.0, -1.0, 0.0]])
    loss = case.run("loss", "binary_cross_entropy", scores, d, case.place([[0, 1, 1]]), ones, 1.0, 1, 3)
    assert loss == pytest.approx(2e4 + np.log(2), rel=2 * case.eps)
    np.testing.assert_array_equal(d, [[1.0, -1.0, -0.5]])


def test_one_class_has_no_loss(small_case):
    case = small_case
    scores, d = case.normal(5, 1), case.empty((5, 1))
    ones = case.place(np.ones(5), np.float64)
    assert case.run("loss", "cross_entropy", scores, d, case.place(np.zeros(5), np.int64), ones, 0.2, 5, 1) == 0.0
    np.testing.assert_array_equal(d, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_nan_reaches_the_value_and_the_gradient(compiled_case, name):
    case = compiled_case
    output = case.normal()
    target = a_target(case, name, output)
    output[2, 3] = np.nan
    d = case.empty(case.shape)
    ones = case.place(np.ones(case.rows), np.float64)
    assert np.isnan(case.run("loss", name, output, d, target, ones, 0.25, *case.shape))
    silent = {"mae": 0.0}  # sign(NaN) counts as no error; the value already tells
    assert np.isnan(d[2, 3]) or d[2, 3] == silent.get(name)
    assert np.isfinite(np.delete(d, 2, axis=0)).all()


def test_sums_of_squares_do_not_overflow_between_rows(compiled_case):
    case = compiled_case
    output, target = case.place(np.full((9, 1), 1e18)), case.place(np.zeros((9, 1)))
    value = case.run("loss", "sse", output, case.empty((9, 1)), target, case.place(np.ones(9), np.float64), 1.0, 9, 1)
    assert value == pytest.approx(9e36, rel=1e-6)
