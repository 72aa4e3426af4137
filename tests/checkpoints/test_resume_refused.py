"""What ``fit`` says about checkpoints that do not fit: other runs, folders in use, wrong arguments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import (
    SGD,
    Adam,
    Callback,
    Checkpoint,
    Dense,
    Dropout,
    EarlyStopping,
    Rescaling,
    Sequential,
    load_model,
    schedules,
)
from accelnn.errors import (
    AccelnnWarning,
    ArgumentError,
    ArgumentTypeError,
    CheckpointError,
    DivergenceError,
    ModelFileError,
)
from accelnn.training.checkpoints import file_format
from accelnn.training.checkpoints.folder import CheckpointFolder
from tests.checkpoints.runs import (
    N_CLASSES,
    CrashAt,
    CrashError,
    X,
    Y,
    fit,
    names,
    records,
    small_model,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a run of two epochs with early stopping, validation and a schedule."""
    _run(small_model(), tmp_path / "run")
    return tmp_path / "run"


def _run(model: Sequential, folder: Path, x: Any = X, y: Any = Y, **options: Any) -> None:
    usual = {
        "epochs": 2, "batch_size": 16, "verbose": 0, "runner": "plain", "validation_split": 0.2, "metrics": "accuracy",
        "callbacks": [EarlyStopping()], "optimizer": Adam(schedules.Cosine(0.01)), "resume": True,
        "checkpoint": Checkpoint(folder),
    }  # fmt: skip
    model.fit(x, y, **usual | options)


