"""Memory accesses of kernels in Numba's simulator, where an address is one of host memory."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from accelnn_kernels.cuda.shapes import real_of, width_of
from accelnn_kernels.memory import view

_adding = threading.Lock()


def simulated_accesses(element: str) -> dict[str, Any]:
    """Return ``load``, ``store``, ``load_wide``, ``store_wide`` and ``load_four`` for elements of this dtype."""
    width, stored = width_of(element), np.dtype("uint16" if element == "bfloat16" else element)
    decode, encode = (from_bfloat16, to_bfloat16) if element == "bfloat16" else (np.asarray, np.asarray)

    def load(address, index):
        return decode(_view(address, index, 1, stored))[0]

    def store(address, index, value):
        _view(address, index, 1, stored)[0] = encode(np.array([value], real_of(element)))[0]

    def load_wide(address, index, values):
        values[:] = decode(_view(address, index, width, stored))

    def store_wide(address, index, values):
        _view(address, index, width, stored)[:] = encode(np.array(values[:], real_of(element)))

    def load_four(address, index, values):
        of_an_access = min(4, width)
        for first in range(0, 4, of_an_access):
            values[first : first + of_an_access] = decode(_view(address, index + first, of_an_access, stored))

    accesses = {"load": load, "store": store, "load_wide": load_wide, "store_wide": store_wide}
    return accesses | {"load_four": load_four}


def simulated_add(address: int, amount: int) -> int:
    """Add to the int64 at ``address``, whatever other threads do, and return what was there before."""
    with _adding:
        counter = _view(address, 0, 1, np.dtype(np.int64))
        before = int(counter[0])
        counter[0] += amount
        return before


def simulated_shifts() -> dict[str, Any]:
    """Return ``shift_up`` and ``shift_down`` of int32."""
    return {
        "shift_up": lambda value, bits: np.int32(int(value) << int(bits)),
        "shift_down": lambda value, bits: np.int32(int(value) >> int(bits)),
    }


def simulated_byte(word: int, place: int) -> np.int32:
    """Return byte ``place`` of an int32, from the lowest on."""
    return np.int32(int(word) >> 8 * int(place) & 0xFF)


def from_bfloat16(stored: np.ndarray) -> np.ndarray:
    """Return bfloat16 numbers, given as their bits in uint16, as float32."""
    return (stored.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Return float32 values as bfloat16, the bits in uint16: rounded to nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def _view(address: int, index: int, count: int, dtype: np.dtype) -> np.ndarray:
    """Return ``count`` elements from ``index`` on. A device refuses addresses that no access of the size may have."""
    place, size_bytes = int(address) + int(index) * dtype.itemsize, count * dtype.itemsize
    if place % size_bytes:
        raise ValueError(f"an access of {size_bytes} bytes to address {place}, which is no multiple of {size_bytes}")
    return view(place, (count,), dtype)
