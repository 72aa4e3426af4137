"""The pictures of the gallery: which there are, how large they are, and the script that draws them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
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
