"""Types of numbers: float32 in and out, ``dtype``, bytes of pictures, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelnn import MLPClassifier, MLPRegressor
from tests.estimators.oracle import KINDS, check_same, check_same_weights, fitted_pair, quietly, rows, targets

OUTPUTS = ("predict", "predict_proba", "predict_log_proba")


def dtypes_of(estimator: Any, x: Any) -> set[str]:
    """Return the types of weights and of all outputs that are real numbers."""
    outputs = [getattr(estimator, name)(x) for name in OUTPUTS if hasattr(estimator, name)]
    arrays = [*estimator.coefs_, *estimator.intercepts_, *(array for array in outputs if array.dtype.kind == "f")]
    return {array.dtype.name for array in arrays}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_type_of_the_data_is_kept(kind: str, solver: str, dtype: str) -> None:
    estimator = fitted_pair(kind, rows().astype(dtype), solver=solver, max_iter=2)[0]
    assert dtypes_of(estimator, rows().astype(dtype)) == {dtype}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_float32_agrees_with_scikit_learn_to_its_precision(kind: str, solver: str) -> None:
    x, y = rows().astype(np.float32), targets(kind)
    y = y.astype(np.float32) if y.dtype.kind == "f" else y
    ours, theirs = fitted_pair(kind, x, y, solver=solver, activation="tanh", max_iter=5)
    check_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("asked", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64", "int64", "uint8"])
def test_dtype_decides_whatever_comes_in(kind: str, asked: str, given: str) -> None:
    x = (10 + rows()).astype(given)
    new = MLPClassifier if kind == "multiclass" else MLPRegressor
    estimator = new(hidden_layer_sizes=(4,), max_iter=2, dtype=asked)
    assert dtypes_of(quietly(estimator.fit, x, targets(kind)), x) == {asked}


@pytest.mark.parametrize("given", ["uint8", "int32", "int64", "bool", "float16", ">f8", ">f4", "object"])
def test_other_types_are_computed_in_float64(given: str) -> None:
    x = np.abs(5 * rows()).astype(given)
    ours, theirs = fitted_pair("multiclass", x, activation="tanh")
    if given == ">f4":
        assert dtypes_of(ours, x) <= {"float32", "float64"}
        check_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)
    else:
        assert dtypes_of(ours, x) == {"float64"}
        check_same(ours, theirs)


def test_bytes_stay_bytes_until_they_are_needed() -> None:
    """A batch is converted when it is gathered, so the data are never held in another type."""
    x = np.random.default_rng(0).integers(0, 256, (53, 6), dtype=np.uint8)
    as_bytes, as_floats = (fitted_pair("multiclass", data)[0] for data in (x, x.astype(np.float64)))
    check_same(as_bytes, as_floats, rtol=0.0, atol=0.0)


@pytest.mark.parametrize(
    "view",
    [np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: np.pad(x, ((0, 0), (1, 2)))[:, 1:-2]],
    ids=["columns", "every second row", "some columns"],
)
def test_arrays_in_any_order_of_memory(view: Any) -> None:
    plain, other = (fitted_pair("regression", x)[0] for x in (rows(), view(rows())))
    check_same(plain, other, rtol=1e-12, atol=1e-15)


def test_lists_and_read_only_arrays() -> None:
    x = rows()
    x.flags.writeable = False
    plain, listed = fitted_pair("regression", x)[0], fitted_pair("regression", x.tolist())[0]
    check_same(plain, listed, rtol=0.0, atol=0.0)


def test_inputs_are_not_changed() -> None:
    x, y, weights = rows(), targets("regression"), np.ones(53)
    copies = x.copy(), y.copy(), weights.copy()
    for solver in ("adam", "lbfgs"):
        fitted_pair("regression", x, y, weights, solver=solver, max_iter=3)[0].predict(x)
    for array, copy in zip((x, y, weights), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fitted_estimator_keeps_its_type(dtype: str) -> None:
    other = {"float32": "float64", "float64": "float32"}[dtype]
    estimator = fitted_pair("regression", rows().astype(dtype), max_iter=2, warm_start=True)[0]
    assert estimator.predict(rows().astype(other)).dtype == dtype
    quietly(estimator.fit, rows().astype(other), targets("regression"))
    estimator.partial_fit(rows().astype(other), targets("regression"))
    assert dtypes_of(estimator, rows()) == {dtype}


def test_numbers_too_large_for_float32_are_refused() -> None:
    x = rows()
    x[3, 2] = 1e300
    with pytest.raises(ValueError, match="float32"):
        MLPRegressor(dtype="float32").fit(x, targets("regression"))


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="Complex data not supported"):
        MLPRegressor().fit(rows() + 1j, targets("regression"))


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_targets_and_weights_off_alignment(kind: str) -> None:
    x, y, weights = rows(), targets(kind).astype(np.float64), np.linspace(0.5, 2.0, len(rows()))
    off = [np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape) for a in (y, weights)]
    off[0][...], off[1][...] = y, weights
    plain, other = fitted_pair(kind, x, y, weights)[0], fitted_pair(kind, x, *off)[0]
    check_same(plain, other, rtol=0.0, atol=0.0)
