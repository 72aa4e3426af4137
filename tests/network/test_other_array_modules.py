"""The layers on array_api_strict: what runs there uses nothing that only NumPy has, so it runs on CuPy."""

from __future__ import annotations

from dataclasses import dataclass

import array_api_strict
import numpy as np
import pytest

from accelnn.arrays.backend import Backend
from accelnn.arrays.reference import dropout_keys
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

DEVICE = array_api_strict.Device("device1")  # not the host: a hidden transfer to NumPy is an error


@dataclass(frozen=True)
class StrictBackend(Backend):
    """array_api_strict in the place of CuPy."""

    name: str = "cpu"
    device: str = "cpu"
    xp: object = array_api_strict

    def asarray(self, x, dtype=None):
        return array_api_strict.asarray(np.array(x, dtype=dtype), device=DEVICE)

    def to_host(self, x):
        return np.asarray(array_api_strict.asarray(x, device=array_api_strict.Device("CPU_DEVICE")))


class Scale(Layer):
    def build(self, n_in):
        self.add_parameter("s", (n_in,), "uniform")
        return n_in

    def forward(self, x, context):
        self.x, self.xp = x, context.xp
        return x * self.s

    def backward(self, dy):
        self.ds[...] = self.xp.sum(dy * self.x, axis=0)
        return dy * self.s


def make(backend, dtype):
    layers = [
        Rescaling(0.5, 0.1),
        Dense(6, "gelu", bias_initializer="normal"),
        BatchNorm(),
        Dropout(0.25),
        Dense(5, use_bias=False),
        LayerNorm(),
        Activation("selu"),
        Scale(),
        Dense(3, "softmax"),
    ]
    return Network(layers, n_in=4, dtype=dtype, backend=backend, seed=9)


def passes(network, scores):
    """Return output, predictions, dx, gradients and all weights as host arrays."""
    backend = network.backend
    x = backend.asarray(np.random.default_rng(0).integers(0, 9, (6, 4)).astype(np.uint8))
    upstream = backend.asarray(np.random.default_rng(1).standard_normal((6, 3)))
    keys = dropout_keys(1, np.arange(1), network.n_dropout)[0]
    y = network.forward(x, network.context(training=True, dropout_keys=keys), scores=scores)
    dx = network.backward(upstream)
    gradients = backend.to_host(network.arena.gradients).copy()
    network.backward_parameters(upstream)
    predicted = network.forward(x, network.context())
    fixed_dx = network.backward(upstream)
    arrays = [y, dx, network.arena.gradients, predicted, fixed_dx]
    return [gradients, *map(backend.to_host, arrays), *network.get_weights()]


@pytest.mark.parametrize("scores", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-11)])
def test_same_numbers_as_numpy(dtype, tolerance, scores):
    strict, plain = make(StrictBackend(), dtype), make("cpu", dtype)
    for mine, expected in zip(passes(strict, scores), passes(plain, scores), strict=True):
        assert mine.dtype == expected.dtype == dtype
        np.testing.assert_allclose(mine, expected, rtol=tolerance, atol=tolerance)
    strict.set_weights(plain.get_weights())
