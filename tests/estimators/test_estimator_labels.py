"""Labels of any type that can be sorted; indicators of several labels; targets of odd shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import DataConversionWarning

from accelnn import MLPClassifier, MLPRegressor
from accelnn.errors import AccelnnError
from tests.estimators.oracle import check_same, fitted_pair, pair, quietly, rows, targets

TYPES: dict[str, Any] = {
    "text": np.array(["no", "yes"]),
    "objects": np.array(["no", "yes"], dtype=object),
    "booleans": np.array([False, True]),
    "negative": np.array([-7, 3]),
    "bytes": np.array([0, 255], dtype=np.uint8),
    "whole floats": np.array([1.0, 4.0]),
    "several": np.array(["a", "b", "c"], dtype=object),
    "several integers": np.array([30, -10, 20], dtype=np.int32),
}


@pytest.mark.parametrize("name", TYPES)
def test_types_of_labels(name: str) -> None:
    labels = TYPES[name]
    x = rows()
    y = labels[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0) * (len(labels) > 2)]
    ours, theirs = fitted_pair("multiclass", x, y, activation="tanh")
    check_same(ours, theirs)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.classes_.dtype == theirs.classes_.dtype
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.predict(x).dtype == theirs.predict(x).dtype
    assert ours.score(x, y) == theirs.score(x, y)


def test_columns_of_probabilities_are_those_of_classes() -> None:
    ours, _ = fitted_pair("multiclass", max_iter=100)
    proba = ours.predict_proba(rows())
    assert list(ours.classes_) == ["blue", "green", "red"]
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(ours.classes_[proba.argmax(axis=1)], ours.predict(rows()))


def test_lists_of_labels() -> None:
    y = targets("multiclass").tolist()
    ours, theirs = fitted_pair("multiclass", rows().tolist(), y, activation="tanh")
    check_same(ours, theirs)
    assert ours.predict(rows().tolist()).tolist() == theirs.predict(rows()).tolist()


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csr_array, scipy.sparse.csc_array])
@pytest.mark.parametrize("dtype", [int, np.uint8, bool, float])
def test_indicators_of_several_labels(form: Any, dtype: Any) -> None:
    y = form(targets("multilabel").astype(dtype))
    ours, theirs = pair("multilabel", activation="tanh", alpha=0.0)
    theirs_y = y if form is np.asarray else np.asarray(y.toarray())
    for estimator, own in ((ours, y), (theirs, theirs_y)):
        quietly(estimator.fit, rows(), own)
    check_same(ours, theirs)
    np.testing.assert_array_equal(ours.predict(rows()), theirs.predict(rows()))
    np.testing.assert_array_equal(ours.classes_, [0, 1, 2])
    assert ours.score(rows(), theirs_y) == theirs.score(rows(), theirs_y)


def test_a_column_of_labels_is_flattened_with_a_warning() -> None:
    for kind in ("binary", "regression"):
        estimators = pair(kind, activation="tanh")
        for estimator in estimators:
            with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
                quietly(estimator.fit, rows(), targets(kind).reshape(-1, 1))
        check_same(*estimators)
        assert estimators[0].predict(rows()).ndim == 1


def test_a_single_class_can_be_learned() -> None:
    for estimator in pair("binary"):
        quietly(estimator.fit, rows(), np.full(53, "only"))
        assert set(estimator.predict(rows())) == {"only"}


def test_numbers_that_are_no_labels_are_refused() -> None:
    for estimator in pair("binary"):
        with pytest.raises(ValueError, match="Unknown label type"):
            estimator.fit(rows(), rows()[:, 0])


def test_several_labels_of_several_kinds_are_refused() -> None:
    y = np.column_stack([np.arange(53) % 3, np.arange(53) % 2])
    with pytest.raises(ValueError, match=r"y is 'multiclass-multioutput': give one label for each row"):
        MLPClassifier().fit(rows(), y)


def test_labels_that_are_missing_are_refused() -> None:
    y = np.array(["a", "b"] * 26 + [np.nan], dtype=object)
    for estimator in pair("binary"):
        with pytest.raises(ValueError, match=r"Input (y )?contains NaN"):
            estimator.fit(rows(), y)


@pytest.mark.parametrize("other", [None, 1])
def test_labels_of_mixed_types(other: Any) -> None:
    y = np.array(["a", "b"] * 26 + [other], dtype=object)
    with pytest.raises(AccelnnError, match="y "):
        MLPClassifier().fit(rows(), y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_missing_are_refused(value: float) -> None:
    y = targets("regression")
    y[4] = value
    with pytest.raises(ValueError, match="Input y contains"):
        MLPRegressor().fit(rows(), y)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y is -.*: loss='poisson' is for counts >= 0"):
        MLPRegressor("poisson").fit(rows(), targets("regression"))


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, np.float32])
def test_types_of_numbers(dtype: Any) -> None:
    y = np.abs(3 * targets("regression")).astype(dtype)
    check_same(*fitted_pair("regression", rows(), y, activation="tanh"))
