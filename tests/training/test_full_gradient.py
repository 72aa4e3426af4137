"""Loss and gradient over all rows, against the network's own forward and backward pass in one batch."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import Dense, Sequential
from accelnn.arrays import reference
from accelnn.training import full_gradient
from accelnn.training.data import TrainingData
from accelnn.training.full_gradient import FullGradient
from accelnn.training.objective import Objective

N_ROWS, L2 = 53, 0.2


def network(dtype: str = "float64") -> Sequential:
    layers = [Dense(6, "tanh", l2=L2), Dense(3, "softmax", l2=L2)]
    return Sequential(layers, n_in=4, dtype=dtype, backend="cpu", seed=0)


def rows(*, weighted: bool = False) -> TrainingData:
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.0, 2.0, N_ROWS) if weighted else None
    return TrainingData(rng.normal(size=(N_ROWS, 4)), rng.integers(0, 3, N_ROWS), weights)


def in_one_batch(data: TrainingData, values: np.ndarray, scale: float) -> tuple[float, np.ndarray]:
    model = network()
    model.arena.values[...] = values
    scores = model.forward(data.x, model.context(training=True), scores=True)
    loss, gradient = reference.loss_and_gradient("cross_entropy", scores, data.y, data.weights)
    model.backward_parameters(scale * gradient)
    total = scale * float(loss)
    for parameter in model.arena.parameters:
        total += parameter.l2 / 2 * float(np.sum(parameter.values**2))
        parameter.gradients[...] += parameter.l2 * parameter.values
    return total, model.arena.gradients


@pytest.mark.parametrize("batch_rows", [8, 53, 1000])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_add_up(monkeypatch: pytest.MonkeyPatch, batch_rows: int, weighted: bool) -> None:
    monkeypatch.setitem(full_gradient.ROWS_AT_A_TIME, "cpu", batch_rows)
    data, objective = rows(weighted=weighted), Objective(1.5)
    function = FullGradient(network(), data, "cross_entropy", objective)
    values = np.random.default_rng(2).normal(size=network().count_parameters())
    for at in (values, -values, values):  # a call leaves nothing behind
        loss, gradient = function(at)
        expected_loss, expected = in_one_batch(data, at, 1.5)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-13)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    function = FullGradient(network(), rows(), "cross_entropy", Objective())
    rng = np.random.default_rng(3)
    values, direction = rng.normal(size=(2, network().count_parameters()))
    slope = (function(values + 1e-5 * direction)[0] - function(values - 1e-5 * direction)[0]) / 2e-5
    assert slope == pytest.approx(float(function(values)[1] @ direction), rel=1e-7)


def test_float32_networks_answer_in_float64() -> None:
    model = network("float32")
    loss, gradient = FullGradient(model, rows(), "cross_entropy", Objective())(np.zeros(model.count_parameters()))
    assert (type(loss), gradient.dtype) == (float, np.dtype("float64"))
    assert loss == pytest.approx(np.log(3), rel=1e-6)
