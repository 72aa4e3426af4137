"""Trainings that go on: ``warm_start`` and ``partial_fit`` continue as those of scikit-learn do."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from accelnn import MLPClassifier, MLPRegressor
from accelnn.errors import ArgumentError
from tests.estimators.oracle import KINDS, check_same, check_same_weights, pair, quietly, rows, targets

CLASSES = {"binary": ["no", "yes"], "multiclass": ["blue", "green", "red"], "multilabel": [0, 1, 2]}


def partial_fit(estimator: Any, kind: str, part: slice, **options: Any) -> None:
    """Show a part of the rows once."""
    first = not hasattr(estimator, "coefs_")
    if first and kind in CLASSES:
        options["classes"] = CLASSES[kind]
    estimator.partial_fit(rows(90)[part], targets(kind, 90)[part], **options)


PARTS = (slice(0, 40), slice(40, 90), slice(10, 13), slice(0, 90)) * 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit(kind: str, solver: str) -> None:
    """The rule of update goes on too: its velocities and how many steps it has seen."""
    estimators = pair(kind, solver=solver, activation="tanh", alpha=0.0, batch_size="auto")
    for part in PARTS:
        for estimator in estimators:
            partial_fit(estimator, kind, part)
    check_same(*estimators)
    assert len(estimators[0].loss_curve_) == len(PARTS)


@pytest.mark.parametrize(
    "parameters",
    [
        {"learning_rate": "invscaling"},
        {"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
        {"momentum": 0.0},
        {"shuffle": False},
        {"batch_size": 3},
    ],
    ids=str,
)
def test_partial_fit_with_parameters(parameters: dict[str, Any]) -> None:
    estimators = pair("regression", activation="tanh", **{"solver": "sgd", "batch_size": "auto"} | parameters)
    for part in PARTS:
        for estimator in estimators:
            partial_fit(estimator, "regression", part)
    check_same(*estimators)


def test_partial_fit_with_weights_of_rows() -> None:
    estimators = pair("multiclass", activation="tanh", batch_size="auto")
    for part in PARTS:
        weights = np.random.default_rng(part.stop).uniform(0.5, 2.0, part.stop - part.start)
        for estimator in estimators:
            partial_fit(estimator, "multiclass", part, sample_weight=weights)
    check_same(*estimators)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_after_fit(kind: str, solver: str) -> None:
    """It goes on with the rule of update that ``fit`` has left."""
    estimators = pair(kind, solver=solver, activation="tanh", max_iter=3)
    for estimator in estimators:
        quietly(estimator.fit, rows(), targets(kind))
        partial_fit(estimator, kind, slice(0, 90))
        partial_fit(estimator, kind, slice(0, 90))
    check_same(*estimators)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_start(kind: str, solver: str) -> None:
    """Weights and curves go on, the rule of update begins anew."""
    estimators = pair(kind, solver=solver, activation="tanh", alpha=0.0, warm_start=True, max_iter=4)
    for _ in range(3):
        for estimator in estimators:
            quietly(estimator.fit, rows(), targets(kind))
    check_same(*estimators)
    assert len(estimators[0].loss_curve_) == 12
    assert estimators[0].n_iter_ == 4


def test_without_warm_start_everything_begins_anew() -> None:
    once, twice = (pair("multiclass", max_iter=4)[0] for _ in range(2))
    for estimator in (once, twice, twice):
        quietly(estimator.fit, rows(), targets("multiclass"))
    check_same(once, twice, rtol=0.0, atol=0.0)


def test_another_problem_begins_anew() -> None:
    ours, theirs = pair("binary", max_iter=4, activation="tanh")
    quietly(ours.fit, rows(), targets("multiclass"))
    for estimator in (ours, theirs):
        quietly(estimator.fit, rows()[:, :3], targets("binary"))
    check_same(ours, theirs)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_lbfgs_goes_on_from_the_weights_of_another_solver(solver: str) -> None:
    estimators = pair("regression", solver=solver, activation="tanh", warm_start=True, max_iter=3)
    for estimator in estimators:
        quietly(estimator.fit, rows(), targets("regression"))
        quietly(estimator.set_params(solver="lbfgs").fit, rows(), targets("regression"))
    check_same_weights(*estimators)


def test_weights_that_the_user_has_changed_count() -> None:
    estimators = pair("multiclass", activation="tanh", batch_size="auto")
    for estimator in estimators:
        partial_fit(estimator, "multiclass", slice(0, 40))
        estimator.coefs_[0][...] *= 0.5
        estimator.intercepts_[-1] += 1.0
    x = rows(20, seed=8)
    np.testing.assert_allclose(estimators[0].predict_proba(x), estimators[1].predict_proba(x), rtol=1e-9)
    for estimator in estimators:
        partial_fit(estimator, "multiclass", slice(0, 40))
    check_same(*estimators)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
def test_partial_fit_goes_on_after_pickling(solver: str, learning_rate: str) -> None:
    options = {"solver": solver, "learning_rate": learning_rate, "tol": 10.0, "n_iter_no_change": 1}
    kept, pickled = (pair("multiclass", batch_size="auto", **options)[0] for _ in range(2))
    for part in PARTS[:8]:
        partial_fit(kept, "multiclass", part)
        partial_fit(pickled, "multiclass", part)
        pickled = pickle.loads(pickle.dumps(pickled))
    check_same(kept, pickled, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_with_early_stopping_records_scores(kind: str) -> None:
    ours, _ = pair(kind, early_stopping=True, batch_size="auto", validation_fraction=0.2)
    for _ in range(3):
        partial_fit(ours, kind, slice(0, 90))
    assert len(ours.validation_scores_) == len(ours.validation_loss_curve_) == len(ours.loss_curve_) == 3
    assert ours.best_validation_score_ == max(ours.validation_scores_)
    assert ours.t_ == 3 * 72


def test_partial_fit_does_not_warn_that_one_epoch_is_too_few() -> None:
    partial_fit(pair("binary", max_iter=1, batch_size="auto")[0], "binary", slice(0, 90))


def test_lbfgs_has_no_partial_fit() -> None:
    for estimator in pair("multiclass", solver="lbfgs"):
        assert not hasattr(estimator, "partial_fit")
        with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as caught:
            _ = estimator.partial_fit
        assert str(caught.value.__cause__) == (
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )


def test_the_regressor_has_none_either() -> None:
    """scikit-learn's has one, by an oversight: its check is not called there."""
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")


