from __future__ import annotations

import numpy as np
import pytest

from accelnn.data import encode_targets
from accelnn.errors import DataError


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_small_integers_are_class_numbers(dtype: type) -> None:
    targets = encode_targets([np.array([0, 3, 1], dtype), np.array([[2]], dtype)], "s")
    assert targets.n_classes == 4
    assert targets.class_names is None
    assert [part.tolist() for part in targets.parts] == [[0, 3, 1], [2]]
    assert all(part.dtype == np.int64 for part in targets.parts)


def test_a_missing_class_renumbers_nothing() -> None:
    assert encode_targets([np.array([7, 2])], "s").parts[0].tolist() == [7, 2]


def test_booleans_are_two_classes() -> None:
    targets = encode_targets([np.array([True, False])], "s")
    assert (targets.n_classes, targets.parts[0].tolist()) == (2, [1, 0])


@pytest.mark.parametrize(
    ("labels", "codes", "names"),
    [
        ([-1, 1, -1], [0, 1, 0], ("-1", "1")),
        ([20_000, 5], [1, 0], ("5", "20000")),
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([b"b", b"a"], [1, 0], ("a", "b")),
    ],
)
def test_other_labels_are_numbered_in_sorted_order(
    labels: list[object], codes: list[int], names: tuple[str, ...]
) -> None:
    targets = encode_targets([np.array(labels)], "s")
    assert targets.parts[0].tolist() == codes
    assert targets.class_names == names
    assert targets.n_classes == len(names)


def test_parts_share_one_numbering() -> None:
    targets = encode_targets([np.array(["b", "c"]), np.array(["a", "c"])], "s")
    assert [part.tolist() for part in targets.parts] == [[1, 2], [0, 2]]


@pytest.mark.parametrize("values", [np.linspace(0, 1, 4), np.arange(-200, 200), np.zeros((3, 2), np.float32)])
def test_everything_else_is_a_regression_with_columns(values: np.ndarray) -> None:
    targets = encode_targets([values], "s")
    assert targets.n_classes is None
    assert targets.parts[0].dtype == np.float64
    np.testing.assert_array_equal(targets.parts[0], values.reshape(len(values), -1))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([np.array([0.5, np.nan])], "NaN or infinite"),
        ([np.array([0.5]), np.array([np.inf])], "NaN or infinite"),
        ([np.zeros((2, 2, 2))], "shape"),
        ([np.array(0.5)], "shape"),
        ([np.zeros((2, 0))], "shape"),
        ([np.array(1)], "shape"),
        ([np.eye(3, dtype=int)], "labels have shape"),
        ([np.array([0, 2**64 - 1], np.uint64)], "too large"),
        ([np.array([1j])], "complex"),
        ([np.array([0, 1]), np.array([0.5])], "one kind"),
        ([np.zeros((1, 2)), np.zeros((1, 3))], "different numbers of columns"),
        ([np.array([0x110000], np.uint32).view("<U1")], "do not exist in Unicode"),
        ([np.array([97, 0x7FFFFFFF], np.uint32).view("<U2")], "do not exist in Unicode"),
        ([np.array(["a", "\ud800"])], "do not exist in Unicode"),
        ([np.array("a")], "labels have shape"),
    ],
)
def test_refused_targets(parts: list[np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_targets(parts, "s")


def test_no_rows_at_all() -> None:
    assert encode_targets([np.zeros(0, np.int64)], "s").n_classes == 0
