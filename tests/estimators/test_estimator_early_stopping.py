"""Early stopping: the rows that scikit-learn holds out, its scores, its best weights; or rows that the caller gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from accelnn import MLPClassifier, MLPRegressor
from accelnn.errors import ArgumentError, DivergenceError
from tests.estimators.oracle import KINDS, check_same, check_same_weights, fitted_pair, pair, quietly, rows, targets

N = 120
STOPPING: dict[str, Any] = {
    "early_stopping": True,
    "activation": "tanh",
    "alpha": 0.0,
    "tol": 1e-3,
    "n_iter_no_change": 4,
    "max_iter": 80,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_scores_and_best_weights_are_those_of_scikit_learn(kind: str, solver: str) -> None:
    ours, theirs = fitted_pair(kind, rows(N), targets(kind, N), solver=solver, **STOPPING)
    if kind == "counts":
        ours.loss_, ours.loss_curve_ = theirs.loss_, theirs.loss_curve_  # see the next test
    check_same(ours, theirs)
    assert ours.best_loss_ is None
    assert ours.best_validation_score_ == max(ours.validation_scores_)
    assert len(ours.validation_loss_curve_) == len(ours.validation_scores_) == ours.n_iter_


def test_the_loss_of_counts() -> None:
    check_same(*fitted_pair("counts", rows(N), targets("counts", N), **STOPPING))


@pytest.mark.parametrize(("kind", "fraction"), [("binary", 0.02), ("multiclass", 0.3), ("regression", 0.02)])
def test_fraction_of_the_rows(kind: str, fraction: float) -> None:
    options = STOPPING | {"validation_fraction": fraction, "max_iter": 20}
    check_same(*fitted_pair(kind, rows(N), targets(kind, N), **options))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_weights_of_rows_count_in_the_score(kind: str) -> None:
    weights = np.random.default_rng(4).uniform(0.1, 3.0, N)
    ours, theirs = fitted_pair(kind, rows(N), targets(kind, N), sample_weight=weights, **STOPPING)
    check_same_weights(ours, theirs)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)


def test_a_rate_that_adapts_is_lowered_before_it_stops() -> None:
    options = STOPPING | {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "max_iter": 200}
    ours, theirs = fitted_pair("multiclass", rows(N), targets("multiclass", N), **options)
    assert theirs.n_iter_ < 200
    check_same(ours, theirs)


def test_the_best_weights_are_those_that_are_kept() -> None:
    x, y = rows(N), targets("binary", N)
    ours, _ = pair("binary", **STOPPING)
    quietly(ours.fit, x[:90], y[:90], X_val=x[90:], y_val=y[90:])
    assert ours.validation_scores_[-1] <= ours.best_validation_score_
    assert ours.score(x[90:], y[90:]) == pytest.approx(ours.best_validation_score_)


def test_a_warm_start_does_not_lose_the_best_weights() -> None:
    """In scikit-learn they are the arrays that are trained on, so a second ``fit`` changes them."""
    x, y = rows(N), targets("binary", N)
    ours, _ = pair("binary", **STOPPING | {"warm_start": True})
    quietly(ours.fit, x[:90], y[:90], X_val=x[90:], y_val=y[90:])
    best = ours.best_validation_score_
    quietly(ours.set_params(learning_rate_init=10.0, max_iter=3).fit, x[:90], y[:90], X_val=x[90:], y_val=y[90:])
    assert ours.best_validation_score_ == best == pytest.approx(ours.score(x[90:], y[90:]))
    assert min(ours.validation_scores_[-3:]) < best


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_rows_that_the_caller_gives(kind: str, early_stopping: bool) -> None:
    x, y = rows(N), targets(kind, N)
    ours, _ = pair(kind, **STOPPING | {"early_stopping": early_stopping, "max_iter": 6, "n_iter_no_change": 100})
    quietly(ours.fit, x[:90], y[:90], X_val=x[90:], y_val=y[90:])
    assert len(ours.validation_scores_) == len(ours.validation_loss_curve_) == len(ours.loss_curve_) == 6
    if not early_stopping:
        assert ours.validation_scores_[-1] == pytest.approx(ours.score(x[90:], y[90:]))
        assert ours.best_validation_score_ == max(ours.validation_scores_)
        assert ours.best_loss_ == min(ours.loss_curve_)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_to_watch_leave_the_training_as_it_is(kind: str) -> None:
    x, y = rows(N), targets(kind, N)
    ours, theirs = pair(kind, activation="tanh", alpha=0.0)
    quietly(ours.fit, x[:53], y[:53], X_val=x[53:], y_val=y[53:])
    quietly(theirs.fit, x[:53], y[:53])
    check_same_weights(ours, theirs)


def test_the_loss_of_validation_rows() -> None:
    x, y = rows(N), targets("multiclass", N)
    ours, _ = pair("multiclass", max_iter=3)
    quietly(ours.fit, x[:90], y[:90], X_val=x[90:], y_val=y[90:])
    columns = np.searchsorted(ours.classes_, y[90:])
    expected = -ours.predict_log_proba(x[90:])[np.arange(30), columns].mean()
    assert ours.validation_loss_curve_[-1] == pytest.approx(expected)


LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "squared_error": lambda output, y: (output - y) ** 2 / 2,
    "absolute_error": lambda output, y: np.abs(output - y),
    "huber": lambda output, y: np.where(np.abs(output - y) < 1, (output - y) ** 2 / 2, np.abs(output - y) - 0.5),
    "poisson": lambda output, y: y * np.log(y / output) - y + output,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_numbers(loss: str) -> None:
    x, y = rows(N), np.abs(targets("regression", N))
    ours = MLPRegressor(loss, (4,), max_iter=3, random_state=0, alpha=0.0)
    quietly(ours.fit, x, y, X_val=x, y_val=y)
    assert ours.validation_loss_curve_[-1] == pytest.approx(np.mean(LOSSES[loss](ours.predict(x), y)))


@pytest.mark.parametrize("max_iter", [1, 3])
def test_calls_in_a_loop_learn_as_those_of_scikit_learn_do(max_iter: int) -> None:
    x, y = rows(N), targets("multiclass", N)
    options = STOPPING | {"warm_start": True, "max_iter": max_iter, "n_iter_no_change": 1000}
    ours, theirs = pair("multiclass", **options)
    for _ in range(12):
        quietly(ours.fit, x, y)
        quietly(theirs.fit, x, y)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    assert ours.best_validation_score_ == max(ours.validation_scores_)


DIVERGING: dict[str, Any] = STOPPING | {
    "solver": "sgd",
    "activation": "identity",
    "learning_rate_init": 3.0,
    "batch_size": 100,
    "n_iter_no_change": 10,
}


@pytest.mark.parametrize("calls", [1, 2])
def test_a_training_that_diverges_goes_back_to_the_best_weights(calls: int) -> None:
    """scikit-learn goes on with numbers that are not finite, until ``max_iter``."""
    x, y = rows(N), targets("regression", N)
    ours, theirs = pair("regression", **DIVERGING | {"warm_start": calls > 1})
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(x, y)
    for _ in range(calls):
        with pytest.warns(
            ConvergenceWarning, match=r"goes back to its best weights: the loss is .* layer dense"
        ) as seen:
            ours.fit(x, y)
        assert [warning.filename for warning in seen] == [__file__]
    check_same_weights(ours, theirs)
    if calls == 1:
        np.testing.assert_allclose(ours.loss_curve_[:-1], theirs.loss_curve_[: ours.n_iter_ - 1])
    assert np.isnan([ours.loss_, ours.loss_curve_[-1], ours.validation_scores_[-1]]).all()
    assert len(ours.loss_curve_) == len(ours.validation_scores_) == len(ours.validation_loss_curve_)
    ours.set_params(early_stopping=False).partial_fit(x, y)  # the velocities begin anew
    assert np.isfinite(ours.coefs_[0]).all()


def test_a_training_that_diverges_at_once_is_an_error() -> None:
    ours, _ = pair("regression", **DIVERGING | {"learning_rate_init": 1e200, "batch_size": 10})
    with pytest.raises(DivergenceError, match=r"Solver produced non-finite parameter weights.*In detail: the loss is"):
        ours.fit(rows(N), targets("regression", N))
    assert not hasattr(ours, "coefs_")


def test_without_validation_rows_there_are_no_scores() -> None:
    ours, theirs = fitted_pair("binary", max_iter=2)
    assert ours.validation_scores_ is theirs.validation_scores_ is None
    assert ours.best_validation_score_ is theirs.best_validation_score_ is None
    assert ours.validation_loss_curve_ is None


def test_too_few_validation_rows_are_an_error_as_in_scikit_learn() -> None:
    for estimator in pair("regression", early_stopping=True, validation_fraction=0.1):
        with pytest.raises(ValueError, match=r"The validation set is too small. Increase 'validation_fraction'"):
            estimator.fit(rows(10), targets("regression", 10))


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_parts_whose_rows_weigh_nothing_are_refused(kind: str) -> None:
    ours, _ = pair(kind, early_stopping=True)
    with pytest.raises(ArgumentError, match=r"validation_fraction is 0.1: of the \d+ rows to .* all weights"):
        ours.fit(rows(N), targets(kind, N), np.eye(N)[0])
    assert not hasattr(ours, "coefs_")


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True], [3, 7]])
def test_a_label_of_too_few_rows_is_named_as_it_is(labels: list[Any]) -> None:
    y = np.array(labels)[[0, 0, 0, 1]]
    with pytest.raises(ValueError, match=rf"Classes with too few members are: \[{y.tolist()[-1]!r}\]"):
        MLPClassifier(early_stopping=True).fit(rows(4), y)


@pytest.mark.parametrize(("which", "missing"), [("X_val", "y_val"), ("y_val", "X_val")])
def test_validation_rows_need_both(which: str, missing: str) -> None:
    given = {"X_val": rows(), "y_val": targets("binary")}
    with pytest.raises(ArgumentError, match=f"{missing} is None: X_val and y_val belong together"):
        MLPClassifier().fit(rows(), targets("binary"), **{which: given[which]})


def test_validation_rows_are_checked() -> None:
    x, y = rows(), targets("binary")
    with pytest.raises(ValueError, match="X has 2 features, but MLPClassifier is expecting 6 features"):
        MLPClassifier(max_iter=1).fit(x, y, X_val=x[:, :2], y_val=y)
    with pytest.raises(ValueError, match=r"y_val: .*'y' has .*'perhaps'"):
        MLPClassifier(max_iter=1).fit(x, y, X_val=x[:2], y_val=["yes", "perhaps"])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MLPClassifier(max_iter=1).fit(x, y, X_val=x[:3], y_val=y[:2])
    with pytest.raises(ArgumentError, match="solver is 'lbfgs': it has no epochs to measure X_val after"):
        MLPClassifier(solver="lbfgs").fit(x, y, X_val=x, y_val=y)
