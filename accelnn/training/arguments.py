"""Checks of the rates, fractions and amounts that callers hand to the training floor.

They accept every real number type (Python, NumPy scalars), refuse booleans, which are integers to Python
and mistakes to a reader, and word the error with the range that is allowed. Other integers and flags are
checked by ``accelnn.network.arguments``.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from accelnn.errors import ShapeError, invalid, wrong_type
from accelnn.messages import warn
from accelnn.network.arguments import integer
from accelnn.network.layers.normalization import BatchNorm
from accelnn.network.network import Network

FloatArray: TypeAlias = npt.NDArray[np.float64]

AUTO_BATCH_SIZE = 32

_COMPARISONS: Final[dict[str, tuple[str, Callable[[float, float], bool]]]] = {
    "above": (">", operator.gt),
    "at_least": (">=", operator.ge),
    "below": ("<", operator.lt),
    "at_most": ("<=", operator.le),
}


def checked_number(argument: str, value: object, **bounds: float) -> float:
    """Return ``value`` as a finite Python float within ``bounds``.

    Args:
        argument: name of the argument, for the message.
        value: what the caller gave.
        **bounds: any of ``above``, ``at_least``, ``below``, ``at_most``.

    Raises:
        ArgumentTypeError: not a real number (booleans, strings, arrays and None are not).
        ArgumentError: NaN, infinite or out of bounds.

    """
    ranges = " and ".join(f"{_COMPARISONS[key][0]} {bound:g}" for key, bound in bounds.items())
    fix = f"use a finite number {ranges}".rstrip()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong_type(argument, value, fix)
    number = _as_float(value)
    inside = all(_COMPARISONS[key][1](number, bound) for key, bound in bounds.items())
    if not (math.isfinite(number) and inside):
        raise invalid(argument, value, fix)
    return number


def real_number(name: str, value: object) -> float:
    """Return what was measured as a Python float: any real number, NaN and infinity too, also an array of no dimension.

    Raises:
        ArgumentTypeError: anything else, truth values among it; ``name`` says what it is.

    """
    if type(value) is float:  # nearly always, and the questions below take longer than a step of a small network
        return value
    number = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise wrong_type(name, value, "record a real number; a metric returns one float")
    return float(number)


def checked_amounts(argument: str, values: npt.ArrayLike) -> FloatArray:
    """Return ``values`` (any shape) as a float64 array of finite numbers >= 0.

    Raises:
        ArgumentTypeError: not an array of numbers.
        ArgumentError: an entry that is negative, NaN or infinite.

    """
    try:
        amounts = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise wrong_type(argument, values, "use an array of numbers >= 0") from error
    wrong = amounts[~(np.isfinite(amounts) & (amounts >= 0))]
    if wrong.size:
        raise invalid(f"an entry of {argument}", float(wrong[0]), "use finite numbers >= 0")
    return amounts


def checked_batch_size(batch_size: int | str | None, n: int, network: Network, *, is_chunk: bool = False) -> int:
    """Return how many of ``n`` rows make a mini-batch, with a warning if that is not what the user asked for.

    Where ``network`` has a BatchNorm, no batch may be a single row.
    """
    size = _fitting_batch_size(batch_size, n, is_chunk=is_chunk)
    return _without_single_rows(size, n) if any(isinstance(item, BatchNorm) for item in network.layers) else size


def _without_single_rows(size: int, n: int) -> int:
    """Return the size, or the next that leaves no batch of a single row at the end of ``n`` rows."""
    if n == 1:
        raise ShapeError("x has a single row, whose variance is 0: train a network with BatchNorm on 2 rows or more")
    if size == 1:
        fix = "use 2 or more, or LayerNorm in the place of BatchNorm: the variance of a single row is 0"
        raise invalid("batch_size", size, fix)
    larger = size
    while n % larger == 1:
        larger += 1
    if larger > size:
        warn(
            f"batches have {larger} rows instead of {size}: of {n} rows, a single one would be left for the last "
            "batch, and BatchNorm divides by its variance of 0"
        )
    return larger


def _fitting_batch_size(batch_size: int | str | None, n: int, *, is_chunk: bool) -> int:
    if batch_size is None:
        return n
    if isinstance(batch_size, str) and batch_size == "auto":
        return min(AUTO_BATCH_SIZE, n)
    size = integer("batch_size", batch_size)
    if size > n and not is_chunk:  # the last of many chunks may well be small
        message = f"batch_size is {size} and there are only {n} rows: all rows make one batch"
        warn(message)
    return min(size, n)


def checked_threads(threads: int | None) -> int | None:
    """Return the limit of the threads, None where there is none."""
    return None if threads is None else integer("threads", threads)


def _as_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return math.inf
