"""What comes out of each layer."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import BatchNorm, Dense, Dropout, Layer, Rescaling, Sequential
from accelnn.errors import ArgumentError, NotBuiltError, ShapeError

X = np.arange(12, dtype=np.uint8).reshape(4, 3)


def layers() -> list[Dense | Dropout | BatchNorm | Rescaling]:
    return [Rescaling(0.1), Dense(5, "tanh"), Dropout(0.5), BatchNorm(), Dense(2, "softmax")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_of_every_layer(dtype: str) -> None:
    model = Sequential(layers(), n_in=3, dtype=dtype, seed=0)
    scaled, hidden, kept, normalized, output = model.layer_outputs(X)
    W, b = model.get_weights()[:2]
    np.testing.assert_allclose(scaled, X * 0.1, rtol=1e-6)
    np.testing.assert_allclose(hidden, np.tanh(X * 0.1 @ W + b), rtol=1e-5)
    np.testing.assert_array_equal(kept, hidden)  # dropout is off
    assert normalized.shape == (4, 5)
    np.testing.assert_allclose(output, model.predict_proba(X), rtol=1e-5)
    assert {array.dtype.name for array in (scaled, hidden, kept, normalized, output)} == {dtype}


def test_they_are_copies() -> None:
    model = Sequential([Dense(2), Dropout(0.5)], n_in=3, seed=0)
    first, second = model.layer_outputs(X)
    first[...] = -1.0
    assert (second != -1.0).any()


def test_wrong_inputs() -> None:
    with pytest.raises(NotBuiltError):
        Sequential([Dense(2)]).layer_outputs(X)
    model = Sequential([Dense(2)], n_in=3)
    with pytest.raises(ShapeError, match="2 columns"):
        model.layer_outputs(X[:, :2])
    with pytest.raises(ArgumentError, match=r"x\[0, 1\] is nan"):
        model.layer_outputs([[0.0, np.nan, 1.0]])


def test_a_layer_that_writes_to_its_input_does_not_write_to_the_users():
    class InPlace(Layer):
        def build(self, n_in):
            return n_in

        def forward(self, x, context):
            x *= 2.0
            return x

        def backward(self, dy):
            return 2.0 * dy

    x = np.ones((3, 2), np.float32)
    outputs = Sequential([InPlace(), InPlace()], n_in=2, seed=0).layer_outputs(x)
    assert [float(output[0, 0]) for output in outputs] == [2.0, 4.0]
    assert (x == 1.0).all()
