"""What a step minimises: the scale of the loss and the share of the penalties, in both runners, by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import SGD, Dense, Sequential
from accelnn.training.callbacks import CallbackList
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState, Settings, Training
from accelnn.training.objective import Objective

BATCH_SIZE, L1, L2 = 8, 0.02, 0.3
RATE = 0.1


def rows(*, weighted: bool) -> TrainingData:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(21, 3)), rng.normal(size=(21, 2))  # the last batch has 5 rows
    return TrainingData(x, y, rng.uniform(0.5, 2.0, 21) if weighted else None)


def network() -> Sequential:
    layer = Dense(2, "identity", l1=L1, l2=L2)
    return Sequential([layer], n_in=3, dtype="float64", backend="cpu", seed=1)


def by_hand(data: TrainingData, objective: Objective) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Return the losses of the steps, W and b after an epoch of gradient descent on the mean squared error."""
    (W, b), losses = network().get_weights(), []
    for start in range(0, len(data), BATCH_SIZE):
        x, y = data.x[start : start + BATCH_SIZE], data.y[start : start + BATCH_SIZE]
        w = np.ones(len(x)) if data.weights is None else data.weights[start : start + BATCH_SIZE]
        share = 1.0 / w.sum() if objective.penalty_per_row else 1.0
        error = x @ W + b - y
        loss = objective.loss_scale * np.sum(w[:, None] * error**2) / (2 * w.sum())
        losses.append(loss + share * (L1 * np.abs(W).sum() + L2 / 2 * np.sum(W**2)))
        d = objective.loss_scale * w[:, None] * error / w.sum()
        W, b = W - RATE * (x.T @ d + share * (L1 * np.sign(W) + L2 * W)), b - RATE * d.sum(axis=0)
    return losses, W, b


@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "objective", [Objective(), Objective(2.5), Objective(penalty_per_row=True), Objective(0.5, True)]
)
def test_an_epoch_as_by_hand(objective: Objective, weighted: bool, runner: str) -> None:
    data, model = rows(weighted=weighted), network()
    settings = Settings("mse", 1, BATCH_SIZE, None, runner, np.arange(len(data)), objective=objective)
    history = Training(model, data, settings, OptimizerState.fresh(SGD(RATE), model), CallbackList()).run()
    losses, W, b = by_hand(data, objective)
    np.testing.assert_allclose(model.get_weights()[0], W, rtol=1e-12)
    np.testing.assert_allclose(model.get_weights()[1], b, rtol=1e-12)
    counts = [BATCH_SIZE, BATCH_SIZE, 5] if data.weights is None else np.add.reduceat(data.weights, [0, 8, 16])
    assert history["loss"] == pytest.approx([np.average(losses, weights=counts)], rel=1e-12)


def test_a_batch_whose_rows_count_nothing_changes_nothing() -> None:
    data, model = rows(weighted=True), network()
    assert data.weights is not None
    data.weights[:] = 0.0
    before = model.get_weights()
    for runner in ("plain", "compiled"):
        settings = Settings("mse", 1, 21, None, runner, np.arange(21), objective=Objective(1.0, True))
        Training(model, data, settings, OptimizerState.fresh(SGD(RATE), model), CallbackList()).run()
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
