"""scikit-learn's own checks of what an estimator has to do, for both estimators and in both kinds of training.

Their settings are those that scikit-learn uses for its own networks, so that the checks take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_classifiers_train, parametrize_with_checks

from accelnn import MLPClassifier, MLPRegressor

ESTIMATORS = [
    MLPClassifier(max_iter=100),
    MLPRegressor(max_iter=100),
    MLPClassifier(solver="lbfgs", max_iter=100),
    MLPRegressor(solver="lbfgs", max_iter=100),
]


EXACT_LOGARITHMS = (
    "predict_log_proba is computed from what enters the output activation, so it is finite where a probability rounds "
    "to 0; the check wants the logarithm of that probability, -inf"
)


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return the checks that are not passed, and why; scikit-learn's own networks pass all of them."""
    is_certain = isinstance(estimator, MLPClassifier) and estimator.solver == "lbfgs"
    return {"check_classifiers_train": EXACT_LOGARITHMS} if is_certain else {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_estimator_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("options", [{}, {"readonly_memmap": True}, {"readonly_memmap": True, "X_dtype": "float32"}])
def test_the_rest_of_the_check_that_fails(options: dict[str, Any]) -> None:
    """With a penalty that keeps probabilities away from 0 nothing is different."""
    check_classifiers_train("MLPClassifier", MLPClassifier(solver="lbfgs", alpha=1.0), **options)
