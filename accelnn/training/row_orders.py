"""Orders of rows: which rows each epoch takes, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from accelnn.errors import wrong_type

BLOCK_BYTES = 1 << 20
"""Neighbours that stay together: a spinning disk reads so many bytes in about the time of one seek."""

GROUP_BYTES = 64 << 20
"""Rows that are shuffled among each other: far fewer bytes than the page cache holds."""

RowOrder = Callable[[np.ndarray], np.ndarray]


def checked_shuffle(shuffle: object) -> bool | str:
    """Return ``shuffle`` if it is True, False or ``"blocks"``; raises ArgumentTypeError if not."""
    if isinstance(shuffle, (bool, np.bool_)):
        return bool(shuffle)
    if isinstance(shuffle, str) and shuffle == "blocks":
        return shuffle
    raise wrong_type("shuffle", shuffle, "use True, False or 'blocks'")


def row_order(shuffle: bool | str, generator: np.random.Generator, row_bytes: int) -> RowOrder | None:
    """Return what draws the order of an epoch's rows, a function of the rows, int64 (n,); None keeps theirs.

    ``shuffle``: checked. ``row_bytes``: the size of a row of the inputs, which decides how many make a block.
    """
    if shuffle is False:
        return None
    if shuffle is True:
        return generator.permutation
    in_block = max(1, BLOCK_BYTES // max(1, row_bytes))
    return partial(blocks_permuted, generator=generator, in_block=in_block, in_group=GROUP_BYTES // BLOCK_BYTES)


def shuffle_of(order: RowOrder | None) -> bool | str:
    """Return the ``shuffle`` that ``row_order`` made an order of."""
    return "blocks" if isinstance(order, partial) else order is not None


class _Drawn(NamedTuple):
    """An order of ``rows``, and the states of the generator before and after it was drawn."""

    rows: np.ndarray
    before: Any
    order: np.ndarray
    after: Any


class OrderAhead:
    """Draws the orders of epochs, each of them in advance if there is time.

    order: as ``row_order`` returns it. What is drawn in advance comes from a copy of the generator; the generator
    itself moves on when the order is taken, so its state is at any time what it would be without this.
    """

    def __init__(self, order: RowOrder | None) -> None:
        self._order = order
        self._drawn: _Drawn | None = None
        self._bits: np.random.PCG64 | None = None
        own = getattr(order, "__self__", None)
        if isinstance(own, np.random.Generator) and order == own.permutation:
            self._bits = own.bit_generator if isinstance(own.bit_generator, np.random.PCG64) else None

    def prepare(self, rows: np.ndarray) -> None:
        """Draw the next order of ``rows``, integers (n,), if it is a plain permutation."""
        if self._bits is not None:
            copy, before = np.random.PCG64(0), self._bits.state
            copy.state = before
            self._drawn = _Drawn(rows, before, np.random.Generator(copy).permutation(rows), copy.state)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the order of the next epoch, a permutation of ``rows``; they themselves if there is no mixing."""
        drawn, self._drawn = self._drawn, None
        if drawn is not None and self._bits is not None and drawn.rows is rows and drawn.before == self._bits.state:
            self._bits.state = drawn.after
            return drawn.order
        return rows if self._order is None else self._order(rows)


def blocks_permuted(rows: np.ndarray, *, generator: Any, in_block: int, in_group: int) -> np.ndarray:
    """Return ``rows``, integers (n,), in a random order in which neighbours stay near to each other.

    Blocks of ``in_block`` rows are put in random order; then the rows of each ``in_group`` blocks are shuffled among
    each other. Every row occurs once, and each may come anywhere in the epoch, but not beside any other.
    """
    n_blocks = -(-len(rows) // in_block)
    blocks = generator.permutation(n_blocks)
    order, done = np.empty_like(rows), 0
    for start in range(0, n_blocks, in_group):
        group = np.concatenate([rows[i * in_block : (i + 1) * in_block] for i in blocks[start : start + in_group]])
        order[done : done + len(group)] = generator.permutation(group)
        done += len(group)
    return order
