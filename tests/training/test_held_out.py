"""Which rows ``validation_split`` holds out."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import Dense, Sequential
from accelnn.errors import ArgumentError
from accelnn.training.data import TrainingData
from accelnn.training.held_out import split_rows

N = 500
RARE = (np.arange(N) % 100 == 7).astype(np.int64)
"""Five rows of 500."""


def split(labels, fraction, output="softmax", seed=0, y=None, weights=None):
    n_classes = int(np.max(labels)) + 1
    n_out = n_classes if output == "softmax" else 1
    network = Sequential([Dense(max(2, n_out) if output == "softmax" else n_out, output)], n_in=1, seed=seed)
    data = TrainingData(np.zeros((len(labels), 1), np.float32), np.asarray(labels) if y is None else y, weights)
    return split_rows(network, data, None, fraction, network.shuffle_rng)


def held_out(*args, **options):
    """Return how many rows of each class are held out; every row is on one side, in order."""
    labels = np.asarray(args[0])
    trained, rows = split(*args, **options)
    np.testing.assert_array_equal(np.sort(np.concatenate([trained, rows])), np.arange(len(labels)))
    assert (np.diff(trained) > 0).all()
    assert (np.diff(rows) > 0).all()
    return np.bincount(labels[rows], minlength=labels.max() + 1).tolist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("y", [None, RARE.reshape(-1, 1).astype(np.float32)], ids=["softmax", "sigmoid"])
def test_the_rare_class_is_held_out_with_every_seed(seed, y):
    assert held_out(RARE, 0.1, "softmax" if y is None else "sigmoid", seed, y) == [49, 1]


@pytest.mark.parametrize(
    ("labels", "fraction", "expected"),
    [
        ([0] * 400 + [1] * 400 + [2] * 200, 0.25, [100, 100, 50]),
        ([0] * 90 + [1] * 9 + [2], 0.1, [9, 1, 0]),  # the only row of a class stays
        ([0, 1] * 3, 0.9, [2, 2]),  # so does the last one of each
        ([0] * 2 + list(range(1, 10)), 0.3, [1] + [0] * 9),
        ([0] * 8 + [1] * 4 + [2] * 2, 0.15, [1, 1, 0]),  # fewer than one for each class: the large ones
        ([0] * 6 + [2] * 6, 0.5, [3, 0, 3]),  # a class that does not occur
    ],
)
def test_shares_of_classes(labels, fraction, expected):
    assert held_out(labels, fraction) == expected


def test_where_there_are_fewer_rows_than_classes_any_class_may_be_held_out():
    labels = np.repeat(np.arange(40), 5)
    counts = np.sum([held_out(labels, 0.05, seed=seed) for seed in range(20)], axis=0)
    assert counts.sum() == 20 * 10
    assert np.count_nonzero(counts) > 30


def test_the_rows_of_a_class_are_drawn_at_random():
    drawn = {tuple(split(RARE, 0.1, seed=seed)[1]) for seed in range(5)}
    assert len(drawn) == 5
    np.testing.assert_array_equal(split(RARE, 0.1, seed=3)[1], split(RARE, 0.1, seed=3)[1])


@pytest.mark.parametrize(
    ("output", "y"),
    [
        ("identity", RARE.reshape(-1, 1).astype(np.float32)),
        ("sigmoid", 0.5 * RARE.reshape(-1, 1).astype(np.float32)),
        ("softmax", np.ones((N, 2), np.float32)),
    ],
    ids=["regression", "probabilities", "several classes"],
)
def test_other_targets_have_no_influence(output, y):
    generator = Sequential([Dense(1)], seed=0).shuffle_rng
    np.testing.assert_array_equal(split(RARE, 0.1, output, y=y)[1], np.sort(generator.permutation(N)[:50]))


def test_one_hot_rows_are_split_as_labels_are():
    np.testing.assert_array_equal(split(RARE, 0.1, y=np.eye(2, dtype=np.float32)[RARE])[1], split(RARE, 0.1)[1])


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        ([0, 1, 2, 3], None, "validation_split is 0.25: each class has a single row, which stays in training"),
        ([0] * 20, np.eye(20)[0], "validation_split is 0.25: of the 5 rows to validate on all weights are 0"),
        ([0] * 20, 1.0 * np.isin(np.arange(20), split([0] * 20, 0.25)[1]), "of the 15 rows to learn from all weights"),
    ],
)
def test_parts_that_are_worth_nothing_are_refused(labels, weights, message):
    with pytest.raises(ArgumentError, match=message):
        split(labels, 0.25, weights=weights)
