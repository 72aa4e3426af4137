"""Check what a user hands to ``fit``, ``evaluate`` and ``predict``, and bring it into the form that runners rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.errors import ShapeError, invalid, shown, wrong_type
from accelnn.network.network import Network
from accelnn.training.arguments import checked_amounts, checked_number
from accelnn.training.data import TrainingData

COMPACT_DTYPES = ("uint8", "float32", "float64")
"""Dtypes of inputs that the kernels read as they are; all others are converted once."""

ROWS_PER_CHECK = 8192
"""Inputs are checked in pieces of so many rows, so that a check of a large file needs little memory."""


def checked_x(x: Any, network: Network) -> np.ndarray:
    """Return ``x`` as a host array (n, n_in) of a compact dtype; builds the network if it is not built yet.

    Raises ArgumentTypeError for what is not an array of real numbers, ShapeError for a wrong shape, ArgumentError for
    no rows or for NaN or infinite values.
    """
    array = host_array("x", x, network.backend)
    if array.ndim != 2:
        fix = (
            "x.reshape(len(x), -1)"
            if array.ndim > 2
            else "x.reshape(1, -1) for one row, x.reshape(-1, 1) for one column"
        )
        raise ShapeError(f"x has shape {array.shape}: use shape (rows, columns), for example {fix}")
    if array.size == 0:
        raise ShapeError(f"x has shape {array.shape}: use at least one row and one column")
    if network.built and array.shape[1] != network.n_in:
        raise ShapeError(f"x has {array.shape[1]} columns: this model takes {network.n_in}")
    _check_finite("x", array, network.dtype)
    network.build(array.shape[1])
    return _compact(array, network.dtype)


def host_array(argument: str, values: Any, backend: Backend) -> np.ndarray:
    """Return ``values`` as a NumPy array of real numbers. Arrays of another library and masked arrays are refused."""
    if isinstance(values, np.ma.MaskedArray):
        raise wrong_type(argument, values, "fill in the masked values first, for example with x.filled(0)")
    if hasattr(values, "toarray"):
        raise wrong_type(argument, values, "sparse matrices are not supported, use x.toarray()")
    if not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__"):
        if backend.name == "cpu" and not _on_host(values):
            raise wrong_type(
                argument, values, "the array lies on another device than the model; copy it to the host first"
            )
        if backend.name == "cuda":
            values = backend.to_host(values)
    array = _as_array(argument, values)
    if array.dtype.kind not in "fiub":
        raise wrong_type(argument, values, f"use an array of real numbers, not of dtype {array.dtype}")
    return array


def _on_host(values: Any) -> bool:
    """Return whether a DLPack array lies in the memory of the host (device type 1)."""
    return int(values.__dlpack_device__()[0]) == 1


def _as_array(argument: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise wrong_type(argument, values, f"use a NumPy array or a list of rows of equal length ({error})") from error


def _compact(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return the array in a dtype that the kernels read, with neighbouring elements in each row."""
    if array.dtype.name not in COMPACT_DTYPES or not array.dtype.isnative:
        return aligned(array, dtype)
    whole_elements = array.strides[0] % array.itemsize == 0
    if array.strides[1] == array.itemsize and whole_elements and array.flags.aligned:
        return array
    return aligned(array, array.dtype)


