"""Estimators inside what scikit-learn builds around them: pipelines, searches, calibration, ensembles, metadata."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from accelnn import MLPClassifier, MLPRegressor
from tests.estimators.oracle import check_same, check_same_weights, pair, quietly, rows, targets

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def classifier(**parameters: Any) -> MLPClassifier:
    return MLPClassifier((8,), **{"max_iter": 5, "random_state": 0, "batch_size": 20} | parameters)


def test_pipeline() -> None:
    pipelines = [make_pipeline(StandardScaler(), estimator) for estimator in pair("multiclass", activation="tanh")]
    weights = np.linspace(0.5, 2.0, 53)
    for pipeline in pipelines:
        name = pipeline.steps[-1][0]
        pipeline.fit(rows(), targets("multiclass"), **{f"{name}__sample_weight": weights})
    check_same_weights(pipelines[0][-1], pipelines[1][-1])
    np.testing.assert_allclose(pipelines[0].predict_proba(rows()), pipelines[1].predict_proba(rows()), rtol=1e-6)
    assert pipelines[0].score(rows(), targets("multiclass")) == pipelines[1].score(rows(), targets("multiclass"))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "multi-output"])
def test_cross_validation(kind: str) -> None:
    x, y = rows(90), targets(kind, 90)
    ours, theirs = (cross_val_score(estimator, x, y, cv=3) for estimator in pair(kind, activation="tanh"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_cross_validated_probabilities() -> None:
    x, y = rows(90), targets("multiclass", 90)
    options: dict[str, Any] = {"cv": 3, "method": "predict_proba"}
    ours, theirs = (cross_val_predict(estimator, x, y, **options) for estimator in pair("multiclass"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_estimators_of_a_cross_validation_are_kept() -> None:
    options: dict[str, Any] = {"cv": 2, "return_estimator": True, "scoring": "f1_macro"}
    result = cross_validate(classifier(), rows(90), targets("binary", 90), **options)
    assert [estimator.n_iter_ for estimator in result["estimator"]] == [5, 5]


@pytest.mark.slow
def test_grid_search_in_two_processes() -> None:
    """Half of the work is done by processes that load or compile the kernels on their own."""
    x, y = rows(90), targets("multiclass", 90)
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (7, 5)]}
    searches = [
        GridSearchCV(estimator.set_params(activation="tanh"), grid, cv=3, n_jobs=n_jobs, error_score="raise")
        for estimator, n_jobs in zip(pair("multiclass"), (2, 1), strict=True)
    ]
    for search in searches:
        search.fit(x, y)
    ours, theirs = searches
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert ours.best_params_ == theirs.best_params_
    check_same(ours.best_estimator_, theirs.best_estimator_)


def test_grid_search_over_parameters_of_accelnn() -> None:
    grid = {"dropout": [0.0, 0.2], "activation": [("gelu",), "relu"], "dtype": ["float32"]}
    search = GridSearchCV(classifier(), grid, cv=2, error_score="raise").fit(rows(90), targets("binary", 90))
    assert set(search.best_params_) == set(grid)


def test_a_search_scores_what_fails_as_nan() -> None:
    search = GridSearchCV(classifier(), {"alpha": [1e-4, -1.0]}, cv=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(rows(90), targets("binary", 90))
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]
    assert "alpha is -1.0" in "".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_calibration(kind: str, ensemble: bool) -> None:
    x, y = rows(90), targets(kind, 90)
    calibrated = [
        CalibratedClassifierCV(estimator, cv=3, ensemble=ensemble).fit(x, y).predict_proba(x)
        for estimator in pair(kind, activation="tanh")
    ]
    np.testing.assert_allclose(*calibrated, rtol=1e-4, atol=1e-6)


def test_ensembles() -> None:
    x, y = rows(90), targets("multiclass", 90)
    members = [("network", classifier()), ("line", LogisticRegression())]
    assert VotingClassifier(members, voting="soft").fit(x, y).score(x, y) > 0.6
    assert BaggingClassifier(classifier(), 3, random_state=0).fit(x, y).predict_proba(x).shape == (90, 3)
    assert OneVsRestClassifier(classifier(max_iter=50)).fit(x, y).score(x, y) > 0.6
    several = MultiOutputRegressor(MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0))
    assert several.fit(x, targets("multi-output", 90)).predict(x).shape == (90, 3)


def test_importance_of_features() -> None:
    x, y = rows(200), np.where(rows(200)[:, 1] > 0, "above", "below")
    trained = classifier(max_iter=60, learning_rate_init=0.02).fit(x, y)
    importances = permutation_importance(trained, x, y, n_repeats=3, random_state=0).importances_mean
    assert importances.argmax() == 1


@pytest.fixture
def routing() -> Iterator[None]:
    """Let scikit-learn hand metadata on by what estimators ask for."""
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_to_whoever_asks() -> None:
    x, y = rows(90), targets("binary", 90)
    weights = np.where(y == "yes", 100.0, 0.01)
    learning = classifier(max_iter=60, learning_rate_init=0.02)
    asking = learning.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    pipeline = make_pipeline(scaler, asking).fit(x, y, sample_weight=weights)
    assert (pipeline.predict(x) == "yes").mean() > 0.9
    with pytest.raises(ValueError, match="sample_weight"):  # nobody asks
        make_pipeline(scaler, classifier()).fit(x, y, sample_weight=weights)


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_a_search() -> None:
    asking = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    search = GridSearchCV(asking, {"alpha": [1e-4, 1e-2]}, cv=2)
    search.fit(rows(90), targets("binary", 90), sample_weight=np.linspace(0.5, 2.0, 90))
    assert search.best_score_ > 0.0


@pytest.mark.usefixtures("routing")
def test_partial_fit_asks_for_classes() -> None:
    routed = classifier().set_partial_fit_request(classes=True, sample_weight=True)
    request = routed.get_metadata_routing().partial_fit.requests
    assert request == {"classes": True, "sample_weight": True}


@pytest.mark.usefixtures("routing")
def test_validation_rows_pass_through_the_scaler() -> None:
    """``transform_input`` tells a pipeline which other inputs to transform on their way."""
    x, y = 5 + 3 * rows(90), targets("multiclass", 90)
    asking = classifier(max_iter=3).set_fit_request(X_val=True, y_val=True)
    pipeline = make_pipeline(StandardScaler(), asking, transform_input=["X_val"])
    pipeline.fit(x[:60], y[:60], X_val=x[60:], y_val=y[60:])
    assert pipeline[-1].validation_scores_[-1] == pytest.approx(pipeline.score(x[60:], y[60:]))


def test_fitting_after_an_error_in_the_constructor() -> None:
    estimator = classifier(alpha=-1.0)
    with pytest.raises(ValueError, match="alpha"):
        estimator.fit(rows(), targets("binary"))
    quietly(estimator.set_params(alpha=0.0).fit, rows(), targets("binary"))
    assert estimator.predict(rows()).shape == (53,)


@pytest.mark.slow
def test_digits() -> None:
    x, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((64,), random_state=0, max_iter=50))
    scores = cross_val_score(pipeline, x, y, cv=3)
    assert scores.mean() > 0.92
