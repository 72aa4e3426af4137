"""The same training by scikit-learn and by accelnn, and everything that must come out alike."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import accelnn

pytest.importorskip("sklearn", minversion="1.9", reason="the oracle is scikit-learn 1.9")

N_ROWS, N_FEATURES, BATCH_SIZE = 53, 6, 16
"""An epoch has four batches; the last one has 5 rows."""

EPOCHS = 13
"""52 steps."""

SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (7, 5),
    "batch_size": BATCH_SIZE,
    "max_iter": EPOCHS,
    "random_state": 3,
    "learning_rate_init": 0.01,
    "tol": 0.0,
    "n_iter_no_change": 1000,
}


def rows(n: int = N_ROWS, seed: int = 0) -> np.ndarray:
    """Return inputs, float64 (n, N_FEATURES)."""
    return np.random.default_rng(seed).normal(size=(n, N_FEATURES))


def targets(kind: str, n: int = N_ROWS) -> np.ndarray:
    """Return what to learn from ``rows(n)``: one of the keys of ``KINDS``."""
    x, rng = rows(n), np.random.default_rng(1)
    scores = x @ rng.normal(size=(N_FEATURES, 3)) + 0.3 * rng.normal(size=(n, 3))
    made = {
        "binary": lambda: np.where(scores[:, 0] > 0, "yes", "no"),
        "multiclass": lambda: np.array(["red", "green", "blue"])[scores.argmax(axis=1)],
        "multilabel": lambda: (scores > 0).astype(int),
        "regression": lambda: scores[:, 0],
        "multi-output": lambda: scores,
        "counts": lambda: rng.poisson(np.exp(0.3 * scores[:, 0])),
    }
    return made[kind]()


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("MLPClassifier", {}),
    "multiclass": ("MLPClassifier", {}),
    "multilabel": ("MLPClassifier", {}),
    "regression": ("MLPRegressor", {}),
    "multi-output": ("MLPRegressor", {}),
    "counts": ("MLPRegressor", {"loss": "poisson"}),
}
"""Kind of problem: the estimator for it, and its own parameters."""


def pair(kind: str, **parameters: Any) -> tuple[Any, Any]:
    """Return accelnn's estimator and scikit-learn's, small ones with the same parameters, not trained."""
    name, own = KINDS[kind]
    parameters = SMALL | own | parameters
    return getattr(accelnn, name)(**parameters), getattr(neural_network, name)(**parameters)


def quietly(call: Any, *args: Any, **options: Any) -> Any:
    """Return what the call does, without the warning that 52 steps are too few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call(*args, **options)


def fitted_pair(kind: str, x: Any = None, y: Any = None, sample_weight: Any = None, **parameters: Any) -> Any:
    """Return both after ``fit``."""
    x = rows() if x is None else x
    y = targets(kind) if y is None else y
    estimators = pair(kind, **parameters)
    for estimator in estimators:
        quietly(estimator.fit, x, y, sample_weight=sample_weight)
    return estimators


def check_same(ours: Any, theirs: Any, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Hold everything that a training leaves behind to what scikit-learn's leaves behind."""
    check_same_weights(ours, theirs, rtol=rtol, atol=atol)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    factor = loss_factor(ours, theirs)
    check_numbers("loss_", factor * theirs.loss_, ours.loss_, rtol)
    if hasattr(theirs, "loss_curve_"):
        check_numbers("loss_curve_", [factor * loss for loss in theirs.loss_curve_], ours.loss_curve_, rtol)
        check_numbers("best_loss_", theirs.best_loss_ and factor * theirs.best_loss_, ours.best_loss_, rtol)
        for name in ("validation_scores_", "best_validation_score_"):
            check_numbers(name, getattr(theirs, name), getattr(ours, name), rtol)


def check_same_weights(ours: Any, theirs: Any, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Hold weights and biases to those of scikit-learn."""
    for name in ("coefs_", "intercepts_"):
        for own, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert type(own) is np.ndarray
            assert own.dtype == other.dtype
            np.testing.assert_allclose(own, other, rtol=rtol, atol=atol, err_msg=name)


def check_numbers(name: str, expected: Any, seen: Any, rtol: float) -> None:
    """Compare a number or a list of them; None equals None only."""
    if expected is None:
        assert seen is None, name
    else:
        np.testing.assert_allclose(seen, expected, rtol=rtol, atol=1e-12, err_msg=name)


def loss_factor(ours: Any, theirs: Any) -> float:
    """Return how many times the loss of scikit-learn the loss here is.

    It reports the mean over the outputs of squared errors and minimises their sum, which is reported here. The penalty
    is not divided there, so the two are comparable only without it.
    """
    is_theirs = isinstance(theirs, neural_network.MLPRegressor) and theirs.loss == "squared_error"
    return float(theirs.n_outputs_) if is_theirs else 1.0
