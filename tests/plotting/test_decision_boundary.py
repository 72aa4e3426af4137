from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.neighbors import KNeighborsClassifier

from accelnn import Dense, Sequential
from accelnn.data import flower_points, planar_points
from accelnn.errors import ArgumentError, ArgumentTypeError, NotBuiltError, ShapeError
from accelnn.plotting import plot_decision_boundary
from accelnn.plotting.figures import COLOURS

X = np.array([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
Y = np.array([0, 1, 0, 1])


def right_of_zero(x: np.ndarray) -> np.ndarray:
    return (x[:, 0] > 0).astype(int)


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def pixel(figure: Figure, pixels: np.ndarray, x1: float, x2: float) -> np.ndarray:
    """Return the colour that was drawn at a point of the plane."""
    column, height = figure.axes[0].transData.transform((x1, x2))
    return pixels[len(pixels) - 1 - int(height), int(column), :3]


def test_every_point_has_the_colour_of_the_class_that_is_predicted_there(looks_right: Any) -> None:
    figure = plot_decision_boundary(right_of_zero, X, Y, "picture.png")
    pixels = looks_right(figure)
    for x1, index in ((-0.5, 0), (-0.03, 0), (0.03, 1), (0.5, 1)):
        pale = 0.25 * np.array(to_rgb(COLOURS[index])) + 0.75
        np.testing.assert_allclose(pixel(figure, pixels, x1, 0.3), pale, atol=0.02)
    np.testing.assert_allclose(pixel(figure, pixels, 1.0, 1.0), to_rgb(COLOURS[1]), atol=0.02)
    across = [pixel(figure, pixels, x1, 0.3).max() for x1 in np.linspace(-0.02, 0.02, 41)]
    assert min(across) < 0.6  # the border is a dark line
    assert legend_of(figure) == ["0", "1"]
    assert figure.axes[0].get_title() == "100.00% of 4 points right"


def test_a_network_and_an_estimator_of_scikit_learn(looks_right: Any) -> None:
    x, y = planar_points("blobs", 80, centers=4)
    network = Sequential([Dense(6, "tanh"), Dense(4, "softmax")], seed=0, backend="cpu")
    network.fit(x, y, epochs=5, verbose=0)
    names = ["north", "east", "south", "west"]
    figure = plot_decision_boundary(network, x, y, "network.png", class_names=names)
    looks_right(figure)
    assert legend_of(figure) == names
    wrong = KNeighborsClassifier(1).fit(x, (y + 1) % 4)
    figure = plot_decision_boundary(wrong, x, y, "nearest.png")
    assert figure.axes[0].get_title() == "0.00% of 80 points right"


def test_a_network_with_one_output(looks_right: Any) -> None:
    x, y = flower_points()
    network = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], n_in=2, seed=0, backend="cpu")
    figure = plot_decision_boundary(network, x, y[:, None], "flower.png", title="before training", legend=False)
    looks_right(figure)
    assert (figure.axes[0].get_title(), legend_of(figure)) == ("before training", [])


def test_the_functions_of_a_tutorial_take_columns() -> None:
    def predict(parameters: float, columns: np.ndarray) -> np.ndarray:
        return columns[:1] > parameters

    figure = plot_decision_boundary(lambda rows: predict(0.0, rows.T).T, X, Y, "picture.png")
    assert figure.axes[0].get_title().startswith("100.00%")


def test_strings_and_a_class_that_is_nowhere_predicted() -> None:
    figure = plot_decision_boundary(lambda x: np.full(len(x), "left"), X, ["left", "right"] * 2, "picture.png")
    assert legend_of(figure) == ["left", "right"]


def test_points_on_a_line() -> None:
    figure = plot_decision_boundary(right_of_zero, [[1.0, 2.0], [1.0, 3.0]], [1, 1], "picture.png")
    assert figure.axes[0].get_xlim() == pytest.approx((0.0, 2.0), abs=0.01)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X.T[:, :3], Y, ShapeError, r"x has shape \(2, 3\): .*of columns \(2, n\) take x.T"),
        (X[:, :1], Y, ShapeError, r"x has shape \(4, 1\): use points in the plane, rows \(n, 2\)$"),
        (X[:0], Y, ShapeError, "x has shape"),
        (X, Y[:3], ShapeError, "x has 4 rows and y 3 labels"),
        (X, np.eye(4), ShapeError, r"y has shape \(4, 4\): .*argmax"),
        (X, Y + 0.5, ArgumentError, "y is array.*use class labels"),
        (X, Y * 1j, ArgumentTypeError, "y is array.*integers or strings"),
        (np.where(X < 0, np.nan, X), Y, ArgumentError, "x is array.*use finite numbers"),
        (X.astype(str), Y, ArgumentTypeError, "x is array.*real numbers"),
    ],
)
def test_points_that_cannot_be_drawn(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_decision_boundary(right_of_zero, x, y, "picture.png")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("logistic", ArgumentTypeError, "model is 'logistic'"),
        (lambda x: x[:, 0], ArgumentError, "the prediction of the model is .*sigmoid or softmax"),
        (lambda x: x, ShapeError, "the prediction of the model has shape"),
        (lambda x: [1], ShapeError, "the model predicts 1 labels for 90000 rows"),
        (Sequential([Dense(1, "sigmoid")], backend="cpu"), NotBuiltError, "call build"),
    ],
)
def test_models_that_predict_no_classes(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_decision_boundary(model, X, Y, "picture.png")


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 2], r"a name for each label, they are \[0, 2\]"), ([-1, 1], "a name for"), (["a", "b"], "leave it out")],
)
def test_classes_without_a_name(labels: list[Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        plot_decision_boundary(lambda x: np.full(len(x), labels[0]), X, labels * 2, "picture.png", class_names="ab")
