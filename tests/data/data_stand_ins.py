"""What the tests put in place of the real files and of the mirrors."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from accelnn.data.mnist import ImageSet

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@dataclass
class TinySet:
    """An image set of 6 + 3 pictures of 2 x 2 pixels, and the content of its files."""

    image_set: ImageSet
    contents: dict[str, bytes]

    def write(self, folder: Path, *, packed: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.contents.items():
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)


@dataclass
class Mirror:
    """A web server: ``answers`` maps file names to (status, body); ``asked`` lists the requests."""

    url: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(self, tiny: TinySet) -> None:
        self.answers = {f"{name}.gz": (200, gzip.compress(body)) for name, body in tiny.contents.items()}
