"""What the blocks of a launch know of each other: vector clocks, as the memory model of PTX orders accesses.

The time of a block is counted in intervals, which its barriers end: at one, every thread of the block learns what any
of them knows. From one block to another an order needs a release and an acquire: a fence and then an atomic (or
volatile, or relaxed) write of a thread, or one with .release; an atomic read of that value and then a fence, or one
with .acquire. What a thread has learned so its block learns at the next barrier.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

RELEASES = frozenset({"release", "acq_rel"})
ACQUIRES = frozenset({"acquire", "acq_rel"})


@dataclass(frozen=True)
class Knowledge:
    """Of block b everything before interval ``intervals[b]``; of some threads also what they did before a time.

    ``threads``: (time, the interval in which that was) by the number of the thread in the launch.
    """

    intervals: np.ndarray
    threads: dict[int, tuple[int, int]] = field(default_factory=dict)

    def joined(self, other: Knowledge | None, threads_of_a_block: int) -> Knowledge:
        """Return what both know together."""
        if other is None or other is self:
            return self
        intervals = np.maximum(self.intervals, other.intervals)
        threads = dict(self.threads)
        for thread, seen in other.threads.items():
            threads[thread] = max(seen, threads.get(thread, seen))
        kept = {t: seen for t, seen in threads.items() if intervals[t // threads_of_a_block] <= seen[1]}
        return Knowledge(intervals, kept)

    def contains(self, other: Knowledge) -> bool:
        """Return whether the other one knows nothing more: who waits for a number reads it again and again."""
        more = any(self.threads.get(thread, (-1, 0)) < seen for thread, seen in other.threads.items())
        return not more and bool((self.intervals >= other.intervals).all())

    def includes(self, block: int, interval: int, thread: int, time: int) -> bool:
        """Return whether an access of a thread is known."""
        return bool(self.intervals[block] > interval or self.threads.get(thread, (-1, 0))[0] > time)


class Clocks:
    """The clocks of a launch; a thread's number is that of its block times ``threads`` plus its own in the block."""

    def __init__(self, blocks: int, threads: int) -> None:
        nothing = Knowledge(np.zeros(blocks, np.int64))
        self._threads_of_a_block = threads
        self.history = [[nothing] for _ in range(blocks)]
        """What each block knew in each of its intervals."""
        self.learned: dict[tuple[int, int], list[tuple[int, Knowledge]]] = defaultdict(list)
        """What (thread, interval) has learned beyond that, and when."""
        self.observed: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        """When a (thread, address) read that address atomically, and when it then passed a fence."""
        self._unfenced: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._fenced: dict[int, Knowledge] = {}
        self._pending: dict[int, Knowledge] = {}
        self._released: dict[int, Knowledge] = {}
        self._fresh: list[list[int]] = [[] for _ in range(blocks)]

    def interval(self, block: int) -> int:
        """Return the number of barriers that a block has passed."""
        return len(self.history[block]) - 1

    def barrier(self, block: int) -> None:
        """End an interval of a block."""
        known = self.history[block][-1]
        for thread in self._fresh[block]:
            for _, learned in self.learned[thread, self.interval(block)][-1:]:
                known = known.joined(learned, self._threads_of_a_block)
        self._fresh[block].clear()
        self.history[block].append(known)

    def fence(self, block: int, lanes: np.ndarray, time: int) -> None:
        """Let threads of a block pass a fence for the whole device."""
        for thread in (block * self._threads_of_a_block + lanes).tolist():
            for address, seen in self._unfenced.pop(thread, ()):
                self.observed[thread, address].append((seen, time))
            if thread in self._pending:
                self._learn(block, thread, self._pending.pop(thread), time)
            self._fenced[thread] = self._all_of(block, thread, time)

    def read(self, block: int, lanes: np.ndarray, addresses: np.ndarray, order: str, time: int) -> None:
        """Let threads read atomically."""
        for lane, address in zip(lanes.tolist(), addresses.tolist(), strict=True):
            thread = block * self._threads_of_a_block + lane
            if order in ACQUIRES:
                self.observed[thread, address].append((time, time))
            else:
                self._unfenced[thread].append((address, time))
            released = self._released.get(address)
            if released is not None and order in ACQUIRES:
                self._learn(block, thread, released, time)
            elif released is not None:
                self._pending[thread] = released.joined(self._pending.get(thread), self._threads_of_a_block)

    def write(
        self, block: int, lanes: np.ndarray, addresses: np.ndarray, order: str, time: int, is_update: bool
    ) -> None:
        """Let threads write atomically. An update, which also reads, leaves what earlier writers have released."""
        for lane, address in zip(lanes.tolist(), addresses.tolist(), strict=True):
            thread = block * self._threads_of_a_block + lane
            own = self._all_of(block, thread, time) if order in RELEASES else self._fenced.get(thread)
            before = self._released.pop(address, None) if is_update else None
            released = own.joined(before, self._threads_of_a_block) if own is not None else before
            if released is not None:
                self._released[address] = released

    def _known_by(self, block: int, thread: int) -> Knowledge:
        own = self.learned.get((thread, self.interval(block)))
        return own[-1][1] if own else self.history[block][-1]

    def _learn(self, block: int, thread: int, news: Knowledge, time: int) -> None:
        before = self._known_by(block, thread)
        if before.contains(news):
            return
        known = before.joined(news, self._threads_of_a_block)
        self.learned[thread, self.interval(block)].append((time, known))
        self._fresh[block].append(thread)

    def _all_of(self, block: int, thread: int, time: int) -> Knowledge:
        """Return what a thread knows, with what it and its block have done."""
        known, interval = self._known_by(block, thread), self.interval(block)
        intervals = known.intervals.copy()
        intervals[block] = interval
        return Knowledge(intervals, {**known.threads, thread: (time, interval)})
