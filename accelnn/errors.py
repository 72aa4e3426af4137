"""Every error that a caller can cause, and the helpers that word them.

Each error is also the built-in that a caller would expect (``ValueError``, ``TypeError``, ``RuntimeError`` or
``MemoryError``). A message names the argument, the value that was seen and the fix.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class AccelnnError(Exception):
    """Base of all errors raised on purpose by accelnn."""


class ArgumentError(AccelnnError, ValueError):
    """An argument has the right type and a value that cannot be used."""


class ArgumentTypeError(AccelnnError, TypeError):
    """An argument has the wrong type."""


class ParameterError(ArgumentError, ArgumentTypeError):
    """A parameter of an estimator cannot be used: of a wrong type or value, in one error as in scikit-learn."""


class ShapeError(ArgumentError):
    """An array has a shape that does not fit its use."""


class DataError(AccelnnError, ValueError):
    """A data set cannot be found, read or trusted."""


class ModelFileError(AccelnnError, ValueError):
    """A model file cannot be read or is not a model file."""


class CheckpointError(AccelnnError, RuntimeError):
    """A checkpoint cannot be written, or cannot be read or trusted, or another program uses its folder."""


class BackendError(AccelnnError, RuntimeError):
    """The requested backend cannot be used on this machine."""


class DeviceMemoryError(AccelnnError, MemoryError):
    """The memory of a CUDA device, or what may be used of it, is full."""


class NotBuiltError(AccelnnError, RuntimeError):
    """The network does not know its number of inputs yet."""


class InTrainingError(AccelnnError, RuntimeError):
    """The model is being trained already, by another thread or by the run whose callback wants to train it too."""


class DivergenceError(AccelnnError, RuntimeError, ValueError):
    """Training produced a number that is not finite; a ``ValueError`` too, which users of scikit-learn expect then."""


class MissingAttributeError(AccelnnError, AttributeError):
    """An object has no such attribute; where ``obj`` is given, the message proposes the nearest of its names."""

    def __str__(self) -> str:
        """Look for the nearest name only when somebody reads it: ``hasattr`` must be quick."""
        names = [] if self.obj is None else [name for name in dir(self.obj) if name[0] != "_"]
        near = nearest(self.name or "", names)
        return super().__str__() + (f": did you mean {near!r}?" if near else "")


class AccelnnWarning(UserWarning):
    """A surprise that does not stop the work."""


def shown(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` on one line, cut to ``limit`` characters for use in a message."""
    try:
        text = " ".join(line.strip() for line in repr(value).splitlines())
    except Exception:  # nested too deeply, too many digits: a message must not fail
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 3] + "..."


@contextmanager
def about(words: str) -> Iterator[None]:
    """Return a block in which the message of a wrong argument begins with these words, where there are any."""
    try:
        yield
    except (ArgumentError, ArgumentTypeError) as error:
        if not words:
            raise
        raise type(error)(f"{words}: {error}") from error


def invalid(argument: str, value: object, fix: str) -> ArgumentError:
    """Return the error for an unusable value, e.g. ``invalid("epochs", -1, "use an integer >= 0")``."""
    return ArgumentError(f"{argument} is {shown(value)}: {fix}")


def wrong_type(argument: str, value: object, fix: str) -> ArgumentTypeError:
    """Return the error for a value of an unusable type."""
    return ArgumentTypeError(f"{argument} is {shown(value)} of type {type(value).__name__}: {fix}")


def unknown_name(
    argument: str, value: object, known: Iterable[str], aliases: Mapping[str, str] | None = None
) -> ArgumentError:
    """Return the error for a name that is not among ``known``; it proposes the nearest one.

    ``aliases`` maps other names for some of them to the known ones.
    """
    names, other = sorted(known), dict(aliases or {})
    near = nearest(str(value), [*names, *other])
    hint = "" if near is None else f"did you mean {other.get(near, near)!r}? "
    return ArgumentError(f"{argument} is {shown(value)}: {hint}known names are {', '.join(names) or 'none yet'}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name among ``known`` that was probably meant, None if no one is like it."""
    lowered = {text.lower(): text for text in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return lowered[near[0]] if near else None
