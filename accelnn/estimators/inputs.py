"""What users hand to an estimator, checked as scikit-learn does and brought into the form that runners rely on."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, validate_data

from accelnn.arrays.foreign import HOST, device_of, has_readable_rows, packed
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.errors import ArgumentError, ArgumentTypeError, invalid
from accelnn.training.inputs import COMPACT_DTYPES, check_finite

Rows = np.ndarray | SparseRows

SPARSE_FORMATS = ("csr", "csc")


def checked_inputs(estimator: BaseEstimator, X: Any) -> Any:
    """Return ``X (n, n_features)`` for a fitted estimator, dense or sparse, of any real dtype."""
    _check_host(X)
    return validate_data(estimator, X, accept_sparse=SPARSE_FORMATS, dtype="numeric", reset=False)


def checked_data(estimator: BaseEstimator, X: Any, y: Any, *, reset: bool, y_numeric: bool) -> tuple[Any, np.ndarray]:
    """Return ``X (n, n_features)`` and ``y`` of as many rows; ``reset`` takes names and number of features from X."""
    _check_host(X)
    options = {"accept_sparse": SPARSE_FORMATS, "dtype": "numeric", "multi_output": True, "y_numeric": y_numeric}
    checked: tuple[Any, np.ndarray] = validate_data(estimator, X, y, reset=reset, **options)
    return checked


def computing_dtype(requested: str | None, X: Any) -> str:
    """Return the dtype of all computations: the requested one, else float32 for float32 data and float64 for others."""
    if requested is not None:
        return requested
    return "float32" if X.dtype == np.float32 else "float64"


def as_rows(argument: str, X: Any, dtype: str) -> Rows:
    """Return ``X`` as rows that a network of ``dtype`` can read; copies only what has another type."""
    if _is_sparse(X):
        return SparseRows(_checked_values(argument, X.tocsr(), dtype))
    is_compact = X.dtype.name in COMPACT_DTYPES and X.dtype.isnative
    rows: np.ndarray = _checked_values(argument, X, dtype)
    return rows if is_compact and has_readable_rows(rows) else packed(rows, rows.dtype if is_compact else dtype)


def row_weights(
    class_weight: Any, sample_weight: Any, X: Any, y: np.ndarray, *, incremental: bool = False
) -> np.ndarray | None:
    """Return the product of both weights, float64 (n,), None if neither is given."""
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if class_weight is not None:
        if incremental and isinstance(class_weight, str):
            raise invalid("class_weight", class_weight, "partial_fit sees a part of the data; give a dict of weights")
        of_classes = compute_sample_weight(class_weight, y)
        weights = of_classes if weights is None else weights * of_classes
    if weights is not None and not weights.any():
        raise ArgumentError("sample_weight is 0 for every row: there is nothing to learn from")
    return None if weights is None else packed(weights, np.float64)


def _check_host(X: Any) -> None:
    device = device_of(X)
    if device != HOST:
        raise ArgumentTypeError(f"X lies on {device}: estimators take host arrays, accelnn.Sequential takes these too")


def _checked_values(argument: str, X: Any, dtype: str) -> Any:
    """Return ``X``; raise where float64 values do not fit into float32. NaN was found before."""
    values = X.data.reshape(-1, 1) if _is_sparse(X) else X
    if values.dtype.kind == "f" and values.dtype.itemsize > np.dtype(dtype).itemsize and values.size:
        check_finite(argument, values, dtype)
    return X.astype(dtype) if _is_sparse(X) and X.dtype.name not in ("float32", "float64") else X


def _is_sparse(X: Any) -> bool:
    return bool(issparse(X))
