"""Activations against formulas of SciPy and scikit-learn, derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from sklearn.neural_network import _base as sklearn_formulas

from accelnn.arrays import reference
from accelnn.errors import ArgumentError

DENORMAL = {"float32": 1e-40, "float64": 1e-310}
GRID = [-1e4, -700.0, -90.0, -20.0, -4.0, -2.5, -1.0, -0.1, -1e-3, -1e-6, -1e-12]
GRID = [*GRID, *(-z for z in GRID), 0.0]
ELEMENTWISE = sorted(reference.DERIVATIVES)


def selu(z):
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def gelu(z):
    # (1 + tanh u) / 2 cancels for negative u, which the wider floats of this oracle make up for.
    z = np.asarray(z, dtype=np.longdouble)
    return (0.5 * z * (1 + np.tanh(np.sqrt(2 / np.longdouble(np.pi)) * (z + 0.044715 * z**3)))).astype(float)


ORACLES = {
    "identity": lambda z: z,
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": selu,
    "softplus": lambda z: np.logaddexp(0.0, z),
    "silu": lambda z: z * scipy.special.expit(z),
    "gelu": gelu,
    "hard_sigmoid": lambda z: np.minimum(np.maximum(z + 3, 0), 6) / 6,
    "exponential": lambda z: np.exp(np.minimum(z, 600.0)),
}


def test_the_oracles_cover_every_elementwise_activation():
    assert set(ORACLES) == set(ELEMENTWISE) == set(reference.ACTIVATIONS) - {"softmax"}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_value_over_the_whole_range(space, name):
    limit = 80.0 if name == "exponential" else np.inf
    z = space.array([[value for value in GRID if value < limit] + [DENORMAL[space.name]]])
    a = space.host(space.call(reference.ACTIVATIONS[name], z))
    expected = ORACLES[name](space.host(z))
    # exp turns an error of half a unit in its argument into |z| units of its result.
    relative = 8 * space.eps * np.maximum(1.0, np.minimum(np.abs(space.host(z)), 30.0))
    # Results below the smallest normal number have no relative accuracy; GELU's oracle ends at 1e-19.
    floor = 1e-17 if name == "gelu" else float(np.finfo(space.name).tiny)
    np.testing.assert_array_less(np.abs(a - expected), relative * np.abs(expected) + floor)


@pytest.mark.parametrize("name", ["elu", "selu", "silu", "tanh", "gelu"])
def test_value_near_zero_keeps_its_relative_accuracy(space, name):
    z = space.array([[1e-3, -1e-3, 1e-8, -1e-8, 1e-20, -1e-20]])
    a = space.host(reference.ACTIVATIONS[name](z))
    np.testing.assert_allclose(a, ORACLES[name](space.host(z)), rtol=8 * space.eps)


@pytest.mark.parametrize(("name", "theirs"), [("sigmoid", "logistic"), ("tanh", "tanh"), ("relu", "relu")])
def test_value_equals_scikit_learn(name, theirs):
    z = np.random.default_rng(1).normal(scale=3.0, size=(7, 5))
    expected = z.copy()
    sklearn_formulas.ACTIVATIONS[theirs](expected)
    np.testing.assert_allclose(reference.ACTIVATIONS[name](z), expected, rtol=1e-14)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivative_is_the_slope(name):
    z = np.random.default_rng(2).uniform(-5, 5, size=(20, 5))
    kinks = np.array([-3.0, 0.0, 3.0])
    z = np.where(np.min(np.abs(z[..., None] - kinks), axis=-1) < 1e-3, z + 0.01, z)
    function, h = reference.ACTIVATIONS[name], 1e-5
    slope = (function(z + h) - function(z - h)) / (2 * h)
    np.testing.assert_allclose(reference.DERIVATIVES[name](z, function(z)), slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivative_is_finite_and_bounded_at_the_extremes(space, name):
    z = space.array([[*GRID, DENORMAL[space.name]]])
    d = space.host(space.call(reference.DERIVATIVES[name], z, reference.ACTIVATIONS[name](z)))
    if name == "exponential":  # overflows where its derivative does
        assert not np.any(np.isnan(d))
    else:
        assert np.all((d > -0.2) & (d < 1.8))


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("relu", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("elu", 0.0, 1.0),
        ("selu", 0.0, reference.SELU_SCALE * reference.SELU_ALPHA),
        ("hard_sigmoid", -3.0, 0.0),
        ("hard_sigmoid", 3.0, 0.0),
        ("hard_sigmoid", 0.0, 1 / 6),
        ("sigmoid", 0.0, 0.25),
        ("gelu", 0.0, 0.5),
        ("gelu", 1e30, 1.0),
        ("gelu", -1e30, 0.0),
    ],
)
def test_derivative_at_a_kink_or_special_point(space, name, z, expected):
    z = space.array([[z]])
    d = reference.DERIVATIVES[name](z, reference.ACTIVATIONS[name](z))
    np.testing.assert_allclose(space.host(d), [[expected]], rtol=4 * space.eps)


@pytest.mark.parametrize("name", sorted(reference.ACTIVATIONS))
def test_not_a_number_stays_visible(name):
    z = np.array([[np.nan, 1.0]])
    assert np.isnan(reference.ACTIVATIONS[name](z)[0, 0])


def test_exponential_overflows_to_infinity_without_a_warning(space):
    limit = reference.EXPONENT_LIMIT[space.name]
    a = space.host(space.call(reference.ACTIVATIONS["exponential"], space.array([[1e4, limit, -1e4]])))
    assert a[0, 0] == np.inf
    assert np.isfinite(a[0, 1])
    assert a[0, 2] == 0.0


def test_softmax_equals_scipy_and_scikit_learn(space):
    z = np.random.default_rng(3).normal(scale=4.0, size=(6, 9)).astype(np.float32)
    a = space.host(space.call(reference.ACTIVATIONS["softmax"], space.array(z)))
    np.testing.assert_allclose(a, scipy.special.softmax(z.astype(float), axis=1), rtol=30 * space.eps)
    theirs = z.astype(float)
    sklearn_formulas.ACTIVATIONS["softmax"](theirs)
    np.testing.assert_allclose(a, theirs, rtol=30 * space.eps)


def test_softmax_at_the_extremes(space):
    z = space.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [DENORMAL[space.name], 0.0, 0.0]])
    a = space.host(reference.ACTIVATIONS["softmax"](z))
    np.testing.assert_allclose(a, [[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3], rtol=4 * space.eps)
    assert np.array_equal(space.host(reference.ACTIVATIONS["softmax"](space.array([[5.0], [-1e4]]))), [[1], [1]])


@pytest.mark.parametrize("name", sorted(reference.ACTIVATIONS))
def test_bias_activation(space, name):
    rng = np.random.default_rng(4)
    z, bias = space.array(rng.normal(size=(5, 3))), space.array(rng.normal(size=3))
    shifted, a = space.call(reference.bias_activation, z, bias, name)
    np.testing.assert_allclose(space.host(shifted), space.host(z) + space.host(bias), rtol=1e-6)
    assert np.array_equal(space.host(a), space.host(reference.ACTIVATIONS[name](shifted)))
    unshifted, a = space.call(reference.bias_activation, z, None, name)
    assert np.array_equal(space.host(unshifted), space.host(z))
    assert np.array_equal(space.host(a), space.host(reference.ACTIVATIONS[name](z)))


@pytest.mark.parametrize("name", sorted(reference.ACTIVATIONS))
def test_activation_gradient_along_a_random_direction(name):
    rng = np.random.default_rng(5)
    z, bias, da = rng.normal(size=(6, 4)), rng.normal(size=4), rng.normal(size=(6, 4))
    shifted, a = reference.bias_activation(z, bias, name)
    dz, db = reference.activation_gradient(da, shifted, a, name)
    vz, vb, h = rng.normal(size=z.shape), rng.normal(size=4), 1e-6

    def value(t):
        return np.sum(da * reference.bias_activation(z + t * vz, bias + t * vb, name)[1])

    slope = (value(h) - value(-h)) / (2 * h)
    np.testing.assert_allclose(np.sum(dz * vz) + np.sum(db * vb), slope, rtol=1e-7)


@pytest.mark.parametrize("name", sorted(reference.ACTIVATIONS))
def test_activation_gradient_on_every_library(space, name):
    rng = np.random.default_rng(6)
    z, da = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    expected = reference.activation_gradient(da, z, reference.ACTIVATIONS[name](z), name)
    zs = space.array(z)
    found = space.call(reference.activation_gradient, space.array(da), zs, reference.ACTIVATIONS[name](zs), name)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(space.host(mine), theirs, rtol=1e3 * space.eps, atol=20 * space.eps)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (33, 65)])
def test_shapes_and_non_contiguous_inputs(shape):
    rng = np.random.default_rng(7)
    wide = rng.normal(size=(2 * shape[0], 2 * shape[1])).astype(np.float32)
    z, bias = wide[::2, ::-2], wide[0, ::2]
    for name in reference.ACTIVATIONS:
        strided = reference.bias_activation(z, bias, name)
        plain = reference.bias_activation(np.ascontiguousarray(z), bias.copy(), name)
        for mine, theirs in zip(strided, plain, strict=True):
            assert mine.shape == shape
            np.testing.assert_allclose(mine, theirs, rtol=1e-6)
        dz, db = reference.activation_gradient(z, *plain, name)
        assert (dz.shape, db.shape) == (shape, shape[1:])


def test_an_unknown_name_is_an_error_that_proposes_the_right_one():
    z = np.zeros((2, 2))
    with pytest.raises(ArgumentError, match="did you mean 'sigmoid'"):
        reference.bias_activation(z, None, "sigmiod")
    with pytest.raises(ArgumentError, match="did you mean 'relu'"):
        reference.activation_gradient(z, z, z, "relu_")
