"""Runs that end between two epochs or two chunks because somebody says so: time limits, ``stop_training``, order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from accelnn import Callback, Checkpoint, EarlyStopping, Sequential, TimeLimit
from accelnn.errors import ArgumentError
from accelnn.training import stopping
from accelnn.training.pace import Pace
from tests.training.parity import dense, inputs, targets

X, Y = inputs()[:40], targets()[:40]
OPTIONS: dict[str, Any] = {"epochs": 5, "batch_size": 10, "verbose": 0}


def model_of() -> Sequential:
    return Sequential([dense(4), dense(Y.shape[1], "identity")], dtype="float64", seed=0)


@pytest.fixture(autouse=True)
def single_steps(monkeypatch):
    """Make every step a chunk."""
    monkeypatch.setattr(Pace, "steps", 1)


@pytest.fixture
def clock(monkeypatch):
    """Let a second go by with every look at the clock."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))


class Sets(Callback):
    """Sets ``model.stop_training`` in a method."""

    def __init__(self, method: str) -> None:
        setattr(self, method, self._set)

    def _set(self, model: Any, *arguments: Any) -> None:
        model.stop_training = True


@pytest.mark.parametrize(
    ("method", "epochs", "steps"),
    [("on_epoch_end", 1, 4), ("on_chunk_end", 0, 1), ("on_train_begin", 0, 1), ("on_epoch_begin", 0, 1)],
)
def test_stop_training_is_understood(method, epochs, steps):
    model = model_of()
    history = model.fit(X, Y, callbacks=Sets(method), **OPTIONS)
    assert (len(history), model.steps_trained) == (epochs, steps)
    assert history.stopped_because == "model.stop_training was set"
    assert len(model.fit(X, Y, **OPTIONS)) == 5  # the next run begins anew


@pytest.mark.usefixtures("clock")
def test_a_time_limit_stops_in_the_middle_of_an_epoch():
    model = model_of()
    history = model.fit(X, Y, callbacks=TimeLimit(6), **OPTIONS)
    assert (len(history), model.steps_trained) == (1, 6)
    assert history.stopped_because == "the time limit of 6 s was reached"
    assert model_of().fit(X, Y, callbacks=TimeLimit(600), **OPTIONS).stopped_because is None


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("seconds", [6, 4, 1])
def test_a_run_goes_on_where_its_time_was_over(tmp_path, seconds):
    """In the middle of an epoch, and at its end; to the same weights as without a limit."""
    whole = model_of()
    expected = whole.fit(X, Y, **OPTIONS)
    for _ in range(20 // seconds + 1):
        model = model_of()
        kept = {"checkpoint": Checkpoint(tmp_path, every="100 steps"), "resume": True}
        history = model.fit(X, Y, callbacks=TimeLimit(seconds), **kept, **OPTIONS)
    assert history.stopped_because is None
    assert history["loss"] == expected["loss"]
    np.testing.assert_array_equal(model.arena.values, whole.arena.values)


def test_all_callbacks_find_the_best_weights_at_the_end():
    class Last(Callback):
        columns = ("mine",)

        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            record["mine"] = [3.0, 1.0, 2.0, 2.0, 2.0][epoch]
            if epoch == 1:
                self.best = model.get_weights()

        def on_train_end(self, model: Any, history: Any) -> None:
            self.last = model.get_weights()

    watcher = Last()
    model_of().fit(X, Y, callbacks=[watcher, EarlyStopping("mine", mode="min")], **OPTIONS)
    for best, last in zip(watcher.best, watcher.last, strict=True):
        np.testing.assert_array_equal(best, last)


def test_no_time():
    with pytest.raises(ArgumentError, match=r"^seconds is 0: use a finite number > 0"):
        TimeLimit(0)
