from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from accelnn import Activation, BatchNorm, Dense, Rescaling, Sequential
from accelnn.errors import ArgumentError, ArgumentTypeError, NotBuiltError, ShapeError
from accelnn.plotting import plot_first_layer_weights, plot_misclassified


def pictures_of(figure: Figure) -> list[np.ndarray]:
    panels = [axes for axes in figure.axes if axes.get_images()]
    return [np.asarray(axes.get_images()[0].get_array()) for axes in panels]


def titles_of(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_images()]


def network(n_in: int = 12, units: int = 6) -> Sequential:
    W = np.arange(n_in * units, dtype=float).reshape(n_in, units)
    layers = [Rescaling(1 / 255), BatchNorm(), Dense(units, "relu", initializer=W), Dense(2, "softmax")]
    return Sequential(layers, n_in=n_in, backend="cpu", seed=0)


def test_the_misclassified_ones_are_drawn(looks_right: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16), dtype=np.uint8)
    figure = plot_misclassified(images, [0, 1, 2, 3, 4, 5], [0, 2, 2, 9, 4, 6], "picture.png")
    looks_right(figure)
    assert titles_of(figure) == ["1, not 2", "3, not 9", "5, not 6"]
    for drawn, row in zip(pictures_of(figure), images[[1, 3, 5]].astype(float), strict=True):
        np.testing.assert_allclose(drawn, ((row - row.min()) / (row.max() - row.min())).reshape(4, 4))
    assert figure.get_suptitle().splitlines()[0] == "3 of 6 misclassified"


def test_the_first_of_many_with_names(looks_right: Any) -> None:
    images = np.random.default_rng(0).normal(size=(30, 4, 5))
    names = ["T-shirt/top", "Ankle boot"]
    figure = plot_misclassified(images, np.zeros(30), np.ones(30), "picture.png", n=7, class_names=names)
    looks_right(figure)
    assert titles_of(figure) == ["T-shirt/top, not Ankle boot"] * 7
    assert figure.get_suptitle().splitlines()[0] == "30 of 30 misclassified, the first 7"


@pytest.mark.parametrize(("size", "shape"), [((12,), (2, 2, 3)), ((2, 2, 3), None), ((6,), (2, 3))])
def test_shapes_and_colours(size: tuple[int, ...], shape: tuple[int, ...] | None) -> None:
    images = np.arange(2 * np.prod(size), dtype=np.float32).reshape(2, *size)
    figure = plot_misclassified(images, [0, 1], [1, 1], "picture.png", shape=shape)
    (drawn,) = pictures_of(figure)
    assert drawn.shape == (shape or size)
    assert (drawn.min(), drawn.max()) == (0.0, 1.0)


def test_nothing_is_misclassified(looks_right: Any) -> None:
    figure = plot_misclassified(np.eye(4), [0, 1, 2, 3], [0, 1, 2, 3], "picture.png")
    looks_right(figure)
    assert (figure.get_suptitle(), pictures_of(figure)) == ("0 of 4 misclassified", [])


def test_a_picture_of_one_shade() -> None:
    figure = plot_misclassified(np.full((1, 4), 7), [0], [1], "picture.png")
    np.testing.assert_array_equal(pictures_of(figure)[0], np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("images", "more", "error", "message"),
    [
        (np.ones((2, 5)), {}, ShapeError, r"images has 5 values for each picture, which is not \(2, 2\): use shape="),
        (np.ones((2, 4)), {"shape": (2, 3)}, ShapeError, r"which is not \(2, 3\)"),
        (np.ones((2, 2, 2, 2)), {}, ShapeError, r"which is not \(2, 2, 2\)"),
        (np.ones((2, 4)), {"shape": (4.0, 1)}, ArgumentTypeError, "shape is 4.0"),
        (np.ones(2), {}, ShapeError, r"images has shape \(2,\): use \(2, n_pixels\)"),
        (np.ones((3, 4)), {}, ShapeError, r"images has shape \(3, 4\): use \(2, n_pixels\)"),
        (np.ones((2, 4)), {"n": 0}, ArgumentError, "n is 0"),
        (np.ones((2, 4)), {"class_names": ["zero"]}, ArgumentError, "class_names is"),
    ],
)
def test_pictures_that_cannot_be_drawn(images: Any, more: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_misclassified(images, [0, 1], [1, 0], "picture.png", **more)


def test_weights_of_the_first_dense_layer(looks_right: Any) -> None:
    figure = plot_first_layer_weights(network(), "picture.png", shape=(3, 4))
    looks_right(figure)
    assert titles_of(figure) == [f"unit {i}" for i in range(6)]
    W = np.arange(72.0).reshape(12, 6)
    for unit, drawn in enumerate(pictures_of(figure)):
        np.testing.assert_array_equal(drawn, W[:, unit].reshape(3, 4))
    assert figure.get_suptitle() == "First layer, 12 inputs: 6 of 6 units"
    limits = {axes.get_images()[0].get_clim() for axes in figure.axes if axes.get_images()}
    assert limits == {(-71.0, 71.0)}  # one scale for all, with 0 in the middle


def test_weights_of_some_units(looks_right: Any) -> None:
    figure = plot_first_layer_weights(network(64, 10), "picture.png", n=5)
    looks_right(figure)
    assert [drawn.shape for drawn in pictures_of(figure)] == [(8, 8)] * 5


def test_weights_that_are_zero() -> None:
    model = Sequential([Dense(1, initializer="zeros")], n_in=4, backend="cpu")
    (drawn,) = pictures_of(plot_first_layer_weights(model, "picture.png"))
    assert not drawn.any()


@pytest.mark.parametrize(
    ("model", "more", "error", "message"),
    [
        (network(), {}, ShapeError, r"the first dense layer has 12 values for each picture, which is not \(3, 3\)"),
        (network(), {"shape": (2, 2, 3)}, ArgumentError, r"use \(height, width\)"),
        (network(), {"n": 2.0, "shape": (3, 4)}, ArgumentTypeError, "n is 2.0"),
        (Sequential([Dense(2)], backend="cpu"), {}, NotBuiltError, "call build"),
        (Sequential([Activation("relu")], n_in=4, backend="cpu"), {}, ArgumentError, "with a Dense layer"),
        (np.ones((4, 4)), {}, ArgumentTypeError, "use a network of accelnn"),
    ],
)
def test_weights_that_cannot_be_drawn(model: Any, more: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_first_layer_weights(model, "picture.png", **more)
