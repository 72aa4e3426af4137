"""The data set object: rows of features and targets, in a training and a test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.data.labels import Targets, encode_targets
from accelnn.errors import DataError

# 8 x 8, the size of the smallest pictures in use. Byte tables narrower than that hold counts or codes.
MIN_PIXELS = 64


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to train on and rows to test with; one of the two parts may be empty.

    ``x_train (n_train, n_features)`` and ``x_test (n_test, n_features)``: uint8, float32 or float64,
    C-contiguous, finite. ``y_train``, ``y_test``: int64 ``(n,)`` in 0..n_classes-1, or for a regression
    float64 ``(n, n_outputs)``. ``scale``: what to multiply x with before it enters a network (1/255
    for pictures of bytes). ``n_classes``: None for a regression. ``feature_names`` and ``class_names``:
    in order, where known. ``source``: where the rows came from, for reports.

    Raises ``DataError`` if the arrays do not fit together or hold NaN or infinity.
    """

    name: str
    x_train: npt.NDArray[Any] = field(repr=False)
    y_train: npt.NDArray[Any] = field(repr=False)
    x_test: npt.NDArray[Any] = field(repr=False)
    y_test: npt.NDArray[Any] = field(repr=False)
    scale: float = 1.0
    n_classes: int | None = None
    feature_names: tuple[str, ...] | None = field(default=None, repr=False)
    class_names: tuple[str, ...] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for part, x, y in (("training", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            _check_part(f"{self.name}: {part} part", x, y, self.n_features)
        if len(self.x_train) + len(self.x_test) == 0:
            raise DataError(f"{self.name}: there is no row: use a file with at least one")

    @property
    def n_features(self) -> int:
        """Number of columns of x."""
        return int(self.x_train.shape[-1])

    @property
    def n_outputs(self) -> int:
        """Number of outputs a network needs: one per class, or one per target of a regression."""
        return int(self.y_train.shape[-1]) if self.n_classes is None else self.n_classes


def _check_part(what: str, x: npt.NDArray[Any], y: npt.NDArray[Any], n_features: int) -> None:
    if x.ndim != 2 or x.shape[1] == 0:
        raise DataError(f"{what}: x has shape {x.shape}: use (n, n_features) with at least one feature")
    if x.shape[1] != n_features:
        raise DataError(f"{what}: x has {x.shape[1]} features, the training part {n_features}: use the same")
    if len(x) != len(y):
        raise DataError(f"{what}: {len(x)} rows of x and {len(y)} of y: use as many of each")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"{what}: x is NaN or infinite in row {row}, feature {column}: remove or repair it")


def feature_rows(x: npt.NDArray[Any], source: str) -> npt.NDArray[Any]:
    """Return ``x (n, ...)`` as C-contiguous rows ``(n, n_features)`` of uint8, float32 or float64.

    These three types stay as they are, without a copy where possible; float16 becomes float32, other
    numbers float64. Raises ``DataError`` for other types and for arrays without a second axis.
    """
    if x.ndim < 2 or x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        raise DataError(f"{source}: x has shape {x.shape} and type {x.dtype}: use numbers (n, n_features)")
    if x.dtype.kind == "f":
        dtype = np.dtype(np.float32 if x.dtype.itemsize <= 4 else np.float64)
    else:
        dtype = np.dtype(np.uint8 if x.dtype == np.uint8 else np.float64)
    return np.ascontiguousarray(x, dtype).reshape(len(x), int(np.prod(x.shape[1:])))


def pixel_scale(x: npt.NDArray[Any]) -> float:
    """Return 1/255 for rows that look like pictures (uint8, at least 64 columns), else 1.

    The rule looks at the type and the width only, so that two files of one problem get one answer.
    """
    return 1 / 255 if x.dtype == np.uint8 and x.shape[1] >= MIN_PIXELS else 1.0


def split_rows(n_rows: int, test_fraction: float, seed: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Return shuffled row numbers ``(train, test)``, ``test`` with ``test_fraction`` of the rows.

    A fraction strictly between 0 and 1 leaves at least one row on each side (if there are two).
    0 and 1 put all rows into one part, in their own order.
    """
    if test_fraction in (0, 1):
        return tuple(np.split(np.arange(n_rows), [0 if test_fraction else n_rows]))
    n_test = min(max(round(n_rows * test_fraction), 1), n_rows - 1)
    order = np.random.default_rng(seed).permutation(n_rows)
    return order[n_test:], order[:n_test]


@dataclass(frozen=True)
class Rows:
    """Rows as a reader found them, before encoding: features ``x (n, ...)`` and raw targets ``y``."""

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]


def split_dataset(name: str, rows: Rows, *, test_fraction: float, seed: int, source: str, **more: Any) -> Dataset:
    """Make a data set of ``rows`` that have no test part: ``test_fraction`` of them becomes it.

    ``more`` goes to ``Dataset`` and overrides what would be derived from the rows.
    """
    x, targets = feature_rows(rows.x, source), encode_targets([rows.y], source)
    (y,) = targets.parts
    _check_part(source, x, y, x.shape[1])
    train, test = split_rows(len(x), test_fraction, seed)
    return _dataset(name, [x[train], x[test]], [y[train], y[test]], targets, source, more)


def parted_dataset(name: str, train: Rows, test: Rows, *, source: str, **more: Any) -> Dataset:
    """Make a data set of two parts that the source itself keeps apart; ``more`` as in ``split_dataset``."""
    targets = encode_targets([train.y, test.y], source)
    x = [feature_rows(rows.x, source) for rows in (train, test)]
    return _dataset(name, x, targets.parts, targets, source, more)


def _dataset(
    name: str,
    x: Sequence[npt.NDArray[Any]],
    y: Sequence[npt.NDArray[Any]],
    targets: Targets,
    source: str,
    more: dict[str, Any],
) -> Dataset:
    derived = {
        "scale": pixel_scale(x[0]),
        "n_classes": targets.n_classes,
        "class_names": targets.class_names,
    }
    return Dataset(name, x[0], y[0], x[1], y[1], source=source, **(derived | more))
