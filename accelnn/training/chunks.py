"""Data that come in chunks, from an iterator: all of them together need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from accelnn.arrays.float_errors import callers_float_errors
from accelnn.errors import ArgumentError, invalid, wrong_type
from accelnn.network.losses import resolve_loss
from accelnn.training.data import TrainingData


class Chunk(NamedTuple):
    """Inputs, targets and weights that are not checked yet; ``name`` is what an error is about, or empty."""

    x: Any
    y: Any
    sample_weight: Any = None
    name: str = ""


def chunks_of(x: Any, y: Any, sample_weight: Any) -> Iterator[Chunk]:
    """Return the chunks of an iterator of ``(x, y)`` or ``(x, y, sample_weight)``, or the arrays as the only one.

    Raises ArgumentError for an iterator beside other arguments, and one without chunks; ArgumentTypeError for a chunk
    that is no such tuple.
    """
    if not isinstance(x, Iterator):
        if y is None:
            fix = "give the targets of x, or in the place of both an iterator: iter(chunks) of a list of (x, y)"
            raise wrong_type("y", y, fix)
        yield Chunk(x, y, sample_weight)
        return
    for name, other in (("y", y), ("sample_weight", sample_weight)):
        if other is not None:
            raise invalid(name, other, "leave it out where x is an iterator: its chunks are (x, y) or (x, y, weights)")
    number = 0
    for number, chunk in enumerate(_items(x), 1):
        if not isinstance(chunk, (tuple, list)) or len(chunk) not in (2, 3):
            raise wrong_type(f"chunk {number} of x", chunk, "use (x, y) or (x, y, sample_weight)")
        weights = chunk[2] if len(chunk) == 3 else None
        yield Chunk(chunk[0], chunk[1], weights, f"chunk {number} of x")
    if number == 0:
        raise _used_up(x)


def rows_of_chunks(x: Any) -> Iterator[Any]:
    """Return the inputs of an iterator of inputs, or the array as the only one; ArgumentError if there are none."""
    if not isinstance(x, Iterator):
        yield x
        return
    rows = None
    for rows in _items(x):
        yield rows
    if rows is None:
        raise _used_up(x)


def _items(iterator: Iterator[Any]) -> Iterator[Any]:
    """Return the items of an iterator of the user's, whose code is as outside of accelnn."""
    taken = callers_float_errors()(next)
    while (item := taken(iterator, _NO_MORE)) is not _NO_MORE:
        yield item


_NO_MORE = object()


def _used_up(x: object) -> ArgumentError:
    return invalid("x", x, "use an iterator that has a chunk left: a generator can be used only once")


class LossOfChunks:
    """``value`` is the loss of all chunks so far: the mean weighted by rows, or the sum for losses that are sums."""

    def __init__(self, loss: str) -> None:
        self._is_mean = resolve_loss(loss).reduction == "mean"
        self.value = self._weight = 0.0

    def add(self, loss: float, data: TrainingData) -> None:
        """Add the loss of a chunk."""
        if not self._is_mean:
            self.value += loss
            return
        weight = float(len(data) if data.weights is None else data.weights.sum())
        self._weight += weight
        if weight > 0.0:
            self.value += (loss - self.value) * (weight / self._weight)  # that of a single chunk stays what it is
