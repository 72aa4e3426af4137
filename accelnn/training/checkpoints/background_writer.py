"""Work that goes on in the background, one piece at a time, while the training goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundWriter:
    """Does one piece of work in a thread of its own; who brings the next one waits for the one before.

    So the training is at most one checkpoint ahead of the disk, and holds at most one copy of its state. There is no
    thread while there is nothing to do.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin ``work``, after the work before; raises what that has raised."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="accelnn-checkpoint")
        self._thread.start()

    def check(self) -> None:
        """Raise what the work has raised, if it is over; do not wait."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Wait for the work; raises what it has raised."""
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised again in the thread of the training
            self._error = error
