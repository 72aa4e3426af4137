"""What is said to people, in whatever surroundings: nobody's training ends because a line about it cannot be shown."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import Any, TextIO, cast

from accelnn.errors import AccelnnWarning


class Display:
    """A text stream to show things on: whatever it is that shows them, or is not there, writing raises nothing.

    stream: a text stream, another object with ``write``, or None. What it cannot encode is written with backslashes.
    What it cannot take at all is lost: it is closed, nobody reads the pipe any more, or it is no stream.
    """

    def __init__(self, stream: object) -> None:
        self._stream: Any = stream

    @property
    def encoding(self) -> str:
        """The name of what characters are encoded in."""
        with contextlib.suppress(Exception):
            return self._stream.encoding or "utf-8"
        return "utf-8"

    def write(self, text: str) -> int:
        """Write ``text``, as far as that is possible."""
        with contextlib.suppress(Exception):
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Let what was written appear."""
        with contextlib.suppress(Exception):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether a person looks at a terminal."""
        with contextlib.suppress(Exception):
            return bool(self._stream.isatty())
        return False

    def fileno(self) -> int:
        """Return the descriptor; raises as the stream does, as Rich expects."""
        return int(self._stream.fileno())


def display(stream: object) -> TextIO:
    """Return a `Display`, which is as much of a text stream as ``print`` and Rich need."""
    return cast("TextIO", Display(stream))


def say(line: str, stream: object) -> None:
    """Write a line at once; raises nothing."""
    print(line, file=display(stream), flush=True)


def warn(message: str, category: type[Warning] = AccelnnWarning) -> None:
    """Warn at the line that called accelnn, however deep in it something is noticed.

    Raises only where a filter makes the warning an error. Python writes warnings to ``sys.stderr``, and what goes wrong
    there, on a closed stream for one, comes out of ``warnings.warn``.
    """
    try:
        warnings.warn(message, category, stacklevel=_callers_level())
    except Warning:
        raise
    except (AttributeError, OSError, TypeError, ValueError):  # there is nobody to tell
        return


def _callers_level() -> int:
    """Return the ``stacklevel`` of the line that called accelnn, for the function that calls this one."""
    level, frame = 1, sys._getframe(1)
    inside = ("accelnn", "contextlib")  # some functions are decorated by context managers
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        level, frame = level + 1, frame.f_back
    return level
