"""Reader of CSV files: one row per line, ``label,feature,feature,...``, with or without a header."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from accelnn.data.byte_table import read_byte_table
from accelnn.data.files import existing_file, reading
from accelnn.errors import DataError, shown, wrong_type

_MAX_LINE = 1 << 24
_FIX = "use UTF-8 text of numbers separated by commas, one row per line"


@dataclass(frozen=True)
class CsvTable:
    """A CSV file in memory.

    ``x (n, n_features)``: uint8 if all features are integers 0..255, else float64. ``y (n,)``: labels
    as int64 if all are integers, text if the first is text, else float64; None if there is no label
    column. ``feature_names``: from the header, if there is one.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any] | None
    feature_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _Layout:
    n_columns: int
    n_header_lines: int
    names: tuple[str, ...] | None
    labelled: bool
    text_labels: bool


def read_csv(path: str | os.PathLike[str], *, labelled: bool = True) -> CsvTable:
    """Read a CSV file whose first column is the label (``labelled``) or a feature like the others.

    The first line is a header if its first field is not a number while that of the second line is, or
    if none of its fields is a number. Labels may be integers, real numbers or text. Features
    are numbers. Blank lines are skipped.

    Raises ``DataError`` naming line and column for a field that is not a finite number, naming the line
    for a wrong number of fields, and for a file that is missing, empty or not UTF-8 text.
    """
    if not isinstance(labelled, bool):
        raise wrong_type("labelled", labelled, "use True or False")
    found = existing_file(path)
    with reading(found, _FIX):
        layout = _find_layout(found, labelled)
        skipped, columns = layout.n_header_lines, layout.n_columns
        table = None if layout.text_labels else read_byte_table(found, skipped, columns)
        if table is None:
            return _read_general(found, layout)
    features, first = table
    if labelled:
        return CsvTable(features, first.astype(np.int64), layout.names)
    return CsvTable(np.hstack([first[:, None], features]), None, layout.names)


def csv_rows(path: str | os.PathLike[str], *, labelled: bool = True) -> Iterator[tuple[int, list[float]]]:
    """Yield line number and numbers of every row, one at a time; the file is as in ``read_csv``, with no text.

    Raises ``DataError`` as ``read_csv`` does, and for labels that are text.
    """
    found = existing_file(path)
    with reading(found, _FIX):
        layout = _find_layout(found, labelled)
        for line, fields in _rows(found):
            if line > layout.n_header_lines:
                fault = _line_fault(found, layout.n_columns, line, fields, may_be_text=False)
                if fault is not None:
                    raise fault
                yield line, [float(field) for field in fields]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped fields of every line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(_bounded_lines(path, file), strict=True)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]


def _bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    for line in iter(lambda: file.readline(_MAX_LINE), ""):
        if len(line) == _MAX_LINE:
            raise DataError(f"{path}: a line has {_MAX_LINE:,} characters or more: {_FIX}")
        yield line


def _find_layout(path: Path, labelled: bool) -> _Layout:
    head = list(islice(_rows(path), 2))
    if not head:
        raise DataError(f"{path}: the file has no rows: {_FIX}")
    line, first = head[0]
    if len(first) < 1 + labelled:
        wanted = "a label and at least one feature" if labelled else "at least one feature"
        raise DataError(f"{path}, line {line}: one field {shown(first[0])}, not {wanted}: {_FIX}")
    has_header = _is_header([fields for _, fields in head])
    if has_header and len(head) == 1:
        raise DataError(f"{path}: there is a header and no row: {_FIX}")
    names = tuple(first[1:] if labelled else first) if has_header else None
    text_labels = labelled and not _is_number(head[has_header][1][0])
    return _Layout(len(first), line if has_header else 0, names, labelled, text_labels)


def _is_header(head: list[list[str]]) -> bool:
    numeric = [_is_number(field) for field in head[0]]
    if numeric[0]:
        return False
    return not any(numeric) or (len(head) > 1 and _is_number(head[1][0]))


def _is_number(field: str) -> bool:
    return _number(field) is not None


def _number(field: str) -> float | None:
    """Return the value of a decimal number; Python's digit separators and other scripts' digits are none."""
    if "_" in field or not field.isascii():
        return None
    try:
        return float(field)
    except ValueError:
        return None


def _read_general(path: Path, layout: _Layout) -> CsvTable:
    """Read numbers of any form; a failure is looked up again, line by line, to name its place."""
    codes: dict[str, int] = {}
    try:
        values = _load(path, layout, codes)
    except ValueError as cause:
        raise _fault(path, layout) from cause
    if not np.isfinite(values).all() or "" in codes:
        raise _fault(path, layout)
    if not layout.labelled:
        return CsvTable(_compact(values), None, layout.names)
    return CsvTable(_compact(values[:, 1:]), _labels(values[:, 0], codes), layout.names)


def _load(path: Path, layout: _Layout, codes: dict[str, int]) -> npt.NDArray[np.float64]:
    encode: dict[int | str, Callable[[str], int]] = {0: lambda field: codes.setdefault(field.strip(), len(codes))}
    with path.open(encoding="utf-8-sig") as file:
        return np.loadtxt(
            file,
            delimiter=",",
            comments=None,
            quotechar='"',
            skiprows=layout.n_header_lines,
            converters=encode if layout.text_labels else None,
            ndmin=2,
        )


def _labels(column: npt.NDArray[np.float64], codes: dict[str, int]) -> npt.NDArray[Any]:
    if codes:
        return np.array(list(codes))[column.astype(np.int64)]
    whole = (column == np.rint(column)) & (np.abs(column) < 2**53)
    return column.astype(np.int64) if whole.all() else column.copy()


def _compact(x: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    if x.min() < 0 or x.max() > 255:
        return np.ascontiguousarray(x)
    as_bytes = x.astype(np.uint8)
    return as_bytes if (as_bytes == x).all() else np.ascontiguousarray(x)


def _fault(path: Path, layout: _Layout) -> DataError:
    """Return the error for the first field or line that does not fit."""
    for line, fields in _rows(path):
        if line <= layout.n_header_lines:
            continue
        fault = _line_fault(path, layout.n_columns, line, fields, may_be_text=layout.text_labels)
        if fault is not None:
            return fault
    return DataError(f"{path}: cannot be read as a table of numbers: {_FIX}")


def _line_fault(path: Path, n_columns: int, line: int, fields: list[str], *, may_be_text: bool) -> DataError | None:
    """Return the error for a line that does not fit, None if it does; ``may_be_text``: its first field."""
    if len(fields) != n_columns:
        return DataError(f"{path}, line {line}: {len(fields)} fields, not {n_columns} as before")
    for column, field in enumerate(fields, start=1):
        problem = _problem(field, may_be_text=may_be_text and column == 1)
        if problem:
            return DataError(f"{path}, line {line}, column {column}: {shown(field)}: {problem}")
    return None


def _problem(field: str, may_be_text: bool) -> str:
    if not field:
        return "the value is missing"
    if may_be_text:
        return ""
    number = _number(field)
    if number is None:
        return "not a number"
    return "" if math.isfinite(number) else "not a finite number"
