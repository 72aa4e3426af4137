"""Constructors: every parameter of scikit-learn's with the same default, in the same place, and ours behind them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone, is_classifier, is_regressor

import accelnn
from tests.estimators.oracle import KINDS, pair, quietly, rows, targets

EXTRAS = {
    "backend": "auto",
    "dtype": None,
    "dropout": 0.0,
    "optimizer": None,
    "schedule": None,
    "class_weight": None,
    "callbacks": None,
}
NAMES = ("MLPClassifier", "MLPRegressor")


def parameters_of(estimator: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(estimator).parameters.values())


def signature(estimator: Any) -> list[tuple[str, Any, Any]]:
    """Return name, default and kind of each parameter in their order."""
    return [(parameter.name, parameter.default, parameter.kind) for parameter in parameters_of(estimator)]


@pytest.mark.parametrize("name", NAMES)
def test_scikit_learns_parameters_come_first(name: str) -> None:
    theirs = signature(getattr(neural_network, name))
    assert signature(getattr(accelnn, name))[: len(theirs)] == theirs


@pytest.mark.parametrize("name", NAMES)
def test_extra_parameters_come_behind_and_need_their_name(name: str) -> None:
    n_theirs = len(signature(getattr(neural_network, name)))
    extra = signature(getattr(accelnn, name))[n_theirs:]
    expected = {key: value for key, value in EXTRAS.items() if name == "MLPClassifier" or key != "class_weight"}
    assert {key: value for key, value, _ in extra} == expected
    assert [key for key, _, _ in extra] == list(expected)
    assert {kind for _, _, kind in extra} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_documented(name: str) -> None:
    estimator = getattr(accelnn, name)
    text = inspect.getdoc(estimator) or ""
    assert [p.name for p in parameters_of(estimator) if f"\n    {p.name}: " not in text] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"])
def test_methods_take_what_scikit_learns_take(name: str, method: str) -> None:
    theirs, ours = getattr(neural_network, name), getattr(accelnn, name)
    if not hasattr(theirs, method):
        assert not hasattr(ours, method)
        return
    expected = [parameter.name for parameter in parameters_of(getattr(theirs(), method))]
    seen = [parameter.name for parameter in parameters_of(getattr(ours(), method))]
    assert seen[: len(expected)] == expected
    assert seen[len(expected) :] == (["X_val", "y_val"] if method == "fit" else [])


@pytest.mark.parametrize("name", NAMES)
def test_constructors_change_nothing(name: str) -> None:
    """``clone`` relies on it; a parameter that cannot be used is found by ``fit``."""
    marks = {parameter.name: object() for parameter in parameters_of(getattr(accelnn, name))}
    estimator = getattr(accelnn, name)(**marks)
    assert all(estimator.get_params()[key] is mark for key, mark in marks.items())
    assert vars(estimator) == marks
    assert estimator.set_params(alpha=0.5).alpha == 0.5


def kind_of(value: Any) -> Any:
    """Return the type of a value; numbers of NumPy and of Python count as one."""
    if isinstance(value, list):
        return [kind_of(value[0])]
    return np.asarray(value).dtype.kind if np.isscalar(value) else type(value)


@pytest.mark.parametrize("kind", KINDS)
def test_fitted_attributes_are_those_of_scikit_learn(kind: str) -> None:
    ours, theirs = pair(kind, max_iter=2, early_stopping=True)
    before = set(vars(ours))
    for estimator in (ours, theirs):
        quietly(estimator.fit, rows(), targets(kind))
    public = {name for name in set(vars(ours)) - before if not name.startswith("_")}
    expected = {name for name in set(vars(theirs)) - before if not name.startswith("_")} - {"loss"}
    assert public == expected | {"validation_loss_curve_"}
    assert is_classifier(ours) == is_classifier(theirs)
    assert is_regressor(ours) == is_regressor(theirs)
    assert {name: kind_of(getattr(ours, name)) for name in expected} == {
        name: kind_of(getattr(theirs, name)) for name in expected
    }


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_a_clone_is_not_fitted_and_trains_alike(kind: str) -> None:
    ours, _ = pair(kind, max_iter=2)
    quietly(ours.set_params(dropout=0.2).fit, rows(), targets(kind))
    copy = clone(ours)
    assert not hasattr(copy, "coefs_")
    quietly(copy.fit, rows(), targets(kind))
    assert (copy.predict(rows()) == ours.predict(rows())).all()


@pytest.mark.parametrize("kind", ["binary", "multilabel", "regression"])
def test_tags_are_those_of_scikit_learn(kind: str) -> None:
    ours, theirs = pair(kind)
    assert ours.__sklearn_tags__() == theirs.__sklearn_tags__()


def test_what_is_not_the_default_is_shown() -> None:
    estimator = accelnn.MLPClassifier((8,), alpha=0.5, backend="cpu")
    assert repr(estimator) == "MLPClassifier(alpha=0.5, backend='cpu', hidden_layer_sizes=(8,))"


def test_accelnn_does_not_load_scikit_learn_before_an_estimator_is_named() -> None:
    loaded = "{'sklearn', 'cupy', 'numba'} & set(sys.modules)"
    code = f"import sys, accelnn; assert not {loaded}; accelnn.MLPClassifier; assert {loaded} == {{'sklearn'}}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
