"""The machine: a launch of a translated kernel, block by block and step by step, in an order drawn from a seed.

Threads of a block run together as long as they are at the same place; else those that are furthest behind go first.
Between two steps, which are basic blocks, any other block of the launch may have its turn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from ptx.clocks import Clocks
from ptx.faults import Deadlock, Race, at_instruction
from ptx.memory import Memory
from ptx.races import ATOMIC_WRITE, Access, Conflict, conflicts
from ptx.thread_block import ThreadBlock
from ptx.translation import Machine

RESIDENT_BLOCKS = 2
"""Blocks of an ordinary launch that run at the same time: fewer than a kernel may count on."""

IDLE_STEPS = 30_000
"""Steps without a write, a barrier or an end of a thread after which a launch is stuck."""

STEPS_OF_A_BLOCK = 300_000
"""Steps for each block of a launch after which it is taken for endless."""

LOG_LIMIT = 400_000
"""Accesses of threads after which the log is searched for races."""


class Launch:
    """A launch of a kernel. ``run`` returns when all of its threads have ended; what is wrong raises a Fault.

    arguments: NumPy scalars of the dtypes that the kernel declares. is_cooperative: all blocks are there from the
    beginning; else ``RESIDENT_BLOCKS`` at a time. dynamic_bytes: of shared memory.
    """

    def __init__(
        self,
        machine: Machine,
        name: str,
        arguments: tuple[Any, ...],
        grid: tuple[int, ...],
        block: tuple[int, ...],
        memory: Memory,
        *,
        seed: int = 0,
        is_cooperative: bool = False,
        dynamic_bytes: int = 0,
    ) -> None:
        self.machine, self.name, self.memory = machine, name, memory
        self.grid, self.block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        self.threads, self.blocks = int(np.prod(self.block)), int(np.prod(self.grid))
        self.dynamic_bytes, self._is_cooperative = dynamic_bytes, is_cooperative
        self.parameters = self._typed(arguments)
        self.clocks = Clocks(self.blocks, self.threads)
        self.time = self.last_progress = self.steps = 0
        self._random = random.Random(seed)
        self._log: list[Access] = []
        self._logged, self._log_limit = 0, LOG_LIMIT
        self._running: list[ThreadBlock] = []
        self._waiting: list[int] = []

    def _typed(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        declared = self.machine.program.parameters
        limit = self.machine.program.max_threads
        assert len(arguments) == len(declared), f"{self.name} takes {len(declared)} arguments"
        assert not limit or self.threads <= limit, f"{self.name} takes {limit} threads at most, not {self.threads}"
        for value, (parameter, dtype) in zip(arguments, declared.items(), strict=True):
            same = value.dtype.itemsize == dtype.itemsize and (value.dtype.kind == "f") == (dtype.kind == "f")
            assert same, f"{self.name}: {parameter} is {dtype}, not {value.dtype}"
        return dict(zip(declared, arguments, strict=True))

    def run(self) -> None:
        """Execute the launch."""
        self._waiting = list(range(self.blocks))
        self._random.shuffle(self._waiting)
        resident = self.blocks if self._is_cooperative else RESIDENT_BLOCKS
        with np.errstate(all="ignore"):
            while self._running or self._waiting:
                while self._waiting and len(self._running) < resident:
                    self._running.append(ThreadBlock(self, self._waiting.pop()))
                self._turn()
            self._search_log()

    def _turn(self) -> None:
        block = self._random.choice(self._running) if len(self._running) > 1 else self._running[0]
        block.step(self._random)
        self.steps += 1
        if not block.alive:
            block.finish()
            self._running.remove(block)
        if self.steps - self.last_progress > IDLE_STEPS or self.steps > STEPS_OF_A_BLOCK * self.blocks:
            raise Deadlock(f"{self.name}: no end after {self.steps} steps\n" + "\n".join(self._places()))
        if self._logged > self._log_limit:
            self._search_log()

    def _places(self) -> Iterator[str]:
        for block in self._running:
            yield from block.places()
        if self._waiting:
            yield f"{len(self._waiting)} blocks wait for one of these to end"

    def index_of(self, block: int) -> tuple[int, int, int]:
        """Return the three numbers of a block."""
        return block % self.grid[0], block // self.grid[0] % self.grid[1], block // self.grid[0] // self.grid[1]

    def thread_of(self, lane: int) -> tuple[int, int, int]:
        """Return the three numbers of a thread."""
        return lane % self.block[0], lane // self.block[0] % self.block[1], lane // self.block[0] // self.block[1]

    def note(self, access: Access) -> None:
        """Remember an access to global memory."""
        self._log.append(access)
        self._logged += access.lanes.size

    def _search_log(self) -> None:
        """Raise a Race if there is one, and forget what all blocks know of."""
        for conflict in conflicts(self._log, self.threads, _Order(self)):
            raise Race(self.describe(conflict))
        if not self._waiting:
            known = [self._known_by(block.number) for block in self._running]
            least = np.min(known, axis=0) if known else np.full(self.blocks, np.iinfo(np.int64).max)
            self._log = [access for access in self._log if access.interval >= least[access.block]]
        self._logged = sum(access.lanes.size for access in self._log)
        self._log_limit = max(LOG_LIMIT, 2 * self._logged)

    def _known_by(self, block: int) -> np.ndarray:
        """Return up to which interval a block knows each block, itself among them."""
        intervals = self.clocks.history[block][-1].intervals.copy()
        intervals[block] = self.clocks.interval(block)
        return intervals

    def describe(self, conflict: Conflict) -> str:
        """Return a text on a race that names both accesses."""
        a = conflict.first
        place = f"byte {conflict.offset} of {a.allocation.name} ({a.allocation.size} bytes)"
        sides = [
            at_instruction(self, access.instruction, access.block, thread % self.threads)
            for access, thread in ((a, conflict.first_thread), (conflict.second, conflict.second_thread))
        ]
        return f"{self.name}: two threads use {place}, and nothing orders them:\n  {sides[0]}\n  {sides[1]}"


class _Order:
    """The order of accesses to global memory that the clocks of a launch know."""

    def __init__(self, launch: Launch) -> None:
        self._clocks = launch.clocks

    def of_intervals(self, first: Access, second: Access) -> bool:
        if first.block == second.block:
            return first.interval != second.interval
        known = self._clocks.history[second.block][second.interval]
        return bool(known.intervals[first.block] > first.interval)

    def of_threads(self, conflict: Conflict) -> bool:
        """Return also whether a thread has read the first one's atomic write, and then passed a fence."""
        a, b = conflict.first, conflict.second
        address = a.allocation.address + conflict.offset // a.size * a.size
        known = [self._clocks.history[b.block][b.interval]]
        learned = self._clocks.learned.get((conflict.second_thread, b.interval), ())
        known += [knowledge for time, knowledge in learned if time < b.time]
        if any(knowledge.includes(a.block, a.interval, conflict.first_thread, a.time) for knowledge in known):
            return True
        seen = self._clocks.observed.get((conflict.second_thread, address), ())
        return a.kind == ATOMIC_WRITE and any(a.time < read and fenced < b.time for read, fenced in seen)