def changed(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy[17] = copy[16]
    return copy


def other_net(*layers: Any) -> Callable[[], Sequential]:
    return lambda: Sequential([*layers, Dense(N_CLASSES, "softmax")], seed=0)


@pytest.mark.parametrize(
    ("model", "options", "difference"),
    [
        (small_model, {"batch_size": 17}, "settings.batch_size was 16 and is 17"),
        (small_model, {"shuffle": False}, "settings.shuffle was True and is False"),
        (small_model, {"loss": "mse", "y": np.eye(N_CLASSES)[Y]}, "settings.loss was 'cross_entropy' and is 'mse'"),
        (small_model, {"optimizer": Adam(schedules.Cosine(0.02))}, "optimizer.learning_rate.rate was 0.01 and is 0.02"),
        (small_model, {"optimizer": Adam(schedules.Cosine(0.01), beta_2=0.9)}, "optimizer.beta_2 was 0.999 and is 0.9"),
        (small_model, {"optimizer": Adam(schedules.Cosine(0.01), clip_norm=1)}, "clip_norm was None and is 1.0"),
        (small_model, {"optimizer": SGD(0.1)}, "settings.optimizer.class was 'Adam' and is 'SGD'"),
        (small_model, {"metrics": ()}, "settings.metrics was ['accuracy'] and is []"),
        (small_model, {"callbacks": [EarlyStopping(patience=3)]}, "settings.callbacks[0].patience was 10 and is 3"),
        (small_model, {"callbacks": []}, "settings.callbacks was [{'class': 'EarlyStopping'"),
        (small_model, {"validation_split": 0.3}, "data.training rows was 72 and is 63"),
        (small_model, {"x": changed(X)}, "the values of data.x have changed"),
        (small_model, {"y": changed(Y)}, "the values of data.y have changed"),
        (small_model, {"x": X.astype(np.float32)}, "data.x.dtype was 'float64' and is 'float32'"),
        (small_model, {"x": X[:-1], "y": Y[:-1]}, "data.x.shape[0] was 90 and is 89"),
        (small_model, {"sample_weight": np.ones(90)}, "data.weights was None and is {'shape': [90]"),
        (lambda: small_model(seed=1), {}, "model.seed was 0 and is 1"),
        (lambda: small_model(dtype="float64"), {}, "model.dtype was 'float32' and is 'float64'"),
        (other_net(Dense(8)), {}, "model.layers was [{'class': 'Dense'"),
        (lambda: other_rate(), {}, "model.layers[2].config.rate was 0.3 and is 0.2"),
        (small_model, {"x": X[:, :5]}, "model.n_in was 6 and is 5"),
    ],
)  # fmt: skip
def test_another_run_is_refused(folder: Path, model: Any, options: dict[str, Any], difference: str) -> None:
    before = names(folder)
    with pytest.raises(ArgumentError) as caught:
        _run(model(), folder, **options)
    assert difference in str(caught.value)
    assert "use what it was begun with, or another folder" in str(caught.value)
    assert names(folder) == before
    _run(small_model(), folder)


def other_rate() -> Sequential:
    model = small_model()
    layers = [*small_model().layers[:2], Dropout(0.2), Dense(N_CLASSES, "softmax")]
    configs = [(type(layer), layer.config()) for layer in layers]
    return Sequential([kind(**config) for kind, config in configs], seed=model.seed)


def test_all_differences_are_listed(folder: Path) -> None:
    with pytest.raises(ArgumentError, match=r"epochs was 2.*batch_size was 16.*shuffle was True"):
        _run(small_model(), folder, epochs=9, batch_size=9, shuffle=False)
    layers = [Rescaling(0.5), Dense(3), Dropout(0.1), Dense(N_CLASSES, "softmax")]
    everything = {"epochs": 9, "batch_size": 9, "shuffle": False, "metrics": (), "validation_split": 0.5}
    with pytest.raises(ArgumentError, match=r"and \d+ more: use what"):
        _run(Sequential(layers), folder, changed(X), changed(Y), **everything)


def test_a_refused_run_leaves_the_model_as_it_was(folder: Path) -> None:
    model = small_model(seed=5)
    model.build(X.shape[1])
    before, state = model.get_weights(), model.shuffle_rng.bit_generator.state
    with pytest.raises(ArgumentError, match="another one"):
        _run(model, folder)
    assert model.shuffle_rng.bit_generator.state == state
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("options", [{"verbose": 2}, {"callbacks": [EarlyStopping(), Callback()]}, {"y": Y.tolist()}])
def test_what_changes_nothing_may_change(folder: Path, options: dict[str, Any]) -> None:
    _run(small_model(), folder, **options)


def test_a_new_run_takes_no_folder_of_another(folder: Path) -> None:
    before = names(folder)
    with pytest.raises(ArgumentError, match=r"has checkpoints already: resume=True goes on with the run in it"):
        _run(small_model(), folder, resume=False)
    assert names(folder) == before


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    """The second one is refused while the first one trains, also in the same process."""
    inside, go_on = threading.Event(), threading.Event()

    class Wait(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            inside.set()
            assert go_on.wait(30)

    first = threading.Thread(target=lambda: fit(small_model(), tmp_path, callbacks=[Wait()]))
    first.start()
    try:
        assert inside.wait(30)
        with pytest.raises(CheckpointError, match="another training run"):
            fit(small_model(), tmp_path)
    finally:
        go_on.set()
        first.join()
    fit(small_model(), tmp_path)


def test_a_folder_that_goes_away_ends_the_run(tmp_path: Path) -> None:
    class Remove(Callback):
        def on_epoch_begin(self, model: Any, epoch: int) -> None:
            if epoch == 2:
                (tmp_path / "run").rename(tmp_path / "elsewhere")

    model = small_model()
    with pytest.raises(CheckpointError, match="could not be written"):
        fit(model, tmp_path / "run", callbacks=[Remove()])
    assert model.history is not None
    assert 2 <= len(model.history) <= 4


def test_a_disk_that_is_full_ends_the_run_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = small_model(), small_model()
    history = fit(model)
    write, left = CheckpointFolder.write, iter([True, True])

    def limited(self: CheckpointFolder, content: Any, *, is_best: bool) -> None:
        if not next(left, False):
            raise CheckpointError("the checkpoint could not be written: No space left on device")
        write(self, content, is_best=is_best)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "write", limited)
        with pytest.raises(CheckpointError, match="No space left"):
            fit(small_model(), tmp_path)
    assert len(names(tmp_path)) == 2
    assert records(fit(other, tmp_path)) == records(history)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_error_in_a_callback_tells_of_a_failed_write_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: CheckpointFolder, content: Any, *, is_best: bool) -> None:
        raise CheckpointError("No space left on device")

    monkeypatch.setattr(CheckpointFolder, "write", fail)
    with pytest.raises(CrashError) as caught:
        fit(small_model(), tmp_path, callbacks=[CrashAt(epoch=1)])
    assert caught.value.__notes__ == ["No space left on device"]


def test_a_description_of_something_else_is_refused(folder: Path) -> None:
    content = CheckpointFolder(folder).newest()
    assert content is not None
    for key in ("weights", "random", "history", "place", "machine", "callbacks"):
        broken = {name: value for name, value in content.description.items() if name != key}
        CheckpointFolder(folder).write(file_format.CheckpointFile(broken, content.arrays), is_best=False)
        with pytest.raises(CheckpointError, match=f"does not hold the state of a run .KeyError: '{key}'"):
            _run(small_model(), folder)


def test_arrays_of_another_model_are_refused(folder: Path) -> None:
    content = CheckpointFolder(folder).newest()
    assert content is not None
    arrays = content.arrays | {"optimizer.moments.1": np.zeros(3, np.float32)}
    CheckpointFolder(folder).write(file_format.CheckpointFile(content.description, arrays), is_best=False)
    model = small_model()
    model.build(X.shape[1])
    before = model.get_weights()
    with pytest.raises(CheckpointError, match="not those of this model"):
        _run(model, folder)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize("place", [{"epoch": -1}, {"epoch": 3}, {"epoch": 0}, {"step": -1}, {"step": 1}, {"epoch": 1}])
