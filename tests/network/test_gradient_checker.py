"""The gradient checker itself: a check that cannot fail proves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn.network import Dense, Layer, Network
from tests.gradient_check import STEP, KinkError, check_gradient, check_network_gradients


@pytest.fixture
def x(rng):
    return rng.uniform(0.5, 2.0, (4, 3))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_accepts_the_right_gradient_and_restores_the_variable(x, rng):
    before = x.copy()
    check_gradient(lambda: float(np.sum(x**3)), x, 3 * x**2, rng)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("factor", [1.0005, 0.9995, -1.0, 0.0])
def test_rejects_a_gradient_that_is_0_05_percent_wrong(x, rng, factor):
    with pytest.raises(AssertionError, match="gradient says"):
        check_gradient(lambda: float(np.sum(x**3)), x, factor * 3 * x**2, rng)


def test_rejects_one_wrong_element(x, rng):
    gradient = 3 * x**2
    gradient[2, 1] *= 1.0005
    with pytest.raises(AssertionError, match="gradient says"):
        check_gradient(lambda: float(np.sum(x**3)), x, gradient, rng)


def test_rejects_nan_float32_and_a_wrong_shape(x, rng):
    with pytest.raises(AssertionError):
        check_gradient(lambda: float(np.sum(x)), x, np.full_like(x, np.nan), rng)
    with pytest.raises(AssertionError, match="float32"):
        check_gradient(lambda: float(np.sum(x)), x, np.ones_like(x, dtype=np.float32), rng)
    with pytest.raises(AssertionError, match="shape"):
        check_gradient(lambda: float(np.sum(x)), x, np.ones(3), rng)


@pytest.mark.parametrize("place", [0.0, 0.1, 1 / 3, 0.5, 0.6, 0.9, -0.4])
def test_finds_a_kink_wherever_it_is_within_the_step(rng, place):
    point = np.array([0.3])

    def bent():
        return float(point[0] ** 2 + max(0.0, point[0] - 0.3 - place * STEP))

    with pytest.raises(KinkError):
        check_gradient(bent, point, 2 * point, rng)


class WrongScale(Layer):
    """Forward 2 x, backward 0.05 % off."""

    def forward(self, x, context):
        return 2.0 * x

    def backward(self, dy):
        return 2.001 * dy


class Forgetful(Layer):
    """Has a parameter and never assigns its gradient."""

    def build(self, n_in):
        self.add_parameter("s", (n_in,), "ones")
        return n_in

    def forward(self, x, context):
        return x * self.s

    def backward(self, dy):
        return dy * self.s


@pytest.mark.parametrize("layer", [WrongScale, Forgetful])
def test_rejects_a_network_with_a_wrong_layer(x, rng, layer):
    network = Network([Dense(5, "tanh"), layer()], n_in=3, dtype="float64", backend="cpu", seed=0)
    with pytest.raises(AssertionError):
        check_network_gradients(network, x, rng)
