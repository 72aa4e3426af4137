"""What the steps of a training run need from the host: the optimizer's hyperparameters and the keys of the dropout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelnn.arrays import reference
from accelnn.network.network import Network
from accelnn.training.arguments import FloatArray
from accelnn.training.optimizers import Optimizer
from accelnn.training.schedules import Constant

STEPS_AHEAD = 1024
"""Where the learning rate is constant, hyperparameters are computed for so many steps at once."""


class HyperTable:
    """The optimizer's hyperparameters by step.

    optimizer: with its schedule. epochs: those planned, for the schedule. steps_per_epoch: mini-batches.

    With a constant rate a table of the next steps is kept: short epochs would spend more time on a table of their own
    than on their steps. Any other schedule is asked right before the steps, so it may also change its mind.
    """

    def __init__(self, optimizer: Optimizer, epochs: int, steps_per_epoch: int) -> None:
        self._optimizer, self._schedule = optimizer, optimizer.schedule
        self._epochs, self._steps_per_epoch = max(1, epochs), steps_per_epoch
        self._is_constant = isinstance(self._schedule, Constant)
        self._start = 0
        self._table: FloatArray = np.zeros((0, 0))

    def rows(self, epoch: int, first: int, last: int, done: int) -> FloatArray:
        """Return the hyperparameters (last - first, H) of the steps [first, last) of ``epoch``.

        ``done`` is the number of steps that the optimizer has made before them. The result is not to be changed.
        """
        n_steps = last - first
        if not self._is_constant:
            return self._computed(done, epoch + np.arange(first, last) / self._steps_per_epoch)
        row = done - self._start
        if not 0 <= row <= len(self._table) - n_steps:
            self._start, row = done, 0
            self._table = self._computed(done, np.zeros(max(n_steps, STEPS_AHEAD)))
        return self._table[row : row + n_steps]

    def _computed(self, done: int, epochs: FloatArray) -> FloatArray:
        steps = done + np.arange(len(epochs))
        return self._optimizer.hyper(steps, self._schedule.rates(epochs, self._epochs))


class DropoutKeys:
    """The keys of a network's dropout layers by step; a network without any costs nothing."""

    def __init__(self, network: Network) -> None:
        self._seed, self._n_layers = network.dropout_seed, network.n_dropout

    def rows(self, first: int, n_steps: int) -> npt.NDArray[np.uint32]:
        """Return keys (n_steps, n_dropout, 2) of the network's steps from ``first`` on, over all its trainings."""
        if self._n_layers == 0:
            return np.zeros((n_steps, 0, 2), np.uint32)
        return reference.dropout_keys(self._seed, first + np.arange(n_steps), self._n_layers)
