"""Accuracy of the elementary functions in units of the last place, over the whole range of both dtypes.

The functions run inside the loop in which the activations use them, so what is measured is what the compiler makes of
them there: vectorised, inlined, with its choice of fused multiply-adds.
"""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels import activations, catalog
from accelnn_kernels.compiler import Kernel, bind

N_POINTS = 100_000
LIMIT = 4.0

EXTENDED = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


def in_loop(name: str, dtype: np.dtype) -> Kernel:
    """Return the activation loop over any scalar function of the scope."""
    scope = catalog._formulas(dtype.name, compiled=True)
    loop = bind(activations.bias_activation_in_place, {**scope, "activation": scope[name]}, f"{name}.{dtype}.test")
    return Kernel(loop, catalog.SIGNATURES["bias_activation"])


def apply(name: str, x: np.ndarray) -> np.ndarray:
    result, bias = x.copy(), np.zeros_like(x)
    in_loop(name, x.dtype)(0, bias.ctypes.data, result.ctypes.data, 1, x.size)
    return result


def errors(actual: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return the errors in units in the last place of the exact result, given in a wider dtype."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = exact.astype(actual.dtype)
    same = actual == rounded
    with np.errstate(invalid="ignore"):
        distance = np.abs(actual.astype(exact.dtype) - exact) / np.spacing(np.abs(rounded)).astype(exact.dtype)
    return np.where(same, 0.0, distance).astype(np.float64)


def exact_sigmoid(x):
    return np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))


def exact_softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


ANY, NEGATIVE, UNIT = "any", "negative", "unit"
FUNCTIONS = {
    "exp": (np.exp, ANY),
    "expm1": (np.expm1, NEGATIVE),
    "log1p_unit": (np.log1p, UNIT),
    "tanh": (np.tanh, ANY),
    "sigmoid": (exact_sigmoid, ANY),
    "softplus": (exact_softplus, ANY),
}


def points(dtype: np.dtype, domain: str, spread: str) -> np.ndarray:
    """Return test points: over the range of exp, around 1, over all magnitudes, or denormal."""
    rng, info = np.random.default_rng(17), np.finfo(dtype)
    reach = 110.0 if dtype == np.float32 else 760.0
    magnitude = {
        "range": lambda: rng.uniform(0.0, reach, N_POINTS),
        "unit": lambda: rng.uniform(0.0, 2.0, N_POINTS),
        "magnitudes": lambda: np.exp(rng.uniform(np.log(float(info.tiny)), np.log(reach), N_POINTS)),
        "denormal": lambda: rng.integers(0, 1 << 20, N_POINTS) * float(info.smallest_subnormal),
    }[spread]()
    sign = {ANY: rng.choice([-1.0, 1.0], N_POINTS), NEGATIVE: -1.0, UNIT: 1.0}[domain]
    return (sign * (np.minimum(magnitude, 1.0) if domain == UNIT else magnitude)).astype(dtype)


@pytest.mark.parametrize("spread", ["range", "unit", "magnitudes", "denormal"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_in_units_of_the_last_place(name, spread, dtype):
    if dtype == np.float64 and not EXTENDED:
        pytest.skip("no type wider than float64 to compare with on this platform")
    exact, domain = FUNCTIONS[name]
    x = points(dtype, domain, spread)
    with np.errstate(over="ignore", under="ignore"):
        reference = exact(x.astype(np.float64 if dtype == np.float32 else np.longdouble))
    assert errors(apply(name, x), reference).max() <= LIMIT


def test_the_measure_sees_an_error_of_five_units():
    x = np.linspace(0.5, 0.9, 100, dtype=np.float32)
    wrong = np.exp(x.astype(np.float64)) + 5 * np.spacing(np.exp(x)).astype(np.float64)
    assert errors(wrong.astype(np.float32), np.exp(x.astype(np.float64))).min() > LIMIT


def test_ends_of_the_range(dtype):
    info = np.finfo(dtype)
    x = np.array([-np.inf, -1e30, -1e4, -0.0, 0.0, 1e4, 1e30, np.inf, np.nan], dtype)
    inf, nan = np.inf, np.nan
    expected = {
        "exp": [0, 0, 0, 1, 1, inf, inf, inf, nan],
        "tanh": [-1, -1, -1, 0, 0, 1, 1, 1, nan],
        "sigmoid": [0, 0, 0, 0.5, 0.5, 1, 1, 1, nan],
        "softplus": [0, 0, 0, np.log(2), np.log(2), 1e4, 1e30, inf, nan],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(apply(name, x), np.array(values, dtype), rtol=4 * float(info.eps), err_msg=name)
    negative = x[x <= 0]
    np.testing.assert_array_equal(apply("expm1", negative), np.array([-1, -1, -1, 0, 0], dtype))


def test_exp_is_monotonic_where_it_over_and_underflows(dtype):
    info = np.finfo(dtype)
    top, bottom = np.log(float(info.max)), np.log(float(info.smallest_subnormal))
    for centre in (top, bottom):
        x = np.linspace(centre - 1.5, centre + 1.5, 2001).astype(dtype)
        assert (np.diff(apply("exp", x)[np.isfinite(apply("exp", x))]) >= 0).all()
    assert apply("exp", np.array([top - 1e-3], dtype))[0] > float(info.max) / 2
    assert apply("exp", np.array([top + 1e-3], dtype))[0] == np.inf
    assert apply("exp", np.array([bottom + 0.1], dtype))[0] == info.smallest_subnormal


@pytest.mark.parametrize("name", ["tanh", "expm1"])
def test_small_arguments_come_back_unchanged(name, dtype):
    x = -np.geomspace(float(np.finfo(dtype).tiny), 1e-20, 300).astype(dtype)
    with np.errstate(under="ignore"):
        np.testing.assert_allclose(apply(name, x), x, rtol=2 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_plain_python_form(name, dtype):
    """The same source runs without a compiler; only its speed and the rounding of fused multiply-adds differ."""
    formula = catalog._formulas(dtype.name, compiled=False)[name]
    x = points(dtype, FUNCTIONS[name][1], "unit")[:50]
    with np.errstate(all="ignore"):
        slow = np.array([formula(value) for value in x])
    assert slow.dtype == dtype
    np.testing.assert_allclose(slow, apply(name, x), rtol=4 * float(np.finfo(dtype).eps))
