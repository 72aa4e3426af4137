"""Check what a user hands to ``fit``, ``evaluate`` and ``predict``, and bring it into the form that runners rely on.

Arrays on the device of the model are checked there and stay there; of the host's, none is moved here.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.arrays.foreign import as_array, has_readable_rows, packed
from accelnn.arrays.frames import NUMBERS, column_names, how_to_encode
from accelnn.arrays.namespace import is_cupy, namespace
from accelnn.arrays.typing import Array
from accelnn.errors import ArgumentError, ShapeError, invalid, shown, wrong_type
from accelnn.network.network import Network
from accelnn.training.arguments import checked_amounts, checked_number
from accelnn.training.data import TrainingData

COMPACT_DTYPES = ("uint8", "float32", "float64")
"""Dtypes of inputs that the kernels read as they are; all others are converted once."""

ROWS_PER_CHECK = 8192
"""Host inputs are checked in pieces of so many rows, so that a check of a large file needs little memory."""


def checked_x(x: Any, network: Network) -> Array:
    """Return ``x`` as an array (n, n_in) of a compact dtype; builds the network if it is not built yet.

    It is an array of NumPy, or of CuPy on the network's device if ``x`` lies there. Raises ArgumentTypeError for what
    is not an array of real numbers and for one on another device, ShapeError for a wrong shape, ArgumentError for no
    rows or for NaN or infinite values.
    """
    with network.backend.active():
        array = real_array("x", x, network.backend)
        _check_shape(array.shape, network)
        names = column_names(x)
        _check_names(names, network)
        check_finite("x", array, network.dtype, names)
        network.build(int(array.shape[1]))
        is_compact = array.dtype.name in COMPACT_DTYPES and array.dtype.isnative
        if is_compact and has_readable_rows(array):
            return array
        return packed(array, array.dtype if is_compact else network.dtype)


def _check_shape(shape: tuple[int, ...], network: Network) -> None:
    if len(shape) != 2:
        fix = "x.reshape(len(x), -1)" if len(shape) > 2 else _TO_TWO_DIMENSIONS
        raise ShapeError(f"x has shape {shape}: use shape (rows, columns), for example {fix}")
    if 0 in shape:
        raise ShapeError(f"x has shape {shape}: use at least one row and one column")
    if network.built and shape[1] != network.n_in:
        raise ShapeError(f"x has {shape[1]} columns: this model takes {network.n_in}")


def _check_names(names: tuple[str, ...] | None, network: Network) -> None:
    """Raise ArgumentError if the columns of a data frame are others than the model was trained on."""
    for position, (name, known) in enumerate(zip(names or (), network.feature_names or (), strict=False), 1):
        if name != known:
            fix = "use x[list(model.feature_names)], or set model.feature_names to None if the names mean nothing"
            raise ArgumentError(f"column {position} of x is {name!r} and the model was trained on {known!r}: {fix}")


def learn_names(x: Any, network: Network) -> None:
    """Let the network remember the names of the columns of its first data frame."""
    network.feature_names = network.feature_names or column_names(x)


_TO_TWO_DIMENSIONS = "x.reshape(1, -1) for one row, x.reshape(-1, 1) for one column"


def real_array(argument: str, values: Any, backend: Backend) -> Array:
    """Return ``values`` as an array of real numbers where they lie, see :func:`accelnn.arrays.foreign.as_array`.

    Masked arrays and sparse matrices are refused.
    """
    if isinstance(values, Iterator):
        raise wrong_type(argument, values, "use an array; only partial_fit and predict take chunks from an iterator")
    if isinstance(values, np.ma.MaskedArray):
        raise wrong_type(argument, values, f"fill in the masked values first, for example with {argument}.filled(0)")
    if hasattr(values, "collect"):
        raise wrong_type(argument, values, f"use {argument}.collect()")
    if hasattr(values, "toarray"):
        raise wrong_type(argument, values, f"sparse matrices are not supported, use {argument}.toarray()")
    array = as_array(argument, values, backend)
    if array.dtype.kind not in NUMBERS:
        is_text = array.dtype.kind in "US"
        what = "Python objects" if array.dtype.kind == "O" else array.dtype
        fix = how_to_encode(argument) if is_text else f"use an array of real numbers, not of {what}"
        raise wrong_type(argument, values, fix)
    return array


def check_finite(argument: str, array: Array, dtype: str, names: Sequence[str] | None = None) -> None:
    """Raise ArgumentError if a value is NaN or infinite, or too large for ``dtype``; ``names`` are those of columns."""
    if array.dtype.kind != "f":
        return
    xp, limit = namespace(array), float(np.finfo(dtype).max)
    rows = len(array) if is_cupy(array) else ROWS_PER_CHECK  # each look at a result waits for the device
    for start in range(0, len(array), rows):
        piece = array[start : start + rows]
        low, high = float(xp.min(piece)), float(xp.max(piece))
        if not (-limit <= low and high <= limit):  # NaN fails both comparisons
            _raise_not_finite(argument, piece, start, dtype, names)


def _raise_not_finite(argument: str, piece: Array, start: int, dtype: str, names: Sequence[str] | None) -> None:
    """Find the first such value; of an array on a device only what is needed for that is copied."""
    xp, limit = namespace(piece), float(np.finfo(dtype).max)
    rows = piece.reshape(len(piece), -1)
    low, high = (_on_host(extremes) for extremes in (xp.min(rows, axis=1), xp.max(rows, axis=1)))
    row = int(np.argmin((-limit <= low) & (high <= limit)))
    values = _on_host(rows[row])
    column = int(np.argmin(np.abs(values) <= limit))
    named = names[column] if names else column
    where = ", ".join(repr(i) for i in (start + row, named)[: piece.ndim])
    fix = f"use values that are finite in {dtype}; fill in or drop missing values"
    raise invalid(f"{argument}[{where}]", float(values[column]), fix)


def _on_host(array: Array) -> np.ndarray:
    """Return host values that compare with every limit: in float16 the largest float32 is infinite."""
    values: np.ndarray = (array.get() if is_cupy(array) else array).astype(np.longdouble)
    return values


def checked_data(
    x: Any, y: Any, network: Network, loss: str, sample_weight: Any = None, class_weight: Any = None
) -> TrainingData:
    """Return all training data in the form that runners rely on; builds the network if it is not built yet."""
    rows = checked_x(x, network)
    with network.backend.active():
        targets = checked_y(y, len(rows), network, loss)
    weights = checked_weights(sample_weight, class_weight, targets, network)
    return TrainingData(rows, targets, weights)


def checked_y(y: Any, n: int, network: Network, loss: str) -> Array:
    """Return labels, int64 (n,), for ``cross_entropy`` if ``y`` holds labels, else targets (n, n_out).

    They are an array of NumPy, or of CuPy on the network's device if ``y`` lies there. Raises ArgumentTypeError,
    ShapeError or ArgumentError if ``y`` does not fit the rows of ``x``, the outputs of the network or the loss.
    """
    array = real_array("y", y, network.backend)
    if array.ndim == 0 or len(array) != n:
        rows = "no rows" if array.ndim == 0 else f"{len(array)} rows"
        raise ShapeError(f"y has {rows}: x has {n}, give one target for each row")
    if loss == "cross_entropy" and (array.ndim == 1 or array.shape[1:] == (1,)):
        return _labels(array.reshape(n), network.n_out)
    if array.ndim == 1:
        array = array.reshape(n, 1)
    if array.shape != (n, network.n_out):
        raise ShapeError(
            f"y has shape {array.shape}: this model has {network.n_out} outputs, {_target_fix(network, loss)}"
        )
    check_finite("y", array, network.dtype, column_names(y))
    _check_range(array, loss)
    return packed(array, network.dtype)


def _target_fix(network: Network, loss: str) -> str:
    if loss == "cross_entropy":
        return f"use labels of shape (rows,) or one-hot rows of shape (rows, {network.n_out})"
    if loss == "binary_cross_entropy" and network.n_out > 1:
        return f"use rows of 0 and 1 of shape (rows, {network.n_out}), for example numpy.eye({network.n_out})[labels]"
    return f"use targets of shape (rows, {network.n_out})"


def _labels(array: Array, n_classes: int) -> Array:
    if n_classes < 2:
        raise invalid("loss", "cross_entropy", "a softmax over one output is always 1: use 2 outputs or more")
    if array.dtype.kind == "f":
        check_finite("y", array, "float64")
        _check_whole(array)
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_classes:
        wrong = low if low < 0 else high
        raise invalid("y", wrong, f"labels lie in 0..{n_classes - 1} because the output layer has {n_classes} units")
    return packed(array, np.int64)


def _check_whole(array: Array) -> None:
    parts = array[array != namespace(array).floor(array)]
    if parts.size:
        fix = "labels are whole numbers; for a regression end the network in 'identity' with loss='mse'"
        raise invalid("y", float(parts[0]), fix)


def _check_range(array: Array, loss: str) -> None:
    low, high = float(array.min()), float(array.max())
    if loss in ("binary_cross_entropy", "cross_entropy") and (low < 0.0 or high > 1.0):
        raise invalid("y", low if low < 0.0 else high, f"targets of {loss} lie in [0, 1]")
    if loss == "poisson" and low < 0.0:
        raise invalid("y", low, "targets of poisson are counts >= 0")


def checked_weights(sample_weight: Any, class_weight: Any, targets: Array, network: Network) -> np.ndarray | None:
    """Return the product of both weights, float64 (n,) on the host, or None if neither is given.

    ``sample_weight``: (n,) finite numbers >= 0, not all 0. ``class_weight``: a mapping from labels to numbers >= 0 (a
    label that is missing counts 1), or ``"balanced"`` for weights that are inverse to the frequency of a class.
    """
    weights = None if sample_weight is None else _sample_weights(sample_weight, len(targets), network)
    if class_weight is not None:
        of_classes = _class_weights(class_weight, network.backend.to_host(targets), max(network.n_out, 2))
        weights = of_classes if weights is None else weights * of_classes
    if weights is not None and not weights.any():
        argument = "class_weight" if sample_weight is None else "sample_weight"
        raise invalid(argument, 0.0, "all weights are 0, so there is nothing to learn from")
    return weights


def _sample_weights(sample_weight: Any, n: int, network: Network) -> np.ndarray:
    weights = network.backend.to_host(real_array("sample_weight", sample_weight, network.backend))
    if weights.shape != (n,):
        raise ShapeError(f"sample_weight has shape {weights.shape}: use ({n},), one number for each row of x")
    return checked_amounts("sample_weight", packed(weights, np.float64))


def _class_weights(class_weight: Any, targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the weight of the class of each row."""
    classes = classes_of(targets)
    if classes is None:
        fix = "leave it out: the targets are not classes, or rows belong to several classes; use sample_weight instead"
        raise invalid("class_weight", class_weight, fix)
    if isinstance(class_weight, str) and class_weight == "balanced":
        # As in scikit-learn: every class that occurs has the same total weight.
        counts = np.bincount(classes)
        balanced: np.ndarray = len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return balanced.take(classes)
    if not isinstance(class_weight, Mapping):
        raise wrong_type("class_weight", class_weight, "use a mapping such as {0: 1.0, 1: 5.0}, or 'balanced'")
    table = np.ones(n_classes)
    for label, weight in class_weight.items():
        amount = checked_number(f"class_weight[{shown(label)}]", weight, at_least=0.0)
        table[_known_label(label, n_classes)] = amount
    return table.take(classes)


