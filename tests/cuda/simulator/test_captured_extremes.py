"""The captured runner where numbers are large: right for scores up to +-1e4, and an end where they are not finite."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from simulated_device import SimulatedDevice

from accelnn import SGD, Dense, Sequential
from accelnn.errors import DivergenceError
from accelnn.training import fit
from accelnn.training.runners import captured

SCORES = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [3.0, 1e4, 5e3]])
LABELS = np.array([1, 0, 2, 1, 0])
ROWS = np.eye(3)[LABELS]


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let fits run on a simulated device."""
    device = SimulatedDevice()

    def choose(requested, network, *arguments, objective, **rest):
        options = {"device": device, "precision": network.dtype, "objective": objective}
        return captured.CapturedRunner(network, *arguments, **options)

    monkeypatch.setattr(fit, "choose_runner", choose)


def step(output: str, y: np.ndarray, loss: str, dtype: str) -> tuple[float, np.ndarray]:
    """Return the loss of ``SCORES`` and its gradient with respect to weights that are the identity."""
    layer = Dense(3, output, initializer=np.eye(3), use_bias=False)
    model = Sequential([layer], dtype=dtype, backend="cpu", seed=0, n_in=3)
    history = model.fit(SCORES, y, loss=loss, epochs=1, batch_size=None, optimizer=SGD(1.0), verbose=0)
    assert history.runner == "captured"
    return history["loss"][0], np.eye(3) - model.get_weights()[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("y", [LABELS, ROWS], ids=["labels", "rows"])
def test_cross_entropy(y: np.ndarray, dtype: str) -> None:
    loss, gradient = step("softmax", y, "cross_entropy", dtype)
    assert loss == pytest.approx(-log_softmax(SCORES, axis=1)[range(5), LABELS].mean(), rel=1e-5)
    expected = SCORES.T @ (softmax(SCORES, axis=1) - ROWS) / 5
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy(dtype: str) -> None:
    loss, gradient = step("sigmoid", ROWS, "binary_cross_entropy", dtype)
    assert loss == pytest.approx((np.logaddexp(0.0, SCORES) - ROWS * SCORES).sum(axis=1).mean(), rel=1e-5)
    assert np.isfinite(gradient).all()


def test_a_run_that_fails_says_where_it_began() -> None:
    model = Sequential([Dense(3, "tanh", name="hidden"), Dense(3, name="output")], backend="cpu", seed=0)
    with pytest.raises(DivergenceError, match=r"step 2 of 3, .*is W of layer hidden \(update\) in step 1, and"):
        model.fit(SCORES / 1e4, -ROWS, learning_rate=1e38, batch_size=2, epochs=2, verbose=0, shuffle=False)
