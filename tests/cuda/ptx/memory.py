"""The memory of a machine: allocations with bounds, and which of their bytes were written."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any

import numpy as np


class Allocation:
    """Bytes from ``address`` on, which is a multiple of 16.

    ``data``: the bytes. ``written``: 1 for each byte that may be read, or None if all may.
    """

    def __init__(self, name: str, address: int, data: np.ndarray, is_written: bool = True) -> None:
        assert address % 16 == 0, f"{name} begins at {address:#x}"
        self.name, self.address, self.data, self.size = name, address, data, data.nbytes
        self.end = address + self.size
        self.written = None if is_written else np.zeros(self.size, np.uint8)
        self._views: dict[tuple[np.dtype, int], np.ndarray] = {}

    def forbid(self, poison: np.generic) -> None:
        """Let every element that is a poison, a NaN that is no result, count as never written."""
        if poison.dtype.itemsize > 1:
            elements = self.data.view(poison.dtype)
            self.written = np.repeat((elements != poison).view(np.uint8), poison.dtype.itemsize)

    def rows(self, dtype: np.dtype, count: int) -> np.ndarray:
        """Return the bytes as rows of ``count`` elements of ``dtype``; what is left at the end is left out."""
        view = self._views.get((dtype, count))
        if view is None:
            size = count * dtype.itemsize
            view = self.data[: self.size // size * size].view(dtype).reshape(-1, count)
            self._views[dtype, count] = view
        return view

    def flags(self, size: int) -> np.ndarray | None:
        """Return ``written`` as rows of ``size`` bytes."""
        return None if self.written is None else self.written[: self.size // size * size].reshape(-1, size)


class Memory:
    """Allocations that do not overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self.allocations: dict[int, Allocation] = {}

    def add(self, allocation: Allocation) -> Allocation:
        """Make an allocation known; one that was there is replaced."""
        if allocation.address not in self.allocations:
            bisect.insort(self._starts, allocation.address)
        self.allocations[allocation.address] = allocation
        return allocation

    def add_array(self, array: np.ndarray, name: str = "", is_written: bool = True) -> Allocation:
        """Make the memory of a contiguous array known."""
        data = array.reshape(-1).view(np.uint8)
        return self.add(Allocation(name or f"{array.dtype}{array.shape}", array.ctypes.data, data, is_written))

    def remove(self, address: int) -> None:
        """Forget the allocation that begins at an address."""
        self._starts.remove(address)
        del self.allocations[address]

    def clear(self) -> None:
        """Forget all allocations."""
        self._starts.clear()
        self.allocations.clear()

    def at(self, address: int) -> Allocation | None:
        """Return the last allocation that does not begin behind an address."""
        place = bisect.bisect_right(self._starts, address) - 1
        return self.allocations[self._starts[place]] if place >= 0 else None

    def pieces(self, addresses: np.ndarray, size: int) -> Iterator[tuple[Allocation, Any]]:
        """Return the allocations that accesses of ``size`` bytes go to, each with the places of its addresses.

        Raises BadAddress at the first address whose bytes are not all in one of them, or that is misaligned.
        """
        if (addresses & (size - 1)).any():
            raise BadAddress(int(np.flatnonzero(addresses & (size - 1))[0]), f"misaligned for {size} bytes")
        first, last = int(addresses.min()), int(addresses.max())
        found = self.at(first)
        if found is not None and last + size <= found.end:
            yield found, slice(None)
            return
        left = np.ones(addresses.shape, bool)
        while left.any():
            place = int(np.flatnonzero(left)[0])
            found = self.at(int(addresses[place]))
            if found is None or int(addresses[place]) + size > found.end:
                raise BadAddress(place, self.near(int(addresses[place]), size))
            mine = left & (addresses >= found.address) & (addresses <= found.end - size)
            left &= ~mine
            yield found, np.flatnonzero(mine)

    def near(self, address: int, size: int) -> str:
        """Return where an address outside of all allocations lies."""
        candidates = list(self.allocations.values())
        if not candidates:
            return "outside of any allocation: there is none"
        nearest = min(candidates, key=lambda a: max(a.address - address, address + size - a.end))
        text = f"the nearest allocation is {nearest.name}, {nearest.size} bytes at {nearest.address:#x}"
        if address < nearest.address:
            return f"outside of any allocation: {text}, {nearest.address - address} bytes behind it"
        return f"outside of any allocation: {text}, which ends {address + size - nearest.end} bytes before its end"


class BadAddress(Exception):  # noqa: N818 - a fault of one thread, from which a MemoryFault is made
    """``place``: which of the addresses it is."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place, self.reason = place, reason
