"""With NUMBA_DISABLE_JIT all works that needs no compiled code, and says so once; what needs some says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from accelnn_kernels import compiler
from sklearn.exceptions import ConvergenceWarning

from accelnn import SGD, BatchNorm, Dense, MLPClassifier, Sequential, describe_environment, warmup
from accelnn.errors import AccelnnError, AccelnnWarning, ArgumentError
from accelnn.training.data import TrainingData
from accelnn.training.measurement.step_benchmark import benchmark_step
from accelnn.training.runners import choice
from tests.training.own_process import output_of

X, LABELS = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
REASON = "Numba compiles nothing because NUMBA_DISABLE_JIT is set"


def new_model() -> Sequential:
    layers = [Dense(4, "tanh"), BatchNorm(), Dense(2, "softmax")]
    return Sequential(layers, n_in=3, seed=0, dtype="float64", backend="cpu")


def results() -> list[Any]:
    """Return numbers of everything that trains or predicts."""
    model = new_model()
    history = model.fit(X, LABELS, epochs=2, validation_split=0.2, verbose=0)
    found = [model.partial_fit(X, LABELS), model.evaluate(X, LABELS)["loss"], model.predict_proba(X)]
    for solver in ("sgd", "lbfgs"):
        classifier = MLPClassifier((4,), solver=solver, random_state=0, max_iter=3)
        with pytest.warns(ConvergenceWarning):
            found.append(classifier.fit(X, LABELS).predict_proba(X))
    return [history.runner, *found]


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler.numba_config, "DISABLE_JIT", 1)
    monkeypatch.setattr(choice, "_slowness_told", choice.threading.Event())


def test_numbers_are_the_same(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    runner, *compiled = results()
    request.getfixturevalue("without_compiler")
    with pytest.warns(AccelnnWarning, match=f"{REASON}: models train and predict with NumPy alone") as told:
        other, *plain = results()
    assert (runner, other) == ("compiled", "plain")
    for one, another in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-9)
    assert sum(REASON in str(warning.message) for warning in told) == 1
    assert describe_environment()["numba"]["problem"] == REASON


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: new_model().fit(X, LABELS, runner="compiled"), ArgumentError),
        (warmup, AccelnnError),
        (
            lambda: benchmark_step(new_model(), TrainingData(X, LABELS), "cross_entropy", SGD(), 8, 0.1),
            AccelnnError,
        ),
    ],
)
def test_what_needs_compiled_code(call: Callable[[], Any], error: type[Exception], without_compiler: None) -> None:
    with pytest.raises(error, match=f": {REASON}"):
        call()


def test_a_whole_process() -> None:
    code = f"""
        import os, warnings
        os.environ["NUMBA_DISABLE_JIT"] = "1"
        import accelnn
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = accelnn.Sequential([accelnn.Dense(1)], seed=0, backend="cpu")
            history = model.fit([[0.0], [1.0]], [0.0, 1.0], epochs=1, verbose=0)
            print(history.runner, model.predict([[1.0]]).shape, len(told), {REASON!r} in str(told[0].message))
    """
    assert output_of(code) == "plain (1, 1) 1 True\n"
