"""A run that crashed and was resumed ends in bitwise the same as one that was never interrupted."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import (
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Callback,
    Dense,
    EarlyStopping,
    Layer,
    RMSprop,
    Sequential,
    StopOnTarget,
    load_model,
    schedules,
)
from accelnn.errors import AccelnnWarning
from accelnn.training import pace
from accelnn.training.checkpoints import folder as checkpoint_folder
from accelnn.training.runners import compiled
from tests.checkpoints.runs import (
    EPOCHS,
    N_CLASSES,
    STEPS,
    CrashAt,
    CrashError,
    X,
    Y,
    assert_same_end,
    fit,
    names,
    records,
    small_model,
)


@pytest.fixture(autouse=True)
def chunks_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run be interrupted after every step."""
    monkeypatch.setattr(pace, "CHUNK_S", 0.0)


def crashed(folder: Path, crash: Callback, every: str = "epoch", seed: int | None = 0, **options: Any) -> Sequential:
    """Train until ``crash`` ends it, and return the model as it is then."""
    model = small_model(seed)
    with pytest.raises(CrashError):
        fit(model, folder, every, **options | {"callbacks": [*options.get("callbacks", []), crash]})
    return model


def check(folder: Path, crash: CrashAt, every: str, **options: Any) -> None:
    """Assert that crashing and going on makes no difference; ``callbacks`` makes new ones for each run."""
    make = options.pop("callbacks", list)
    model, other = small_model(), small_model()
    history = fit(model, callbacks=make(), **options)
    crashed(folder, crash, every, callbacks=make(), **options)
    assert names(folder)
    other_history = fit(other, folder, every, callbacks=make(), **options)
    assert_same_end(model, history, other, other_history)


