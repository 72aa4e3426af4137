"""How many blocks and threads a launch has. A rule takes the arguments by name and the dtype of the elements.

Nothing here depends on the device: a block adds up its part of a sum, so another number of blocks would be another
rounding, and the same seed would no longer give the same run on another GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

THREADS = 256
MAX_BLOCKS = 1024
"""Enough to fill every GPU there is; a thread then does several elements."""

COLUMN_THREADS = 32
"""Threads of a block side by side over columns, in kernels that add up rows."""

ROWS_OF_A_BLOCK = 128
MAX_ROW_BLOCKS = 64
MAX_SUM_BLOCKS = 256
WIDE_BYTES = 16
ITEMSIZE = {"bfloat16": 2, "float32": 4, "float64": 8}

Shape = tuple[tuple[int, ...], tuple[int, ...]]
Rule = Callable[[Mapping[str, Any], str], Shape]


class Kind(NamedTuple):
    """A kind of kernel.

    template: returns, for a variant, the template and the formulas it binds (its name in the template: the formula's).
    shape: the rule for launches.
    """

    template: Callable[[str], tuple[Callable, dict[str, str]]]
    shape: Rule


def always(template: Callable) -> Callable[[str], tuple[Callable, dict[str, str]]]:
    """Return the chooser of a kind without variants."""
    return lambda variant: (template, {})


def _blocks(work: int, of_a_block: int, limit: int) -> int:
    return max(1, min(-(-work // of_a_block), limit))


def elements(arguments: Mapping[str, Any], element: str) -> Shape:
    """One thread for each 16 bytes of ``(rows, columns)`` or ``(size,)`` elements."""
    size = arguments["size"] if "size" in arguments else arguments["rows"] * arguments["columns"]
    return (_blocks(size * ITEMSIZE[element], THREADS * WIDE_BYTES, MAX_BLOCKS),), (THREADS,)


def stripes(arguments: Mapping[str, Any], element: str) -> Shape:
    """Blocks of (columns, rows): each adds up ``rows_of_a_stripe`` rows of COLUMN_THREADS columns."""
    rows, columns = arguments["rows"], arguments["columns"]
    grid = (_blocks(columns, COLUMN_THREADS, 1 << 30), row_blocks(rows))
    return grid, (COLUMN_THREADS, THREADS // COLUMN_THREADS)


def row_blocks(rows: int) -> int:
    """Return over how many blocks the rows of a batch are shared out where their sum is wanted."""
    return _blocks(rows, ROWS_OF_A_BLOCK, MAX_ROW_BLOCKS)


def one_sum(arguments: Mapping[str, Any], element: str) -> Shape:
    """Blocks that add up ``size`` elements to one number."""
    return (_blocks(arguments["size"], 8 * THREADS, MAX_SUM_BLOCKS),), (THREADS,)


def one_thread(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return the shape for work that is not worth sharing."""
    return (1,), (1,)
