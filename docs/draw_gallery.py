"""Draw the pictures of the gallery into docs/images: run ``python docs/draw_gallery.py`` in the root of the repository.

Every example draws its own picture. Those of the other functions come from the Python blocks of ``docs/gallery.md``,
which write theirs into the current folder. MNIST has to be there, as for its example.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
N_COLOURS = 128  # of a palette: a third of the bytes, and no difference that an eye would see
SIZE_LIMIT_BYTES = 60_000


def names() -> set[str]:
    """Return the names of all pictures: one for each example, one more of MNIST, and those that the page draws."""
    examples = {f"{script.stem}.png" for script in example_scripts()} | {"mnist_the_tutorial_way_misclassified.png"}
    return examples | set(re.findall(r'"(\w+\.png)"', "".join(page_blocks())))


def example_scripts() -> list[Path]:
    """Return the scripts that draw a picture: all but what they share."""
    return sorted(script for script in (DOCS.parent / "examples").glob("*.py") if script.stem != "common")


def page_blocks() -> list[str]:
    """Return the Python blocks of the page."""
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def draw_examples(folder: Path) -> None:
    """Run every example and let it draw into ``folder``; raise CalledProcessError if one misses its figures."""
    for script in example_scripts():
        subprocess.run([sys.executable, script, "--plot", folder / f"{script.stem}.png"], check=True)


def draw_page(folder: Path) -> None:
    """Run the Python blocks of the page in ``folder``."""
    os.chdir(folder)
    namespace: dict[str, object] = {}
    for block in page_blocks():
        exec(block, namespace)


def store(picture: Path) -> None:
    """Write ``picture`` with a palette into docs/images; raise SystemExit if it is too large for a page."""
    path = DOCS / "images" / picture.name
    with Image.open(picture) as image:
        # The usual choice of a palette goes by area, and gives a thin curve the colour of another.
        palette = {"method": Image.Quantize.MAXCOVERAGE, "kmeans": 2, "dither": Image.Dither.NONE}
        image.convert("RGB").quantize(N_COLOURS, **palette).save(path, optimize=True)
    size_bytes = path.stat().st_size
    print(f"{path.name}: {size_bytes:,} bytes")
    if size_bytes > SIZE_LIMIT_BYTES:
        raise SystemExit(f"{path.name}: more than {SIZE_LIMIT_BYTES:,} bytes: draw it with fewer dots per inch")


def main() -> None:
    """Draw all pictures, then store them; raise SystemExit if one of them was not drawn."""
    DOCS.joinpath("images").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        draw_examples(Path(name))
        draw_page(Path(name))
        os.chdir(DOCS)  # out of the folder that is about to go
        drawn = {picture.name: picture for picture in Path(name).glob("*.png")}
        if drawn.keys() != names():
            raise SystemExit(f"drawn by one only of the gallery and its list: {sorted(drawn.keys() ^ names())}")
        for _, picture in sorted(drawn.items()):
            store(picture)


if __name__ == "__main__":
    main()