def classes_of(targets: np.ndarray) -> np.ndarray | None:
    """Return the class of each row of host targets, int64 (n,); None if they are not one class for each row.

    ``targets``: labels, int64 (n,), or (n, n_out): one-hot rows, or 0 and 1 where there is one output.
    """
    if targets.ndim == 1:
        return targets
    is_one_hot = targets.shape[1] > 1
    classes = np.empty(len(targets), np.int64)
    for start in range(0, len(targets), ROWS_PER_CHECK):
        piece = targets[start : start + ROWS_PER_CHECK]
        if not ((piece == 0.0) | (piece == 1.0)).all() or (is_one_hot and (piece.sum(axis=1) != 1.0).any()):
            return None
        classes[start : start + len(piece)] = piece.argmax(axis=1) if is_one_hot else piece[:, 0]
    return classes


def _known_label(label: Any, n_classes: int) -> int:
    # As numpy.unique makes them of targets of any dtype: 1, numpy.int64(1), 1.0, numpy.float32(1), numpy.True_.
    is_number = isinstance(label, (numbers.Real, np.bool_)) and not isinstance(label, bool)
    if not is_number or label not in range(n_classes):
        raise invalid("class_weight", label, f"its keys are labels, in 0..{n_classes - 1}")
    return int(label)
