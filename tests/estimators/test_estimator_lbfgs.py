"""L-BFGS: SciPy's, on the same function as in scikit-learn, so it reaches the same optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from tests.estimators.oracle import KINDS, N_ROWS, check_same, check_same_weights, fitted_pair, pair, rows, targets

SINGLE = [kind for kind in KINDS if kind != "multi-output"]


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_the_first_iterations_are_the_same(kind: str, activation: str) -> None:
    ours, theirs = fitted_pair(kind, solver="lbfgs", activation=activation, max_iter=5, alpha=0.0)
    check_same(ours, theirs)


def test_the_optimum_of_several_outputs() -> None:
    """On the way there SciPy gets the mean over the outputs and the gradient of their sum from scikit-learn."""
    x, y = rows(), targets("multi-output")
    ours, _ = fitted_pair("multi-output", hidden_layer_sizes=(), solver="lbfgs", max_iter=500, tol=1e-9, alpha=0.0)
    solution = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
    np.testing.assert_allclose(ours.coefs_[0], solution[:-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.intercepts_[0], solution[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("weighted", [False, True])
def test_penalty_and_weights_of_rows(kind: str, weighted: bool) -> None:
    weights = np.random.default_rng(2).uniform(0.1, 3.0, N_ROWS) if weighted else None
    options = {"solver": "lbfgs", "activation": "tanh", "alpha": 0.3, "max_iter": 5}
    check_same(*fitted_pair(kind, sample_weight=weights, **options))


@pytest.mark.parametrize("kind", SINGLE)
def test_the_optimum_is_the_same(kind: str) -> None:
    """Linear models with a penalty have a single one."""
    options: dict[str, Any] = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 1.0, "max_iter": 1000, "tol": 1e-7}
    ours, theirs = fitted_pair(kind, **options)
    check_same_weights(ours, theirs, rtol=1e-4, atol=1e-5)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)


def test_loss_belongs_to_the_weights() -> None:
    ours, _ = fitted_pair("regression", solver="lbfgs", max_iter=50, alpha=0.0)
    assert ours.loss_ == pytest.approx(np.mean((ours.predict(rows()) - targets("regression")) ** 2) / 2)


def test_there_are_no_curves() -> None:
    for estimator in fitted_pair("binary", solver="lbfgs", max_iter=5):
        assert not hasattr(estimator, "loss_curve_")
        assert not hasattr(estimator, "best_loss_")


@pytest.mark.parametrize("limit", [{"max_iter": 3}, {"max_fun": 3}], ids=str)
def test_an_end_too_early_is_a_warning_with_the_advice(limit: dict[str, int]) -> None:
    for estimator in pair("regression", solver="lbfgs", **{"max_iter": 200} | limit):
        with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge after \d+ iteration\(s\)") as caught:
            estimator.fit(rows(), targets("regression"))
        assert "scale the data" in str(caught[0].message)


def test_early_stopping_holds_out_nothing() -> None:
    check_same(*fitted_pair("multiclass", solver="lbfgs", early_stopping=True, max_iter=5))


def test_float32() -> None:
    """scikit-learn's weights are float64 then, whatever came in."""
    ours, theirs = fitted_pair("regression", rows().astype(np.float32), solver="lbfgs", activation="tanh", max_iter=5)
    assert {array.dtype.name for array in (*ours.coefs_, *ours.intercepts_)} == {"float32"}
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-3, atol=1e-4)


def test_batch_size_changes_nothing() -> None:
    one, other = (fitted_pair("multiclass", solver="lbfgs", max_iter=20, batch_size=b)[0] for b in (5, "auto"))
    check_same(one, other)