def test_a_place_that_the_run_does_not_have_is_refused(folder: Path, place: dict[str, int]) -> None:
    content = CheckpointFolder(folder).newest()
    assert content is not None
    description = content.description | {"place": content.description["place"] | place}
    CheckpointFolder(folder).write(file_format.CheckpointFile(description, content.arrays), is_best=False)
    with pytest.raises(CheckpointError, match="the checkpoint is of no place in this run: epoch"):
        _run(small_model(), folder)


@pytest.mark.parametrize("kept", [True, False])
def test_a_record_of_something_else_than_numbers_is_refused(tmp_path: Path, kept: bool) -> None:
    class Note(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, Any]) -> None:
            record["note"] = "fine"

    model = small_model()
    with pytest.raises(
        ArgumentTypeError, match=r"^record\['note'\] of Note is 'fine' of type str: record a real number"
    ):
        fit(model, tmp_path if kept else None, callbacks=[Note()])
    assert "note" not in model.history


def test_a_generator_of_another_kind_is_refused(folder: Path) -> None:
    model = small_model()
    model.shuffle_rng = np.random.Generator(np.random.MT19937(0))
    with pytest.raises(CheckpointError, match="the state of the random generator is not one of MT19937"):
        _run(model, folder)


def test_training_that_diverges_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError):
        fit(small_model(), tmp_path, callbacks=[Poison(3)])
    content = CheckpointFolder(tmp_path).newest()
    assert content is not None
    assert content.description["place"]["epoch"] == 3
    assert np.isfinite(content.arrays["weights.values"]).all()


def test_a_run_that_diverged_and_went_back_ends_so_again(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        model = small_model()
        with pytest.warns(AccelnnWarning, match="goes back to its best weights"):
            history = fit(model, tmp_path, callbacks=[Poison(3), EarlyStopping("loss")])
        assert len(history) == 3
        assert all(np.isfinite(w).all() for w in model.get_weights())
        runs.append((records(history), model.get_weights()))
    assert runs[0][0] == runs[1][0]
    for one, two in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(one, two)


class Poison(Callback):
    """Spoils the weights at the beginning of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        if epoch == self.epoch:
            model.arena.values[...] = np.nan


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resume": True}, ArgumentError, r"resume is True: say from where: give a checkpoint=Checkpoint"),
        ({"resume": 1}, ArgumentTypeError, "resume is 1 of type int: use True or False"),
        ({"checkpoint": "runs/first"}, ArgumentTypeError, r"use a Checkpoint, such as Checkpoint\('runs/first'\)"),
    ],
)
def test_wrong_arguments_of_fit(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit(small_model(), **options)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"directory": 3}, ArgumentTypeError, "directory is 3 of type int: use a path"),
        ({"directory": ""}, ArgumentError, "directory is '': use a path that is not empty"),
        ({"every": 100}, ArgumentTypeError, "every is 100 of type int: use 'epoch', or a number and a unit"),
        ({"every": "100"}, ArgumentError, "every is '100': use 'epoch', or a number and a unit"),
        ({"every": "0 steps"}, ArgumentError, "every is '0 steps'"),
        ({"every": "1.5 epochs"}, ArgumentError, r"every is '1\.5 epochs'"),
        ({"every": "-1 seconds"}, ArgumentError, "every is '-1 seconds'"),
        ({"every": "nan seconds"}, ArgumentError, "every is 'nan seconds'"),
        ({"every": "3 fortnights"}, ArgumentError, "every is '3 fortnights'"),
        ({"keep": 0}, ArgumentError, "keep is 0: use an integer >= 1"),
        ({"keep": "3"}, ArgumentTypeError, "keep is '3' of type str: use an integer >= 1"),
        ({"best": 1}, ArgumentTypeError, "best is 1 of type int: use True or False"),
        ({"best": "val_beauty"}, ArgumentError, "val_beauty"),
    ],
)
def test_wrong_arguments_of_checkpoint(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Checkpoint(**{"directory": "run"} | arguments)


@pytest.mark.parametrize(
    ("every", "interval"),
    [
        ("epoch", (1, "epoch")), ("epochs", (1, "epoch")), ("5 epochs", (5, "epoch")), ("1 step", (1, "step")),
        (" 1000 Steps ", (1000, "step")), ("30seconds", (30, "second")), ("0.5 second", (0.5, "second")),
        ("10 minutes", (600, "second")), ("minute", (60, "second")),
    ],
)  # fmt: skip
def test_intervals(every: str, interval: tuple[float, str]) -> None:
    assert Checkpoint("run", every).interval == interval


def test_a_metric_that_is_not_recorded_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="best is 'val_accuracy': give validation_data or validation_split"):
        fit(small_model(), checkpoint=Checkpoint(tmp_path, best="val_accuracy"))


def test_there_is_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be used as a model file: it is a folder without checkpoints"):
        load_model(tmp_path)
    assert Checkpoint(tmp_path / "nowhere").saved_seed() is None
    assert not Checkpoint(tmp_path / "nowhere").exists()
    assert not (tmp_path / "nowhere").exists()
