"""What all pictures have in common: files, panels, and that Matplotlib is loaded by those who draw only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

import accelnn
from accelnn import Dense, History, Sequential, plotting
from accelnn.errors import AccelnnError, ArgumentError, ArgumentTypeError
from accelnn.plotting.figures import colour, marker

X = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
Y = np.array([0, 1, 1])
HISTORY = History([{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.5}])


def above_the_diagonal(x: np.ndarray) -> np.ndarray:
    return (x.sum(axis=1) > 0.5).astype(int)


def network() -> Sequential:
    return Sequential([Dense(3, "relu")], n_in=4, seed=0, backend="cpu")


DRAWINGS: dict[str, Callable[..., Figure]] = {
    "activations": lambda **target: plotting.plot_activations(["relu", "tanh"], **target),
    "confusion": lambda **target: plotting.plot_confusion_matrix(Y, Y[::-1], **target),
    "decisions": lambda **target: plotting.plot_decision_boundary(above_the_diagonal, X, Y, **target),
    "history": lambda **target: plotting.plot_history(HISTORY, **target),
    "misclassified": lambda **target: plotting.plot_misclassified(np.eye(3, 4), Y, Y[::-1], **target),
    "weights": lambda **target: plotting.plot_first_layer_weights(network(), **target),
}
ONE_PANEL = ["confusion", "decisions"]
each_drawing = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS.keys())


@each_drawing
def test_a_file(draw: Callable[..., Figure], looks_right: Any) -> None:
    figure = draw(path=Path("picture.png"))
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []  # nothing that a window or a notebook would show
    looks_right(figure)


@each_drawing
def test_a_figure_to_show(draw: Callable[..., Figure]) -> None:
    figure = draw()
    assert [pyplot.figure(number) for number in pyplot.get_fignums()] == [figure]
    assert os.listdir() == []


@each_drawing
def test_another_format(draw: Callable[..., Figure]) -> None:
    with pytest.raises(ArgumentError, match=r"path is 'curves.gif': use a file name that ends in .png"):
        draw(path="curves.gif")


@each_drawing
def test_a_folder_that_is_not_there(draw: Callable[..., Figure]) -> None:
    with pytest.raises(ArgumentError, match=r"path is .*nowhere.*there is no folder .*nowhere"):
        draw(path="nowhere/picture.png")


@each_drawing
@pytest.mark.parametrize("target", [{}, {"path": "picture.png"}])
def test_without_matplotlib(
    draw: Callable[..., Figure], target: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AccelnnError, match=r'needs Matplotlib: install it with pip install "accelnn\[plot\]"'):
        draw(**target)


@pytest.mark.parametrize("name", ONE_PANEL)
def test_panels_of_ones_own(name: str, looks_right: Any) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert DRAWINGS[name](axes=right) is figure
    assert (left.has_data(), right.has_data()) == (False, True)
    looks_right(figure)


def test_a_panel_of_a_part_of_a_figure() -> None:
    figure = Figure()
    left, _ = figure.subfigures(1, 2)
    assert DRAWINGS["confusion"](axes=left.subplots()) is figure


@pytest.mark.parametrize("name", ONE_PANEL)
def test_panels_that_cannot_be_drawn_into(name: str) -> None:
    panels = Figure().subplots(1, 2)
    with pytest.raises(ArgumentError, match="give one of path and axes"):
        DRAWINGS[name](axes=panels[0], path="picture.png")
    with pytest.raises(ArgumentTypeError, match=r"axes is .*use the axes of one panel"):
        DRAWINGS[name](axes=panels)


def test_a_path_that_is_none() -> None:
    with pytest.raises(ArgumentTypeError, match="path is 3 of type int"):
        plotting.plot_activations("relu", 3)  # type: ignore[arg-type]


def test_curves_say_what_they_are() -> None:
    (axes,) = plotting.plot_history(HISTORY).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["loss", "val_loss"]


def test_drawing_is_a_public_room() -> None:
    assert accelnn.plotting is plotting
    assert "plotting" in accelnn.__all__
    assert {name for name in vars(plotting) if name.startswith("plot_")} == set(plotting.__all__) - {"check_plot_path"}


def test_matplotlib_is_not_loaded_before_something_is_drawn() -> None:
    code = "import sys, accelnn.plotting; print([m for m in ('matplotlib', 'numba', 'scipy') if m in sys.modules])"
    root = Path(__file__).parents[2]  # this test runs in another folder
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert result.stderr == ""
    assert result.stdout == "[]\n"


def nearest_column(rows: np.ndarray) -> np.ndarray:
    return rows[:, 0].round().clip(0, 39)


FORTY = [f"class {index} of many, which costs ${index} or $n$" for index in range(40)]


@pytest.mark.parametrize("name", ["boundary", "confusion"])
def test_forty_long_names_with_dollars_are_all_there_as_text(name: str, looks_right: Any) -> None:
    labels = np.arange(80) % 40
    points = np.stack([labels, np.arange(80) // 40], axis=1).astype(float)
    if name == "boundary":
        figure = plotting.plot_decision_boundary(nearest_column, points, labels, class_names=FORTY)
        legend = figure.axes[0].get_legend()
        assert legend is not None
        texts = legend.get_texts()
    else:
        figure = plotting.plot_confusion_matrix(labels, labels, class_names=FORTY)
        texts = figure.axes[0].get_yticklabels()
        figure.axes[0].set_xticks([])  # at an angle, their boxes overlap and they do not
    looks_right(figure)
    drawn = [text.get_text() for text in texts]
    assert not any(is_math_text(text) for text in drawn)
    assert [text.replace(r"\$", "$") for text in drawn] == FORTY


def test_classes_that_share_a_colour_differ_in_their_marker() -> None:
    assert len({(colour(index), marker(index)) for index in range(64)}) == 64


def test_no_two_curves_of_a_history_look_alike() -> None:
    history = History()
    history.record(loss=1.0, val_loss=1.2, test_loss=1.3, accuracy=0.5, val_accuracy=0.4, test_accuracy=0.4)
    for axes in history.plot().axes:
        lines = axes.get_lines()
        assert len(lines) == len({line.get_linestyle() for line in lines}) == len({line.get_color() for line in lines})
