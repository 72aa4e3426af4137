"""Training calls that fail, at any moment: the estimator is what it was, and the next call ends where it would have."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import accelnn.training.fit
from accelnn import Callback, MLPClassifier
from accelnn.errors import AccelnnWarning, DivergenceError
from tests.estimators.oracle import SMALL, check_same, pair, quietly, rows, targets

CLASSES = ["blue", "green", "red"]


class _Moments(Callback):
    """Counts the moments of a training at which a callback is called, and raises ``error`` at number ``at``."""

    def __init__(self) -> None:
        self.count, self.at, self.error = 0, -1, RuntimeError("of the user's")

    def __reduce__(self) -> Any:
        return _Moments, ()

    def _pass(self, *args: Any) -> None:
        self.count += 1
        if self.count == self.at:
            raise self.error

    on_train_begin = on_epoch_begin = on_chunk_end = on_epoch_end = _pass


@pytest.fixture(autouse=True)
def _chunks_of_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelnn.training.fit.Pace, "record", lambda *args: None)


def _partial_fit(estimator: Any) -> None:
    estimator.partial_fit(rows(), targets("multiclass"), **{} if hasattr(estimator, "coefs_") else {"classes": CLASSES})


def _fit(estimator: Any) -> None:
    quietly(estimator.fit, rows(), targets("multiclass"))


CALLS = {
    "partial_fit": (_partial_fit, {}),
    "partial_fit, early stopping": (_partial_fit, {"early_stopping": True}),
    "partial_fit, momentum, adaptive": (
        _partial_fit,
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    ),
    "partial_fit, dropout": (_partial_fit, {"dropout": 0.3}),
    "partial_fit, rmsprop": (_partial_fit, {"optimizer": "rmsprop"}),
    "fit": (_fit, {"solver": "sgd", "learning_rate": "invscaling"}),
    "warm fit": (_fit, {"warm_start": True, "early_stopping": True, "n_iter_no_change": 2}),
}


def _counted(name: str) -> tuple[Any, _Moments, Callable[[Any], None]]:
    call, parameters = CALLS[name]
    counter = _Moments()
    estimator = MLPClassifier(**SMALL | {"max_iter": 2, "callbacks": [counter], **parameters})
    return estimator, counter, call


@pytest.mark.parametrize("name", CALLS)
def test_a_call_may_fail_at_any_moment(name: str) -> None:
    """At the first, second, third ... call of a callback, before and after every chunk; the same call is then made."""
    (estimator, counter, call), (other, others, _) = _counted(name), _counted(name)
    for _ in range(3):
        others.count = 0
        call(other)
        for at in range(1, others.count + 1):
            counter.count, counter.at = 0, at
            before = pickle.dumps(estimator)
            with pytest.raises(RuntimeError, match="of the user's"):
                call(estimator)
            assert pickle.dumps(estimator) == before
        counter.at = -1
        call(estimator)
        check_same(estimator, other, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_numbers_that_are_not_finite(solver: str) -> None:
    estimator, other = (pair("regression", solver=solver, max_iter=2, warm_start=True)[0] for _ in range(2))
    x, y = rows(), targets("regression")
    for _ in range(2):
        for one in (estimator, other):
            quietly(one.fit, x, y)
        before = pickle.dumps(estimator)
        with pytest.raises((DivergenceError, ValueError)), np.errstate(all="ignore"):
            quietly(estimator.fit, x * 1e200, y * 1e300)
        assert pickle.dumps(estimator) == before
    check_same(estimator, other, rtol=0.0, atol=0.0)


def test_ctrl_c_keeps_what_was_learned_and_the_next_call_goes_on_from_there() -> None:
    """After two of four steps; a copy that goes on elsewhere ends at the same weights."""
    estimator, counter, call = _counted("partial_fit, dropout")
    counter.at, counter.error = 4, KeyboardInterrupt()
    with pytest.warns(AccelnnWarning, match="keeps what it has learned"):
        call(estimator)
    assert estimator._solver.steps == 2
    counter.at = -1
    copied = pickle.loads(pickle.dumps(estimator))
    for one in (estimator, copied):
        call(one)
    check_same(estimator, copied, rtol=0.0, atol=0.0)


def test_what_a_callback_sees_of_the_estimator_is_what_was_before() -> None:
    """It may predict, too: with the weights before, and without harm to those in training."""
    seen = []

    class Predicts(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            seen.append(estimator.predict_proba(rows()))
            estimator.noted = epoch

    estimator, other = (MLPClassifier((5,), max_iter=3, random_state=0) for _ in range(2))
    for one in (estimator, other):
        quietly(one.fit, rows(), targets("multiclass"))
    before = estimator.predict_proba(rows())
    estimator.callbacks = Predicts()
    for one in (estimator, other):
        one.partial_fit(rows(), targets("multiclass"))
    np.testing.assert_array_equal(seen, [before])
    assert estimator.noted == 0
    check_same(estimator, other, rtol=0.0, atol=0.0)


def test_a_prediction_in_between_changes_no_training() -> None:
    """The network that a copy from a pickle makes to predict is trained with the same penalties and masks."""
    copies = []
    for predicts in (False, True):
        estimator = MLPClassifier(**SMALL, alpha=1.0, dropout=0.3)
        _partial_fit(estimator)
        copies.append(pickle.loads(pickle.dumps(estimator)))
        if predicts:
            copies[-1].predict(rows())
        _partial_fit(copies[-1])
        _partial_fit(estimator)
        check_same(copies[-1], estimator, rtol=0.0, atol=0.0)
    check_same(*copies, rtol=0.0, atol=0.0)
