"""How many threads work on a step, and how they are started together."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from accelnn_kernels.team import ABANDONED

from accelnn.arrays.environment import usable_threads

ROWS_PER_THREAD = 16
"""With fewer rows of a batch, the exchange of updated weights between the processors costs more than is saved."""

ROWS_PER_THREAD_IN_BANDS = 4
"""The same where each thread holds a band of the inputs: the largest weight stays where it is."""

BLOCK_BYTES = 384 << 10
"""Inputs that are gathered and multiplied at a time: with the weight they fit into an L2 cache of a megabyte."""

FEWEST_ROWS_OF_A_BLOCK = 64
"""With fewer, adding the products of a block to the gradient takes longer than the products."""

INPUTS_IN_CACHE = 1 << 20
"""With so many inputs in a batch, one thread is faster when it does not keep them between forward and backward."""

MULTIPLICATIONS_PER_THREAD = 250_000
"""With fewer multiplications a step, waiting for each other costs more than is saved."""

MULTIPLICATIONS_PER_START = 20_000_000
"""With fewer in all steps of an epoch, starting a thread, 50 to 200 us, costs more than is saved."""


def team_size(
    multiplications: int, batch_size: int, first_weight: tuple[int, int] | None = None, steps: int | None = None
) -> int:
    """Return how many threads to use for steps of this many multiplications, on batches of ``batch_size`` rows.

    ``first_weight`` is (n_in, n_out) of the weight whose inputs can be shared out in bands, None if there is none.
    ``steps`` are those that are taken before the threads have to be started again, None if they are many.
    """
    if steps is not None and steps * multiplications < MULTIPLICATIONS_PER_START:
        return 1
    rows_per_thread = ROWS_PER_THREAD_IN_BANDS if bands_pay(first_weight, batch_size, 2) else ROWS_PER_THREAD
    worthwhile = min(multiplications // MULTIPLICATIONS_PER_THREAD, batch_size // rows_per_thread)
    return max(1, min(usable_threads(), worthwhile))


def bands_pay(first_weight: tuple[int, int] | None, batch_size: int, threads: int) -> bool:
    """Return whether each thread should hold a band of the inputs of all rows instead of all inputs of its rows.

    By rows, a step moves the first weight and the inputs between the processors, n_in * (n_out + batch_size) numbers;
    by bands it moves the products of the bands, batch_size * n_out numbers. ``first_weight`` is (n_in, n_out). A single
    thread has one band, which pays where the inputs of a batch are too many for its cache: bands come in blocks.
    """
    if first_weight is None:
        return False
    n_in, n_out = first_weight
    if threads == 1:
        return n_in * batch_size > INPUTS_IN_CACHE
    return n_in >= threads and n_in * (n_out + batch_size) > batch_size * n_out


def rows_of_a_block(row_bytes: int, batch_size: int) -> int:
    """Return how many rows of a batch, whose bands have so many bytes, to gather and multiply at a time."""
    return min(batch_size, max(FEWEST_ROWS_OF_A_BLOCK, BLOCK_BYTES // row_bytes))


def run_together(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], counters: np.ndarray) -> None:
    """Call ``function`` once per tuple of arguments, each in its own thread; the first one in this thread.

    ``counters`` is the memory of the barrier at which the threads meet. If one of them is interrupted or fails before
    it gets there, the others are told to give up, and what it raised is raised here.
    """
    failures: list[BaseException] = []

    def work(one: tuple[Any, ...]) -> None:
        try:
            if not counters[ABANDONED // 8]:
                function(*one)
        except BaseException as error:  # raised again below, by the first thread
            counters[ABANDONED // 8] = 1
            failures.append(error)

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in arguments[1:]]
    try:
        for thread in threads:
            thread.start()
        function(*arguments[0])
    except BaseException:
        counters[ABANDONED // 8] = 1
        raise
    finally:
        _join(threads)
    if failures:
        raise failures[0]


def _join(threads: Sequence[threading.Thread]) -> None:
    """Wait until no thread uses the caller's memory any more; only then let through what handlers of signals raise.

    A thread whose start was interrupted may not be alive yet. It will find the team abandoned and touch nothing.
    """
    interruption: BaseException | None = None
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except BaseException as error:
                interruption = error
    if interruption is not None:
        raise interruption


def yield_address() -> int:
    """Return the address of the C function that lets other threads have the processor."""
    if os.name == "nt":
        function = ctypes.windll.kernel32.SwitchToThread  # type: ignore[attr-defined]
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0
