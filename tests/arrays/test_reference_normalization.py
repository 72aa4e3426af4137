"""Normalisation against scikit-learn's scaler, gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from accelnn.arrays import reference

EPS = 1e-5


def inputs(shape=(8, 5), seed=10):
    rng = np.random.default_rng(seed)
    x = rng.normal(loc=1.0, scale=2.0, size=shape)
    return x, rng.uniform(0.5, 1.5, size=shape[1]), rng.normal(size=shape[1]), rng.normal(size=shape)


def test_batch_norm_equals_a_standard_scaler(space):
    x, gamma, beta, _ = inputs()
    y, mean, var = space.call(reference.batch_norm, space.array(x), space.array(gamma), space.array(beta), 0.0)
    scaler = StandardScaler().fit(x)
    tolerance = {"rtol": 50 * space.eps, "atol": 50 * space.eps}
    np.testing.assert_allclose(space.host(y), scaler.transform(x) * gamma + beta, **tolerance)
    np.testing.assert_allclose(space.host(mean), scaler.mean_, **tolerance)
    np.testing.assert_allclose(space.host(var), scaler.var_, **tolerance)
    again = space.call(
        reference.batch_norm_inference, space.array(x), mean, var, space.array(gamma), space.array(beta), 0.0
    )
    np.testing.assert_allclose(space.host(again), space.host(y), **tolerance)


def test_layer_norm_is_batch_norm_of_the_transposed(space):
    x, gamma, beta, _ = inputs()
    y = space.call(reference.layer_norm, space.array(x), space.array(gamma), space.array(beta), EPS)
    normal = reference.batch_norm(np.ascontiguousarray(x.T), np.ones(8), np.zeros(8), EPS)[0].T
    np.testing.assert_allclose(space.host(y), normal * gamma + beta, rtol=1e-4, atol=50 * space.eps)


def batch_norm_loss(x, gamma, beta, weights):
    return np.sum(reference.batch_norm(x, gamma, beta, EPS)[0] * weights)


def layer_norm_loss(x, gamma, beta, weights):
    return np.sum(reference.layer_norm(x, gamma, beta, EPS) * weights)


def batch_norm_slopes(dy, x, gamma):
    _, mean, var = reference.batch_norm(x, gamma, gamma, EPS)
    return reference.batch_norm_gradient(dy, x, mean, var, gamma, EPS)


def layer_norm_slopes(dy, x, gamma):
    return reference.layer_norm_gradient(dy, x, gamma, EPS)


@pytest.mark.parametrize("shape", [(8, 5), (1, 4), (4, 1), (2, 3)])
@pytest.mark.parametrize(
    ("loss", "slopes"),
    [
        pytest.param(batch_norm_loss, batch_norm_slopes, id="batch_norm"),
        pytest.param(layer_norm_loss, layer_norm_slopes, id="layer_norm"),
    ],
)
@pytest.mark.parametrize("wrt", [0, 1, 2])
def test_gradient_along_a_random_direction(shape, loss, slopes, wrt):
    x, gamma, beta, dy = inputs(shape)
    arguments = [x, gamma, beta]
    direction = np.random.default_rng(11).normal(size=arguments[wrt].shape)
    direction /= np.linalg.norm(direction)

    def value(t):
        moved = [a + t * direction if i == wrt else a for i, a in enumerate(arguments)]
        return loss(*moved, dy)

    slope = (value(1e-6) - value(-1e-6)) / 2e-6
    found = np.sum(slopes(dy, x, gamma)[wrt] * direction)
    np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-7)


def test_gradients_on_every_library(space):
    x, gamma, beta, dy = inputs()
    _, mean, var = reference.batch_norm(x, gamma, beta, EPS)
    expected = reference.batch_norm_gradient(dy, x, mean, var, gamma, EPS)
    arrays = [space.array(a) for a in (dy, x, mean, var, gamma)]
    found = space.call(reference.batch_norm_gradient, *arrays, EPS)
    expected += reference.layer_norm_gradient(dy, x, gamma, EPS)
    found += space.call(reference.layer_norm_gradient, arrays[0], arrays[1], arrays[4], EPS)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(space.host(mine), theirs, rtol=1e3 * space.eps, atol=50 * space.eps)


@pytest.mark.parametrize("value", [0.0, 1e4, -1e4, 1e-40])
def test_constant_columns_and_rows_give_the_offset(space, value):
    x, gamma, beta = space.array(np.full((4, 3), value)), space.array([1.0, 2.0, 3.0]), space.array([0.5] * 3)
    y, _, var = reference.batch_norm(x, gamma, beta, EPS)
    assert np.all(space.host(var) == 0)
    assert np.all(space.host(y) == 0.5)
    rows = space.host(reference.layer_norm(x, gamma, beta, EPS))
    np.testing.assert_allclose(rows, 0.5, atol=1e4 * space.eps / np.sqrt(EPS) * 4)


def test_a_large_offset_does_not_spoil_the_variance(space):
    """The variance comes from centred values; E[x^2] - E[x]^2 would lose all digits here in float32."""
    x = space.array(1e4 + np.array([[-1.0], [1.0], [-1.0], [1.0]]))
    y, mean, var = reference.batch_norm(x, space.array([1.0]), space.array([0.0]), 0.0)
    assert np.array_equal(space.host(mean), [1e4])
    assert np.array_equal(space.host(var), [1.0])
    assert np.array_equal(space.host(y)[:, 0], [-1, 1, -1, 1])


def test_non_contiguous_inputs():
    x, gamma, _, dy = inputs((16, 10))
    arguments = dy[::2, ::-2], x[::2, ::-2], gamma[::2]
    for slopes in (batch_norm_slopes, layer_norm_slopes):
        copies = [a.copy() for a in arguments]
        for mine, theirs in zip(slopes(*arguments), slopes(*copies), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)
