"""Ctrl-C that waits for the end of what must not be left half-done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Lets Ctrl-C wait for the end of a ``held`` block; the second one waits no more.

    It takes over the signal only in the main thread, the one where Ctrl-C arrives, and only where nobody else has.
    """

    def __init__(self) -> None:
        self._is_held = self._is_pending = False

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """Return the block in which ``held`` has a meaning."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._arrived)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Return a block that Ctrl-C does not interrupt; raises KeyboardInterrupt at its end if one arrived."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._is_pending:
            self._is_pending = False
            raise KeyboardInterrupt

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._is_held and not self._is_pending:
            self._is_pending = True
        else:
            raise KeyboardInterrupt
