"""Losses and gradients stay finite, and right, for scores up to +-1e4, in both dtypes and in all runners of a CPU.

The exponential of such a score is infinite in either dtype. So ``poisson``, whose rate it is, cannot be part of this:
its loss is infinite, and the run is ended (see test_divergence.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from accelnn import SGD, Activation, Dense, Sequential
from accelnn.errors import DivergenceError
from accelnn.network import ACTIVATION_ENTRIES

SCORES = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [3.0, 1e4, 5e3]])
LABELS = np.array([1, 0, 2, 1, 0])
ROWS = np.eye(3)[LABELS]
RUNNERS = ("plain", "compiled")
DTYPES = ("float32", "float64")


def step(output: str, y: Any, loss: str, *, dtype: str, runner: str, **options: Any) -> tuple[float, np.ndarray]:
    """Return the loss of ``SCORES`` and its gradient with respect to weights that are the identity."""
    layer = Dense(3, output, initializer=np.eye(3), use_bias=False)
    model = Sequential([layer], dtype=dtype, backend="cpu", seed=0, n_in=3)
    settings = {"epochs": 1, "batch_size": None, "optimizer": SGD(1.0), "verbose": 0, **options}
    history = model.fit(SCORES, y, loss=loss, runner=runner, **settings)
    return history["loss"][0], np.eye(3) - model.get_weights()[0]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("dtype", DTYPES)
class TestLosses:
    @pytest.mark.parametrize("y", [LABELS, ROWS], ids=["labels", "rows"])
    @pytest.mark.parametrize("weights", [None, np.arange(1.0, 6.0)], ids=["", "weighted"])
    def test_cross_entropy(self, y: np.ndarray, weights: np.ndarray | None, dtype: str, runner: str) -> None:
        loss, gradient = step("softmax", y, "cross_entropy", dtype=dtype, runner=runner, sample_weight=weights)
        shares = np.full(5, 0.2) if weights is None else weights / weights.sum()
        assert loss == pytest.approx(-(shares * log_softmax(SCORES, axis=1)[range(5), LABELS]).sum(), rel=1e-5)
        expected = SCORES.T @ (shares[:, None] * (softmax(SCORES, axis=1) - ROWS))
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-2)

    def test_binary_cross_entropy(self, dtype: str, runner: str) -> None:
        loss, gradient = step("sigmoid", ROWS, "binary_cross_entropy", dtype=dtype, runner=runner)
        exact = np.logaddexp(0.0, SCORES) - ROWS * SCORES
        assert loss == pytest.approx(exact.sum(axis=1).mean(), rel=1e-5)
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e3

    @pytest.mark.parametrize("loss", ["mse", "mae", "huber", "sse"])
    @pytest.mark.parametrize("output", ["identity", "relu", "softplus", "tanh"])
    def test_losses_of_a_regression(self, loss: str, output: str, dtype: str, runner: str) -> None:
        value, gradient = step(output, -ROWS, loss, dtype=dtype, runner=runner)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()

    def test_poisson_ends_the_run(self, dtype: str, runner: str) -> None:
        with pytest.raises(DivergenceError, match="the loss is inf"):
            step("exponential", ROWS, "poisson", dtype=dtype, runner=runner)

    @pytest.mark.parametrize("activation", sorted(set(ACTIVATION_ENTRIES) - {"exponential"}))
    def test_activations_in_between(self, activation: str, dtype: str, runner: str) -> None:
        layers = [Dense(3, initializer=np.eye(3)), Activation(activation), Dense(3, "softmax")]
        model = Sequential(layers, dtype=dtype, backend="cpu", seed=0)
        history = model.fit(SCORES, LABELS, epochs=3, batch_size=2, learning_rate=1e-3, verbose=0, runner=runner)
        assert np.isfinite(history["loss"]).all()
        assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_predictions_and_evaluations(dtype: str, output: str) -> None:
    layer = Dense(3, output, initializer=np.eye(3), use_bias=False)
    model = Sequential([layer], dtype=dtype, backend="cpu", seed=0, n_in=3)
    probabilities = model.predict_proba(SCORES)
    assert np.isfinite(probabilities).all()
    assert probabilities.min() >= 0.0
    assert probabilities.max() <= 1.0
    assert np.isfinite(model.evaluate(SCORES, ROWS)["loss"])


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_denormal_numbers_lead_to_nothing_worse(dtype: str, runner: str) -> None:
    """Inputs, weights and gradients with a few digits are no reason to divide by zero."""
    tiny = float(np.finfo(dtype).tiny) / 64
    layer = Dense(3, initializer=np.full((3, 3), tiny), use_bias=False)
    model = Sequential([layer], dtype=dtype, backend="cpu", seed=0, n_in=3)
    x = np.full((4, 3), tiny)
    history = model.fit(x, np.zeros((4, 3)), epochs=5, batch_size=2, optimizer="adam", verbose=0, runner=runner)
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
