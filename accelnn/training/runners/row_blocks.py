"""Training and predicting on rows that have to be made dense first: a block of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from accelnn.arrays.sparse_rows import SparseRows
from accelnn.arrays.typing import Array
from accelnn.network.network import Network
from accelnn.training.data import TrainingData

BLOCK_BYTES = 16 << 20
"""Dense rows at a time: many batches, so that making them dense costs little Python, and little memory."""


class BlockRunner:
    """Trains on sparse rows through a runner for dense ones; see :class:`accelnn.training.runners.choice.Runner`.

    data: ``x`` is sparse. make: returns the runner that reads the dense data it is given.

    A block is a number of whole batches of the epoch, the same ones however the steps are cut into chunks.
    """

    def __init__(self, data: TrainingData, batch_size: int, make: Callable[[TrainingData], Any]) -> None:
        assert isinstance(data.x, SparseRows)
        self._x, self._data, self._batch_size = data.x, data, batch_size
        batch_bytes = batch_size * data.x.shape[1] * data.x.itemsize
        n_batches = -(-len(data) // batch_size)
        self._steps = min(n_batches, max(1, BLOCK_BYTES // max(1, batch_bytes)))
        self._block = _empty_block(data, min(len(data), self._steps * batch_size))
        self._inner = make(self._block)
        self._loaded = -1
        self.name: str = self._inner.name

    @property
    def threads(self) -> int:
        """Number of threads that share a step."""
        return int(self._inner.threads)

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Use ``permutation``, int64 (n_rows,), as the order of the rows from now on."""
        self._order, self._loaded = permutation, -1

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        """Train on the mini-batches [first, last); return their losses, float64 (last - first,)."""
        losses = np.empty(last - first)
        while first < last:
            block = first // self._steps
            self._load(block)
            start = block * self._steps
            stop = min(last, start + self._steps)
            n, done = stop - first, len(losses) - (last - first)
            part = slice(done, done + n)
            losses[part] = self._inner.train(first - start, stop - start, hyper[part], dropout_keys[part])
            first = stop
        return losses

    def _load(self, block: int) -> None:
        """Make the rows of a block dense, unless they are."""
        if block == self._loaded:
            return
        start = block * self._steps * self._batch_size
        rows = self._order[start : start + self._steps * self._batch_size]
        n, data = len(rows), self._block
        self._x.take_into(rows, data.x[:n])
        data.y[:n] = self._data.y[rows]
        if data.weights is not None and self._data.weights is not None:
            data.weights[:n] = self._data.weights[rows]
        self._inner.begin_epoch(np.arange(n))
        self._loaded = block


class BlockPredictor:
    """Computes outputs for sparse rows through a predictor for dense ones."""

    def __init__(self, network: Network, inner: Any) -> None:
        self._network, self._inner = network, inner
        self.name: str = inner.name

    def predict(self, x: Array) -> np.ndarray:
        """Return the outputs (n, n_out) for ``x (n, n_in)`` on the host."""
        output = np.empty((len(x), self._network.n_out), self._network.dtype)
        rows = max(1, BLOCK_BYTES // max(1, x.shape[1] * x.itemsize))
        for start in range(0, len(x), rows):
            output[start : start + rows] = self._inner.predict(x[start : start + rows])
        return output

    def predict_on_backend(self, x: Array) -> Array:
        """Return the same as an array of the network's backend."""
        return self._network.backend.asarray(self.predict(x))


def _empty_block(data: TrainingData, rows: int) -> TrainingData:
    weights = None if data.weights is None else np.zeros(rows, data.weights.dtype)
    x = np.zeros((rows, data.x.shape[1]), data.x.dtype)
    return TrainingData(x, np.zeros((rows, *data.y.shape[1:]), data.y.dtype), weights)
