from __future__ import annotations

import numpy as np
import pytest

from accelnn.data import Dataset
from accelnn.data.dataset import Rows, feature_rows, parted_dataset, pixel_scale, split_dataset, split_rows
from accelnn.errors import DataError

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10) % 3


def test_counts_of_features_and_outputs() -> None:
    data = Dataset("a", X, Y, X, Y, n_classes=3)
    assert (data.n_features, data.n_outputs) == (2, 3)
    assert Dataset("a", X, X, X, X).n_outputs == 2
    assert "array" not in repr(data)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((X, Y[:-1], X, Y), "training part: 10 rows of x and 9 of y"),
        ((X, Y, X[:, :1], Y), "test part: x has 1 features"),
        ((X[:, 0], Y, X, Y), "shape"),
        ((X[:, :0], Y, X[:, :0], Y), "at least one feature"),
        ((X[:0], Y[:0], X[:0], Y[:0]), "no row"),
        ((X, Y, np.where(X == 7, np.nan, X), Y), "test part: x is NaN or infinite in row 3, feature 1"),
    ],
)
def test_arrays_that_do_not_fit(parts: tuple[np.ndarray, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset("a", *parts)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("u1", "u1"),
        ("f4", "f4"),
        ("f8", "f8"),
        ("f2", "f4"),
        ("i1", "f8"),
        ("i8", "f8"),
        ("?", "f8"),
        ("u2", "f8"),
    ],
)
def test_feature_types(given: str, kept: str) -> None:
    rows = feature_rows(np.asfortranarray(np.ones((3, 2, 4), given)), "s")
    assert rows.shape == (3, 8)
    assert rows.dtype == np.dtype(kept)
    assert rows.flags.c_contiguous


def test_features_are_not_copied_without_need() -> None:
    x = np.zeros((3, 4), np.uint8)
    assert np.shares_memory(feature_rows(x, "s"), x)


@pytest.mark.parametrize("x", [np.zeros(3), np.zeros((2, 2), complex), np.array([["a"]]), np.zeros((1, 1), "g")])
def test_refused_features(x: np.ndarray) -> None:
    with pytest.raises(DataError, match="use numbers"):
        feature_rows(x, "s")


def test_only_wide_byte_rows_are_pictures() -> None:
    assert pixel_scale(np.zeros((1, 64), np.uint8)) == 1 / 255
    assert pixel_scale(np.zeros((1, 63), np.uint8)) == 1.0
    assert pixel_scale(np.zeros((1, 64))) == 1.0


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.2, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("n_rows", [2, 3, 10])
def test_split_uses_every_row_once(n_rows: int, fraction: float) -> None:
    train, test = split_rows(n_rows, fraction, seed=0)
    assert sorted([*train, *test]) == list(range(n_rows))
    if 0 < fraction < 1:
        assert len(train) > 0
        assert len(test) > 0
    else:
        assert [*train, *test] == list(range(n_rows))


def test_split_depends_on_the_seed_alone() -> None:
    first, again, other = (split_rows(100, 0.2, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len(first) == 20


def test_split_dataset_keeps_rows_and_labels_together() -> None:
    data = split_dataset("a", Rows(X, Y), test_fraction=0.3, seed=1, source="s", feature_names=("p", "q"))
    assert data.feature_names == ("p", "q")
    assert (len(data.x_train), len(data.x_test)) == (7, 3)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        np.testing.assert_array_equal(y, x[:, 0] // 2 % 3)


def test_rows_and_labels_of_different_length() -> None:
    with pytest.raises(DataError, match="10 rows of x and 4 of y"):
        split_dataset("a", Rows(X, Y[:4]), test_fraction=0.2, seed=0, source="s")
    with pytest.raises(DataError, match="test part: 10 rows of x and 4 of y"):
        parted_dataset("a", Rows(X, Y), Rows(X, Y[:4]), source="s")


def test_one_row_cannot_be_split_but_can_be_kept() -> None:
    data = split_dataset("a", Rows(X[:1], Y[:1]), test_fraction=0.2, seed=0, source="s")
    assert (len(data.x_train), len(data.x_test)) == (1, 0)
