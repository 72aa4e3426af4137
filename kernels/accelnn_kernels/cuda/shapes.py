"""How many blocks and threads a launch has. A rule takes the arguments by name and the dtype of the elements.

Nothing here depends on the device: a block adds up its part of a sum, so another number of blocks would be another
rounding, and the same seed would no longer give the same run on another GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

THREADS = 256
MAX_BLOCKS = 1024
"""Enough to fill every GPU there is; a thread then does several elements."""

COLUMN_THREADS = 8
"""Threads of a block side by side over columns, in kernels that add up rows: together they read 128 bytes of a row.

So few, because the other threads of the block then do other rows: a sum over 128 rows is done in four steps.
"""

MAX_STRIPES = 4096
"""Stripes of columns that have a counter; with more of them, which no usual layer has, one block adds up all rows."""

ROWS_OF_A_BLOCK = 128
MAX_ROW_BLOCKS = 64
ROWS_OF_A_PART = 16
MAX_PARTS = 256
"""The same two where a block does whole rows, so that there are no other blocks beside it."""

MAX_SUM_BLOCKS = 1024
WIDE_BYTES = 16
"""The bytes of the widest access: one of this size per thread reads memory fastest."""

ITEMSIZE = {"uint8": 1, "bfloat16": 2, "int32": 4, "float32": 4, "float64": 8, "int64": 8}

Shape = tuple[tuple[int, ...], tuple[int, ...]]
Rule = Callable[[Mapping[str, Any], str], Shape]


class Kind(NamedTuple):
    """A kind of kernel.

    template: returns, for a variant, the template and the formulas it binds (its name in the template: the formula's).
    shape: the rule for launches.
    other_shapes: the rules of variants that have another one.
    max_threads: of a block, where the compiler has to save registers so that so many find room; else None.
    """

    template: Callable[[str], tuple[Callable, dict[str, str]]]
    shape: Rule
    other_shapes: Mapping[str, Rule] = MappingProxyType({})
    max_threads: int | None = None


def width_of(element: str) -> int:
    """Return how many elements a wide access moves."""
    return WIDE_BYTES // ITEMSIZE[element]


def real_of(element: str) -> str:
    """Return the dtype in which elements are computed with."""
    return "float32" if element == "bfloat16" else element


def power_of_two(least: int) -> int:
    """Return the smallest power of two that is not below ``least``."""
    return 1 << power_of_two_bits(least)


def power_of_two_bits(least: int) -> int:
    """Return its logarithm."""
    return max(0, least - 1).bit_length()


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
    """Blocks of (columns, rows): a stripe of columns each, whose rows are shared out over several blocks."""
    rows, columns = arguments["rows"], arguments["columns"]
    width = WIDE_BYTES // ITEMSIZE[element]
    of_a_stripe = COLUMN_THREADS * (width if columns % width == 0 else 1)
    n_stripes = _blocks(columns, of_a_stripe, 1 << 30)
    n_blocks = row_blocks(rows) if n_stripes <= MAX_STRIPES else 1
    return (n_stripes, n_blocks), (COLUMN_THREADS, THREADS // COLUMN_THREADS)


def row_blocks(rows: int) -> int:
    """Return over how many blocks the rows of a batch are shared out where their sum is wanted."""
    return _blocks(rows, ROWS_OF_A_BLOCK, MAX_ROW_BLOCKS)


def part_rows(rows: int) -> int:
    """Return how many parts, of a row each, the sums over the rows of a batch have at most, in any kernel."""
    return max(row_blocks(rows), _blocks(rows, ROWS_OF_A_PART, MAX_PARTS))


def one_sum(arguments: Mapping[str, Any], element: str) -> Shape:
    """Blocks that add up ``size`` elements to one number."""
    return (_blocks(arguments["size"], 8 * THREADS, MAX_SUM_BLOCKS),), (THREADS,)


def one_thread(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return the shape for work that is not worth sharing."""
    return (1,), (1,)
