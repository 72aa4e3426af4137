"""What makes a training run the one it is: its model, its data and its settings, as values that can be compared."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.arrays.foreign import taken
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.arrays.typing import Array
from accelnn.errors import shown
from accelnn.training.callbacks import Callback
from accelnn.training.data import TrainingData

SUMMED_BYTES = 1 << 30
"""Of an array up to this size every number counts, of a larger one only the sampled rows."""

SAMPLED_ROWS = 1024

_BYTES_AT_A_TIME = 4 << 20
_SUMS = 8191
"""So many sums of words of 8 bytes: a prime, so that rows that change places do not meet the same sums."""


def data_fingerprint(data: TrainingData, backend: Backend) -> dict[str, Any]:
    """Return shapes, dtypes and hashes of the rows, the targets and the weights."""
    weights = None if data.weights is None else array_fingerprint(data.weights, backend)
    return {"x": array_fingerprint(data.x, backend), "y": array_fingerprint(data.y, backend), "weights": weights}


def array_fingerprint(array: Array | SparseRows, backend: Backend) -> dict[str, Any]:
    """Return the shape, the dtype and the hash of an array (n, ...), wherever it lies.

    The hash is the SHA-256 of ``SAMPLED_ROWS`` rows at equal distances, the first and the last too, and, up to
    ``SUMMED_BYTES``, of sums over all rows: hashing all bytes would take longer than a training step on each of them,
    and reading a file of many gigabytes longer than the check is worth.
    """
    shape = tuple(int(n) for n in array.shape)
    row_bytes = max(1, int(np.prod(shape[1:], dtype=np.int64)) * array.dtype.itemsize)
    at_a_time = max(1, _BYTES_AT_A_TIME // row_bytes)
    digest = hashlib.sha256()
    for part in _parts(_sample(shape[0]), at_a_time):
        digest.update(_bytes_of(array, part, backend).data)
    if shape[0] * row_bytes <= SUMMED_BYTES:
        for part in _parts(np.arange(shape[0]), at_a_time):
            digest.update(_sums(_bytes_of(array, part, backend)))
    return {"shape": list(shape), "dtype": array.dtype.name, "sha256": digest.hexdigest()}


def _sample(n_rows: int) -> np.ndarray:
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, SAMPLED_ROWS)).astype(np.int64))


def _bytes_of(array: Array | SparseRows, rows: np.ndarray, backend: Backend) -> np.ndarray:
    return np.ascontiguousarray(_rows(array, rows, backend)).reshape(-1).view(np.uint8)


def _sums(raw: np.ndarray) -> bytes:
    """Return the sums of words that lie ``_SUMS`` words apart, and the bytes that are left."""
    n = len(raw) // (8 * _SUMS) * 8 * _SUMS
    sums: np.ndarray = raw[:n].view(np.uint64).reshape(-1, _SUMS).sum(axis=0, dtype=np.uint64)
    return sums.tobytes() + raw[n:].tobytes()


def _parts(rows: np.ndarray, n: int) -> Iterator[np.ndarray]:
    return (rows[start : start + n] for start in range(0, len(rows), n))


def _rows(array: Array | SparseRows, rows: np.ndarray, backend: Backend) -> np.ndarray:
    if isinstance(array, SparseRows):
        return array[rows]
    if rows[-1] - rows[0] + 1 == len(rows):
        return backend.to_host(array[int(rows[0]) : int(rows[-1]) + 1])  # neighbours: a view
    return backend.to_host(taken(array, rows))


def callback_fingerprint(callback: Callback) -> dict[str, Any]:
    """Return the class and the settings of a callback."""
    return {"class": type(callback).__name__, **value_fingerprint(callback.settings())}


def value_fingerprint(value: Any) -> Any:
    """Return a value such as an optimizer or a schedule as mappings, lists, numbers and texts.

    An object becomes the name of its class and its public attributes; a function becomes its name.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "dtype": value.dtype.name, "sha256": _hash_of(value)}
    if isinstance(value, (list, tuple)):
        return [value_fingerprint(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): value_fingerprint(item) for key, item in value.items()}
    return _object_fingerprint(value)


def _object_fingerprint(value: Any) -> Any:
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    if dataclasses.is_dataclass(value):
        attributes = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    else:
        attributes = {
            name: item for name, item in getattr(value, "__dict__", {}).items() if _says_something(name, item)
        }
    return {"class": type(value).__name__, **{name: value_fingerprint(item) for name, item in attributes.items()}}


def _says_something(name: str, value: Any) -> bool:
    """Return whether a public attribute is a setting; an object of another kind may be anything, and lead anywhere."""
    plain = value is None or isinstance(value, (bool, int, float, str, np.generic, np.ndarray))
    return not name.startswith("_") and (plain or dataclasses.is_dataclass(value))


def _hash_of(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Return in words where two fingerprints differ, as ``"optimizer.learning_rate was 0.1 and is 0.2"``."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys([*before, *now]))
        parts = [differences(before.get(key), now.get(key), f"{name}.{key}" if name else key) for key in keys]
        return [line for part in parts for line in part]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{name}[{i}]")]
    if before == now:
        return []
    if name.endswith("sha256"):
        return [f"the values of {name.removesuffix('.sha256')} have changed"]
    return [f"{name} was {shown(before)} and is {shown(now)}"]
