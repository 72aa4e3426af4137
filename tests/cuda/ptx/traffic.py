"""How often a launch moves each of its arrays between global memory and its threads, and how long its shared one takes.

Memory moves sectors of 32 bytes. The threads of a warp that execute a load or store together share those that they
touch; if neighbours use neighbouring bytes, no sector moves twice, and an array that is read once counts as 1. What the
L1 cache keeps for a second reading is not taken off.

Shared memory has 32 banks of 4 bytes: what a warp wants of different words of one bank, it gets one after the other.
Wider accesses go by halves or quarters of a warp, so that each part can have all of the banks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptx import compiled
from ptx.accesses import Accesses
from ptx.machine import Launch
from ptx.memory import Memory
from ptx.races import ATOMIC_WRITE, WRITE, Access

SECTOR_BYTES, WARP = 32, 32
BANKS, BANK_BYTES = 32, 4


class Traffic:
    """The sectors that launches move from now on; ``reads`` and ``writes`` by name of the allocation."""

    def __init__(self, monkeypatch: Any) -> None:
        self.reads: dict[str, int] = {}
        self.writes: dict[str, int] = {}
        note = Launch.note

        def count(launch: Launch, access: Access) -> None:
            self._count(access)
            note(launch, access)

        monkeypatch.setattr(Launch, "note", count)

    def _count(self, access: Access) -> None:
        rows = np.broadcast_to(access.rows, access.lanes.shape).astype(np.int64)
        sectors = rows * access.size // SECTOR_BYTES
        n_sectors = access.allocation.size // SECTOR_BYTES + 1
        moved = len(np.unique(access.lanes // WARP * n_sectors + sectors))
        kept = self.writes if access.kind in (WRITE, ATOMIC_WRITE) else self.reads
        kept[access.allocation.name] = kept.get(access.allocation.name, 0) + moved


class Banks:
    """The accesses to shared memory from now on, of warps or the parts that go alone, and the cycles that they take."""

    def __init__(self, monkeypatch: Any) -> None:
        self.accesses = self.cycles = 0
        note = Accesses.note

        def count(accesses: Accesses, access: Access) -> None:
            self._count(access.size, access.lanes, access.rows, access.allocation)
            note(accesses, access)

        monkeypatch.setattr(Accesses, "note", count)

    def _count(self, size: int, lanes: np.ndarray, rows: np.ndarray, allocation: Any) -> None:
        n_words = max(1, size // BANK_BYTES)
        words = (allocation.address + np.broadcast_to(rows, lanes.shape) * size) // BANK_BYTES
        parts = lanes * n_words // WARP
        for part in np.unique(parts):
            own = np.unique(np.add.outer(words[parts == part], np.arange(n_words)))
            self.accesses += 1
            self.cycles += int(np.bincount(own % BANKS).max())


def passes(monkeypatch: Any, kernel: Any, arguments: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Launch a kernel as on a device; return how often each array is read and written, as multiples of its size."""
    memory, traffic = Memory(), Traffic(monkeypatch)
    arrays = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
    for name, array in arrays.items():
        memory.add_array(array, name)
    numbers = tuple(arrays[name].ctypes.data if name in arrays else arguments[name] for name in kernel.parameters)
    launch = kernel.launch_shape(*numbers)
    compiled.execute(kernel, numbers, launch.grid, launch.block, memory)
    counts = ((name, traffic.reads.get(name, 0), traffic.writes.get(name, 0), a.nbytes) for name, a in arrays.items())
    return {name: (r * SECTOR_BYTES / n_bytes, w * SECTOR_BYTES / n_bytes) for name, r, w, n_bytes in counts}
