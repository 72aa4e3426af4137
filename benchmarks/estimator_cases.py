"""What accelnn's estimators and those of scikit-learn are compared on: data, parameters, and what was promised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

from benchmarks.work import load_rows, scaled

Rows = tuple[np.ndarray, np.ndarray]
"""Inputs (n, n_features) and labels or numbers (n,)."""

CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"
MANY = 50_000
"""Rows of the data that are made up."""

SMALL = {"hidden_layer_sizes": (20,), "alpha": 10.0, "learning_rate_init": 0.01, "max_iter": 500}
"""Parameters for few rows with much noise."""


@dataclass(frozen=True)
class SpeedCase:
    """Data and parameters of a ``fit`` that is timed.

    load: makes the data. parameters: of both libraries' constructors. goal: how many times as fast as scikit-learn was
    promised, None where nothing was. fits: how many in a turn, so that a turn is not over at once.
    """

    load: Callable[[], Rows]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    goal: float | None = 1.0
    fits: int = 1
    estimator: str = CLASSIFIER


@dataclass(frozen=True)
class ScoreCase:
    """Data and parameters of trainings whose scores on held-out rows are compared, seed by seed."""

    load: Callable[[], Rows]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    estimator: str = CLASSIFIER


@cache
def mnist(data: str, dtype: str) -> Rows:
    """Return the 60,000 images in [0, 1], or random ones of the same size, in the type of numbers to compute in."""
    images, labels = load_rows(data)
    return scaled(images).astype(dtype), labels


@cache
def bundled(name: str) -> Rows:
    """Return a data set that scikit-learn brings along, as it is."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y


@cache
def made_up(n: int = MANY) -> Rows:
    """Return rows of twenty features and three classes."""
    x, y = datasets.make_classification(n, n_informative=10, n_classes=3, random_state=0)
    return x, y


@cache
def standardised(name: str) -> Rows:
    """Return a data set of scikit-learn's with features of mean 0 and variance 1."""
    x, y = bundled(name)
    return StandardScaler().fit_transform(x), y


def speed_cases(data: str = "mnist") -> dict[str, SpeedCase]:
    """Return what is timed by name; ``data`` is "mnist", or "synthetic" for random images."""
    cases = {}
    for batch_size, goal in ((10, 10.0), (200, 5.0)):
        for dtype in ("float32", "float64"):
            parameters = {"hidden_layer_sizes": (128, 64), "batch_size": batch_size, "max_iter": batch_size // 100 + 1}
            cases[f"mnist-{batch_size}-{dtype}"] = SpeedCase(partial(mnist, data, dtype), parameters, goal)
    return cases | {
        "iris": SpeedCase(partial(standardised, "iris"), goal=1 / 1.5, fits=3),
        "wine": SpeedCase(partial(standardised, "wine"), goal=None, fits=3),
        "breast-cancer": SpeedCase(partial(standardised, "breast_cancer"), fits=2),
        "digits": SpeedCase(partial(standardised, "digits")),
        "diabetes": SpeedCase(partial(standardised, "diabetes"), fits=2, estimator=REGRESSOR),
        "made-up": SpeedCase(made_up, {"max_iter": 5}),
        "digits-lbfgs": SpeedCase(partial(standardised, "digits"), {"solver": "lbfgs"}),
    }


def score_cases() -> dict[str, ScoreCase]:
    """Return whose scores are compared, by name."""
    return {
        "digits": ScoreCase(partial(bundled, "digits")),
        "wine": ScoreCase(partial(bundled, "wine")),
        "breast-cancer": ScoreCase(partial(bundled, "breast_cancer")),
        "diabetes": ScoreCase(partial(bundled, "diabetes"), SMALL, REGRESSOR),
        "made-up": ScoreCase(made_up, {"max_iter": 30}),
    }
