"""Every layer, activation and loss against the slope of what it computes, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn.arrays.reference import ACTIVATIONS, LOSSES, dropout_keys, loss_and_gradient
from accelnn.network import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    Network,
    Rescaling,
)
from tests.gradient_check import check_gradient, check_network_gradients

N_IN = 5


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture
def x(rng):
    return 0.5 * rng.standard_normal((7, N_IN))


def build(*layers):
    network = Network(layers, n_in=N_IN, dtype="float64", backend="cpu", seed=3)
    # Away from the first values: a factor gamma = 1 or a bias 0 that is forgotten would not show.
    network.arena.values[...] += 0.3 * np.random.default_rng(4).standard_normal(network.arena.values.shape)
    return network


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_dense_with_every_activation(activation, x, rng):
    network = build(Dense(6, activation, bias_initializer="normal"), Dense(4, activation))
    check_network_gradients(network, x, rng)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activation_layer(activation, x, rng):
    network = build(Dense(6), BatchNorm(), Activation(activation), Dense(2))
    check_network_gradients(network, x, rng)


class Scale(Layer):
    """The example of the documentation."""

    def build(self, n_in):
        self.add_parameter("s", (n_in,), "uniform")
        return n_in

    def forward(self, x, context):
        self.x, self.xp = x, context.xp
        return x * self.s

    def backward(self, dy):
        self.ds[...] = self.xp.sum(dy * self.x, axis=0)
        return dy * self.s


STACKS = {
    "no bias": lambda: [Dense(4, "tanh", use_bias=False), Dense(3, use_bias=False)],
    "batch norm": lambda: [Dense(4), BatchNorm(), Dense(3, "tanh")],
    "layer norm": lambda: [LayerNorm(), Dense(4), LayerNorm(), Dense(3, "tanh")],
    "rescaling": lambda: [Rescaling(1 / 3, -0.5), Dense(3, "sigmoid")],
    "dropout": lambda: [Dropout(0.3), Dense(6, "tanh"), Dropout(0.5), Dense(3), Dropout(0.0)],
    "custom first": lambda: [Scale(), Dense(3, "tanh")],
    "custom": lambda: [Dense(4, "silu"), Scale(), Dense(3)],
    "all": lambda: [
        Rescaling(2.0),
        Dense(6, "gelu"),
        BatchNorm(),
        Dropout(0.2),
        Dense(5, "elu"),
        LayerNorm(),
        Scale(),
        Dense(3, "softmax"),
    ],
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("stack", sorted(STACKS))
def test_layers(stack, training, x, rng):
    network = build(*STACKS[stack]())
    keys = dropout_keys(11, np.arange(1), network.n_dropout)[0]
    if not training:  # move the running statistics away from 0 and 1 first
        network.forward(x, network.context(training=True, dropout_keys=keys))
    check_network_gradients(network, x, rng, training=training, dropout_keys=keys)


@pytest.mark.parametrize("stack", sorted(STACKS))
def test_gradients_without_dx_are_the_same_bits(stack, x, rng):
    network = build(*STACKS[stack]())
    keys = dropout_keys(11, np.arange(1), network.n_dropout)[0]
    y = network.forward(x, network.context(training=True, dropout_keys=keys))
    upstream = rng.standard_normal(y.shape)
    network.backward(upstream)
    expected = network.arena.gradients.copy()
    network.arena.gradients[...] = np.nan
    network.backward_parameters(upstream)
    np.testing.assert_array_equal(network.arena.gradients, expected)


@pytest.mark.parametrize("last", [Dense(3, "softmax"), Activation("softmax")], ids=["in dense", "layer of its own"])
def test_scores_leave_out_the_last_activation(last, x, rng):
    network = Network([Dense(3), last], n_in=N_IN, dtype="float64", backend="cpu", seed=3)
    context = network.context(training=True)
    scores = network.forward(x, context, scores=True)
    check_network_gradients(network, x, rng, scores=True)
    powers = np.exp(scores)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.forward(x, context), expected, rtol=1e-12)


def targets_for(loss, rng, n_out):
    if loss == "cross_entropy":
        return rng.integers(0, n_out, 7)
    if loss in ("binary_cross_entropy", "poisson"):
        return rng.integers(0, 2, (7, n_out)).astype(float)
    return rng.standard_normal((7, n_out))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_through_a_network(loss, weighted, x, rng):
    """From the loss value down to the first weight: what training differentiates."""
    formula = LOSSES[loss]
    network = build(Dense(6, "tanh"), Dense(3, formula.fused_activation or "identity"))
    scores = formula.fused_activation is not None
    context = network.context(training=True)
    target = targets_for(loss, rng, 3)
    weight = rng.uniform(0.1, 2.0, 7) if weighted else None

    def value():
        output = network.forward(x, context, scores=scores)
        return float(loss_and_gradient(loss, output, target, weight)[0])

    output = network.forward(x, context, scores=scores)
    dx = network.backward(loss_and_gradient(loss, output, target, weight)[1])
    gradients = network.arena.gradients.copy()
    check_gradient(value, x, dx, rng, "x")
    check_gradient(value, network.arena.values, gradients, rng, "parameters")


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "poisson"])
def test_the_fused_gradient_is_the_gradient_through_the_activation(loss, x, rng):
    """d loss/d scores, written in one formula, equals the chain rule through the activation layer."""
    activation = LOSSES[loss].fused_activation
    network = build(Dense(3, activation))
    context = network.context(training=True)
    target = np.eye(3)[rng.integers(0, 3, 7)] if loss == "cross_entropy" else targets_for(loss, rng, 3)

    scores = network.forward(x, context, scores=True)
    _, d_scores = loss_and_gradient(loss, scores, target)
    network.backward(d_scores)
    fused = network.arena.gradients.copy()

    a = network.forward(x, context)
    d_loss_d_a = {
        "cross_entropy": -target / a,
        "binary_cross_entropy": (a - target) / (a * (1 - a)),
        "poisson": (1 - target / a) / 3,
    }[loss]
    network.backward(d_loss_d_a / len(x))
    np.testing.assert_allclose(network.arena.gradients, fused, rtol=1e-10, atol=1e-13)
