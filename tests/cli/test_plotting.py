from __future__ import annotations

from pathlib import Path

import pytest

from accelnn import History
from accelnn.errors import AccelnnError, ArgumentError
from accelnn.plotting import check_plot_path, plot_history


@pytest.fixture
def history() -> History:
    history = History()
    for epoch in range(3):
        history.record(loss=3.0 - epoch, seconds=1.0, samples_per_s=9.0, test_loss=4.0 - epoch, test_accuracy=0.5)
    return history


def test_a_picture(history: History) -> None:
    plot_history(history, Path("curves.png"))
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_of_one_quantity_share_a_panel(history: History) -> None:
    figure = history.plot("curves.png")
    panels = [[line.get_label() for line in axes.get_lines()] for axes in figure.axes]
    assert panels == [["loss", "test_loss"], ["test_accuracy"]]


def test_another_format(history: History) -> None:
    with pytest.raises(ArgumentError, match=r"path is 'curves.gif': use a file name that ends in .png"):
        plot_history(history, "curves.gif")


def test_no_path_is_fine() -> None:
    check_plot_path("--plot", None)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AccelnnError, match=r'--plot needs Matplotlib: install it with pip install "accelnn\[plot\]"'):
        check_plot_path("--plot", "curves.png")
