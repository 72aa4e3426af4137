"""From an exception to one line on standard error and an exit code.

0: done. 1: the run failed. 2: bad usage or bad input. 130: Ctrl-C.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from accelnn.errors import AccelnnError, AccelnnWarning, DivergenceError, nearest, unknown_name
from accelnn.habits import same_argument
from accelnn.messages import Display, say

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


class CommandError(Exception):
    """End the command with this message and exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CommandLine(TyperGroup):
    """All commands; whatever goes wrong in one of them ends here."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit. Arguments are those of Typer; errors are always handled."""
        extra["standalone_mode"] = False
        _write_all_characters()
        sys.exit(exit_code_of(lambda: super(CommandLine, self).main(*args, **extra)))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a wrong name proposes the nearest."""
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown_name("the command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run ``command``, tell in one line what went wrong, and return the exit code.

    ``command`` may return an exit code too, as Typer does. An error that nobody foresaw is a fault of accelnn and
    keeps its traceback.
    """
    try:
        with notices():
            result = command()
            if sys.stdout is not None:  # else it was closed by whoever began the process
                sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        _leave_standard_output()
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except Exception as error:
        described = _describe(error)
        if described is None:
            raise
        complain(described[0])
        return described[1]
    if result == INTERRUPTED:
        complain("interrupted")
    return result if isinstance(result, int) else 0


def _leave_standard_output() -> None:
    """Let what is still to be written go nowhere: Python tries it once more when the process ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_all_characters() -> None:
    """Let characters that a terminal does not have, in the name of a file for one, be written with backslashes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(message: str) -> None:
    """Write one line to standard error."""
    say(f"accelnn: {' '.join(message.split())}", sys.stderr)


def _describe(error: Exception) -> tuple[str, int] | None:
    """Return the message and the exit code of an error, None if it is not one of those that may happen."""
    if isinstance(error, CommandError):
        return str(error), error.exit_code
    if isinstance(error, AccelnnError):
        # A value or a type is the caller's; what is left is the machine's or the training's.
        is_misuse = isinstance(error, (ValueError, TypeError)) and not isinstance(error, DivergenceError)
        return str(error), MISUSED if is_misuse else FAILED
    if isinstance(error, MemoryError):
        return f"not enough memory: {str(error) or 'use smaller layers or less data'}", FAILED
    if isinstance(error, OSError):
        return str(error), FAILED
    # Typer's own errors; their classes have moved between its versions, what they offer has not.
    return (_usage(error), MISUSED) if hasattr(error, "format_message") else None


def _usage(error: Any) -> str:
    """Word one of Typer's errors; a wrong option proposes the nearest."""
    context = error.ctx
    message = str(error.format_message())
    if hasattr(error, "possibilities"):
        flags = [name for parameter in context.command.get_params(context) for name in parameter.opts]
        near = same_flag(error.option_name, flags)
        message = f"there is no option {error.option_name}" + (f": did you mean {near}?" if near else "")
    return f"{message} ('{context.command_path} --help' explains all options)" if context else message


def same_flag(given: str, flags: Collection[str]) -> str | None:
    """Return the flag that is meant by one of another program, or the nearest."""
    known = {flag.lstrip("-").replace("-", "_"): flag for flag in flags}
    same = same_argument(given.lstrip("-").replace("-", "_"), known)
    return nearest(given, flags) if same is None else known[same]


@contextmanager
def notices() -> Iterator[None]:
    """Show warnings of accelnn as one line each, and on a terminal also what takes time."""
    logger = logging.getLogger("accelnn")
    handler = _Notices()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if Display(sys.stderr).isatty() else logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", AccelnnWarning)
            # NumPy's words for a loss that is about to become NaN, which will be an error with its likely causes.
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
            warnings.showwarning = lambda message, *_, **__: complain(f"warning: {message}")
            yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


class _Notices(logging.Handler):
    """Shows warnings, and of the rest what takes time."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING or record.module in ("download", "notice"):
            complain(record.getMessage())
