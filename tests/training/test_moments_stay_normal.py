"""Numbers that only decay end at zero: arithmetic with denormals is slow, and training would slow down with it.

The columns of an input that has gone blank get gradients of exactly 0, as do the edges of handwritten digits.
"""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import SGD, Adam, AdamW, RMSprop, Sequential
from accelnn.arrays import reference
from tests.training.parity import dense, inputs, targets

OPTIMIZERS = {
    "momentum": SGD(0.01, momentum=0.5),
    "nesterov": SGD(0.01, momentum=0.5, nesterov=True),
    "rmsprop": RMSprop(0.01, rho=0.5),
    "adam": Adam(0.01, beta_1=0.5, beta_2=0.5),
    "adamw": AdamW(0.01, beta_1=0.5, beta_2=0.5),
}


@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_without_gradients_become_zero(name, dtype, runner):
    model = Sequential([dense(4, "tanh"), dense(3)], seed=0, dtype=dtype, backend="cpu")
    options = {"optimizer": OPTIMIZERS[name], "batch_size": 1, "runner": runner}
    model.partial_fit(inputs(), targets(), **options)
    blank = inputs().copy()
    blank[:, 2] = 0.0
    smallest, seen = reference.FLUSH[dtype], set()
    weights = model.layers[0].W.size
    for _ in range(25):  # halved in each of 53 steps: enough for 2**-1000
        moments = model._state.moments
        for moment in moments:
            seen |= set(np.abs(moment[:weights].reshape(model.layers[0].W.shape)[2]).tolist())
            assert np.abs(moment[moment != 0.0]).min() >= smallest > np.finfo(dtype).tiny
        model.partial_fit(blank, targets(), **options)
    assert all((moment[:weights].reshape(model.layers[0].W.shape)[2] == 0.0).all() for moment in model._state.moments)
    assert max(seen) > 0.0
    assert np.isfinite(model.arena.values).all()
