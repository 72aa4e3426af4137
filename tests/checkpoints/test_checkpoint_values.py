"""States become JSON and arrays, and the same states again."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from accelnn.errors import ArgumentTypeError
from accelnn.training.checkpoints.values import put_together, taken_apart


def test_a_state_comes_back_as_it_was() -> None:
    weights = np.arange(6.0).reshape(2, 3)
    state = {
        "best": 0.1, "none": None, "is": True, "name": "ü", "big": 2**127, "nested": [{"w": weights}, [1, -math.inf]],
        "numpy": np.float32(0.5), "count": np.int64(3), "empty": {}, "tuple": (1, 2),
    }  # fmt: skip
    arrays: dict[str, np.ndarray] = {}
    description = json.loads(json.dumps(taken_apart(state, "callbacks.0", arrays), allow_nan=False))
    assert list(arrays) == ["callbacks.0.nested.0.w"]
    back = put_together(description, arrays)
    np.testing.assert_array_equal(back["nested"][0].pop("w"), weights)
    state["nested"] = [{}, [1, -math.inf]]
    assert back == state | {"tuple": [1, 2]}


def test_nan_comes_back() -> None:
    assert math.isnan(put_together(taken_apart(math.nan, "x", {}), {}))


def test_arrays_are_copied() -> None:
    weights, arrays = np.zeros(3), {}
    taken_apart([weights], "w", arrays)
    weights += 1.0
    assert arrays["w.0"].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("value", [object(), {1: 2}, {"__array__": "x"}, b"bytes", {"a": [print]}, 1j])
def test_what_has_no_place_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="a checkpoint holds numbers, text, NumPy arrays"):
        taken_apart(value, "state", {})
