"""Races: accesses of two threads to the same bytes, one of them a write, that nothing brings into an order.

Accesses are logged while a launch runs, and looked at in batches. In a batch most cells (as many bytes as the smallest
access to their allocation) are touched by one thread only, or only read; what is left is sorted by cell and time. Then
it suffices to compare each access with the plain writes before and behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from ptx.memory import Allocation

READ, WRITE, ATOMIC_READ, ATOMIC_WRITE = range(4)
WRITES = np.array([False, True, False, True])


class Access(NamedTuple):
    """What some threads of a block did with an instruction.

    rows: where in the allocation, in units of ``size`` bytes, of each thread, or the same for all of them.
    """

    time: int
    block: int
    interval: int
    instruction: int
    kind: int
    size: int
    lanes: np.ndarray
    rows: np.ndarray
    allocation: Allocation


class Conflict(NamedTuple):
    """Two accesses, of the threads with these numbers in the launch, to the byte at ``offset`` of an allocation."""

    first: Access
    second: Access
    first_thread: int
    second_thread: int
    offset: int


class _Cells(NamedTuple):
    """Accesses cell by cell: the number of the cell, of the thread, and of the access in the log."""

    cell: np.ndarray
    thread: np.ndarray
    access: np.ndarray


class Order(Protocol):
    """What is known of the order of accesses; the first one of two is the one that was executed first."""

    def of_intervals(self, first: Access, second: Access) -> bool:
        """Return whether everything in the first one's interval of its block comes before the second one's."""
        ...

    def of_threads(self, conflict: Conflict) -> bool:
        """Return whether two accesses are ordered by what their threads did within these intervals."""
        ...


def conflicts(log: Iterable[Access], threads: int, order: Order) -> Iterator[Conflict]:
    """Return the pairs of accesses that are a race. ``threads``: of a block."""
    of_allocations: dict[Allocation, list[Access]] = {}
    for access in log:
        of_allocations.setdefault(access.allocation, []).append(access)
    for allocation, accesses in of_allocations.items():
        if any(WRITES[access.kind] for access in accesses):
            yield from _of_allocation(allocation, accesses, threads, order)


def _of_allocation(allocation: Allocation, accesses: list[Access], threads: int, order: Order) -> Iterator[Conflict]:
    grain = min(access.size for access in accesses)
    kinds = np.array([access.kind for access in accesses])
    cells = _shared_cells(_cells(accesses, grain, threads), kinds, allocation.size // grain)
    if cells is None:
        return
    asked: dict[tuple[int, ...], bool] = {}
    for first, second in _pairs(cells, kinds[cells.access]):
        for i in _without_order(accesses, cells.access[first], cells.access[second], order, asked).tolist():
            one, other = first[i], second[i]
            conflict = Conflict(
                accesses[cells.access[one]],
                accesses[cells.access[other]],
                int(cells.thread[one]),
                int(cells.thread[other]),
                int(cells.cell[one]) * grain,
            )
            if not order.of_threads(conflict):
                yield conflict


def _without_order(
    accesses: list[Access], first: np.ndarray, second: np.ndarray, order: Order, asked: dict[tuple[int, ...], bool]
) -> np.ndarray:
    """Return the places of pairs that their intervals do not order. Many threads have the same pair of accesses."""
    pairs, which = np.unique(first * len(accesses) + second, return_inverse=True)
    answers = np.zeros(pairs.size, bool)
    for i, pair in enumerate(pairs.tolist()):
        a, b = accesses[pair // len(accesses)], accesses[pair % len(accesses)]
        key = a.block, a.interval, b.block, b.interval
        if key not in asked:
            asked[key] = order.of_intervals(a, b)
        answers[i] = asked[key]
    return np.flatnonzero(~answers[which])


def _cells(accesses: list[Access], grain: int, threads: int) -> _Cells:
    cells, numbers, lengths = [], [], []
    for access in accesses:
        span = access.size // grain
        cell = np.broadcast_to(access.rows * span, access.lanes.shape)
        thread = access.lanes + access.block * threads
        if span > 1:
            cell = (cell[:, None] + np.arange(span)).ravel()
            thread = np.repeat(thread, span)
        cells.append(cell)
        numbers.append(thread)
        lengths.append(cell.size)
    return _Cells(np.concatenate(cells), np.concatenate(numbers), np.repeat(np.arange(len(accesses)), lengths))


def _shared_cells(cells: _Cells, kinds: np.ndarray, count: int) -> _Cells | None:
    """Return the accesses to cells that one thread writes and another one touches, sorted; None if there are none."""
    cell, thread, access = cells
    is_write = WRITES[kinds][access]
    writer = np.full(count + 1, -1, np.int64)
    writer[cell[is_write]] = thread[is_write]
    own = writer[cell]
    others = (own != -1) & (own != thread)
    if not others.any():
        return None
    is_shared = np.zeros(count + 1, bool)
    is_shared[cell[others]] = True
    kept = np.flatnonzero(is_shared[cell])
    kept = kept[np.lexsort((access[kept], cell[kept]))]
    return _Cells(cell[kept], thread[kept], access[kept])


def _pairs(cells: _Cells, kind: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return the places of accesses of two threads to a cell, the first one before the second one.

    A plain write goes with everything up to the next plain writes, in both directions, so that orders are transitive
    along a chain of plain writes. Atomic accesses have no such chain: all of them go with all plain reads.
    """
    cell = cells.cell
    index = np.arange(cell.size)
    is_write = kind == WRITE
    before = np.concatenate([[-1], np.maximum.accumulate(np.where(is_write, index, -1))[:-1]])
    behind = np.minimum.accumulate(np.where(is_write, index, cell.size)[::-1])[::-1]
    behind = np.concatenate([behind[1:], [cell.size]])
    yield _of_two_threads(cells, before, index)
    yield _of_two_threads(cells, index[~is_write], behind[~is_write])
    for number in np.unique(cell[kind == ATOMIC_WRITE]):
        mine = np.flatnonzero(cell == number)
        atomic, read = mine[kind[mine] == ATOMIC_WRITE], mine[kind[mine] == READ]
        pairs = np.array([(min(i, j), max(i, j)) for i in atomic for j in read], np.int64).reshape(-1, 2)
        yield _of_two_threads(cells, pairs[:, 0], pairs[:, 1])


def _of_two_threads(cells: _Cells, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    exists = (first >= 0) & (second < cells.cell.size)
    first, second = first[exists], second[exists]
    meant = (cells.cell[first] == cells.cell[second]) & (cells.thread[first] != cells.thread[second])
    return first[meant], second[meant]
