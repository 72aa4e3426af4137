"""The rows of a data set on a CUDA device: all at once where they fit, else piece after piece while others compute."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from accelnn.arrays.cuda.device import Device
from accelnn.arrays.sparse_rows import SparseRows, take_rows
from accelnn.arrays.typing import Array
from accelnn.training.runners.device_net import Inputs


class Piece(NamedTuple):
    """Steps [first, last) of the epoch whose inputs are on the device; ``inputs`` says where."""

    first: int
    last: int
    inputs: Inputs


class InputRows(Protocol):
    """Brings the inputs of the steps of an epoch to the device; ``inputs`` are all places where they may lie."""

    inputs: list[Inputs]

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Use ``permutation``, int64 (n_rows,), as the order of the rows from now on."""
        ...

    def pieces(self, first: int, last: int) -> Iterator[Piece]:
        """Yield the steps [first, last) in pieces.

        The caller starts a piece's steps before it asks for the next one: that is when the copies of the next one
        are started.
        """
        ...


class ResidentRows:
    """All rows lie on the device.

    x: (n, n_in) of uint8, float32 or float64, host or device; the elements of a row are neighbours.
    order: the permutation on the device, int64 (n,).
    """

    def __init__(self, device: Device, x: Array, order: Array) -> None:
        self._x, stride = x, x.strides[0] // x.dtype.itemsize
        if not device.holds(x):
            self._x, stride = device.zeros(x.size, x.dtype), x.shape[1]
            device.upload(self._x, np.ascontiguousarray(x).reshape(-1))
        self.inputs = [Inputs(device.address(self._x), str(x.dtype), stride, device.address(order))]

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """The rows are looked up through the order on the device."""

    def pieces(self, first: int, last: int) -> Iterator[Piece]:
        """Yield all steps as one piece."""
        yield Piece(first, last, self.inputs[0])


class StreamedRows:
    """Rows that do not fit on the device: gathered on the host, copied in pieces, two of which are there at a time.

    x: host rows (n, n_in), dense or sparse. batch_size: rows of a step. buffer_bytes: the size of one of the two
    buffers; it holds one step at least.

    While the device works on one piece, the host gathers the next one into page-locked memory and a second stream
    copies it.
    """

    def __init__(self, device: Device, x: np.ndarray | SparseRows, batch_size: int, buffer_bytes: int) -> None:
        self._device, self._x, self._batch_size = device, x, batch_size
        row_bytes = max(1, x.shape[1] * x.itemsize)
        self.steps_of_a_piece = max(1, buffer_bytes // (row_bytes * batch_size))
        rows = min(self.steps_of_a_piece * batch_size, len(x))
        self._transfers = [device.transfer(rows * x.shape[1], x.dtype) for _ in range(2)]
        # Row r of the epoch is row r % rows of its piece: the same for all epochs, so it is written once.
        places = device.zeros(len(x), np.int64)
        device.upload(places, np.arange(len(x)) % (self.steps_of_a_piece * batch_size))
        self._keep = places
        self.inputs = [
            Inputs(device.address(transfer.target), str(x.dtype), x.shape[1], device.address(places))
            for transfer in self._transfers
        ]

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Gather the rows in this order."""
        self._permutation = permutation

    def pieces(self, first: int, last: int) -> Iterator[Piece]:
        """Yield the steps by pieces of the epoch; the copy of the next piece runs beside the work on this one."""
        bounds = self._bounds(first, last)
        self._send(bounds[0])
        for number, (start, stop) in enumerate(bounds):
            transfer = self._transfers[self._slot(start)]
            transfer.await_copy()
            yield Piece(start, stop, self.inputs[self._slot(start)])
            transfer.mark_used()
            if number + 1 < len(bounds):
                self._send(bounds[number + 1])

    def _bounds(self, first: int, last: int) -> list[tuple[int, int]]:
        """Cut [first, last) where the pieces of the epoch end."""
        n = self.steps_of_a_piece
        cuts = [first, *range((first // n + 1) * n, last, n), last]
        return list(itertools.pairwise(cuts))

    def _slot(self, step: int) -> int:
        return 0 if step // self.steps_of_a_piece % 2 == 0 else 1

    def _send(self, bounds: tuple[int, int]) -> None:
        """Gather the rows of these steps and start their copy, behind the work that still reads the buffer."""
        rows_of_a_piece = self.steps_of_a_piece * self._batch_size
        start, stop = bounds[0] * self._batch_size, min(bounds[1] * self._batch_size, len(self._permutation))
        n_in = self._x.shape[1]
        transfer = self._transfers[self._slot(bounds[0])]
        host = transfer.await_free().reshape(-1, n_in)
        offset = start % rows_of_a_piece
        part = host[offset : offset + stop - start]
        take_rows(self._x, self._permutation[start:stop], part)
        transfer.send(offset * n_in, (offset + stop - start) * n_in)


def place_rows(device: Device, x: Array, order: Array, batch_size: int, resident_bytes: int) -> InputRows:
    """Return ``x`` on the device, resident if it has at most ``resident_bytes`` or is on the device already.

    Sparse rows are streamed: they are made dense piece by piece.
    """
    if not isinstance(x, SparseRows) and (device.holds(x) or x.nbytes <= resident_bytes):
        return ResidentRows(device, x, order)
    return StreamedRows(device, x, batch_size, min(resident_bytes // 4, STREAM_BYTES))


STREAM_BYTES = 256 << 20
"""A buffer of this size takes the bus long enough to hide what it costs to start a copy."""
