"""Habits from other libraries work or are answered, and what has a constructor prints as the call of it."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import accelnn
from accelnn import Checkpoint, Dense, EarlyStopping, History, MLPClassifier, Sequential
from accelnn.arrays.reference import LOSSES
from accelnn.errors import AccelnnError
from accelnn.network import ACTIVATION_ENTRIES, INITIALIZERS
from accelnn.network.activations import ACTIVATION_ALIASES
from accelnn.network.initializers import INITIALIZER_ALIASES
from accelnn.network.losses import LOSS_ALIASES
from accelnn.training import METRICS, OPTIMIZERS, SCHEDULES
from accelnn.training.metrics import METRIC_ALIASES
from accelnn.training.optimizers import OPTIMIZER_ALIASES
from accelnn.training.schedules import SCHEDULE_ALIASES
from tests.promises.call_names import NAMES, X, fit, net
from tests.promises.habits import ANSWERED, WORKS

PRINTED = [
    "Dense(4, 'relu')",
    "Dense(1)",
    "Dense(4, 'selu', initializer='he_uniform', use_bias=False, l2=0.001, name='first')",
    "Dense(4, initializer=Normal(0.1), bias_initializer=Constant(0.5))",
    "Dense(2, bias_initializer=array([1., 2.]))",
    "Activation('gelu')",
    "Dropout(0.5)",
    "BatchNorm()",
    "BatchNorm(0.8, epsilon=0.001)",
    "LayerNorm(0.001)",
    "Rescaling(0.5, offset=-1.0)",
    "Uniform(-1, high=1)",
    "SGD()",
    "SGD(0.1, momentum=0.9, nesterov=True, clip_norm=1.0)",
    "RMSprop(rho=0.8)",
    "Adam(0.01, beta_2=0.99)",
    "AdamW(schedules.Cosine(0.1), weight_decay=0.1)",
    "schedules.Constant(0.1)",
    "schedules.StepDecay(0.1, every=5.0)",
    "schedules.ExponentialDecay(0.1)",
    "schedules.InverseScaling(0.1, power=1.0)",
    "schedules.OneCycle(0.1, warmup=0.2)",
    "schedules.Warmup(2.0, schedules.Cosine(0.1, final=0.01))",
    "EarlyStopping()",
    "EarlyStopping('val_accuracy', patience=3, mode='max')",
    "StopOnTarget('accuracy', 0.9)",
    "TimeLimit(60.0)",
    "ReduceOnPlateau('loss', patience=3)",
    "Callback()",
    "Checkpoint('/runs/first', '5 epochs', keep=2)",
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("".join(f"{row % 2},{row},3\n" for row in range(20)))


@pytest.mark.parametrize(("code", "expected"), WORKS, ids=[code for code, _ in WORKS])
def test_what_is_meant_the_same_everywhere_works(code: str, expected: str) -> None:
    assert eval(expected, {**NAMES, "it": eval(code, dict(NAMES))})


@pytest.mark.parametrize(("code", "error", "words"), ANSWERED, ids=[code for code, _, _ in ANSWERED])
def test_other_habits_are_answered_in_a_line(code: str, error: type[Exception], words: str) -> None:
    with pytest.raises(AccelnnError) as caught:
        eval(code, {**NAMES, "accelnn": accelnn})
    assert isinstance(caught.value, error)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_table_is_long_enough() -> None:
    codes = [row[0] for row in [*WORKS, *ANSWERED]]
    assert len(set(codes)) == len(codes) >= 100


@pytest.mark.parametrize(
    ("aliases", "own"),
    [
        (ACTIVATION_ALIASES, ACTIVATION_ENTRIES),
        (LOSS_ALIASES, LOSSES),
        (METRIC_ALIASES, METRICS),
        (OPTIMIZER_ALIASES, OPTIMIZERS),
        (SCHEDULE_ALIASES, SCHEDULES),
        (INITIALIZER_ALIASES, INITIALIZERS),
    ],
    ids=["activations", "losses", "metrics", "optimizers", "schedules", "initializers"],
)
def test_an_alias_means_what_is_there_hides_nothing_and_is_documented(aliases: dict[str, str], own: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "what-it-is-called-here.md").read_text(encoding="utf-8")
    for alias, name in aliases.items():
        assert any(f"| `{name}` |" in line and f"`{alias}`" in line for line in page.splitlines()), alias
    assert set(aliases.values()) <= set(own)
    assert not set(aliases) & set(own)


def test_a_run_begun_with_an_alias_goes_on_with_the_own_name(tmp_path: Path) -> None:
    for n, (activation, loss, metric) in enumerate(
        [("swish", "CrossEntropyLoss", "acc"), ("silu", "cross_entropy", "accuracy")]
    ):
        model = Sequential([Dense(4, activation), Dense(3, "softmax")], seed=0)
        options: dict[str, Any] = {"loss": loss, "metrics": metric, "callbacks": EarlyStopping("loss")}
        history = fit(model, checkpoint=Checkpoint(tmp_path / "run"), resume=True, **options)
        assert len(history) == 1, n
    assert [layer.activation for layer in accelnn.load_model(tmp_path / "run").layers] == ["silu", "softmax"]


def test_the_output_of_a_called_model_is_that_of_predict() -> None:
    classes, values = net(), net("identity")
    assert (classes(X) == classes.predict_proba(X)).all()
    assert (values(X) == values.predict(X)).all()


def test_an_import_of_what_is_elsewhere_says_where_it_is_here() -> None:
    with pytest.raises(ImportError, match=r"'ModelCheckpoint' from 'accelnn': use fit\(checkpoint=Checkpoint"):
        from accelnn import ModelCheckpoint  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'nothing_at_all'"):
        from accelnn import nothing_at_all  # noqa: F401
    assert not hasattr(accelnn, "ModelCheckpoint")


def test_answers_change_no_signature_and_leave_other_errors_alone() -> None:
    assert list(inspect.signature(Dense).parameters)[:3] == ["units", "activation", "initializer"]
    assert list(inspect.signature(Sequential.fit).parameters)[:4] == ["self", "x", "y", "loss"]
    assert clone(MLPClassifier(alpha=0.5)).get_params()["alpha"] == 0.5

    def broken(output: Any, target: Any) -> float:
        raise TypeError("a fault of the metric's own")

    with pytest.raises(TypeError, match="a fault of the metric's own"):
        fit(metrics=broken)


def test_answers_to_attributes_are_no_attributes() -> None:
    model, history = net(), fit()
    for thing in (model, history, model.layers[0], accelnn.Adam(), accelnn.Adam):
        assert not hasattr(thing, "step")
        assert not hasattr(thing, "history") or thing is model
        for made in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
            assert not hasattr(made, "compile")
    assert (copy.deepcopy(model)(X) == model(X)).all()


@pytest.mark.parametrize("text", PRINTED)
def test_what_has_a_constructor_prints_as_its_call(text: str) -> None:
    names = {**NAMES, "array": np.array}
    made = eval(text, names)
    printed = repr(made)
    assert printed == text.replace("schedules.", "")
    assert repr(eval(printed, {**names, **vars(accelnn.schedules)} if "schedules" in text else names)) == printed


def test_every_public_class_with_a_constructor_prints_as_a_call() -> None:
    public = [getattr(accelnn, name) for name in accelnn.__all__] + list(vars(accelnn.schedules).values())
    bases = (accelnn.Layer, accelnn.Callback, accelnn.schedules.Schedule, type(accelnn.Adam()).__mro__[1])
    kinds = {kind.__name__ for kind in public if isinstance(kind, type) and issubclass(kind, bases)}
    kinds -= {"Layer", "Schedule"}  # abstract
    assert {name for name in kinds if not any(f"{name}(" in text for text in PRINTED)} == set()


def test_a_layer_prints_without_the_name_that_its_network_made_up() -> None:
    assert repr(net().layers) == "[Dense(4, 'tanh'), Dense(3, 'softmax')]"


def test_classes_of_the_user_print_too() -> None:
    class Noisy(accelnn.Callback):
        def __init__(self, level: int, out: Any = None) -> None:
            self.level, self._out = level, out

    class Secret(accelnn.Callback):
        def __init__(self, key: int) -> None:
            self._key = key

    assert repr(Noisy(3, sys.stdout)) == "Noisy(3)"
    assert repr(Secret(3)).startswith("<")


def test_a_history_prints_as_a_table() -> None:
    history = History(runner="compiled", threads=2, stopped_because="val_loss did not improve for 3 epochs")
    for epoch in range(40):
        history.record(loss=1 / (epoch + 1), seconds=0.25, samples_per_s=1234567.0, accuracy=0.5)
    lines = repr(history).splitlines()
    assert lines[0].split() == ["epoch", "loss", "accuracy", "seconds", "samples_per_s"]
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "2", "3", "4", "5", "...", "36", "37", "38", "39", "40"]
    assert lines[2].split() == ["2", "0.5", "0.5", "0.25", "1,234,567"]
    assert len({len(line) for line in lines[:6]}) == 1
    assert lines[-1] == "40 epochs, compiled runner, 2 threads; val_loss did not improve for 3 epochs"
    assert str(History()) == "History of no epochs"
    assert len(str(fit()).splitlines()) == 3


@pytest.mark.parametrize(
    ("code", "near"), [("Adam().shedule", "schedule"), ("net().fitt", "fit"), ("accelnn.Squential", "Sequential")]
)
def test_a_mistyped_attribute_proposes_the_nearest(code: str, near: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '.*': did you mean '{near}'"):
        eval(code, {**NAMES, "accelnn": accelnn})
