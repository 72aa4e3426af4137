from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.network.activations import ACTIVATION_ENTRIES
from accelnn.plotting import plot_activations


def test_all_of_them(looks_right: Any) -> None:
    figure = plot_activations(path="picture.png")
    looks_right(figure)
    assert [axes.get_title() for axes in figure.axes] == [name for name in ACTIVATION_ENTRIES if name != "softmax"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["activation $a(z)$", "derivative $da/dz$"]


@pytest.mark.parametrize("name", [name for name in ACTIVATION_ENTRIES if name != "softmax"])
def test_the_second_curve_is_the_slope_of_the_first(name: str) -> None:
    (axes,) = plot_activations(name, "picture.png", limit=5.0).axes
    curve, slope = (line for line in axes.lines if len(np.asarray(line.get_xdata())) > 2)
    z, a = (np.asarray(values, float) for values in curve.get_data())
    assert (z[0], z[-1]) == (-5.0, 5.0)
    differences = np.gradient(a, z)
    kinks = {"hard_sigmoid": (-3.0, 3.0)}.get(name, (0.0,))
    smooth = np.min([np.abs(z - kink) for kink in kinks], axis=0) > 0.05
    drawn = np.asarray(slope.get_ydata(), float)
    inner = smooth & (np.abs(z) < 4.9)
    np.testing.assert_allclose(drawn[inner], differences[inner], rtol=1e-3, atol=1e-4)


def test_places_that_stay_empty(looks_right: Any) -> None:
    figure = plot_activations(["relu", "tanh", "gelu", "selu", "sigmoid"], "picture.png")
    looks_right(figure)
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3


@pytest.mark.parametrize(
    ("names", "limit", "error", "message"),
    [
        ("rellu", 4.0, ArgumentError, "did you mean 'relu'"),
        (["relu", "softmax"], 4.0, ArgumentError, "activation is 'softmax'"),
        ([], 4.0, ArgumentError, "at least one"),
        ("relu", 0.0, ArgumentError, "limit is 0.0: use a number > 0"),
        ("relu", -1.0, ArgumentError, "limit is -1.0"),
        ("relu", "wide", ArgumentTypeError, "limit is 'wide'"),
    ],
)
def test_what_cannot_be_drawn(names: Sequence[str], limit: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_activations(names, "picture.png", limit=limit)
