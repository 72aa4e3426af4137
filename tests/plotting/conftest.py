"""Fixtures: a folder of its own for every test, the Agg canvas, and a look at what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

Look = Callable[[Figure], np.ndarray]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder, without a window system, and leave no figure behind."""
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context():
        pyplot.switch_backend("agg")
        yield
        pyplot.close("all")


@pytest.fixture
def looks_right(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Return a function that renders a figure, raises if texts overlap or are cut off, and returns the pixels."""
    drawn: dict[Text, None] = {}
    draw = Text.draw

    def recorded(text: Text, renderer: RendererBase) -> None:
        drawn[text] = None
        draw(text, renderer)

    def look(figure: Figure) -> np.ndarray:
        drawn.clear()
        figure.savefig("seen.png", dpi=figure.dpi)
        boxes = {text: text.get_window_extent() for text in drawn if text.get_text() and text.get_visible()}
        for text, box in boxes.items():
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
            assert inside, f"{text.get_text()!r} is cut off"
        for (one, box), (other, other_box) in combinations(boxes.items(), 2):
            assert not box.padded(-1.0).overlaps(other_box), f"{one.get_text()!r} is on {other.get_text()!r}"
        pixels = imread("seen.png")
        assert pixels[..., :3].std() > 0.01, "the picture is blank"
        return pixels

    monkeypatch.setattr(Text, "draw", recorded)
    return look
