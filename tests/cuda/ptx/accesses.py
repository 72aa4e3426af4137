"""Accesses of a block's threads to memory: every one is checked, carried out and noted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ptx.faults import MemoryFault, Race, at_instruction
from ptx.memory import Allocation, BadAddress, Memory
from ptx.races import ATOMIC_READ, ATOMIC_WRITE, READ, WRITE, Access, Conflict, conflicts

if TYPE_CHECKING:
    from ptx.machine import Launch

GARBAGE = 0xFF
"""What every byte of shared memory is before it is written.

As floats that is a NaN which arithmetic makes of itself only: where it comes to be stored, something was used that was
never written. To load it is nothing yet, since compilers load ahead of conditions.
"""


class Operation(NamedTuple):
    """An instruction that accesses memory.

    space: ``"global"`` or ``"shared"``. order: ``"acquire"``, ``"volatile"`` and the like, or ``""``. count: elements
    that a thread moves at once. name: ``"add"`` or ``"exch"`` if it is atomic.
    """

    instruction: int
    space: str
    order: str
    dtype: np.dtype
    count: int = 1
    name: str = ""

    @property
    def size(self) -> int:
        """Bytes that a thread moves."""
        return self.count * self.dtype.itemsize


class Accesses:
    """Accesses of block ``number`` of a launch; its threads are numbered from 0 on.

    In all methods ``lanes`` are the threads that execute the operation, and ``addresses`` is a number for each of them,
    or one for all.
    """

    def __init__(self, launch: Launch, number: int) -> None:
        self._launch, self._number = launch, number
        self._shared = Memory()
        for name, (first, size) in launch.machine.program.shared.items():
            data = np.full(launch.dynamic_bytes if size < 0 else size, GARBAGE, np.uint8)
            self._shared.add(Allocation(f"shared {name}", first, data, is_written=False))
        self._shared_log: list[Access] = []
        self._last_garbage = ""

    def load(self, operation: Operation, lanes: np.ndarray, addresses: Any) -> list[Any]:
        """Return a register for each element with what lies at the addresses."""
        kind = ATOMIC_READ if operation.order else READ
        out = np.empty((addresses.size, operation.count), operation.dtype)
        for allocation, places, rows in self._pieces(operation, lanes, addresses):
            own = lanes[places] if addresses.ndim else lanes
            self._remember(operation, kind, own, rows, allocation)
            flags = allocation.flags(operation.size)
            if flags is not None and not flags[rows].all():
                self._meet_garbage(operation, own, rows, allocation, flags)
            out[places] = allocation.rows(operation.dtype, operation.count)[rows]
        if operation.order and operation.space == "global":
            each = np.broadcast_to(addresses, lanes.shape)
            self._launch.clocks.read(self._number, lanes, each, operation.order, self._launch.time)
        return list(out.T) if addresses.ndim else list(out[0])

    def store(self, operation: Operation, lanes: np.ndarray, addresses: Any, values: tuple[Any, ...]) -> None:
        """Write registers to the addresses."""
        each, kind = np.broadcast_to(addresses, lanes.shape), ATOMIC_WRITE if operation.order else WRITE
        new = np.empty((lanes.size, operation.count), operation.dtype)
        for column, value in enumerate(values):
            new[:, column] = value
        if self._last_garbage and operation.dtype.kind == "f":
            self._refuse_garbage(operation, lanes, new)
        for allocation, places, rows in self._pieces(operation, lanes, each):
            self._remember(operation, kind, lanes[places], rows, allocation)
            allocation.rows(operation.dtype, operation.count)[rows] = new[places]
            flags = allocation.flags(operation.size)
            if flags is not None:
                flags[rows] = 1
        if operation.order and operation.space == "global":
            self._launch.clocks.write(self._number, lanes, each, operation.order, self._launch.time, is_update=False)

    def atomic(self, operation: Operation, lanes: np.ndarray, addresses: Any, amount: Any) -> np.ndarray:
        """Add to numbers in global memory, or exchange them, thread after thread; return what was there before."""
        amounts, old = np.broadcast_to(amount, lanes.shape), np.empty(lanes.shape, operation.dtype)
        each = np.broadcast_to(addresses, lanes.shape)
        for allocation, places, rows in self._pieces(operation, lanes, each):
            self._remember(operation, ATOMIC_WRITE, lanes[places], rows, allocation)
            view = allocation.rows(operation.dtype, 1)[:, 0]
            for i, row in zip(np.arange(lanes.size)[places], rows, strict=True):
                old[i] = view[row]
                view[row] = amounts[i] if operation.name == "exch" else view[row] + amounts[i]
        clocks, time = self._launch.clocks, self._launch.time
        clocks.read(self._number, lanes, each, operation.order, time)
        clocks.write(self._number, lanes, each, operation.order, time, is_update=True)
        return old

    def fence(self, lanes: np.ndarray) -> None:
        """Pass a fence for the whole device."""
        self._launch.time += 1
        self._launch.clocks.fence(self._number, lanes, self._launch.time)

    def note(self, access: Access) -> None:
        """Remember an access to shared memory; one to global memory is for the launch to remember."""
        self._shared_log.append(access)

    def end_interval(self) -> None:
        """Raise a Race if two threads have used the same bytes of shared memory since the last barrier.

        Not where warps have barriers of their own, which CuPy's kernels have and ours do not.
        """
        log, self._shared_log = self._shared_log, []
        if self._launch.machine.uses_warps:
            return
        for conflict in conflicts(log, self._launch.threads, _NoOrder()):
            raise Race(self._launch.describe(conflict))

    def _pieces(
        self, operation: Operation, lanes: np.ndarray, addresses: Any
    ) -> Iterator[tuple[Allocation, Any, np.ndarray]]:
        """Return the allocations of an access, which addresses are theirs, and in which rows of its size."""
        memory = self._shared if operation.space == "shared" else self._launch.memory
        each = addresses if addresses.ndim else addresses.reshape(1)
        self._launch.time += 1
        try:
            for allocation, places in memory.pieces(each, operation.size):
                yield allocation, places, (each[places] - allocation.address) // operation.size
        except BadAddress as error:
            reason = f"{operation.space} {int(each[error.place]):#x} is {error.reason}"
            self._fail(operation, lanes[error.place], reason)

    def _remember(
        self, operation: Operation, kind: int, lanes: np.ndarray, rows: np.ndarray, allocation: Allocation
    ) -> None:
        """Remember an access for the search for races."""
        time, interval = self._launch.time, self._launch.clocks.interval(self._number)
        access = Access(
            time, self._number, interval, operation.instruction, kind, operation.size, lanes, rows, allocation
        )
        if operation.space == "shared":
            self.note(access)
        else:
            self._launch.note(access)

    def _meet_garbage(
        self, operation: Operation, lanes: np.ndarray, rows: np.ndarray, allocation: Allocation, flags: np.ndarray
    ) -> None:
        bad = int(np.flatnonzero(~flags[rows].all(axis=1))[0])
        reason = f"{allocation.name} + {int(rows[bad]) * operation.size} was never written"
        if operation.space != "shared" or operation.dtype.kind != "f":
            self._fail(operation, lanes[bad], reason)
        self._last_garbage = f"{self._at(operation, lanes[bad])}: {reason}"

    def _refuse_garbage(self, operation: Operation, lanes: np.ndarray, values: np.ndarray) -> None:
        is_garbage = (values.view(np.uint8).reshape(lanes.size, -1, values.itemsize) == GARBAGE).all(axis=2).any(axis=1)
        if is_garbage.any():
            lane = lanes[np.flatnonzero(is_garbage)[0]]
            self._fail(operation, lane, f"made of what was never written, maybe by {self._last_garbage}")

    def _fail(self, operation: Operation, lane: Any, reason: str) -> None:
        raise MemoryFault(f"{self._launch.name}: {self._at(operation, lane)}: {reason}") from None

    def _at(self, operation: Operation, lane: Any) -> str:
        return at_instruction(self._launch, operation.instruction, self._number, int(lane))


class _NoOrder:
    """Between two barriers nothing orders two threads of a block where shared memory is concerned."""

    def of_intervals(self, first: Access, second: Access) -> bool:
        return False

    def of_threads(self, conflict: Conflict) -> bool:
        return False
