"""What ``numpy.seterr`` says changes nothing in accelnn, and holds in the functions of the program that it calls.

Each row of the table is a call in which numbers become too small for their dtype.
"""

from __future__ import annotations

from collections.abc import Callable as Function
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import Adam, Callback, Dense, MLPClassifier, Sequential, schedules
from accelnn.data.conversion import csv_to_npy

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(60, 3)), np.arange(60) % 3
FAR = X * 500.0


def model(dtype: str = "float32") -> Sequential:
    return Sequential([Dense(4, "sigmoid"), Dense(3, "softmax")], n_in=3, seed=0, dtype=dtype, backend="cpu")


def trained(x: Any, **options: Any) -> list[np.ndarray]:
    """Return the weights after a training, and everything that a history has but times."""
    network = model(options.pop("dtype", "float32"))
    data = {"validation_split": 0.2, "metrics": ["accuracy"]}
    history = network.fit(x, LABELS, **{"epochs": 2, "batch_size": 4, "verbose": 0, **data, **options})
    return [*network.get_weights(), np.array([history[name] for name in ("loss", "val_loss", "accuracy")])]


def measured(x: Any) -> list[Any]:
    network = model()
    loss = network.evaluate(x, LABELS, metrics=["accuracy"])
    targets = network.evaluate(x, np.eye(3)[LABELS] * 1e-30, metrics=["mse", "rmse", "r2"])
    return [*loss.values(), *targets.values(), network.predict_proba(x), *network.layer_outputs(x)]


def with_tiny_weights() -> list[np.ndarray]:
    network = model()
    network.set_weights([weights * 1e-42 for weights in map(np.float64, network.get_weights())])
    return network.get_weights()


def chances() -> np.ndarray:
    classifier = MLPClassifier((4,), "logistic", random_state=0, solver="sgd", max_iter=1, learning_rate_init=1e-9)
    return classifier.partial_fit(FAR, LABELS, classes=[0, 1, 2]).predict_log_proba(FAR * 1e3)


def converted(folder: Path) -> np.ndarray:
    (folder / "table.csv").write_text("1e-300,1\n2,3\n")
    csv_to_npy(folder / "table.csv", folder / "x.npy")
    return np.load(folder / "x.npy")


CALLS: dict[str, Function[[Path], Any]] = {
    "the corrections of Adam": lambda _: Adam().hyper(np.arange(0, 10**6, 1000), np.ones(1000)),
    "Adam after many steps": lambda _: trained(X, epochs=150, batch_size=1),
    "rates that decay": lambda _: schedules.ExponentialDecay(0.1, 0.01).rates(np.arange(1000.0), 10),
    "a schedule with steps": lambda _: trained(X, learning_rate=schedules.StepDecay(0.1, 1e-100, 0.1)),
    "the plain runner": lambda _: trained(FAR, runner="plain"),
    "tiny rows, plain": lambda _: trained(X * 1e-40, runner="plain"),
    "tiny rows, compiled": lambda _: trained(X * 1e-300, dtype="float64"),
    "metrics and outputs": lambda _: measured(FAR),
    "tiny weights": lambda _: with_tiny_weights(),
    "logarithms of chances": lambda _: chances(),
    "a table converted": converted,
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_errors_that_are_raised_change_nothing(call: Function[[Path], Any], tmp_path: Path) -> None:
    ordinary = call(tmp_path)
    with np.errstate(all="raise"):
        found = call(tmp_path)
        assert set(np.geterr().values()) == {"raise"}
    assert all(map(np.array_equal, found, ordinary))


def test_what_is_ignored_stays_ignored() -> None:
    class Divides(Dense):
        def forward(self, x: Any, context: Any) -> Any:
            return super().forward(x, context) + 0.0 * (np.ones(1) / np.zeros(1) > 0.0)

    network = Sequential([Divides(4), Dense(3, "softmax")], seed=0, backend="cpu")
    with np.errstate(divide="ignore"):
        network.fit(X, LABELS, epochs=1, verbose=0)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        network.predict(X)


class Watching(Callback):
    """Notes what errors do in every function that accelnn calls."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def note(self, where: str) -> None:
        self.found[where] = np.geterr()["under"]

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        self.note("callback")
        model.evaluate(FAR, LABELS)
        self.note("behind a call")

    def own_metric(self, output: Any, target: Any) -> float:
        self.note("metric")
        return float(np.exp(-1e9 * (output.max() > 2)))

    def chunks(self) -> Iterator[tuple[Any, Any]]:
        for _ in range(2):
            self.note("chunk")
            yield FAR, LABELS


def test_functions_of_the_program_see_what_it_has_set() -> None:
    watching, network = Watching(), model()
    with np.errstate(under="print"):
        network.fit(X, LABELS, epochs=1, verbose=0, callbacks=watching, metrics=[watching.own_metric])
        network.partial_fit(watching.chunks())
    assert watching.found == dict.fromkeys(("metric", "callback", "behind a call", "chunk"), "print")


def test_what_such_a_function_raises_goes_through() -> None:
    def too_small(output: Any, target: Any) -> float:
        return float(np.exp(np.float64(-1e9)))

    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="underflow encountered in exp"):
        model().evaluate(X, LABELS, metrics=[too_small])
