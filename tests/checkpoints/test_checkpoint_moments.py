"""When checkpoints are made, what they are called, and what Ctrl-C does to them."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import Callback, Checkpoint, load_model
from accelnn.errors import AccelnnWarning
from accelnn.training import pace
from accelnn.training.checkpoints import timing
from accelnn.training.checkpoints.file_format import CheckpointFile
from accelnn.training.checkpoints.folder import CheckpointFolder
from accelnn.training.runners import plain
from tests.checkpoints.runs import EPOCHS, STEPS, X, assert_same_end, fit, names, small_model


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, bool]]:
    """Return a list of the checkpoints that are written: epochs that are done, steps, and whether it is the best."""
    places: list[tuple[int, int, bool]] = []
    write = CheckpointFolder.write

    def noted(self: CheckpointFolder, content: CheckpointFile, *, is_best: bool) -> None:
        place = content.description["place"]
        places.append((place["epoch"], place["step"], is_best))
        write(self, content, is_best=is_best)

    monkeypatch.setattr(CheckpointFolder, "write", noted)
    return places


def places(written: list[tuple[int, int, bool]]) -> list[tuple[int, int]]:
    return [place[:2] for place in written]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("epoch", [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]),
        ("2 epochs", [(2, 0), (4, 0), (5, 0)]),
        ("9 epochs", [(5, 0)]),
        ("4 steps", [(0, 4), (1, 2), (2, 0), (2, 4), (3, 2), (4, 0), (4, 4), (5, 0)]),
        ("30 steps", [(5, 0)]),
        ("13 steps", [(2, 1), (4, 2), (5, 0)]),
    ],
)
def test_checkpoints_are_made_where_they_are_due(
    tmp_path: Path, written: list[tuple[int, int, bool]], every: str, expected: list[tuple[int, int]]
) -> None:
    fit(small_model(), checkpoint=Checkpoint(tmp_path, every, best=False))
    assert places(written) == expected
    assert len(names(tmp_path)) == min(3, len(expected))


def test_seconds_are_those_of_a_clock_that_never_goes_back(
    tmp_path: Path, written: list[tuple[int, int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(np.arange(1000.0))
    monkeypatch.setattr(pace, "CHUNK_S", 0.0)
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    fit(small_model(), checkpoint=Checkpoint(tmp_path, "10 seconds", best=False))
    assert 2 <= len(written) <= 4
    assert places(written)[-1] == (EPOCHS, 0)


def test_the_best_epoch_is_kept_besides(tmp_path: Path, written: list[tuple[int, int, bool]]) -> None:
    class Beauty(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            record["val_loss"] = [0.5, 0.3, float("nan"), 0.3, 0.4][epoch]

    model = small_model()
    fit(model, checkpoint=Checkpoint(tmp_path, keep=1), callbacks=[Beauty()])
    assert [is_best for *_, is_best in written] == [True, True, False, False, False]
    assert names(tmp_path) == ["checkpoint-000002-best.safetensors", "checkpoint-000005.safetensors"]
    newest = load_model(tmp_path, best=False)
    np.testing.assert_array_equal(newest.predict_proba(X), model.predict_proba(X))
    best = load_model(tmp_path)
    assert np.abs(best.predict_proba(X) - model.predict_proba(X)).max() > 0.0


def test_a_metric_may_grow(tmp_path: Path, written: list[tuple[int, int, bool]]) -> None:
    options: dict[str, Any] = {"validation_split": 0.3, "metrics": "accuracy", "epochs": 12}
    history = fit(small_model(), checkpoint=Checkpoint(tmp_path, "12 epochs", best="val_accuracy"), **options)
    values = history["val_accuracy"]
    expected = [epoch for epoch, value in enumerate(values) if value > max(values[:epoch], default=-1.0)]
    assert [epoch - 1 for epoch, _, is_best in written if is_best] == expected


def test_no_epochs_are_no_checkpoints(tmp_path: Path) -> None:
    assert len(fit(small_model(), tmp_path, epochs=0)) == 0
    assert names(tmp_path) == []


class PressCtrlC(Callback):
    """Sends the signal at one of the events of a run."""

    def __init__(self, event: str, epoch: int) -> None:
        self.event, self.epoch = event, epoch

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        self._press("begin", epoch)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        self._press("end", epoch)

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        if steps_done == 3:
            self._press("chunk", epoch)

    def _press(self, event: str, epoch: int) -> None:
        if (event, epoch) == (self.event, self.epoch):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("event", "place"),
    [("begin", (2, 0)), ("chunk", (2, 3)), ("step", (2, 2)), ("end", (3, 0)), ("measure", (2, STEPS))],
)
@pytest.mark.parametrize("every", ["epoch", "100 epochs"])
def test_after_ctrl_c_a_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Any], event: str, place: tuple[int, int], every: str
) -> None:
    monkeypatch.setattr(pace, "CHUNK_S", 0.0)
    model, interrupted, other = small_model(), small_model(), small_model()
    options: dict[str, Any] = {"validation_split": 0.1, "batch_size": 14}
    history = fit(model, **options)
    with monkeypatch.context() as patch:
        _press_inside(patch, event)
        with pytest.warns(AccelnnWarning, match="training was interrupted"):
            first = fit(
                interrupted, tmp_path, every, callbacks=[PressCtrlC(event, 2)], validation_split=0.1, batch_size=14
            )
    assert first.interrupted
    assert places(written)[-1] == place
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_same_end(model, history, other, fit(other, tmp_path, every, **options))


def _press_inside(patch: pytest.MonkeyPatch, event: str) -> None:
    """Press Ctrl-C in the middle of the second step of the third epoch, or while its validation is measured."""
    calls = {"train": 0, "predict": 0}

    def pressing(name: str, function: Any, when: int) -> Any:
        def called(*arguments: Any) -> Any:
            calls[name] += 1
            if calls[name] == when:
                signal.raise_signal(signal.SIGINT)
            return function(*arguments)

        return called

    if event == "step":
        patch.setattr(plain.PlainRunner, "train", pressing("train", plain.PlainRunner.train, 2 * STEPS + 2))
    if event == "measure":
        from accelnn.training.evaluation import Evaluator

        patch.setattr(Evaluator, "evaluate", pressing("predict", Evaluator.evaluate, 3))


def test_an_interruption_in_the_middle_of_a_step_keeps_the_last_checkpoint(tmp_path: Path, written: list[Any]) -> None:
    """Where others handle the signal, Ctrl-C may arrive anywhere."""

    class Impatient(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    model, other = small_model(), small_model()
    history = fit(model)
    with pytest.warns(AccelnnWarning, match="training was interrupted"):
        fit(small_model(), tmp_path, callbacks=[Impatient()])
    assert places(written)[-1] == (2, 0)
    assert_same_end(model, history, other, fit(other, tmp_path))


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            fit(small_model(), tmp_path)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
    assert names(tmp_path)


def test_no_thread_is_left_after_a_run(tmp_path: Path) -> None:
    before = threading.active_count()
    fit(small_model(), tmp_path, "1 step")
    assert threading.active_count() == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")
def test_no_file_is_left_open(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    fit(small_model(), tmp_path / "first")
    before = open_files()
    for n in range(5):
        fit(small_model(), tmp_path / str(n), "1 step")
        fit(small_model(), tmp_path / str(n), "1 step")
    assert open_files() == before
