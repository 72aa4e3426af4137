"""The plain runner: the training step in ordinary array code, for any backend and any layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelnn.arrays import Backend, PlainOps
from accelnn.arrays.backend import RESIDENT_SHARE
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.arrays.typing import Array
from accelnn.network.losses import resolve_loss
from accelnn.network.network import Network
from accelnn.training.data import TrainingData
from accelnn.training.objective import USUAL, Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners import step
from accelnn.training.runners.plain_operations import PlainNet


class PlainRunner:
    """Trains through ``Layer.forward`` and ``Layer.backward``; see :class:`accelnn.training.runners.choice.Runner`."""

    name = "plain"
    threads = 1
    net_class = PlainNet

    def __init__(
        self,
        network: Network,
        data: TrainingData,
        loss: str,
        optimizer: Optimizer,
        moments: tuple[Array, ...],
        batch_size: int,
        ops: PlainOps,
        objective: Objective = USUAL,
    ) -> None:
        asarray = network.backend.asarray
        self._net = self.net_class(
            network,
            _placed(data.x, network.backend),
            batch_size,
            scores=resolve_loss(loss).fused_activation is not None,
            ops=ops,
            y=asarray(data.y),
            weights=None if data.weights is None else asarray(data.weights),
            loss=loss,
            update_name=optimizer.update_name,
            moments=moments,
            clip_norm=optimizer.clip_norm,
            clip_value=optimizer.clip_value,
            objective=objective,
        )

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Use ``permutation``, int64 (n_rows,), as the order of the rows from now on."""
        self._net.permutation = self._net.network.backend.asarray(permutation)

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        """Train on the mini-batches [first, last); return their losses, float64 (last - first,)."""
        net = self._net
        net.first_step, net.hyper, net.dropout_keys = first, hyper, dropout_keys
        losses = np.zeros(last - first)
        # A loss that is not finite is the business of the training loop, which says what may have caused it.
        with net.network.backend.active(), np.errstate(over="ignore", invalid="ignore"):
            step.train_steps(net, first, last, losses)
        return losses


class PlainPredictor:
    """Computes outputs through ``Layer.forward``."""

    name = "plain"

    def __init__(self, network: Network, batch_size: int, ops: PlainOps, *, scores: bool) -> None:
        self._network, self._batch_size, self._ops, self._scores = network, batch_size, ops, scores

    def predict(self, x: Array) -> np.ndarray:
        """Return the outputs (n, n_out) for ``x (n, n_in)`` on the host."""
        return self._filled(x, np.empty((len(x), self._network.n_out), self._network.dtype))  # type: ignore[no-any-return]

    def predict_on_backend(self, x: Array) -> Array:
        """Return the outputs (n, n_out) for ``x (n, n_in)`` as an array of the network's backend."""
        backend = self._network.backend
        with backend.active():
            dtype = getattr(backend.xp, self._network.dtype)
            return self._filled(x, backend.xp.empty((len(x), self._network.n_out), dtype=dtype))

    def _filled(self, x: Array, predictions: Array) -> Array:
        network = self._network
        net: Any = PlainNet(network, _placed(x, network.backend), self._batch_size, self._scores, self._ops)
        net.permutation = network.backend.asarray(np.arange(len(x)))
        net.predictions = predictions
        with network.backend.active(), np.errstate(over="ignore", invalid="ignore"):
            step.predict_steps(net, 0, -(-len(x) // self._batch_size))
        return predictions


def _placed(x: Array | SparseRows, backend: Backend) -> Array | SparseRows:
    """Return rows where batches are taken from: on the backend, or on the host where they are sparse or do not fit."""
    if isinstance(x, SparseRows):
        return x
    if isinstance(x, np.ndarray) and backend.name == "cuda" and x.nbytes > RESIDENT_SHARE * backend.free_bytes():
        return x
    return backend.asarray(x)
