"""A block of threads: its registers, its shared memory, and where its threads are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx.faults import DivergentBarrier, MemoryFault, Race, Trap, at_instruction
from ptx.memory import Allocation, BadAddress, Memory
from ptx.parsing import SPECIAL
from ptx.races import ATOMIC_READ, ATOMIC_WRITE, READ, WRITE, Access, Conflict, conflicts

if TYPE_CHECKING:
    from ptx.machine import Launch

STEPS_OF_THE_FURTHEST_BEHIND = 32
"""After so many steps others than the threads furthest behind have one: nobody waits for ever for one of them."""

GARBAGE = 0xFF
"""What every byte of shared memory is before it is written.

As floats that is a NaN which arithmetic makes of itself only: where it comes to be stored, something was used that was
never written. To load it is nothing yet, since compilers load ahead of conditions.
"""


class ThreadBlock:
    """Block ``number`` of a launch. Functions of translated code call its methods."""

    def __init__(self, launch: Launch, number: int) -> None:
        self.launch, self.number, self.size = launch, number, launch.threads
        self.all = np.arange(self.size)
        self.groups: dict[int, np.ndarray] = {0: self.all}
        """The threads that can go on, by the number of their step."""
        self.waiting: dict[int, np.ndarray] = {}
        """The threads at a barrier, by the number of the step behind it."""
        self.alive = self.size
        self.shared = self._shared_memory()
        self.registers = self._registers()
        self._shared_log: list[Access] = []
        self._turns = 0
        self._last_garbage = ""

    def _shared_memory(self) -> Memory:
        memory = Memory()
        for name, (first, size) in self.launch.machine.program.shared.items():
            size_bytes = self.launch.dynamic_bytes if size < 0 else size
            memory.add(Allocation(f"shared {name}", first, np.full(size_bytes, GARBAGE, np.uint8), is_written=False))
        return memory

    def _registers(self) -> list[Any]:
        machine, launch = self.launch.machine, self.launch
        special = {"laneid": self.all % 32}
        for axis, own, size, block, count in zip(
            "xyz",
            launch.thread_of(self.all),
            launch.block,
            launch.index_of(self.number),
            launch.grid,
            strict=True,
        ):
            special |= {f"tid.{axis}": own, f"ntid.{axis}": size, f"ctaid.{axis}": block, f"nctaid.{axis}": count}
        return [
            np.asarray(special[name[1:]], np.int32)[()] if name in SPECIAL else machine.program.dtype_of(name).type(0)
            for name in machine.registers
        ]

    def step(self, turns: random.Random) -> None:
        """Execute one basic block for the threads that are furthest behind, or now and then for some others."""
        self._turns += 1
        others = len(self.groups) > 1 and self._turns % STEPS_OF_THE_FURTHEST_BEHIND == 0
        place = turns.choice(sorted(self.groups)) if others else min(self.groups)
        lanes = self.groups.pop(place)
        step = self.launch.machine.steps[place]
        answer = step.run(self.registers, None if lanes.size == self.size else lanes, self)
        if step.kind == "go":
            self._branch(lanes, place + 1, step.target, answer)
        elif step.kind == "barrier":
            _join(self.waiting, place + 1, lanes)
        elif step.kind == "exit":
            self.alive -= lanes.size
            self.progress()
        else:
            raise Trap(f"{self.launch.name} traps: {self._at(step.last.number, int(lanes[0]))}")
        if not self.groups and self.waiting:
            self._meet()

    def _branch(self, lanes: np.ndarray, behind: int, target: int, answer: Any) -> None:
        if answer is None or not answer.ndim:
            _join(self.groups, target if answer is None or answer else behind, lanes)
            return
        taken = np.count_nonzero(answer)
        if taken:
            _join(self.groups, target, lanes if taken == lanes.size else lanes[answer])
        if taken < lanes.size:
            _join(self.groups, behind, lanes if taken == 0 else lanes[~answer])

    def _meet(self) -> None:
        """Let all threads pass the barrier at which they are; there has to be one, and all have to be there."""
        (place, lanes), *others = self.waiting.items()
        if others or lanes.size < self.size:
            text = "\n".join(self.places())
            raise DivergentBarrier(f"{self.launch.name}: not all threads of a block come to a barrier\n{text}")
        self.waiting.clear()
        self._search_shared_log()
        self.launch.clocks.barrier(self.number)
        self.groups[place] = self.all
        self.progress()

    def finish(self) -> None:
        """Look at what happened since the last barrier."""
        self._search_shared_log()

    def progress(self) -> None:
        """Say that something happened for which others may have waited."""
        self.launch.last_progress = self.launch.steps

    def places(self) -> Iterator[str]:
        """Return where the threads of the block are, as lines of text."""
        launch, index = self.launch, self.launch.index_of(self.number)
        for place, lanes in sorted(self.groups.items()):
            texts = [instruction.text for instruction in launch.machine.program.blocks[place].instructions[:1]]
            yield f"block {index}: {lanes.size} threads before {texts}"
        for place, lanes in sorted(self.waiting.items()):
            last, first = launch.machine.steps[place - 1].last, launch.thread_of(int(lanes[0]))
            yield f"block {index}: {lanes.size} threads, from {first} on, at {last.text!r} (instruction {last.number})"
        if self.alive < self.size:
            yield f"block {index}: {self.size - self.alive} threads have ended"

    def parameter(self, name: str, dtype: np.dtype) -> Any:
        """Return an argument of the launch."""
        return self.launch.parameters[name].view(dtype)

    def clock(self) -> int:
        """Return a number that grows."""
        return self.launch.steps

    def load(
        self, space: str, order: str, instruction: int, lanes: Any, addresses: Any, dtype: np.dtype, count: int
    ) -> list[Any]:
        """Return ``count`` registers with what lies at the addresses."""
        lanes = self.all if lanes is None else lanes
        kind, size = ATOMIC_READ if order else READ, count * dtype.itemsize
        out = np.empty((addresses.size, count), dtype)
        for allocation, places, rows in self._pieces(space, instruction, lanes, addresses, size):
            own = lanes[places] if addresses.ndim else lanes
            self._note(space, instruction, kind, size, own, rows, allocation)
            flags = allocation.flags(size)
            if flags is not None and not flags[rows].all():
                bad = int(np.flatnonzero(~flags[rows].all(axis=1))[0])
                reason = f"{allocation.name} + {int(rows[bad]) * size} was never written"
                if space != "shared" or dtype.kind != "f":
                    self._fail(instruction, int(own[bad]), reason)
                self._last_garbage = f"{self._at(instruction, int(own[bad]))}: {reason}"
            out[places] = allocation.rows(dtype, count)[rows]
        if order and space == "global":
            each = np.broadcast_to(addresses, lanes.shape)
            self.launch.clocks.read(self.number, lanes, each, order, self.launch.time)
        return list(out[0]) if not addresses.ndim else list(out.T)

    def store(
        self,
        space: str,
        order: str,
        instruction: int,
        lanes: Any,
        addresses: Any,
        dtype: np.dtype,
        values: tuple[Any, ...],
    ) -> None:
        """Write registers to the addresses."""
        lanes = self.all if lanes is None else lanes
        each, size = np.broadcast_to(addresses, lanes.shape), len(values) * dtype.itemsize
        new = np.empty((lanes.size, len(values)), dtype)
        for column, value in enumerate(values):
            new[:, column] = value
        if self._last_garbage and dtype.kind == "f":
            self._refuse_garbage(instruction, lanes, new)
        for allocation, places, rows in self._pieces(space, instruction, lanes, each, size):
            view, flags = allocation.rows(dtype, len(values)), allocation.flags(size)
            self._note(space, instruction, ATOMIC_WRITE if order else WRITE, size, lanes[places], rows, allocation)
            view[rows] = new[places]
            if flags is not None:
                flags[rows] = 1
        self.progress()
        if order and space == "global":
            self.launch.clocks.write(self.number, lanes, each, order, self.launch.time, is_update=False)

    def _refuse_garbage(self, instruction: int, lanes: np.ndarray, values: np.ndarray) -> None:
        is_garbage = (values.view(np.uint8).reshape(lanes.size, -1, values.itemsize) == GARBAGE).all(axis=2).any(axis=1)
        if is_garbage.any():
            lane = int(lanes[np.flatnonzero(is_garbage)[0]])
            self._fail(instruction, lane, f"made of what was never written, maybe by {self._last_garbage}")

    def atomic(
        self, operation: str, order: str, instruction: int, lanes: Any, addresses: Any, dtype: np.dtype, amount: Any
    ) -> np.ndarray:
        """Add to numbers in global memory, or exchange them, thread after thread; return what was there before."""
        lanes = self.all if lanes is None else lanes
        amounts, old = np.broadcast_to(amount, lanes.shape), np.empty(lanes.shape, dtype)
        each = np.broadcast_to(addresses, lanes.shape)
        for allocation, places, rows in self._pieces("global", instruction, lanes, each, dtype.itemsize):
            self._note("global", instruction, ATOMIC_WRITE, dtype.itemsize, lanes[places], rows, allocation)
            view = allocation.rows(dtype, 1)[:, 0]
            for i, row in zip(np.arange(lanes.size)[places], rows, strict=True):
                old[i] = view[row]
                view[row] = amounts[i] if operation == "exch" else view[row] + amounts[i]
        self.launch.clocks.read(self.number, lanes, each, order, self.launch.time)
        self.launch.clocks.write(self.number, lanes, each, order, self.launch.time, is_update=True)
        self.progress()
        return old

    def fence(self, lanes: Any) -> None:
        """Pass a fence for the whole device."""
        self.launch.time += 1
        self.launch.clocks.fence(self.number, self.all if lanes is None else lanes, self.launch.time)

    def _pieces(
        self, space: str, instruction: int, lanes: np.ndarray, addresses: Any, size: int
    ) -> Iterator[tuple[Allocation, Any, np.ndarray]]:
        """Return the allocations of an access, which addresses are theirs, and in which rows of ``size`` bytes."""
        memory = self.shared if space == "shared" else self.launch.memory
        each = addresses if addresses.ndim else addresses.reshape(1)
        self.launch.time += 1
        try:
            for allocation, places in memory.pieces(each, size):
                yield allocation, places, (each[places] - allocation.address) // size
        except BadAddress as error:
            place = error.place
            self._fail(instruction, int(lanes[place]), f"{space} {int(each[place]):#x} is {error.reason}")

    def _note(
        self,
        space: str,
        instruction: int,
        kind: int,
        size: int,
        lanes: np.ndarray,
        rows: np.ndarray,
        allocation: Allocation,
    ) -> None:
        """Remember an access for the search for races."""
        if lanes.size:
            time, interval = self.launch.time, self.launch.clocks.interval(self.number)
            access = Access(time, self.number, interval, instruction, kind, size, lanes, rows, allocation)
            if space == "shared":
                self._shared_log.append(access)
            else:
                self.launch.note(access)

    def _fail(self, instruction: int, lane: int, reason: str) -> None:
        raise MemoryFault(f"{self.launch.name}: {self._at(instruction, lane)}: {reason}") from None

    def _at(self, instruction: int, lane: int) -> str:
        return at_instruction(self.launch, instruction, self.number, lane)

    def _search_shared_log(self) -> None:
        log, self._shared_log = self._shared_log, []
        for conflict in conflicts(log, self.size, _NoOrder()):
            raise Race(self.launch.describe(conflict))


def _join(groups: dict[int, np.ndarray], place: int, lanes: np.ndarray) -> None:
    """Put threads to those that are at the same place."""
    others = groups.get(place)
    groups[place] = lanes if others is None else np.sort(np.concatenate([others, lanes]))


class _NoOrder:
    """Between two barriers nothing orders two threads of a block where shared memory is concerned."""

    def of_intervals(self, first: Access, second: Access) -> bool:
        return False

    def of_threads(self, conflict: Conflict) -> bool:
        return False
