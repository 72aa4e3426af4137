"""Fast reader for the commonest CSV: nothing but integers 0..255, e.g. MNIST as ``label,pixel,...``.

Digits are combined by NumPy over blocks of the file, so that a picture data set is read at memory
speed into uint8. Any other text makes the reader give up, and the general one takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 1 << 20
_COMMA, _NEWLINE, _ZERO = ord(","), ord("\n"), ord("0")

ByteTable = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def read_byte_table(path: Path, n_skipped: int, n_columns: int) -> ByteTable | None:
    """Read a table of integers 0..255 after ``n_skipped`` lines.

    Returns ``(features (n, n_columns - 1), first column (n,))``, both uint8 and C-contiguous, or None
    if the text is not exactly such a table (which is not yet an error: it may be numbers of another form).
    """
    with path.open("rb") as file:
        for _ in range(n_skipped):
            file.readline()
        start = file.tell()
        n_rows = _count_lines(file)
        # Every value takes a digit and a separator: an absurd size is seen before it is reserved.
        if 2 * n_rows * n_columns > file.tell() - start + 1:
            return None
        file.seek(start)
        features = np.empty((n_rows, n_columns - 1), np.uint8)
        first = np.empty(n_rows, np.uint8)
        done = 0
        for block in _line_blocks(file):
            rows = _parse(block, n_columns)
            if rows is None or done + len(rows) > n_rows:
                return None
            features[done : done + len(rows)] = rows[:, 1:]
            first[done : done + len(rows)] = rows[:, 0]
            done += len(rows)
    return (features, first) if done == n_rows else None


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(_BLOCK_BYTES), b"")


def _count_lines(file: BinaryIO) -> int:
    count, last = 0, b"\n"
    for block in _blocks(file):
        count += block.count(b"\n")
        last = block[-1:]
    return count + (last != b"\n")


def _line_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield blocks that end with a line end, carriage returns removed."""
    rest: list[bytes] = []
    for block in _blocks(file):
        head, newline, tail = block.rpartition(b"\n")
        if newline:
            yield b"".join([*rest, head, newline]).replace(b"\r\n", b"\n")
            rest = [tail]
        else:
            rest.append(block)
    last = b"".join(rest)
    if last:
        yield last.removesuffix(b"\r") + b"\n"


def _parse(block: bytes, n_columns: int) -> npt.NDArray[np.uint8] | None:
    """Return the values ``(rows, n_columns)`` of whole lines, or None if the text has another form."""
    text = np.frombuffer(block, np.uint8)
    digits = text - np.uint8(_ZERO)  # wraps around for what comes before "0" in ASCII
    ends = np.flatnonzero(digits > 9)
    if not _separators_fit(text[ends], n_columns):
        return None
    widths = np.diff(ends, prepend=-1) - 1
    if widths.min() < 1 or widths.max() > 3:
        return None
    # One leading index wraps to the block's end, where the width masks it out.
    values = digits[ends - 1].astype(np.uint16)
    values += digits[ends - 2] * (widths > 1) * np.uint16(10)
    values += digits[ends - 3] * (widths > 2) * np.uint16(100)
    return values.astype(np.uint8).reshape(-1, n_columns) if values.max() <= 255 else None


def _separators_fit(separators: npt.NDArray[np.uint8], n_columns: int) -> bool:
    if separators.size % n_columns:
        return False
    lines = separators.reshape(-1, n_columns)
    return bool((lines[:, -1] == _NEWLINE).all() and (lines[:, :-1] == _COMMA).all())
