"""CSV files of any size turned once into ``.npy`` files, which NumPy maps into memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from accelnn.arrays.float_errors import own_float_errors
from accelnn.data.atomic_file import checked_target, is_same_file, replace_file
from accelnn.data.csv import csv_rows
from accelnn.data.files import existing_file
from accelnn.errors import DataError, invalid

ROWS_AT_A_TIME = 4096
_DTYPES: Final = ("uint8", "float32", "float64")


def csv_to_npy(
    path: str | os.PathLike[str],
    x_path: str | os.PathLike[str],
    y_path: str | os.PathLike[str] | None = None,
    *,
    dtype: str = "float32",
) -> int:
    """Convert a CSV file of any size to ``.npy`` files, a few rows at a time, and return the number of rows.

    ``path``: as :func:`accelnn.data.read_csv` reads it, but with labels that are integers or other numbers, not text.
    ``x_path``: where to write the features (n, n_features), in ``dtype``: ``"uint8"``, ``"float32"`` or ``"float64"``.
    ``y_path``: where to write the first column (n,), int64 if all of it are integers, else float64; with None it is a
    feature like the others. Read them back with ``numpy.load(x_path, mmap_mode="r")``.

    A file gets its name only once it is complete, and replaces one that is there. Raises ``DataError`` naming the line
    for what is no such table or does not fit ``dtype``, ``ArgumentError`` for another dtype, for a folder that is not
    there or cannot be written, and where two of the paths mean one file.
    """
    if dtype not in _DTYPES:
        raise invalid("dtype", dtype, f"use one of {', '.join(_DTYPES)}")
    x_target = checked_target("x_path", x_path)
    y_target = None if y_path is None else checked_target("y_path", y_path)
    source = existing_file(path)
    for argument, target, others in (("x_path", x_target, (source,)), ("y_path", y_target, (source, x_target))):
        if target is not None and any(is_same_file(target, other) for other in others):
            raise invalid(argument, str(target), "this file is needed: use another name for each of the three")
    n_labels = int(y_target is not None)
    n_columns, n_rows, whole = _measured(path, n_labels)

    def write(x_file: IO[bytes]) -> None:
        x = _NewArray.begun(x_file, (n_rows, n_columns - n_labels), dtype)
        if y_target is None:
            _fill(path, x, None, n_rows)
            return
        kind = np.int64 if whole else np.float64
        replace_file(y_target, lambda file: _fill(path, x, _NewArray.begun(file, (n_rows,), kind), n_rows), DataError)

    replace_file(x_target, write, DataError)
    return n_rows


def _measured(path: str | os.PathLike[str], n_labels: int) -> tuple[int, int, bool]:
    """Return the numbers of columns and rows, and whether the first column holds nothing but integers."""
    n_columns, n_rows, whole = 0, 0, True
    for _, values in csv_rows(path, labelled=bool(n_labels)):
        n_columns, n_rows = len(values), n_rows + 1
        whole = whole and values[0].is_integer() and abs(values[0]) < 2**53
    return n_columns, n_rows, whole


def _fill(path: str | os.PathLike[str], x: _NewArray, y: _NewArray | None, n_rows: int) -> None:
    n_labels, done = int(y is not None), 0
    rows = csv_rows(path, labelled=y is not None)
    while piece := list(islice(rows, ROWS_AT_A_TIME)):
        values = np.array([fields for _, fields in piece])
        _check_fits(path, values[:, n_labels:], x.dtype, [line for line, _ in piece])
        x.append(values[:, n_labels:])
        if y is not None:
            y.append(values[:, 0])
        done += len(piece)
    if done != n_rows:
        raise DataError(f"{path}: the file was changed while it was read: convert it again")


def _check_fits(path: Any, values: npt.NDArray[np.float64], dtype: np.dtype[Any], lines: list[int]) -> None:
    """Raise DataError for a value beyond ``dtype`` or, of integers, between two of them."""
    limits: Any = np.iinfo(dtype) if dtype.kind == "u" else np.finfo(dtype)
    fits = (values >= float(limits.min)) & (values <= float(limits.max))
    if dtype.kind == "u":
        fits &= values == np.rint(values)
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        value = values[row, column]
        raise DataError(f"{path}, line {lines[row]}: {value} does not fit {dtype}: use dtype='float64'")


@dataclass(frozen=True)
class _NewArray:
    """A ``.npy`` file behind its header. It is written, not mapped: a full disk ends a write with an error."""

    file: IO[bytes]
    dtype: np.dtype[Any]

    @classmethod
    def begun(cls, file: IO[bytes], shape: tuple[int, ...], dtype: Any) -> _NewArray:
        """Write the header."""
        kind = np.dtype(dtype)
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        return cls(file, kind)

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write the next rows."""
        with own_float_errors():
            self.file.write(np.ascontiguousarray(values, self.dtype).data)
