"""Orders of rows: which rows each epoch takes, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

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
