"""Initializers: their statistics, their checks, and what a saved model keeps of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.network import (
    INITIALIZERS,
    Constant,
    Normal,
    Uniform,
    describe_initializer,
    resolve_initializer,
)

SHAPE = (300, 200)


def draw(spec, shape=SHAPE, dtype="float64", seed=0):
    return resolve_initializer(spec)(shape, np.random.default_rng(seed), dtype)


# Variance by the papers: Glorot 2 / (fan_in + fan_out), He 2 / fan_in, LeCun 1 / fan_in.
@pytest.mark.parametrize(
    ("spec", "std", "bound"),
    [
        ("glorot_uniform", np.sqrt(2 / 500), np.sqrt(6 / 500)),
        ("glorot_normal", np.sqrt(2 / 500), None),
        ("he_uniform", np.sqrt(2 / 300), np.sqrt(6 / 300)),
        ("he_normal", np.sqrt(2 / 300), None),
        ("lecun_normal", np.sqrt(1 / 300), None),
        ("normal", 0.05, None),
        ("uniform", 0.1 / np.sqrt(12), 0.05),
        (Normal(0.3), 0.3, None),
        (Uniform(-2, 2), 4 / np.sqrt(12), 2.0),
    ],
)
def test_mean_spread_and_range(spec, std, bound):
    values = draw(spec)
    assert abs(values.mean()) < 5 * std / np.sqrt(values.size)
    assert values.std() == pytest.approx(std, rel=0.02)
    if bound is None:
        assert np.abs(values).max() > 3.5 * std  # not truncated
    else:
        assert 0.99 * bound < np.abs(values).max() <= bound


def test_constants():
    np.testing.assert_array_equal(draw("zeros", (2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(draw("ones", (3,)), np.ones(3))
    np.testing.assert_array_equal(draw(Constant(0.5), (2, 3)), np.full((2, 3), 0.5))


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_dtype_shape_and_seed(name):
    single, double = draw(name, dtype="float32"), draw(name)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_array_equal(single, double.astype(np.float32))
    assert draw(name, (4,)).shape == (4,)


def test_given_arrays_are_copied():
    values = np.arange(6.0).reshape(2, 3)
    initializer = resolve_initializer(values)
    values[0, 0] = 99.0
    first = initializer((2, 3), np.random.default_rng(0), "float32")
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(draw([[1, 2]], (1, 2)), [[1.0, 2.0]])


def test_any_callable_is_an_initializer():
    def eye(shape, rng, dtype):
        return np.eye(*shape, dtype=dtype)

    assert resolve_initializer(eye) is eye
    assert describe_initializer(eye) is None


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("he_norml", ArgumentError, "did you mean 'he_normal'"),
        ("constant", ArgumentError, r"Constant\(value\)"),
        (3, ArgumentTypeError, "initializer is 3"),
        (Normal, ArgumentTypeError, "use a name, an initializer such as"),
        (None, ArgumentTypeError, "use a name"),
        (np.array([1.0, np.nan]), ArgumentError, "finite"),
        (np.array(["a"]), ArgumentTypeError, "real numbers"),
        ([[1.0], [1.0, 2.0]], ArgumentTypeError, "NumPy array"),
        ({"name": "cauchy"}, ArgumentError, "known names are constant"),
        ({"name": "normal", "sdt": 1.0}, ArgumentError, "arguments of normal"),
    ],
)
def test_unusable_specs(spec, error, message):
    with pytest.raises(error, match=message):
        resolve_initializer(spec)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(-1.0), "std is -1.0"),
        (lambda: Normal(float("nan")), "std is nan"),
        (lambda: Normal("0.1"), "std is '0.1' of type str"),
        (lambda: Uniform(1.0, 1.0), "high is 1.0: use a number above low"),
        (lambda: Constant(float("inf")), "value is inf"),
        (lambda: Constant(True), "value is True"),
    ],
)
def test_unusable_arguments(make, message):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        make()


def test_an_overflow_in_float32_is_refused():
    with pytest.raises(ArgumentError, match="finite in float32"):
        draw(np.array([1e300]), (1,), "float32")


@pytest.mark.parametrize("spec", [*sorted(INITIALIZERS), Constant(0.5), Normal(0.2), Uniform(-1, 3)])
def test_descriptions_survive_json(spec):
    initializer = resolve_initializer(spec)
    description = json.loads(json.dumps(describe_initializer(initializer)))
    assert resolve_initializer(description) == initializer


def test_given_arrays_are_not_described():
    assert describe_initializer(resolve_initializer(np.ones(3))) is None
