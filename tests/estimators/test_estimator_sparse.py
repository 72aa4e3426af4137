"""Sparse inputs, CSR and CSC, train and predict as in scikit-learn, and as the same rows do when they are dense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

from accelnn import MLPClassifier, MLPRegressor
from accelnn.arrays.sparse_rows import SparseRows
from tests.estimators.oracle import (
    KINDS,
    N_FEATURES,
    N_ROWS,
    check_same,
    check_same_weights,
    fitted_pair,
    pair,
    quietly,
    targets,
)

FORMATS = (scipy.sparse.csr_matrix, scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.csc_array)


def sparse_rows(n: int = N_ROWS) -> np.ndarray:
    """Return dense inputs (n, N_FEATURES) of which two thirds are 0, and one row is."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(n, N_FEATURES)) * (rng.uniform(size=(n, N_FEATURES)) < 1 / 3)
    x[2] = 0.0
    return x


@pytest.mark.parametrize("sparse", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_formats(sparse: Any, kind: str) -> None:
    x = sparse(sparse_rows())
    ours, theirs = fitted_pair(kind, x, activation="tanh", alpha=0.0)
    check_same(ours, theirs)
    outputs = ours.predict(sparse_rows()), ours.predict(x)
    if outputs[0].dtype.kind == "f":
        np.testing.assert_allclose(*outputs, rtol=1e-9)
    else:
        np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("sparse", FORMATS)
@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_solvers(sparse: Any, solver: str) -> None:
    check_same(*fitted_pair("multiclass", sparse(sparse_rows()), activation="tanh", solver=solver, max_iter=5))


@pytest.mark.parametrize("sparse", FORMATS)
def test_other_options(sparse: Any) -> None:
    x, y = sparse_rows(100), targets("binary", 100)
    options: dict[str, Any] = {"activation": "tanh", "early_stopping": True, "validation_fraction": 0.2}
    check_same(*fitted_pair("binary", sparse(x), y, **options))
    estimators = pair("binary", activation="tanh", batch_size="auto")
    for estimator in estimators:
        estimator.partial_fit(sparse(x)[:60], y[:60], classes=["no", "yes"])
        estimator.partial_fit(sparse(x)[60:], y[60:])
    check_same(*estimators)


def test_float32_stays_float32() -> None:
    x = scipy.sparse.csr_array(sparse_rows().astype(np.float32))
    ours, theirs = fitted_pair("regression", x, activation="tanh", max_iter=3)
    assert ours.coefs_[0].dtype == ours.predict(x).dtype == np.float32
    check_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool])
def test_counts_of_words(dtype: Any) -> None:
    x = (sparse_rows() > 0).astype(dtype)
    ours, theirs = fitted_pair("multiclass", scipy.sparse.csr_array(x), activation="tanh")
    check_same(ours, theirs)
    assert ours.predict_proba(scipy.sparse.csc_array(x)).dtype == np.float64


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_types_of_indices(index_dtype: Any) -> None:
    x = scipy.sparse.csr_array(sparse_rows())
    x.indices, x.indptr = x.indices.astype(index_dtype), x.indptr.astype(index_dtype)
    check_same(*fitted_pair("binary", x, activation="tanh", max_iter=3))


def test_entries_out_of_order_or_twice() -> None:
    """Entries of the same place are added up; the caller's matrix stays as it was."""
    data, columns, starts = np.array([1.0, 2.0, 3.0, 0.5, -1.0]), np.array([4, 0, 4, 3, 1]), np.array([0, 3, 5])
    x = scipy.sparse.csr_array((data, columns, starts), shape=(2, N_FEATURES))
    estimator = MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0)
    outputs = quietly(estimator.fit, x, [0.0, 1.0]).predict(x)
    np.testing.assert_array_equal(x.data, data)
    np.testing.assert_array_equal(x.indices, columns)
    expected = quietly(MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0).fit, x.toarray(), [0.0, 1.0])
    np.testing.assert_allclose(outputs, expected.predict(x.toarray()), rtol=1e-9)


def test_formats_that_cannot_be_cut_into_rows_are_converted() -> None:
    x = scipy.sparse.coo_array(sparse_rows())
    check_same(*fitted_pair("binary", x, activation="tanh", max_iter=3))


def test_validation_rows_may_be_sparse() -> None:
    x, y = scipy.sparse.csr_array(sparse_rows(100)), targets("regression", 100)
    sparse, dense = (MLPRegressor(hidden_layer_sizes=(4,), max_iter=4, random_state=0) for _ in range(2))
    quietly(sparse.fit, x[:70], y[:70], X_val=x[70:], y_val=y[70:])
    quietly(dense.fit, x[:70].toarray(), y[:70], X_val=x[70:].toarray(), y_val=y[70:])
    np.testing.assert_allclose(sparse.validation_scores_, dense.validation_scores_, rtol=1e-9)
    np.testing.assert_allclose(sparse.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-9)


def test_the_matrix_is_never_made_dense_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = scipy.sparse.csr_array.toarray

    def watched(matrix: Any, *args: Any, **options: Any) -> Any:
        seen.append(matrix.shape[0])
        return original(matrix, *args, **options)

    for sparse in FORMATS:
        monkeypatch.setattr(sparse, "toarray", watched)
    monkeypatch.setattr("accelnn.training.runners.row_blocks.BLOCK_BYTES", 16 * N_FEATURES * 8)
    x = scipy.sparse.csr_array(np.tile(sparse_rows(), (4, 1)))
    estimator = MLPClassifier((4,), batch_size=16, max_iter=2, random_state=0)
    quietly(estimator.fit, x, np.tile(targets("binary"), 4)).predict_proba(x)
    assert all(n <= 64 for n in seen)
    assert SparseRows(x).shape == x.shape


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_entries_that_are_no_numbers(value: float) -> None:
    x = scipy.sparse.csr_array(sparse_rows())
    x.data[5] = value
    for estimator in pair("binary"):
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            estimator.fit(x, targets("binary"))
