"""Fits on a simulated device beside fits of the plain runner, for tests of the captured runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulated_device import SimulatedDevice

from accelnn import SGD, Dense, Normal, Sequential
from accelnn.training import fit
from accelnn.training.runners import captured, fused_layers, persistent

N_ROWS, N_IN, BATCH_SIZE = 22, 5, 8
"""The last of the three batches of an epoch has 6 rows: fewer than the others."""

FORMS = ("persistent", "fused", "products")
"""What a step is made of: the persistent kernel, a launch for each pass of a layer, or matrix products."""


def use_form(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Say what steps are made of from now on, where the network allows it."""
    monkeypatch.setattr(fused_layers, "MAX_MULTIPLICATIONS", 0 if form == "products" else 1 << 25)
    monkeypatch.setattr(persistent, "MAX_ROWS", 512 if form == "persistent" else 0)


Captured = Callable[..., SimulatedDevice]


class WholeEpochs:
    """A pace at which an epoch is one chunk, however slow the simulator is."""

    steps = 1000

    def record(self, n_steps: int, seconds: float) -> None: ...


def put_on_device(monkeypatch: pytest.MonkeyPatch, precision: str | None = None, **options: Any) -> SimulatedDevice:
    """Make fits from now on run on a simulated device, and return it."""
    device = SimulatedDevice(**options)

    def choose(requested, network, *arguments, objective, **rest):
        options = {"device": device, "precision": precision or network.dtype, "objective": objective}
        return captured.CapturedRunner(network, *arguments, **options)

    monkeypatch.setattr(fit, "choose_runner", choose)
    monkeypatch.setattr(fit, "Pace", WholeEpochs)
    return device


def dense(units: int, activation: str = "identity", **options) -> Dense:
    return Dense(units, activation, **{"bias_initializer": Normal(0.3), **options})


def inputs(n_in: int = N_IN) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N_ROWS, n_in))


def targets(n_out: int = 3) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(N_ROWS, n_out))


def labels(n_classes: int = 3, n: int = N_ROWS) -> np.ndarray:
    return np.random.default_rng(3).integers(0, n_classes, n)


def trained(layers, x, y, dtype="float64", **options):
    model = Sequential(layers(), dtype=dtype, seed=0, backend="cpu")
    options = {"epochs": 2, "batch_size": BATCH_SIZE, "verbose": 0, "optimizer": SGD(0.1)} | options
    return model, model.fit(x, y, **options)


def check_agrees(on_device: Captured, layers, x=None, y=None, *, tolerance: float = 1e-11, precision=None, **options):
    x = inputs() if x is None else x
    y = targets() if y is None else y
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        expected, expected_history = trained(layers, x, y, **options | {"runner": "plain"})
    device = on_device(precision)
    model, history = trained(layers, x, y, **options)
    assert history.runner == "captured"
    for i, (a, b) in enumerate(zip(expected.get_weights(), model.get_weights(), strict=True)):
        assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(a)), f"array {i}"
    np.testing.assert_allclose(history["loss"], expected_history["loss"], rtol=10 * tolerance)
    return device
