"""Parameters that change between two calls act in ``partial_fit`` and ``warm_start`` as those of scikit-learn do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.estimators.oracle import check_same_weights, pair, quietly, rows, targets

CHANGES: list[dict[str, Any]] = [
    {"alpha": 10.0},
    {"learning_rate_init": 0.1},
    {"momentum": 0.1},
    {"nesterovs_momentum": False},
    {"beta_1": 0.1},
    {"beta_2": 0.1},
    {"epsilon": 0.1},
    {"batch_size": 5},
    {"shuffle": False},
    {"tol": 10.0},
    {"n_iter_no_change": 1},
    {"max_iter": 3},
    {"random_state": 8},
    {"validation_fraction": 0.3},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_a_parameter_that_changes(call: str, solver: str, change: dict[str, Any]) -> None:
    estimators = pair("regression", activation="tanh", solver=solver, max_iter=2, warm_start=True)
    for estimator in estimators:
        quietly(getattr(estimator, call), rows(), targets("regression"))
        estimator.set_params(**change)
        for _ in range(3):
            quietly(getattr(estimator, call), rows(), targets("regression"))
    check_same_weights(*estimators)