OPTIMIZERS = {
    "sgd": SGD(0.05),
    "momentum": SGD(0.05, momentum=0.9),
    "nesterov": SGD(schedules.StepDecay(0.05, every=1), momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(0.01, clip_value=0.1),
    "adam": Adam(schedules.Cosine(0.02)),
    "adamw": AdamW(schedules.Warmup(2, 0.02), clip_norm=0.5),
}


@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on(tmp_path: Path, name: str, runner: str) -> None:
    check(tmp_path, CrashAt(step=3 * STEPS + 2), "4 steps", optimizer=OPTIMIZERS[name], runner=runner)


NEVER_BETTER = {"epochs": 60, "validation_split": 0.3, "optimizer": SGD(0.3)}


@pytest.mark.parametrize(
    "options",
    [
        {"validation_split": 0.2, "metrics": ["accuracy"]},
        {"shuffle": False},
        {"batch_size": None, "learning_rate": 0.05},
        {"sample_weight": np.linspace(0.0, 2.0, len(X)), "class_weight": "balanced"},
        {"validation_data": (X[::3], Y[::3]), "learning_rate": schedules.OneCycle(0.02)},
        {"callbacks": lambda: [EarlyStopping(patience=2)], **NEVER_BETTER},
        {"callbacks": lambda: [EarlyStopping("loss", restore_best=False), StopOnTarget("loss", 0.9)], "epochs": 30},
    ],
    ids=["split", "unshuffled", "full batch", "weights", "validation", "early stopping", "target"],
)
@pytest.mark.parametrize("runner", ["plain", "compiled"])
def test_every_setting_goes_on(tmp_path: Path, options: dict[str, Any], runner: str) -> None:
    check(tmp_path, CrashAt(epoch=2), "2 steps", runner=runner, **options)


@pytest.mark.parametrize("step", [2, 3, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS, EPOCHS * STEPS - 1, EPOCHS * STEPS])
def test_every_place_goes_on(tmp_path: Path, step: int) -> None:
    check(tmp_path, CrashAt(step=step), "1 step", validation_split=0.1, metrics="accuracy", batch_size=14)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_team_goes_on(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "team_size", lambda *_: threads)
    check(tmp_path, CrashAt(step=2 * STEPS + 3), "3 steps", runner="compiled")


def test_chunks_may_end_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = itertools.cycle([1, 5, 2, 7, 3])
    model, other = small_model(), small_model()
    monkeypatch.setattr(pace.Pace, "steps", property(lambda self: next(lengths)))
    history = fit(model, runner="compiled")
    crashed(tmp_path, CrashAt(step=9), "2 steps", runner="compiled")
    monkeypatch.setattr(pace.Pace, "steps", property(lambda self: 100))
    assert_same_end(model, history, other, fit(other, tmp_path, "2 steps", runner="compiled"))


def test_a_run_crashes_again_and_again(tmp_path: Path) -> None:
    model, other = small_model(), small_model()
    history = fit(model, validation_split=0.2)
    for step in (3, 4, 11, 12, 13, 20):
        crashed(tmp_path, CrashAt(step=step), "1 step", validation_split=0.2)
    assert_same_end(model, history, other, fit(other, tmp_path, "1 step", validation_split=0.2))


def test_without_a_seed_the_run_goes_on_too(tmp_path: Path) -> None:
    """The new model has other weights, masks and orders, and draws other rows to hold out: all come from the file."""
    model = small_model(seed=None)
    before = small_model(seed=None)
    before.build(X.shape[1])
    before.set_weights([np.array(w) for w in _built(model).get_weights()])
    before.dropout_seed = model.dropout_seed
    before.shuffle_rng.bit_generator.state = model.shuffle_rng.bit_generator.state
    history = fit(model, validation_split=0.3)
    with pytest.raises(CrashError):
        fit(before, tmp_path, "2 steps", validation_split=0.3, callbacks=[CrashAt(step=7)])
    after = small_model(seed=None)
    assert_same_end(model, history, after, fit(after, tmp_path, "2 steps", validation_split=0.3))


def _built(model: Sequential) -> Sequential:
    model.build(X.shape[1])
    return model


def test_the_same_model_goes_on(tmp_path: Path) -> None:
    model, other = small_model(), small_model()
    history = fit(model, validation_split=0.2)
    with pytest.raises(CrashError):
        fit(other, tmp_path, "4 steps", validation_split=0.2, callbacks=[CrashAt(step=11)])
    other.shuffle_rng.random(3)
    assert_same_end(model, history, other, fit(other, tmp_path, "4 steps", validation_split=0.2))


def test_generators_with_arrays_in_their_state_go_on(tmp_path: Path) -> None:
    def model() -> Sequential:
        made = small_model()
        made.shuffle_rng = np.random.Generator(np.random.MT19937(5))
        return made

    one, two = model(), model()
    history = fit(one, validation_split=0.2)
    with pytest.raises(CrashError):
        fit(model(), tmp_path, "2 steps", validation_split=0.2, callbacks=[CrashAt(step=9)])
    assert_same_end(one, history, two, fit(two, tmp_path, "2 steps", validation_split=0.2))


def test_a_run_that_is_over_is_not_trained_again(tmp_path: Path) -> None:
    stopping = EarlyStopping("val_loss", patience=2)
    options: dict[str, Any] = {"validation_split": 0.2, "epochs": 40, "learning_rate": 0.05}
    model, other = small_model(), small_model()
    history = fit(model, tmp_path, callbacks=stopping, **options)
    assert history.stopped_because
    before = names(tmp_path)
    other_history = fit(other, tmp_path, callbacks=EarlyStopping("val_loss", patience=2), **options)
    assert other_history["seconds"] == history["seconds"]
    assert_same_end(model, history, other, other_history)
    assert names(tmp_path) == before
    np.testing.assert_array_equal(load_model(tmp_path).predict_proba(X), other.predict_proba(X))


def test_after_a_fallback_the_run_ends_the_same(tmp_path: Path) -> None:
    model, other = small_model(), small_model()
    history = fit(model)
    crashed(tmp_path, CrashAt(step=20), "4 steps")
    newest = tmp_path / names(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(AccelnnWarning, match="cut off"):
        other_history = fit(other, tmp_path, "4 steps")
    assert_same_end(model, history, other, other_history)


class Counting(Callback):
    """Remembers how often it was called, and the mean of the weights after each epoch."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.means: list[float] = []
        self.array = np.zeros(3)

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        self.begun += 1

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        self.ended += 1
        self.array += 1.0
        self.means.append(float(model.arena.values.mean()))
        record["mean"] = self.means[-1]

    def state(self) -> dict[str, Any]:
        return {"begun": self.begun, "ended": self.ended, "means": self.means, "array": self.array}

    def restore(self, state: dict[str, Any]) -> None:
        self.begun, self.ended, self.means, self.array = (state[k] for k in ("begun", "ended", "means", "array"))


@pytest.mark.parametrize("step", [STEPS * 2 + 3, STEPS * 2])
def test_callbacks_of_ones_own_go_on(tmp_path: Path, step: int) -> None:
    model, other, one, two = small_model(), small_model(), Counting(), Counting()
    history = fit(model, callbacks=one)
    crashed(tmp_path, CrashAt(step=step), "3 steps", callbacks=[Counting()])
    assert_same_end(model, history, other, fit(other, tmp_path, "3 steps", callbacks=two))
    assert (one.begun, one.ended, one.means) == (two.begun, two.ended, two.means)
    np.testing.assert_array_equal(one.array, two.array)
    assert records(history)[0]["mean"] == one.means[0]


class Scaled(Layer):
    """A layer of one's own with a state that training changes."""

    def build(self, n_in: int) -> int:
        self.add_state("count", (1,))
        return n_in

    def forward(self, x: Any, context: Any) -> Any:
        if context.training:
            self.count[...] += 1.0
        return x * (1.0 + 0.01 * self.count)

    def backward(self, dy: Any) -> Any:
        return dy * (1.0 + 0.01 * self.count)


def test_layers_of_ones_own_go_on(tmp_path: Path) -> None:
    def model() -> Sequential:
        return Sequential([Dense(5, "tanh"), Scaled(), BatchNorm(), Dense(N_CLASSES, "softmax")], seed=1)

    one, two = model(), model()
    history = fit(one)
    with pytest.raises(CrashError):
        fit(model(), tmp_path, "2 steps", callbacks=[CrashAt(step=15)])
    assert_same_end(one, history, two, fit(two, tmp_path, "2 steps"))
    best = load_model(tmp_path, custom_layers={"Scaled": Scaled})
    assert best.layers[1].count[0] > 0.0


def test_another_runner_goes_on_up_to_rounding(tmp_path: Path) -> None:
    model, other = small_model(dtype="float64"), small_model(dtype="float64")
    fit(model, runner="plain")
    with pytest.raises(CrashError):
        fit(small_model(dtype="float64"), tmp_path, "2 steps", runner="plain", callbacks=[CrashAt(step=15)])
    with pytest.warns(AccelnnWarning, match="not bit by bit: runner was 'plain' and is 'compiled'"):
        fit(other, tmp_path, "2 steps", runner="compiled", threads=1)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_the_team_of_before_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "team_size", lambda *_: 2)
    crashed(tmp_path, CrashAt(step=9), "2 steps", runner="compiled")
    monkeypatch.setattr(compiled, "team_size", lambda *_: 3)
    assert fit(small_model(), tmp_path, "2 steps", runner="compiled").threads == 2


def test_the_time_of_an_epoch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    crashed(tmp_path, CrashAt(step=STEPS + 2), "1 step")
    content = checkpoint_folder.CheckpointFolder(tmp_path).newest()
    assert content is not None
    assert content.description["place"]["epoch"] == 1
    history = fit(model, tmp_path, "1 step")
    assert history["seconds"][1] >= content.description["place"]["seconds"] > 0.0
