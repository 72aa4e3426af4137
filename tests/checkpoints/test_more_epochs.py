"""A run that is resumed with another number of epochs ends in bitwise the same as one that was begun with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Adam, AdamW, Callback, EarlyStopping, RMSprop, schedules
from accelnn.errors import AccelnnWarning, ArgumentError
from accelnn.training import pace
from accelnn.training.checkpoints import extension
from tests.checkpoints.runs import EPOCHS, STEPS, CrashAt, CrashError, assert_same_end, fit, names, small_model


@pytest.fixture(autouse=True)
def chunks_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run be interrupted after every step."""
    monkeypatch.setattr(pace, "CHUNK_S", 0.0)


class Counting(Callback):
    """Records how many epochs it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        self.seen += 1
        record["seen"] = self.seen

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


class Steps(schedules.Schedule):
    """A schedule of one's own, which does not look at the planned end."""

    def curve(self, epochs: Any, total_epochs: int) -> Any:
        return 0.02 / (1.0 + np.floor(epochs))


EXTENDED = {
    "constant": {"validation_split": 0.2, "metrics": "accuracy"},
    "early stopping": {"callbacks": lambda: [EarlyStopping("loss", patience=30), Counting()]},
    "step": {"optimizer": SGD(schedules.StepDecay(0.05, every=2), momentum=0.9)},
    "exponential": {"optimizer": AdamW(schedules.ExponentialDecay(0.02))},
    "inverse scaling": {"optimizer": RMSprop(schedules.InverseScaling(0.02)), "batch_size": 14},
    "warm-up": {"optimizer": Adam(schedules.Warmup(2, 0.02)), "batch_size": None},
    "one's own": {"optimizer": Adam(Steps()), "shuffle": False},
}


@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("options", EXTENDED.values(), ids=EXTENDED)
def test_a_run_that_is_over_is_extended(tmp_path: Path, options: dict[str, Any], runner: str) -> None:
    check_extended(tmp_path, [2, 3, 7], runner=runner, **options)


def check_extended(folder: Path, epochs: list[int], **options: Any) -> None:
    """Assert that a run that is extended again and again ends as one of the last number of epochs."""
    make = options.pop("callbacks", list)
    for planned in epochs:
        other = small_model()
        other_history = fit(other, folder, callbacks=make(), epochs=planned, **options)
        assert len(other_history) == planned
    model = small_model()
    history = fit(model, callbacks=make(), epochs=epochs[-1], **options)
    assert_same_end(model, history, other, other_history)


@pytest.mark.parametrize("epochs", [3, 4, EPOCHS, EPOCHS + 3])
@pytest.mark.parametrize("schedule", [0.01, schedules.StepDecay(0.01, every=1)])
def test_a_run_that_crashed_has_another_end(tmp_path: Path, epochs: int, schedule: Any) -> None:
    with pytest.raises(CrashError):
        fit(small_model(), tmp_path, "1 step", learning_rate=schedule, callbacks=[CrashAt(step=2 * STEPS + 3)])
    check_extended(tmp_path, [epochs], every="1 step", learning_rate=schedule)


def test_a_schedule_may_be_another_as_long_as_no_rate_was(tmp_path: Path) -> None:
    flat = schedules.Cosine(0.01, final=0.01)
    check_extended(tmp_path, [2, 4], optimizer=Adam(flat))


def test_many_steps_are_compared_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(schedules.Schedule):
        def curve(self, epochs: Any, total_epochs: int) -> Any:
            return np.where(epochs >= 2.5, 0.01 / total_epochs, 0.01)

    monkeypatch.setattr(extension, "STEPS_AT_A_TIME", 5)
    for epochs in (2, 3):
        fit(small_model(), tmp_path, epochs=epochs, learning_rate=Late())
    with pytest.raises(ArgumentError, match=r"was begun with 3, and the rates of .*Late.* depend on that"):
        fit(small_model(), tmp_path, epochs=4, learning_rate=Late())


def test_a_run_that_was_stopped_stays_stopped(tmp_path: Path) -> None:
    options: dict[str, Any] = {"validation_split": 0.2, "learning_rate": 0.05}
    model, other = small_model(), small_model()
    history = fit(model, tmp_path, callbacks=EarlyStopping(patience=2), epochs=40, **options)
    with pytest.warns(
        AccelnnWarning, match="epochs is 50, but a callback has ended the run and nothing is trained: val"
    ):
        other_history = fit(other, tmp_path, callbacks=EarlyStopping(patience=2), epochs=50, **options)
    assert_same_end(model, history, other, other_history)


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (
            4,
            r"epochs is 4: the run in '.*' was begun with 2, and the rates of Cosine\(0\.01\) depend on that",
        ),
        (1, r"epochs is 1: the run in '.*' has reached epoch 2 already; use 2 or more, or another folder"),
        (0, r"epochs is 0: the run in '.*' has reached epoch 2 already"),
    ],
)
def test_epochs_that_the_run_cannot_have(tmp_path: Path, epochs: int, message: str) -> None:
    options: dict[str, Any] = {"learning_rate": schedules.Cosine(0.01)}
    fit(small_model(), tmp_path, epochs=2, **options)
    before, model, other = names(tmp_path), small_model(), small_model()
    with pytest.raises(ArgumentError, match=message):
        fit(model, tmp_path, epochs=epochs, **options)
    assert names(tmp_path) == before
    other.build(model.n_in)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
    assert len(fit(model, tmp_path, epochs=2, **options)) == 2
