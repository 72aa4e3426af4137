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

    optimizer: with its schedule. epochs: those planned, for the schedule. steps_per_epoch: mini-batches. rate: one that
    has been set before, or None.

    With a constant rate a table of the next steps is kept: short epochs would spend more time on a table of their own
    than on their steps. Any other schedule is asked right before the steps, so it may also change its mind. A rate that
    is set replaces the schedule from its step on; earlier ones are kept for whoever runs steps again.
    """

    def __init__(self, optimizer: Optimizer, epochs: int, steps_per_epoch: int, rate: float | None = None) -> None:
        self._optimizer, self._schedule = optimizer, optimizer.schedule
        self._epochs, self._steps_per_epoch = max(1, epochs), steps_per_epoch
        self._is_constant = isinstance(self._schedule, Constant)
        self._set: list[tuple[int, float]] = [] if rate is None else [(0, rate)]
        self._start, self._ahead = 0, STEPS_AHEAD
        self._table: FloatArray = np.zeros((0, 0))

    def set_rate(self, rate: float, done: int) -> None:
        """Use ``rate`` (>= 0) for all steps that come after ``done`` of them, until it is set again."""
        self._set.append((done, rate))
        self._table = np.zeros((0, 0))
        self._ahead = 0  # rates that change after every epoch should not pay for steps that never come

    def rate(self, epoch: int, step: int, done: int) -> float:
        """Return the learning rate of a step; the arguments are as for ``rows``."""
        return float(self._rates(np.array([epoch + step / self._steps_per_epoch]), np.array([done]))[0])

    def forget_before(self, done: int) -> None:
        """Forget the rates that were set for steps before ``done`` only."""
        n_over = sum(start <= done for start, _ in self._set)
        del self._set[: max(0, n_over - 1)]

    def rows(self, epoch: int, first: int, last: int, done: int) -> FloatArray:
        """Return the hyperparameters (last - first, H) of the steps [first, last) of ``epoch``.

        ``done`` is the number of steps that the optimizer has made before them. The result is not to be changed.
        """
        n_steps = last - first
        if not (self._is_constant or (self._set and self._set[0][0] <= done)):
            return self._computed(done, epoch + np.arange(first, last) / self._steps_per_epoch)
        row = done - self._start
        if not 0 <= row <= len(self._table) - n_steps:
            self._start, row = done, 0
            self._table = self._computed(done, np.zeros(max(n_steps, self._ahead)))
            self._ahead = STEPS_AHEAD
        return self._table[row : row + n_steps]

    def _computed(self, done: int, epochs: FloatArray) -> FloatArray:
        steps = done + np.arange(len(epochs))
        return self._optimizer.hyper(steps, self._rates(epochs, steps))

    def _rates(self, epochs: FloatArray, steps: npt.NDArray[np.int64]) -> FloatArray:
        if not self._set:
            return self._schedule.rates(epochs, self._epochs)
        latest = np.searchsorted([start for start, _ in self._set], steps, side="right")
        rates: FloatArray = np.array([0.0, *(rate for _, rate in self._set)])[latest]
        scheduled = latest == 0
        if scheduled.any():
            rates[scheduled] = self._schedule.rates(epochs[scheduled], self._epochs)
        return rates


class DropoutKeys:
    """The keys of a network's dropout layers by step; a network without any costs nothing."""

    def __init__(self, network: Network) -> None:
        self._seed, self._n_layers = network.dropout_seed, network.n_dropout

    def rows(self, first: int, n_steps: int) -> npt.NDArray[np.uint32]:
        """Return keys (n_steps, n_dropout, 2) of the network's steps from ``first`` on, over all its trainings."""
        if self._n_layers == 0:
            return np.zeros((n_steps, 0, 2), np.uint32)
        return reference.dropout_keys(self._seed, first + np.arange(n_steps), self._n_layers)
