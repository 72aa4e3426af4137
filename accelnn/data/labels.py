"""What the network is to predict: class numbers 0..K-1, or real numbers for a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.errors import DataError

# Above this, an output per number up to the largest label would be mostly unused outputs.
MAX_PLAIN_LABEL = 9_999
MAX_NAMED_INTEGERS = 100

_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True)
class Targets:
    """Encoded targets, one array per part given to ``encode_targets``.

    ``parts``: int64 ``(n,)`` class numbers, or float64 ``(n, k)`` for a regression.
    ``n_classes``: number of classes K, None for a regression.
    ``class_names``: what the K numbers stand for, where the file had other labels than 0..K-1.
    """

    parts: tuple[npt.NDArray[Any], ...]
    n_classes: int | None
    class_names: tuple[str, ...] | None = None


def encode_targets(parts: Sequence[npt.NDArray[Any]], source: str) -> Targets:
    """Encode the targets of all parts (e.g. training and test) of a data set alike.

    Integers 0..9999 (also as bool) are class numbers and stay as they are, so that two files of the
    same problem agree even if one lacks a class; K is the largest plus one. Text, and at most 100
    different other integers, become classes numbered in sorted order, with ``class_names``. Everything
    else is a regression. ``source`` names the data in errors.

    Raises ``DataError`` for NaN, infinity, other types, or shapes other than ``(n,)``, ``(n, 1)`` or, for
    a regression, ``(n, k)``.
    """
    kinds = {part.dtype.kind for part in parts}
    if kinds <= set("biu"):
        return _from_integers([_integers(part, source) for part in parts])
    if kinds <= set("US"):
        return _named([_column(_text(part, source), source) for part in parts])
    if kinds <= set("f"):
        return _regression(parts, source)
    types = ", ".join(sorted({str(part.dtype) for part in parts}))
    raise DataError(f"{source}: targets have type {types}: use integers, text or real numbers, one kind")


def _column(part: npt.NDArray[Any], source: str) -> npt.NDArray[Any]:
    if part.ndim == 1 or (part.ndim == 2 and part.shape[1] == 1):
        return part.reshape(-1)
    raise DataError(f"{source}: labels have shape {part.shape}: use (n,), or real numbers for a regression")


def _text(part: npt.NDArray[Any], source: str) -> npt.NDArray[np.str_]:
    try:
        text = part.astype(np.str_)
    except UnicodeDecodeError as cause:
        raise DataError(f"{source}: a label is bytes that are not ASCII: store labels as text") from cause
    # A damaged file may hold numbers that no character has, or half a pair of them: Python cannot show or write those.
    codes = np.ascontiguousarray(text).view(np.uint32) if text.dtype.itemsize else np.zeros(0, np.uint32)
    if ((codes > _LAST_CHARACTER) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any():
        raise DataError(f"{source}: a label has characters that do not exist in Unicode: store labels as text")
    return text


def _integers(part: npt.NDArray[Any], source: str) -> npt.NDArray[np.int64]:
    if part.dtype.kind == "u" and part.size and int(part.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{source}: label {part.max()} is too large: number the classes from 0")
    return _column(part, source).astype(np.int64)


def _from_integers(parts: list[npt.NDArray[np.int64]]) -> Targets:
    every = np.unique(np.concatenate(parts))
    if every.size == 0 or (every[0] >= 0 and every[-1] <= MAX_PLAIN_LABEL):
        return Targets(tuple(parts), int(every[-1]) + 1 if every.size else 0)
    if every.size <= MAX_NAMED_INTEGERS:
        return _named(parts)
    return Targets(tuple(part.astype(np.float64)[:, None] for part in parts), None)


def _named(parts: Sequence[npt.NDArray[Any]]) -> Targets:
    names, codes = np.unique(np.concatenate(parts), return_inverse=True)
    ends = np.cumsum([part.size for part in parts])[:-1]
    split = np.split(codes.astype(np.int64), ends)
    return Targets(tuple(split), len(names), tuple(str(name) for name in names))


def _regression(parts: Sequence[npt.NDArray[Any]], source: str) -> Targets:
    encoded = []
    for part in parts:
        values = part.astype(np.float64)
        if values.ndim not in (1, 2) or values.shape[1:] == (0,):
            raise DataError(f"{source}: targets have shape {part.shape}: use (n,) or (n, k)")
        if not np.isfinite(values).all():
            raise DataError(f"{source}: a target is NaN or infinite: remove or repair that row")
        encoded.append(values.reshape(len(values), -1))
    if len({values.shape[1] for values in encoded}) > 1:
        raise DataError(f"{source}: training and test targets have different numbers of columns")
    return Targets(tuple(encoded), None)