def test_classes_are_needed_at_first_and_must_stay() -> None:
    x, y = rows(), targets("multiclass")
    for estimator in pair("multiclass", batch_size="auto"):
        with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
            estimator.partial_fit(x, y)
        estimator.partial_fit(x, y, classes=["blue", "green", "red"])
        estimator.partial_fit(x, y, classes=["red", "green", "blue"])
        with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
            estimator.partial_fit(x, y, classes=["red", "green"])
        with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
            estimator.partial_fit(x, np.where(y == "red", "pink", y))


def test_a_call_that_fails_leaves_no_trace() -> None:
    estimator = MLPClassifier()
    with pytest.raises(ArgumentError):
        estimator.partial_fit(rows(), targets("binary"))
    assert vars(estimator) == vars(MLPClassifier())


def test_a_warm_start_needs_the_same_classes() -> None:
    x, y = rows(), targets("multiclass")
    for estimator in pair("multiclass", warm_start=True, max_iter=2):
        quietly(estimator.fit, x, y)
        with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
            quietly(estimator.fit, x[y != "red"], y[y != "red"])


def test_another_number_of_features_is_refused() -> None:
    for estimator in pair("regression", batch_size="auto"):
        partial_fit(estimator, "regression", slice(0, 90))
        with pytest.raises(ValueError, match="X has 4 features, but MLPRegressor is expecting 6 features"):
            estimator.partial_fit(rows()[:, :4], targets("regression"))
