"""Say that machine code is being made: it takes seconds, and people should know what they wait for.

Nothing here imports a compiler, so that a display can listen in programs that never compile anything.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

MESSAGE = "compiling for this processor (once, takes some seconds; `accelnn warmup` does it ahead)"
DEVICE_MESSAGE = "compiling for this GPU (once for each activation, loss and optimizer, takes some seconds)"

logger = logging.getLogger("accelnn")

_listeners: list[Callable[[str], None]] = []
_said: set[tuple[str, str]] = set()
"""Which messages were "shown" or "logged"."""


@contextlib.contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Call ``listener`` with a line for people when something has to be compiled while the block runs.

    A process says each line once: what is compiled later is rarely more than a kernel or two. Without a listener the
    line goes to the log, at the level INFO.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def announce(message: str = MESSAGE) -> None:
    """Tell whoever listens, or the log, unless they know; called when a compilation begins."""
    way = "shown" if _listeners else "logged"
    if {(message, way), (message, "shown")} & _said:
        return
    _said.add((message, way))
    for listener in tuple(_listeners):
        listener(message)
    if not _listeners:
        logger.info(message)


def forget() -> None:
    """Say it again when the next compilation begins: for tests, which compile much in one process."""
    _said.clear()
