"""Checks of the arguments that reach the network floor.

Each function returns the value in the type the code works with, or raises an error of
`accelnn.errors` that names the argument, the value that was seen and the fix.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping

import numpy as np

from accelnn.errors import invalid, unknown_name, wrong_type


def integer(argument: str, value: object, minimum: int = 1) -> int:
    """Return ``value`` as an ``int`` of at least ``minimum``; ``True`` and ``2.0`` are not integers."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise wrong_type(argument, value, f"use an integer >= {minimum}")
    if value < minimum:
        raise invalid(argument, value, f"use an integer >= {minimum}")
    return int(value)


def number(argument: str, value: object, minimum: float = -math.inf) -> float:
    """Return ``value`` as a finite ``float`` of at least ``minimum``."""
    bound = "" if minimum == -math.inf else f" >= {minimum:g}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise wrong_type(argument, value, f"use a finite number{bound}")
    try:
        result = float(value)
    except OverflowError:  # an integer beyond 1.8e308
        result = math.inf
    if not math.isfinite(result) or result < minimum:
        raise invalid(argument, value, f"use a finite number{bound}")
    return result


def flag(argument: str, value: object) -> bool:
    """Return ``value`` as a ``bool``; only ``True`` and ``False`` are accepted."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_type(argument, value, "use True or False")
    return bool(value)


def text(argument: str, value: object) -> str:
    """Return ``value`` if it is a non-empty string."""
    if not isinstance(value, str):
        raise wrong_type(argument, value, "use a string")
    if not value:
        raise invalid(argument, value, "use a string that is not empty")
    return value


def own_name(
    argument: str,
    value: object,
    known: Iterable[str],
    aliases: Mapping[str, str],
    example: str,
    absent: Mapping[str, str] | None = None,
) -> str:
    """Return accelnn's own name of what ``value`` means: one of ``known``, or another library's name for it.

    ``aliases`` maps those names to the known ones, ``absent`` maps names of what accelnn does not have to what to do.
    Raises ``ArgumentTypeError`` for what is not a string, with a call by name as the fix where it is called like one of
    them or else with the ``example``; ``ArgumentError`` for an unknown name.
    """
    own = {**aliases, **{name: name for name in known}}
    if isinstance(value, str):
        if value in own:
            return own[value]
        if absent and value in absent:
            raise invalid(argument, value, absent[value])
        raise unknown_name(argument, value, set(own.values()), aliases)
    called = getattr(value, "__name__", type(value).__name__)
    raise wrong_type(argument, value, f"use a name such as {own.get(called, example)!r}")


def host_array(argument: str, value: object, dtype: str = "float64") -> np.ndarray:
    """Return a C-ordered copy of ``value`` on the host in ``dtype``, all of it finite.

    A device array is refused rather than copied in silence, and a masked array because some of it is missing.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise wrong_type(argument, value, "fill in the masked values first, for example with filled(0)")
    try:
        source = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise wrong_type(argument, value, "use a NumPy array or nested lists of numbers") from error
    if source.dtype.kind not in "fiu":
        raise wrong_type(argument, value, "use an array of real numbers")
    with np.errstate(over="ignore", under="ignore"):  # an overflow becomes inf, which is refused below
        result = np.array(source, dtype=dtype, order="C")
    if not np.isfinite(result).all():
        raise invalid(argument, value, f"use values that are finite in {dtype}")
    return result
