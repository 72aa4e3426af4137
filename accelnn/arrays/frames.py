"""Data frames and their columns, of pandas, polars and libraries like them, as arrays of numbers.

None of these libraries is imported: a frame is what has ``columns``, ``dtypes`` and ``__array__``.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from accelnn.errors import wrong_type

NUMBERS = "fiub"
"""Kinds of NumPy's dtypes that are real numbers or truth values."""

_REAL = (numbers.Real, np.bool_, Decimal)


def how_to_encode(argument: str) -> str:
    """Return what to do with values that are no numbers: ``"y"`` are targets, anything else inputs."""
    if argument == "y":
        return "number the classes 0, 1, ..., for example with numpy.unique(y, return_inverse=True)[1]"
    return "encode text, categories and dates as numbers, for example with scikit-learn's OneHotEncoder, or drop them"


def is_frame(values: object) -> bool:
    """Return whether ``values`` is a data frame."""
    return all(hasattr(values, name) for name in ("columns", "dtypes", "__array__"))


def is_column(values: object) -> bool:
    """Return whether ``values`` is a column of a data frame, which libraries call a series."""
    return hasattr(values, "to_numpy") and hasattr(values, "dtype")


def column_names(values: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a data frame; None for anything else, and if not all names are text."""
    names = tuple(values.columns) if is_frame(values) else ()
    return names if names and all(isinstance(name, str) for name in names) else None


def frame_array(argument: str, frame: Any) -> np.ndarray:
    """Return a data frame as an array (rows, columns) of the dtype that all its columns fit in.

    Columns are of numbers or truth values, also of types with missing values, which become NaN, and of Python's
    numbers. Raises ArgumentTypeError naming row and column for anything else.
    """
    if len(set(frame.dtypes)) <= 1:
        array = np.asarray(frame)
        if array.dtype.kind in NUMBERS:
            return array
    return np.column_stack([column_array(argument, column, name) for name, column in _columns(frame)])


def column_array(argument: str, column: Any, name: object = None) -> np.ndarray:
    """Return a column as an array (rows,); ``name`` is that of the column of a frame. See ``frame_array``."""
    array = np.asarray(column)
    if array.ndim == 1 and array.dtype.kind in NUMBERS:
        return array
    known = [np.nan if _is_missing(value) else value for value in array]
    for row, value in enumerate(known):
        if array.dtype.kind != "O" or not isinstance(value, _REAL):
            where = f"{argument}[{row}]" if name is None else f"{argument}[{row}, {name!r}]"
            raise wrong_type(where, str(value) if isinstance(value, str) else value, how_to_encode(argument))
    return np.array(known, np.float64)


def _columns(frame: Any) -> Iterator[tuple[object, Any]]:
    """Return names and columns, in order; names may occur twice."""
    if hasattr(frame, "iter_columns"):  # polars
        return zip(frame.columns, frame.iter_columns(), strict=True)
    return iter(frame.items())


def _is_missing(value: object) -> bool:
    return value is None or type(value).__name__ == "NAType"
