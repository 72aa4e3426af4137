"""A run on a device goes on from its checkpoints, on a device or on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_device import SimulatedDevice

from accelnn import BatchNorm, Callback, Checkpoint, Dense, Dropout, Sequential
from accelnn.errors import AccelnnWarning
from accelnn.training import fit, pace
from accelnn.training.runners import captured

X = np.random.default_rng(1).normal(size=(20, 4))
Y = np.random.default_rng(2).integers(0, 3, 20)


class CrashError(Exception):
    """What ends a run."""


class Crash(Callback):
    """Ends a run after three steps of its second epoch."""

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        if (epoch, steps_done) == (1, 3):
            raise CrashError


def use_device(patch: pytest.MonkeyPatch) -> None:
    """Let all runs use a simulated device, a step at a time."""

    def choose(requested: str, network: Any, *arguments: Any, objective: Any, **rest: Any) -> Any:
        options = {"device": SimulatedDevice(), "precision": network.dtype, "objective": objective}
        return captured.CapturedRunner(network, *arguments, **options)

    patch.setattr(fit, "choose_runner", choose)
    patch.setattr(pace, "CHUNK_S", 0.0)


def trained(folder: Path | None = None, **options: Any) -> Sequential:
    layers = [Dense(5, "tanh"), BatchNorm(), Dropout(0.3), Dense(3, "softmax")]
    model = Sequential(layers, dtype="float64", seed=0, backend="cpu")
    kept = {} if folder is None else {"checkpoint": Checkpoint(folder, "1 step"), "resume": True}
    model.fit(X, Y, epochs=3, batch_size=6, learning_rate=0.02, verbose=0, **kept, **options)
    return model


def crashed(folder: Path) -> None:
    with pytest.raises(CrashError):
        trained(folder, callbacks=Crash())


def test_a_run_on_a_device_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_device(monkeypatch)
    crashed(tmp_path)
    for one, two in zip(trained().get_weights(), trained(tmp_path).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_run_on_a_device_goes_on_on_a_cpu(tmp_path: Path) -> None:
    expected = trained(runner="plain")
    with pytest.MonkeyPatch.context() as patch:
        use_device(patch)
        crashed(tmp_path)
    with pytest.warns(AccelnnWarning, match="runner was 'captured' and is 'plain'"):
        model = trained(tmp_path, runner="plain")
    for one, two in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-14)


def test_a_run_on_a_cpu_goes_on_on_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained(runner="plain")
    with pytest.raises(CrashError):
        trained(tmp_path, runner="plain", callbacks=SlowCrash())
    use_device(monkeypatch)
    with pytest.warns(AccelnnWarning, match="runner was 'plain' and is 'captured'"):
        model = trained(tmp_path, runner="plain")
    for one, two in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-14)


class SlowCrash(Callback):
    """Ends a run at the beginning of its third epoch."""

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        if epoch == 2:
            raise CrashError
