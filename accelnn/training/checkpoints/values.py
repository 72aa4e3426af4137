"""What runs and callbacks have to remember, taken apart into values for JSON and arrays, and put together again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from accelnn.errors import wrong_type

_ARRAY, _FLOAT = "__array__", "__float__"


def taken_apart(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return ``value`` as JSON can hold it; its arrays are copied into ``arrays`` under names that begin with ``name``.

    It may be None, a truth value, a number, text, a NumPy array, or a list, tuple or mapping (with text as keys) of
    such values. Raises ArgumentTypeError for anything else.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.ndarray):
        arrays[name] = np.array(value)
        return {_ARRAY: name}
    if isinstance(value, np.generic):
        return taken_apart(value.item(), name, arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT: repr(value)}
    if isinstance(value, (list, tuple)):
        return [taken_apart(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) and not key.startswith("__") for key in value):
        return {key: taken_apart(item, f"{name}.{key}", arrays) for key, item in value.items()}
    raise wrong_type(name, value, "a checkpoint holds numbers, text, NumPy arrays, and lists and mappings of them")


def put_together(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return what ``taken_apart`` was given; tuples have become lists. Raises KeyError for an array that is missing."""
    if isinstance(value, list):
        return [put_together(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return arrays[value[_ARRAY]]
    if _FLOAT in value:
        return float(value[_FLOAT])
    return {key: put_together(item, arrays) for key, item in value.items()}
