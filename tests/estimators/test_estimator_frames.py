"""Data frames: names of features are kept and checked, and predictions are those of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.exceptions import DataConversionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.estimators.oracle import N_FEATURES, check_same, fitted_pair, pair, quietly, rows, targets

NAMES = [f"f{i}" for i in range(N_FEATURES)]


def frame_of(library: str, columns: dict[str, Any]) -> Any:
    """Return a data frame of pandas or polars."""
    module = pytest.importorskip(library)
    return module.DataFrame(columns)


def series_of(library: str, values: Any) -> Any:
    return pytest.importorskip(library).Series(values)


def frame(library: str, x: np.ndarray) -> Any:
    return frame_of(library, dict(zip(NAMES, np.asarray(x).T, strict=True)))


both_libraries = pytest.mark.parametrize("library", ["pandas", "polars"])


@both_libraries
@pytest.mark.parametrize("kind", ["multiclass", "regression", "multi-output", "multilabel"])
def test_frames_train_as_arrays_do(library: str, kind: str) -> None:
    y = targets(kind)
    as_column = series_of(library, y) if y.ndim == 1 else frame_of(library, dict(zip("abc", y.T, strict=True)))
    ours, theirs = fitted_pair(kind, frame(library, rows()), as_column, activation="tanh", alpha=0.0)
    check_same(ours, theirs)
    assert ours.feature_names_in_.tolist() == theirs.feature_names_in_.tolist() == NAMES
    predicted = ours.predict(frame(library, rows()))
    assert type(predicted) is np.ndarray
    assert predicted.dtype == theirs.predict(frame(library, rows())).dtype


@both_libraries
def test_names_are_checked(library: str) -> None:
    data = frame(library, rows())
    renamed = frame_of(library, {f"g{i}": column for i, column in enumerate(rows().T)})
    for estimator in fitted_pair("multiclass", data, max_iter=2):
        with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
            estimator.predict(renamed)
        with pytest.warns(UserWarning, match="X does not have valid feature names, but MLPClassifier was fitted with"):
            estimator.predict(rows())


def test_arrays_leave_no_names() -> None:
    assert not hasattr(fitted_pair("multiclass", max_iter=2)[0], "feature_names_in_")


@both_libraries
def test_validation_rows_may_be_frames(library: str) -> None:
    ours, _ = pair("regression", max_iter=2)
    x, y = frame(library, rows()), series_of(library, targets("regression"))
    quietly(ours.fit, x, y, X_val=x, y_val=y)
    assert ours.validation_scores_[-1] == pytest.approx(ours.score(x, y))


@both_libraries
def test_early_stopping_with_frames(library: str) -> None:
    options = {"early_stopping": True, "activation": "tanh", "validation_fraction": 0.2}
    y = series_of(library, targets("multiclass"))
    check_same(*fitted_pair("multiclass", frame(library, rows()), y, **options))


@both_libraries
def test_partial_fit_with_frames(library: str) -> None:
    estimators = pair("multiclass", batch_size="auto", activation="tanh")
    for estimator in estimators:
        for _ in range(2):
            estimator.partial_fit(frame(library, rows()), targets("multiclass"), classes=["red", "green", "blue"])
    check_same(*estimators)
    assert estimators[0].feature_names_in_.tolist() == NAMES


@both_libraries
def test_pipelines_that_hand_on_frames(library: str) -> None:
    pipelines = [make_pipeline(StandardScaler(), estimator) for estimator in pair("multiclass", activation="tanh")]
    for pipeline in pipelines:
        quietly(pipeline.set_output(transform=library).fit, frame(library, rows()), targets("multiclass"))
    check_same(pipelines[0][-1], pipelines[1][-1])
    assert pipelines[0][-1].feature_names_in_.tolist() == NAMES
    assert pipelines[0].score(frame(library, rows()), targets("multiclass")) > 0.5


@both_libraries
def test_columns_of_text_through_a_transformer(library: str) -> None:
    colours = np.array(["red", "green", "blue"])[np.arange(53) % 3]
    data = frame_of(library, {"size": rows()[:, 0], "colour": colours})
    encoders = make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), ["size"]))
    pipelines = [make_pipeline(encoders, estimator) for estimator in pair("binary", activation="tanh")]
    for pipeline in pipelines:
        quietly(pipeline.fit, data, targets("binary"))
    check_same(pipelines[0][-1], pipelines[1][-1])


def test_nullable_types_and_categories_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    data = frame("pandas", rows()).astype("Float64")
    labels = pandas.Series(targets("multiclass"), dtype="category", index=range(100, 153))
    ours, theirs = fitted_pair("multiclass", data, labels, activation="tanh")
    check_same(ours, theirs)
    weights = pandas.Series(np.ones(53), index=range(7, 60))
    ours, theirs = fitted_pair("multiclass", data, labels, weights, activation="tanh")
    check_same(ours, theirs)


def test_missing_values_of_pandas_are_refused() -> None:
    data = frame("pandas", rows()).astype("Float64")
    data.loc[3, "f1"] = None
    for estimator in pair("multiclass"):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            estimator.fit(data, targets("multiclass"))


def test_a_frame_of_one_column_of_labels() -> None:
    y = frame_of("pandas", {"label": targets("multiclass")})
    for estimator in pair("multiclass", max_iter=2):
        with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
            quietly(estimator.fit, rows(), y)
