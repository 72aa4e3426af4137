"""A network with a layer of the user's own runs on the plain runner, with fused operations where it may choose."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import Sequential
from accelnn.arrays import FusedOps, PlainOps
from accelnn.network import BatchNorm, Dense, Dropout, Layer


class Spy(Layer):
    """Passes everything through and remembers which operations it was offered."""

    def forward(self, x, context):
        self.ops = context.ops
        return x

    def backward(self, dy):
        return dy


def trained(runner):
    """Return the layer and the weights after two epochs with a partial last batch."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(70, 5)), rng.integers(0, 3, 70)
    spy = Spy()
    layers = [Dense(16, "gelu"), BatchNorm(), Dropout(0.2), spy, Dense(3, "softmax")]
    model = Sequential(layers, dtype="float64", backend="cpu", seed=0)
    model.fit(x, y, loss="cross_entropy", optimizer="adam", epochs=2, batch_size=16, runner=runner, verbose=0)
    used = type(spy.ops)
    model.predict(x)
    return used, type(spy.ops), model.get_weights()


@pytest.mark.parametrize(("runner", "expected"), [("auto", FusedOps), ("plain", PlainOps)])
def test_operations_that_layers_are_offered(runner, expected):
    in_training, in_prediction, _ = trained(runner)
    assert in_training is expected
    assert in_prediction is FusedOps


def test_both_train_the_same_weights():
    for fused, plain in zip(trained("auto")[2], trained("plain")[2], strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-9, atol=1e-12)
