"""Readers of the numbers on the command line: their errors name the flag, the value and what to use instead."""

from __future__ import annotations

from collections.abc import Callable

from accelnn.cli.failures import MISUSED, CommandError
from accelnn.errors import shown


def whole_number(flag: str, minimum: int) -> Callable[[str], int]:
    """Return a function that reads an integer of at least ``minimum``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise CommandError(f"{flag} is {shown(text)}: use an integer >= {minimum}", MISUSED)
        return value

    return read


def number(flag: str) -> Callable[[str], float]:
    """Return a function that reads a number."""

    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise CommandError(f"{flag} is {shown(text)}: use a number", MISUSED) from None

    return read
