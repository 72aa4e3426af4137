"""Functions of CUDA's libraries that are Python functions here."""

from __future__ import annotations

import _thread
import ctypes
import gc
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MOST_ARGUMENTS = 19
USUAL_ARGUMENTS = 6
"""So many are in registers; a function that passed on more would read its caller's memory."""

ARGUMENTS = {"cuLaunchKernel": 11, "cuLaunchCooperativeKernel": 10, "cublasGemmEx": 19, "cublasGemmEx_64": 19}

INVALID_VALUE, OUT_OF_MEMORY, INVALID_HANDLE, NOT_READY = 1, 2, 400, 600
LAUNCH_FAILED, COOPERATIVE_TOO_LARGE = 719, 720
CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED, CAPTURE_IMPLICIT = 900, 901, 906

NAMES = {
    0: "cudaSuccess",
    INVALID_VALUE: "cudaErrorInvalidValue",
    OUT_OF_MEMORY: "cudaErrorMemoryAllocation",
    INVALID_HANDLE: "cudaErrorInvalidResourceHandle",
    NOT_READY: "cudaErrorNotReady",
    LAUNCH_FAILED: "cudaErrorLaunchFailure",
    COOPERATIVE_TOO_LARGE: "cudaErrorCooperativeLaunchTooLarge",
    CAPTURE_UNSUPPORTED: "cudaErrorStreamCaptureUnsupported",
    CAPTURE_INVALIDATED: "cudaErrorStreamCaptureInvalidated",
    CAPTURE_IMPLICIT: "cudaErrorStreamCaptureImplicit",
}
"""Of the runtime's errors, by number."""


class Failure(Exception):  # noqa: N818 - what a function returns, not a mistake of the emulation
    """A function returns this error; the reason goes to stderr, because CUDA has no words for it."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code


_functions: dict[str, Callable[..., Any]] = {}
_kept: list[Any] = []
_lock = threading.RLock()


def emulates(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for the function that does what ``name`` does; it returns None or an error's number.

    It gets as many arguments as it has, integers as they are in registers: see :func:`int32` and :func:`uint32`.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _functions[name] = function
        return function

    return register


def connect(library: Any, names: list[str]) -> None:
    """Let the stubs of a library, in the order of ``names``, call the functions above."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * MOST_ARGUMENTS)
    for place, name in enumerate(names):
        if name in _functions:
            _kept.append(prototype(_guarded(name, _functions[name])))
            library.connect_stub(place, _kept[-1])


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., int]:
    """Return a function for C: errors become numbers.

    One thread at a time, and no garbage is collected: CuPy calls under locks of its own, and would be called back.
    """
    count = function.__code__.co_argcount

    def call(*arguments: int) -> int:
        with _lock, _interrupts_later():
            was_enabled = gc.isenabled()
            gc.disable()
            try:
                return int(function(*arguments[:count]) or 0)
            except Failure as failure:
                if str(failure):
                    print(f"{name}: {failure}", file=sys.stderr)
                return failure.code
            except BaseException:  # C cannot be told more
                print(f"{name}:\n{traceback.format_exc()}", file=sys.stderr)
                return LAUNCH_FAILED
            finally:
                if was_enabled:
                    gc.enable()

    return call


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Put Ctrl-C off: a driver is not interrupted either, and Python hears of it when the call has returned."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if heard:
            threading.Timer(0.01, _thread.interrupt_main).start()


def int32(value: int) -> int:
    """Return the lower half of a register as a number with a sign."""
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def uint32(value: int) -> int:
    """Return the lower half of a register."""
    return value & 0xFFFFFFFF


def answer(address: int, value: int, kind: Any = ctypes.c_int64) -> None:
    """Write a result where the caller wants it."""
    kind.from_address(address).value = value
