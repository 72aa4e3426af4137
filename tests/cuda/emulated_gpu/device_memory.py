"""The device's memory, page-locked memory, and copies between them."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from ptx.memory import Allocation, Memory

from emulated_gpu.calls import (
    CAPTURE_UNSUPPORTED,
    INVALID_VALUE,
    OUT_OF_MEMORY,
    Failure,
    answer,
    emulates,
    uint32,
)
from emulated_gpu.settings import CAPACITY_BYTES
from emulated_gpu.streams import LEGACY, finish_all, refuse_in_capture, start, stream_of

POISONED_BYTES = 32 << 20
"""A larger allocation is left to the system, which gives it memory when it is first used."""

POISON = 0xFF
"""What new memory holds: NaN as floats, -1 as integers."""

TO_DEVICE, TO_HOST, ON_DEVICE, BY_ADDRESS = 1, 2, 3, 4
"""A ``cudaMemcpyKind``."""

memory = Memory()
"""What kernels may use: the allocations of the device."""

_pinned: dict[int, np.ndarray] = {}
_used_bytes = 0


def on_device(address: int, size: int = 1) -> bool:
    """Return whether bytes lie in an allocation of the device."""
    found = memory.at(address)
    return found is not None and address + size <= found.end


def is_pinned(address: int) -> bool:
    """Return whether an address is one of page-locked memory."""
    return any(start <= address < start + block.nbytes for start, block in _pinned.items())


def _pages(size: int) -> np.ndarray:
    return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8)


@emulates("cudaMalloc")
def _allocate(into: int, size: int) -> None:
    global _used_bytes
    refuse_in_capture("cudaMalloc")
    if _used_bytes + size > CAPACITY_BYTES:
        raise Failure(OUT_OF_MEMORY)
    data = _pages(size)
    if size <= POISONED_BYTES:
        data[:] = POISON
    memory.add(Allocation(f"{size} bytes of the device", data.ctypes.data, data))
    _used_bytes += size
    answer(into, data.ctypes.data)


@emulates("cudaFree")
def _free(address: int) -> None:
    global _used_bytes
    if address == 0:
        return
    refuse_in_capture("cudaFree")
    if address not in memory.allocations:
        raise Failure(INVALID_VALUE, f"nothing was allocated at {address:#x}")
    finish_all()
    _used_bytes -= memory.allocations[address].size
    memory.remove(address)


@emulates("cudaMemGetInfo")
def _count_memory(free: int, total: int) -> None:
    answer(free, CAPACITY_BYTES - _used_bytes)
    answer(total, CAPACITY_BYTES)


@emulates("cudaHostAlloc")
def _allocate_pinned(into: int, size: int) -> None:
    refuse_in_capture("cudaHostAlloc")
    block = _pages(size)
    block[:] = POISON
    _pinned[block.ctypes.data] = block
    answer(into, block.ctypes.data)


@emulates("cudaFreeHost")
def _free_pinned(address: int) -> None:
    refuse_in_capture("cudaFreeHost")
    finish_all()
    del _pinned[address]


class PointerAttributes(ctypes.Structure):
    """The beginning of ``cudaPointerAttributes``."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("device", ctypes.c_int),
        ("device_pointer", ctypes.c_void_p),
        ("host_pointer", ctypes.c_void_p),
    )


@emulates("cudaPointerGetAttributes")
def _describe(into: int, address: int) -> None:
    found = PointerAttributes.from_address(into)
    if on_device(address):
        found.type, found.device, found.device_pointer, found.host_pointer = 2, 0, address, 0
    elif is_pinned(address):
        found.type, found.device, found.device_pointer, found.host_pointer = 1, 0, address, address
    else:
        found.type, found.device, found.device_pointer, found.host_pointer = 0, -2, 0, address


@emulates("cudaMemcpy")
def _copy(target: int, source: int, size: int, kind: int) -> None:
    refuse_in_capture("cudaMemcpy")
    _check_copy(target, source, size, kind)
    start(LEGACY, lambda: _move(target, source, size))
    stream_of(LEGACY).run()


@emulates("cudaMemcpyAsync")
def _copy_later(target: int, source: int, size: int, kind: int, handle: int) -> None:
    """Copy as late as possible; pageable memory is read before this returns, and written before it returns."""
    kind = _check_copy(target, source, size, kind)
    stream = stream_of(handle)
    host = {TO_DEVICE: source, TO_HOST: target}.get(kind)
    is_pageable = host is not None and not is_pinned(host)
    if stream.captured is not None and is_pageable:
        stream.is_broken = True
        raise Failure(CAPTURE_UNSUPPORTED, "a copy of pageable memory in a capture")
    if is_pageable and kind == TO_DEVICE:
        staged = ctypes.string_at(source, size)
        start(handle, lambda: _move(target, staged, size))
        return
    start(handle, lambda: _move(target, source, size))
    if is_pageable:
        stream.run()


def _move(target: int, source: int | bytes, size: int) -> None:
    ctypes.memmove(target, source, size)


def _check_copy(target: int, source: int, size: int, kind: int) -> int:
    """Return the kind of a copy; fail if an address is not where the kind says."""
    kind, found = uint32(kind), (on_device(source, max(1, size)), on_device(target, max(1, size)))
    expected = {TO_DEVICE: (False, True), TO_HOST: (True, False), ON_DEVICE: (True, True)}
    if kind == BY_ADDRESS:
        kind = next((known for known, places in expected.items() if places == found), 0)
    if size and expected.get(kind, (False, False)) != found:
        raise Failure(INVALID_VALUE, f"copy of kind {kind} from {source:#x} to {target:#x}, {size} bytes")
    return kind


@emulates("cudaMemset")
def _fill(target: int, value: int, size: int) -> None:
    refuse_in_capture("cudaMemset")
    _fill_later(target, value, size, LEGACY)


@emulates("cudaMemsetAsync")
def _fill_later(target: int, value: int, size: int, handle: int) -> None:
    if size and not on_device(target, size):
        raise Failure(INVALID_VALUE, f"{size} bytes at {target:#x} are to be filled")
    start(handle, lambda: ctypes.memset(target, value & 0xFF, size) and None)
