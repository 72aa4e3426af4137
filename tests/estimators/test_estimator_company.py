"""Several at once: estimators in threads, in ensembles that reweigh rows, in curves, stacks and successive halving."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import AdaBoostClassifier, StackingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve, validation_curve
from sklearn.multioutput import ClassifierChain
from sklearn.semi_supervised import SelfTrainingClassifier

from accelnn import MLPClassifier, MLPRegressor
from tests.estimators.oracle import check_same, fitted_pair, pair, quietly, rows, targets

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 90


def classifier(**parameters: Any) -> MLPClassifier:
    return MLPClassifier((8,), **{"max_iter": 5, "random_state": 0, "batch_size": 20} | parameters)


def regressor(**parameters: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(8,), **{"max_iter": 5, "random_state": 0, "batch_size": 20} | parameters)


def test_one_estimator_predicts_in_several_threads() -> None:
    estimator = fitted_pair("multiclass", max_iter=20)[0]
    parts = [rows(n, seed=n) for n in (1, 300, 2000, 17, 500, 64, 4000, 250)] * 4
    expected = [estimator.predict_proba(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(estimator.predict_proba, parts))
    for own, other in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(own, other)


def test_estimators_train_in_several_threads() -> None:
    kinds = ("binary", "multiclass", "multilabel", "regression") * 2
    alone = [fitted_pair(kind, max_iter=5)[0] for kind in kinds]
    together = [pair(kind, max_iter=5)[0] for kind in kinds]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair_: pair_[0].fit(rows(), targets(pair_[1])), zip(together, kinds, strict=True)))
    for one, other in zip(alone, together, strict=True):
        check_same(one, other, rtol=0.0, atol=0.0)


def test_a_search_in_threads() -> None:
    search = GridSearchCV(classifier(), {"alpha": [0.01, 1.0]}, cv=3, n_jobs=2, error_score="raise")
    with joblib.parallel_backend("threading"):
        scores = search.fit(rows(N), targets("binary", N)).cv_results_["mean_test_score"]
    again = [cross_val_score(classifier(alpha=a), rows(N), targets("binary", N), cv=3).mean() for a in (0.01, 1.0)]
    np.testing.assert_allclose(scores, again)


def test_ensembles_that_reweigh_rows() -> None:
    x, y = rows(N), targets("multiclass", N)
    ours, theirs = (
        AdaBoostClassifier(estimator.set_params(max_iter=5), n_estimators=3, random_state=0).fit(x, y)
        for estimator in pair("multiclass", activation="tanh")
    )
    np.testing.assert_allclose(ours.estimator_weights_, theirs.estimator_weights_, rtol=1e-6)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))


def test_stacks_and_chains() -> None:
    x, y = rows(N), targets("multiclass", N)
    stack = StackingClassifier([("network", classifier()), ("line", LogisticRegression())], cv=2)
    assert stack.fit(x, y).predict_proba(x).shape == (N, 3)
    chain = ClassifierChain(classifier(max_iter=30), random_state=0).fit(x, targets("multilabel", N))
    assert chain.predict(x).shape == (N, 3)
    both = VotingRegressor([("network", regressor()), ("line", Ridge())]).fit(x, targets("regression", N))
    assert both.predict(x).shape == (N,)


def test_targets_that_are_transformed() -> None:
    x, y = rows(N), np.exp(targets("regression", N))
    inner = regressor(max_iter=200, learning_rate_init=0.02)
    assert TransformedTargetRegressor(inner, func=np.log, inverse_func=np.exp).fit(x, y).score(x, y) > 0.5


def test_labels_that_are_missing_are_learned_from_their_neighbours() -> None:
    x, y = rows(N), (targets("binary", N) == "yes").astype(int)
    y[60:] = -1
    trained = SelfTrainingClassifier(classifier(max_iter=50, learning_rate_init=0.02)).fit(x, y)
    assert (trained.predict(x[60:]) == (targets("binary", N)[60:] == "yes")).mean() > 0.7


@pytest.mark.parametrize("incremental", [False, True])
def test_curves_of_learning(incremental: bool) -> None:
    x, y = rows(N), targets("multiclass", N)
    options: dict[str, Any] = {"train_sizes": [0.3, 1.0], "cv": 2, "exploit_incremental_learning": incremental}
    ours, theirs = (learning_curve(e, x, y, **options)[2] for e in pair("multiclass", batch_size=8))
    np.testing.assert_allclose(ours, theirs)


def test_curves_of_a_parameter() -> None:
    x, y = rows(N), targets("multiclass", N)
    options: dict[str, Any] = {"param_name": "alpha", "param_range": [1e-3, 10.0], "cv": 2}
    ours, theirs = (validation_curve(estimator, x, y, **options)[1] for estimator in pair("multiclass"))
    np.testing.assert_allclose(ours, theirs)


def test_halving_gives_more_epochs_to_the_better() -> None:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

    grid, options = {"alpha": [1e-3, 1e-1, 10.0]}, {"resource": "max_iter", "max_resources": 9, "cv": 2}
    search = HalvingGridSearchCV(classifier(), grid, random_state=0, **options).fit(rows(N), targets("binary", N))
    assert search.best_estimator_.n_iter_ == search.n_resources_[-1]


def test_rows_that_are_mapped_from_a_file(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", rows(N))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, other = (fitted_pair("regression", x, targets("regression", N), max_iter=3)[0] for x in (mapped, rows(N)))
    check_same(one, other, rtol=0.0, atol=0.0)


def test_weights_of_classes_where_rows_have_several() -> None:
    estimator = pair("multilabel")[0].set_params(class_weight="balanced", max_iter=5)
    estimator.fit(rows(), targets("multilabel"))
    assert not np.allclose(estimator.coefs_[0], fitted_pair("multilabel", max_iter=5)[0].coefs_[0])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_scores_take_weights(kind: str) -> None:
    ours, theirs = fitted_pair(kind, max_iter=5)
    weights = np.linspace(0.0, 2.0, 53)
    expected = theirs.score(rows(), targets(kind), sample_weight=weights)
    assert ours.score(rows(), targets(kind), sample_weight=weights) == pytest.approx(expected)


def test_notebooks_show_a_diagram() -> None:
    for estimator in (classifier(), quietly(classifier().fit, rows(), targets("binary"))):
        assert "MLPClassifier" in estimator._repr_html_()


def test_no_rows_weigh_anything_in_some_batches() -> None:
    """A batch whose rows all weigh 0 changes nothing but what momentum does; scikit-learn divides 0 by 0 there."""
    weights = np.zeros(N)
    weights[:5] = 1.0
    estimator = regressor(shuffle=False, batch_size=10)
    estimator.fit(rows(N), targets("regression", N), weights)
    assert np.isfinite(estimator.coefs_[0]).all()
    assert np.isfinite(estimator.loss_curve_).all()
