"""The loss over a whole data set and its gradient, for optimizers that step through all parameters at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelnn.network.network import Network
from accelnn.training.arguments import FloatArray
from accelnn.training.data import TrainingData
from accelnn.training.objective import Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners.choice import choose_runner

ROWS_AT_A_TIME = {"cpu": 512, "cuda": 16384}
"""Rows of a batch by backend: on a CPU its activations stay in the cache, a CUDA device wants to be filled."""


@dataclass(frozen=True)
class GradientSum(Optimizer):
    """Takes no step: adds up gradients of batches, each times its share of the data."""

    learning_rate: float = 1.0

    @property
    def update_name(self) -> str:
        """``"accumulate"``."""
        return "accumulate"

    @property
    def n_moments(self) -> int:
        """The sum."""
        return 1

    def columns(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> tuple[FloatArray | float, ...]:
        """Return the shares."""
        return (rates,)


class FullGradient:
    """Loss and gradient of a network on all of ``data``, as a function of its parameters.

    network: it is built, and its parameters change with every call. loss: the name of a loss that is a mean over rows.
    objective: ``penalty_per_row`` has no meaning here, the penalties count once for the whole data.

    The rows are passed through the network a batch after the other, by the fastest runner there is. A network with
    dropout would give another function in every call, one with batch normalization one that depends on the batches.
    """

    def __init__(self, network: Network, data: TrainingData, loss: str, objective: Objective) -> None:
        self._network = network
        size = min(len(data), ROWS_AT_A_TIME[network.backend.name])
        with network.backend.active():
            self._sum = network.backend.xp.zeros_like(network.arena.values)
        once = Objective(objective.loss_scale)
        arguments = (network, data, loss, GradientSum(), (self._sum,), size)
        self._runner = choose_runner("auto", *arguments, objective=once)
        self._runner.begin_epoch(np.arange(len(data)))
        self._shares = _shares(data, size)

    def __call__(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss, penalties included, and its gradient, float64 (n,), at the parameters ``values (n,)``.

        The order is that of the network's arena: ``W`` and ``b`` of each layer in turn, row after row.
        """
        arena, backend, n_steps = self._network.arena, self._network.backend, len(self._shares)
        with backend.active():
            arena.values[...] = backend.asarray(values.astype(arena.dtype))
            self._sum[...] = 0.0
        no_keys = np.zeros((n_steps, 0, 2), np.uint32)
        losses = self._runner.train(0, n_steps, self._shares[:, None], no_keys)
        gradient = np.array(backend.to_host(self._sum), np.float64)
        return float(self._shares @ losses), gradient


def _shares(data: TrainingData, batch_size: int) -> np.ndarray:
    """Return which part of the loss each batch is, float64 (n_batches,)."""
    weights = np.ones(len(data)) if data.weights is None else data.weights
    sums = np.add.reduceat(weights, np.arange(0, len(data), batch_size))
    return np.asarray(sums / sums.sum())
