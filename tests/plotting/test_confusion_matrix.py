from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError
from accelnn.plotting import plot_confusion_matrix


def counts_of(figure: Figure, n_classes: int) -> np.ndarray:
    """Return the numbers in the cells."""
    counts = np.zeros((n_classes, n_classes), int)
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        counts[int(row), int(column)] = int(text.get_text().replace(",", ""))
    return counts


def test_counts_and_colours_are_those_of_scikit_learn(looks_right: Any) -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 10, 3000)
    predicted = np.where(rng.random(3000) < 0.8, true, rng.integers(0, 10, 3000))
    figure = plot_confusion_matrix(true, predicted, "picture.png")
    looks_right(figure)
    expected = confusion_matrix(true, predicted)
    np.testing.assert_array_equal(counts_of(figure, 10), expected)
    (image,) = figure.axes[0].get_images()
    np.testing.assert_allclose(image.get_array(), expected / expected.sum(axis=1, keepdims=True))  # type: ignore[arg-type]
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title() == f"{np.mean(true == predicted):.2%} of 3,000 right"


def test_names_and_large_counts(looks_right: Any) -> None:
    true = np.repeat([0, 1, 2], [12_345, 3, 1])
    predicted = np.where(true == 2, 0, true)
    names = ["T-shirt/top", "Trouser", "Ankle boot"]
    figure = plot_confusion_matrix(true, predicted, "picture.png", class_names=names, title="clothes")
    looks_right(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    assert [text.get_text() for text in figure.axes[0].texts] == ["12,345", "3", "1"]


def test_a_class_that_never_was_true(looks_right: Any) -> None:
    figure = plot_confusion_matrix([[0], [0]], [0.0, 5.0], "picture.png")
    looks_right(figure)
    np.testing.assert_array_equal(counts_of(figure, 2), [[1, 1], [0, 0]])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "5"]


def test_strings() -> None:
    figure = plot_confusion_matrix(["cat", "dog", "dog"], ["cat", "cat", "dog"], "picture.png")
    np.testing.assert_array_equal(counts_of(figure, 2), [[1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([0, 1], [0], ShapeError, "y_true has 2 labels and y_pred 1"),
        ([], [], ShapeError, "y_true has shape"),
        (0, 0, ShapeError, "y_true has shape"),
        ([0, 1], [0.2, 0.9], ArgumentError, "y_pred is"),
        ([0, 1], [0.0, np.nan], ArgumentError, "y_pred is"),
        ([0, 1], ["0", "1"], ArgumentTypeError, "y_pred is .*of the kind that is in y_true"),
        ([0, 1], [0, None], ArgumentTypeError, "y_pred is"),
    ],
)
def test_what_is_no_pair_of_labels(true: Any, predicted: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_confusion_matrix(true, predicted, "picture.png")
