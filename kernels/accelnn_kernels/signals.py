"""Signals that wait for the end of what they would leave half-done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]

_ALL = tuple(signal.valid_signals())


@contextlib.contextmanager
def signals_held(numbers: Iterable[int] = _ALL, *, insistent: bool = False) -> Iterator[None]:
    """Return a block at whose end, rather than in its middle, handlers of signals run.

    Python runs them in the main thread, between any two instructions: what they raise, as Ctrl-C does, may come out of
    a callback that a library written in C calls, where it is lost. In another thread the block changes nothing.
    Blocks may be nested. ``insistent``: the second signal does not wait, nor does the first any longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Handler] = {}
    waiting: list[tuple[Handler, int, FrameType | None]] = []

    def arrived(number: int, frame: FrameType | None) -> None:
        waiting.append((handlers[number], number, frame))
        if insistent and len(waiting) > 1:
            _run_handlers(waiting)

    try:
        for number in numbers:
            handler = signal.getsignal(number)
            if callable(handler):  # what ends or ignores without Python needs no holding
                handlers[number] = handler
                signal.signal(number, arrived)
        yield
    finally:
        try:
            _put_back(handlers, arrived)
        finally:
            _run_handlers(waiting)


def _put_back(handlers: dict[int, Handler], holding: Handler) -> None:
    """Let every signal have its handler again, also when one that has it already raises in between."""
    try:
        while handlers:
            number = next(iter(handlers))
            if signal.getsignal(number) is holding:  # else somebody else has taken over
                signal.signal(number, handlers[number])
            del handlers[number]
    except BaseException:
        _put_back(handlers, holding)
        raise


def _run_handlers(waiting: list[tuple[Handler, int, FrameType | None]]) -> None:
    """Run the handlers of signals that have arrived, also when one of them raises."""
    try:
        while waiting:
            handler, number, frame = waiting.pop(0)
            handler(number, frame)
    except BaseException:
        _run_handlers(waiting)
        raise
