"""Train the same model with the plain and the compiled runner, and compare everything they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from accelnn import Activation, BatchNorm, Dense, Dropout, History, LayerNorm, Normal, Sequential
from accelnn.network import Layer

N_ROWS, N_IN, BATCH_SIZE = 53, 5, 16
"""The last of the four batches of an epoch has 5 rows: fewer than the others, and not a multiple of any team."""

EPOCHS = 50
"""Fifty epochs of four batches are the 200 steps after which the runners may differ by 1e-9 at most."""

Layers = Callable[[], Sequence[Layer]]


def dense(units: int, activation: str = "identity", **options: Any) -> Dense:
    """Return a dense layer whose biases do not start at 0, where a relative difference says nothing."""
    return Dense(units, activation, **{"bias_initializer": Normal(0.3), **options})


def small_net(output: Layer | None = None) -> list[Layer]:
    return [dense(7, "tanh"), output or dense(3)]


def inputs(seed: int = 1, n: int = N_ROWS, n_in: int = N_IN) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n_in))


def targets(n_out: int = 3, seed: int = 2, n: int = N_ROWS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n_out))


def labels(n_classes: int = 3, seed: int = 3, n: int = N_ROWS) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n_classes, n)


def one_hot(n_classes: int = 3) -> np.ndarray:
    return np.eye(n_classes)[labels(n_classes)]


def trained(
    layers: Layers, x: Any, y: Any, *, dtype: Any = "float64", seed: int = 0, **options: Any
) -> tuple[Sequential, History]:
    """Return a new model after training, and its history."""
    model = Sequential(layers(), dtype=dtype, seed=seed)
    options = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0, "runner": "compiled"} | options
    return model, model.fit(x, y, **options)


def check_runners_agree(
    use_threads: Callable[[int], None],
    layers: Layers,
    x: Any = None,
    y: Any = None,
    *,
    teams: Sequence[int] = (1, 2, 3),
    all_move: bool = True,
    tolerance: float = 1e-9,
    **options: Any,
) -> None:
    """Assert that weights, states and losses of the compiled runner are those of the plain one, for all ``teams``.

    ``tolerance`` is relative to the largest number of each array. ``all_move``: training must change every array.
    """
    x = inputs() if x is None else x
    y = targets() if y is None else y
    model, history = trained(layers, x, y, runner="plain", **options)
    assert history.runner == "plain"
    if all_move:
        check_all_weights_moved(Sequential(layers(), n_in=model.n_in, dtype=model.dtype, seed=0), model)
    for team in teams:
        use_threads(team)
        other, other_history = trained(layers, x, y, **options)
        assert other_history.runner == "compiled"
        check_same_weights(model, other, tolerance)
        np.testing.assert_allclose(other_history["loss"], history["loss"], rtol=10 * tolerance, atol=tolerance)


def check_all_weights_moved(before: Sequential, after: Sequential) -> None:
    """Assert that training changed every array: else nothing would be compared."""
    for variable, a, b in zip(before.arena.parameters, before.get_weights(), after.get_weights(), strict=False):
        moved = np.max(np.abs(b - a)) / np.max(np.abs(b))
        assert moved > 1e-5, f"{variable.layer_name}.{variable.name} moved by {moved:.2g}"


def check_same_weights(model: Sequential, other: Sequential, tolerance: float) -> None:
    variables = (*model.arena.parameters, *model.arena.states)
    for variable, a, b in zip(variables, model.get_weights(), other.get_weights(), strict=True):
        difference = np.max(np.abs(a - b)) / np.max(np.abs(a))
        assert difference < tolerance, f"{variable.layer_name}.{variable.name} differs by {difference:.2g}"


def activation_everywhere(name: str) -> list[Layer]:
    """Return a net with this activation in every position: first, in a dense layer, behind others, and last.

    Normalization with a small epsilon would blow up columns in which nearly all units of a relu are silent; then
    training is chaotic, and rounding grows with every step.
    """
    return [
        Activation(name),
        dense(6, name, initializer=Normal(0.3), use_bias=False),
        BatchNorm(epsilon=0.1),
        Activation(name),
        dense(4, initializer=Normal(0.3)),
        Activation(name),
        LayerNorm(epsilon=0.1),
        Activation(name),
        dense(3, name, initializer=Normal(0.3)),
    ]


def said_of_runners(caplog: Any) -> list[str]:
    """Return the log lines about the choice of a runner; others tell of compiling, where a cache is still empty."""
    return [message for message in caplog.messages if "runner" in message]


def weights_after_training(
    seed: int, threads: int | None = None, sender: Any = None, limit: int | None = None
) -> list[np.ndarray]:
    """Return the weights of a small model after a few epochs, and send them to another process if there is one.

    Teams have ``threads`` threads, and not more than ``limit``.
    """
    from accelnn.training.runners import compiled

    if threads is not None:
        compiled.team_size = lambda *_: threads
    layers = [BatchNorm(), dense(20, "gelu"), Dropout(0.2), LayerNorm(), dense(3, "softmax")]
    model = Sequential(layers, seed=seed)
    options: dict[str, Any] = {"metrics": "accuracy", "validation_split": 0.2, "threads": limit}
    model.fit(inputs(n=400), labels(n=400), epochs=5, verbose=0, **options)
    weights = model.get_weights()
    if sender is not None:
        sender.send(weights)
    return weights
