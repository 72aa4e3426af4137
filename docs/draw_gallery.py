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
N_COLOURS = 64  # of a palette: a third of the bytes, and no difference that an eye would see
SIZE_LIMIT_BYTES = 60_000


def draw_examples(folder: Path) -> None:
    """Run every example and let it draw into ``folder``; raise CalledProcessError if one misses its figures."""
    for script in sorted((DOCS.parent / "examples").glob("*.py")):
        if script.stem != "common":
            subprocess.run([sys.executable, script, "--plot", folder / f"{script.stem}.png"], check=True)


def draw_page(folder: Path) -> None:
    """Run the Python blocks of the page in ``folder``."""
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    os.chdir(folder)
    namespace: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, namespace)


def store(picture: Path) -> None:
    """Write ``picture`` with a palette into docs/images; raise SystemExit if it is too large for a page."""
    path = DOCS / "images" / picture.name
    with Image.open(picture) as image:
        image.convert("RGB").quantize(N_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size_bytes = path.stat().st_size
    print(f"{path.name}: {size_bytes:,} bytes")
    if size_bytes > SIZE_LIMIT_BYTES:
        raise SystemExit(f"{path.name}: more than {SIZE_LIMIT_BYTES:,} bytes: draw it with fewer dots per inch")


def main() -> None:
    """Draw all pictures, then store them."""
    DOCS.joinpath("images").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        draw_examples(Path(name))
        draw_page(Path(name))
        for picture in sorted(Path(name).glob("*.png")):
            store(picture)
        os.chdir(DOCS)  # out of the folder that is about to go


if __name__ == "__main__":
    main()
