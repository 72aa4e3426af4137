"""The pictures of the gallery: which there are, how large they are, and the script that draws them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted((DOCS / "images").glob("*"))


@pytest.fixture
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_gallery", DOCS / "draw_gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_draws_every_picture(gallery: ModuleType) -> None:
    assert gallery.names() == {picture.name for picture in PICTURES}


def test_the_page_shows_every_picture() -> None:
    shown = re.findall(r"!\[.+\]\(images/(.+)\)", (DOCS / "gallery.md").read_text(encoding="utf-8"))
    assert sorted(shown) == [picture.name for picture in PICTURES]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: str(picture.stem))
def test_pictures_are_small_and_have_a_palette(gallery: ModuleType, picture: Path) -> None:
    assert picture.stat().st_size <= gallery.SIZE_LIMIT_BYTES
    with Image.open(picture) as image:
        assert (image.format, image.mode) == ("PNG", "P")
        assert max(image.size) <= 1300


def test_a_picture_that_is_too_large_is_an_error(
    gallery: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(gallery, "DOCS", tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(SystemExit, match=r"noise\.png: more than 60,000 bytes"):
        gallery.store(tmp_path / "noise.png")


def test_a_picture_that_is_not_drawn_is_an_error(
    gallery: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # main leaves the folder it is in
    monkeypatch.setattr(gallery, "draw_page", lambda folder: None)
    monkeypatch.setattr(gallery, "draw_examples", lambda folder: (folder / "one_neuron.png").touch())
    with pytest.raises(SystemExit, match=r"'history\.png'"):
        gallery.main()


def test_no_two_curves_of_an_example_look_alike_in_colour_or_in_grey(example: Callable[[str], ModuleType]) -> None:
    axes = Figure().subplots()
    example("common").draw_curves(axes, {str(n): [1.0, 2.0] for n in range(7)}, "", "", "")
    for one, other in combinations(axes.get_lines(), 2):
        assert one.get_color() != other.get_color()
        light, other_light = (np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) for line in (one, other))
        assert one.get_linestyle() != other.get_linestyle() or abs(light - other_light) > 0.1


def test_the_palette_keeps_the_colours_of_thin_curves(
    gallery: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: Callable[[str], ModuleType]
) -> None:
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(gallery, "DOCS", tmp_path)
    figure = Figure(figsize=(11, 4))
    shades, lines = figure.subplots(1, 2)
    shades.imshow(np.linspace(0, 1, 90).reshape(9, 10), cmap="Blues", interpolation="bilinear")
    example("common").draw_curves(lines, {str(n): [n + 1.0, n + 2.0] for n in range(7)}, "", "", "")
    figure.savefig(tmp_path / "curves.png", dpi=80)
    gallery.store(tmp_path / "curves.png")
    with Image.open(tmp_path / "images" / "curves.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3) / 255
    for line in lines.get_lines():
        assert np.abs(pixels - to_rgb(line.get_color())).max(axis=1).min() < 0.05
