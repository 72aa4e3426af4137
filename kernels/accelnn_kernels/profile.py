"""Calls that take the time of the kernels they call, for a program whose tables name rows of a profile.

A row is four int64 ``(mark, kernel, ticks, calls)`` on a cache line of its own. A table of a program names kernels by
their addresses; for a profile the address of a row stands there instead. The calls of this file find the kernel in the
row and book its time there. An address without the mark in front is that of a kernel: it is called, and its time is
booked nowhere. So the step needs no other source, no other tables and no other arguments.

The clock is the counter that a processor offers to every program: the time stamp counter of x86-64 (Intel SDM, RDTSC;
constant rate on all processors of the last decade) and the virtual counter of AArch64 (Arm ARM, CNTVCT_EL0; on some
processors it ticks only every 40 ns, which averages out over thousands of calls). How long a tick is, and what reading
the clock costs, :func:`probe` lets the caller measure.
"""

from __future__ import annotations

import platform
import time
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

MARK = 0x5EED0FAC10C4B1D5
"""What a row begins with and machine code does not: a number without meaning."""

ROW_WORDS, TICKS, CALLS = 8, 2, 3
"""Words of a row with its padding; where ticks and calls stand."""

ARM = ("aarch64", "arm64")
X86 = ("x86_64", "amd64")


def has_clock(machine: str = "") -> bool:
    """Return whether there is a clock for this kind of processor, by default the one that this runs on."""
    return (machine or platform.machine()).lower() in (*ARM, *X86)


def new_rows(kernels: list[int]) -> np.ndarray:
    """Return the rows, int64 (n, ROW_WORDS), of a profile of the kernels at these addresses."""
    rows = np.zeros((len(kernels), ROW_WORDS), np.int64)
    rows[:, 0] = MARK
    rows[:, 1] = kernels
    return rows


def timed_invoke(row, arguments):
    """Call the kernel of a row, and book its time."""
    start = clock()
    invoke(kernel_of(row), arguments)
    book(row, start)


def timed_measure(row, arguments):
    """Call the kernel of a row, book its time and return its result."""
    start = clock()
    result = measure(kernel_of(row), arguments)
    book(row, start)
    return result


def timed_wait(counters, size, row):
    """Meet the other threads, yielding through the function of a row, and book the time until all are there."""
    start = clock()
    together = wait(counters, size, kernel_of(row))
    book(row, start)
    return together


def kernel_of(row):
    """Return the address of the kernel of a row; what is no row is a kernel."""
    return integers(row, 2)[1] if integers(row, 1)[0] == row_mark else row


def book(row, start):
    """Add the ticks since ``start`` to a row, and one call."""
    ticks = clock() - start
    if integers(row, 1)[0] == row_mark:
        entries = integers(row, 4)
        entries[2] += ticks
        entries[3] += 1


def probe(row, arguments, times):
    """Call the kernel of a row, or a kernel, so many times; return the ticks that all of it took."""
    start = clock()
    for _ in range(times):
        invoke(row, arguments)
    return clock() - start


PARTS = (kernel_of, book)
CALLS_BY_NAME = {"invoke": timed_invoke, "measure": timed_measure, "wait": timed_wait}
"""What these names of a program are bound to where its time is taken."""


@intrinsic
def _clock(typing_context):
    def codegen(context, builder, signature, values):
        reading = ir.FunctionType(ir.IntType(64), [])
        if platform.machine().lower() in ARM:
            # Not LLVM's cycle counter: before version 18 that is one which programs may not read.
            return builder.asm(reading, "mrs $0, cntvct_el0", "=r", [], True)
        return builder.call(builder.module.declare_intrinsic("llvm.readcyclecounter", (), reading), [])

    return types.int64(), codegen


def constants(compiled: bool) -> dict[str, Any]:
    """Return the names that the templates of this file need besides those of :mod:`accelnn_kernels.memory`."""
    if compiled and platform.machine().lower() in ARM:
        binding.initialize_native_asmparser()
    return {"clock": _clock if compiled else time.perf_counter_ns, "row_mark": MARK}
