"""Small training runs, and ways to end them early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from accelnn import BatchNorm, Callback, Checkpoint, Dense, Dropout, History, Sequential

N_ROWS, N_IN, N_CLASSES, BATCH_SIZE, STEPS, EPOCHS = 90, 6, 3, 16, 6, 5
"""Six steps an epoch, the last one with 10 rows."""

X = np.random.default_rng(1).normal(size=(N_ROWS, N_IN))
Y = np.random.default_rng(2).integers(0, N_CLASSES, N_ROWS)


class CrashError(Exception):
    """What ends a run in a test."""


class CrashAt(Callback):
    """Raises after so many epochs, or between two chunks after so many steps of the run."""

    def __init__(
        self, *, epoch: int | None = None, step: int | None = None, error: BaseException | None = None
    ) -> None:
        self.epoch, self.step, self.error = epoch, step, error or CrashError()

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        if epoch == self.epoch:
            raise self.error

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        if self.step is not None and epoch * steps_total + steps_done >= self.step:
            raise self.error


def small_model(seed: int | None = 0, dtype: Any = "float32") -> Sequential:
    layers = [Dense(8, "tanh", l1=1e-4, l2=1e-3), BatchNorm(), Dropout(0.3), Dense(N_CLASSES, "softmax")]
    return Sequential(layers, seed=seed, dtype=dtype)


def fit(model: Sequential, folder: Path | None = None, every: str = "epoch", **options: Any) -> History:
    """Train; with a ``folder`` the run is kept there, and goes on if there is one."""
    kept = {} if folder is None else {"checkpoint": Checkpoint(folder, every), "resume": True}
    usual = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0, "runner": "plain"}
    return model.fit(X, Y, **(usual | kept | options))


def records(history: History) -> list[dict[str, float]]:
    """Return what was recorded, without the times."""
    times = ("seconds", "samples_per_s")
    return [{name: value for name, value in record.items() if name not in times} for record in history.epochs]


def assert_same_end(model: Sequential, history: History, other: Sequential, other_history: History) -> None:
    """Assert that two runs have ended in bitwise the same, and would draw the same from here on."""
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert records(history) == records(other_history)
    assert history.stopped_because == other_history.stopped_because
    assert model.steps_trained == other.steps_trained
    assert model.shuffle_rng.integers(2**62) == other.shuffle_rng.integers(2**62)


def names(folder: Path) -> list[str]:
    """Return the names of the checkpoints of a folder, the oldest first."""
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")