def aligned(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Return the array in C order in ``dtype``, its elements at addresses that are multiples of their size."""
    return np.require(array, dtype, ["C", "A"])


def _check_finite(argument: str, array: np.ndarray, dtype: str) -> None:
    """Raise ArgumentError if a value is NaN or infinite, or too large for ``dtype``."""
    if array.dtype.kind != "f":
        return
    limit = float(np.finfo(dtype).max)
    for start in range(0, len(array), ROWS_PER_CHECK):
        piece = array[start : start + ROWS_PER_CHECK]
        low, high = float(piece.min()), float(piece.max())
        if not (-limit <= low and high <= limit):  # NaN fails both comparisons
            _raise_not_finite(argument, piece, start, dtype)


def _raise_not_finite(argument: str, piece: np.ndarray, start: int, dtype: str) -> None:
    limit = float(np.finfo(dtype).max)
    position = np.argwhere(~(np.abs(piece.astype(np.longdouble)) <= limit))[0]
    value = piece[tuple(position)]
    where = f"{argument}[{', '.join(str(i) for i in (start + position[0], *position[1:]))}]"
    raise invalid(where, float(value), f"use values that are finite in {dtype}; fill in or drop missing values")


def checked_data(
    x: Any, y: Any, network: Network, loss: str, sample_weight: Any = None, class_weight: Any = None
) -> TrainingData:
    """Return all training data in the form that runners rely on; builds the network if it is not built yet."""
    rows = checked_x(x, network)
    targets = checked_y(y, len(rows), network, loss)
    weights = checked_weights(sample_weight, class_weight, targets, network)
    return TrainingData(rows, targets, weights)


def checked_y(y: Any, n: int, network: Network, loss: str) -> np.ndarray:
    """Return labels, int64 (n,), for ``cross_entropy`` if ``y`` holds labels, else targets (n, n_out).

    Raises ArgumentTypeError, ShapeError or ArgumentError if ``y`` does not fit the rows of ``x``, the outputs of the
    network or the loss.
    """
    array = host_array("y", y, network.backend)
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
    _check_finite("y", array, network.dtype)
    _check_range(array, loss)
    return aligned(array, network.dtype)


def _target_fix(network: Network, loss: str) -> str:
    if loss == "cross_entropy":
        return f"use labels of shape (rows,) or one-hot rows of shape (rows, {network.n_out})"
    if loss == "binary_cross_entropy" and network.n_out > 1:
        return f"use rows of 0 and 1 of shape (rows, {network.n_out}), for example numpy.eye({network.n_out})[labels]"
    return f"use targets of shape (rows, {network.n_out})"


def _labels(array: np.ndarray, n_classes: int) -> np.ndarray:
    if n_classes < 2:
        raise invalid("loss", "cross_entropy", "a softmax over one output is always 1: use 2 outputs or more")
    if array.dtype.kind == "f":
        _check_finite("y", array, "float64")
        _check_whole(array)
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_classes:
        wrong = low if low < 0 else high
        raise invalid("y", wrong, f"labels lie in 0..{n_classes - 1} because the output layer has {n_classes} units")
    return aligned(array, np.int64)


def _check_whole(array: np.ndarray) -> None:
    parts = array[array != np.floor(array)]
    if parts.size:
        fix = "labels are whole numbers; for a regression end the network in 'identity' with loss='mse'"
        raise invalid("y", float(parts[0]), fix)


def _check_range(array: np.ndarray, loss: str) -> None:
    low, high = float(array.min()), float(array.max())
    if loss in ("binary_cross_entropy", "cross_entropy") and (low < 0.0 or high > 1.0):
        raise invalid("y", low if low < 0.0 else high, f"targets of {loss} lie in [0, 1]")
    if loss == "poisson" and low < 0.0:
        raise invalid("y", low, "targets of poisson are counts >= 0")


def checked_weights(sample_weight: Any, class_weight: Any, targets: np.ndarray, network: Network) -> np.ndarray | None:
    """Return the product of both weights, float64 (n,), or None if neither is given.

    ``sample_weight``: (n,) finite numbers >= 0, not all 0. ``class_weight``: a mapping from labels to numbers >= 0 (a
    label that is missing counts 1), or ``"balanced"`` for weights that are inverse to the frequency of a class.
    """
    weights = None if sample_weight is None else _sample_weights(sample_weight, len(targets), network)
    if class_weight is not None:
        of_classes = _class_weights(class_weight, targets, max(network.n_out, 2))
        weights = of_classes if weights is None else weights * of_classes
    if weights is not None and not weights.any():
        argument = "class_weight" if sample_weight is None else "sample_weight"
        raise invalid(argument, 0.0, "all weights are 0, so there is nothing to learn from")
    return weights


def _sample_weights(sample_weight: Any, n: int, network: Network) -> np.ndarray:
    weights = host_array("sample_weight", sample_weight, network.backend)
    if weights.shape != (n,):
        raise ShapeError(f"sample_weight has shape {weights.shape}: use ({n},), one number for each row of x")
    return checked_amounts("sample_weight", aligned(weights, np.float64))


def _class_weights(class_weight: Any, targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the weight of the class of each row."""
    classes = _classes_of(targets)
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


def _classes_of(targets: np.ndarray) -> np.ndarray:
    if targets.ndim == 1:
        return targets
    if not np.isin(targets, (0.0, 1.0)).all():
        raise invalid("class_weight", "given", "leave it out: the targets are not classes; use sample_weight instead")
    if targets.shape[1] == 1:
        return targets.astype(np.int64).reshape(-1)
    if (targets.sum(axis=1) != 1.0).any():
        raise invalid(
            "class_weight", "given", "leave it out: rows belong to several classes; use sample_weight instead"
        )
    return np.asarray(targets.argmax(axis=1))


def _known_label(label: Any, n_classes: int) -> int:
    if isinstance(label, bool) or not isinstance(label, (int, np.integer)) or not 0 <= label < n_classes:
        raise invalid("class_weight", label, f"its keys are labels, in 0..{n_classes - 1}")
    return int(label)
