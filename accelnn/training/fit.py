"""The training loop: epochs of chunks of steps. Between two chunks Python has the word, inside one it has not."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field

import numpy as np

from accelnn.arrays import reference
from accelnn.arrays.typing import Array
from accelnn.errors import AccelnnWarning, DivergenceError
from accelnn.network.losses import resolve_loss
from accelnn.network.network import Network
from accelnn.training.callbacks import CallbackList, TrainingPlan
from accelnn.training.data import TrainingData
from accelnn.training.evaluation import Evaluator
from accelnn.training.history import History
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners import Runner, choose_runner

CHUNK_S = 0.1
"""A chunk should last so long: short enough for progress and Ctrl-C, long enough to make Python's part vanish."""


@dataclass
class OptimizerState:
    """What an optimizer remembers between steps: its moments, on the backend, and how many steps it has taken."""

    optimizer: Optimizer
    moments: tuple[Array, ...]
    steps: int = 0

    @classmethod
    def fresh(cls, optimizer: Optimizer, network: Network) -> OptimizerState:
        """Return the state before the first step: all moments are 0."""
        xp = network.backend.xp
        with network.backend.active():
            return cls(optimizer, tuple(xp.zeros_like(network.arena.values) for _ in range(optimizer.n_moments)))


@dataclass(frozen=True)
class Settings:
    """The settings of a training run, checked. ``rows`` are the rows of the data to train on, int64."""

    loss: str
    epochs: int
    batch_size: int
    shuffle: bool
    runner: str
    rows: np.ndarray

    @property
    def steps_per_epoch(self) -> int:
        """The number of mini-batches of an epoch; a last, partial one counts."""
        return -(-len(self.rows) // self.batch_size)


@dataclass
class Training:
    """One training run of a network."""

    network: Network
    data: TrainingData
    settings: Settings
    state: OptimizerState
    callbacks: CallbackList
    evaluators: dict[str, Evaluator] = field(default_factory=dict)
    history: History = field(default_factory=History)

    def run(self) -> History:
        """Train for all epochs, or until a callback or Ctrl-C stops it.

        Raises DivergenceError when a loss is not a finite number.
        """
        settings = self.settings
        self._seconds_per_step: float | None = None
        self._runner = self._choose_runner()
        self.history.runner = self._runner.name
        try:
            self.callbacks.on_train_begin(self.network, self._plan())
            for epoch in range(settings.epochs):
                if self._run_epoch(epoch):
                    self.history.stopped_because = self.callbacks.stop_reason
                    break
        except KeyboardInterrupt:
            self.history.interrupted = True
            warnings.warn("training was interrupted; the model keeps what it has learned", AccelnnWarning, stacklevel=3)
        finally:
            self.callbacks.on_train_end(self.network, self.history)
        return self.history

    def _choose_runner(self) -> Runner:
        s = self.settings
        optimizer, moments = self.state.optimizer, self.state.moments
        return choose_runner(s.runner, self.network, self.data, s.loss, optimizer, moments, s.batch_size)

    def _plan(self) -> TrainingPlan:
        s = self.settings
        recorded = ("loss", "seconds", "samples_per_s", *(name for e in self.evaluators.values() for name in e.names))
        return TrainingPlan(s.epochs, s.steps_per_epoch, len(s.rows), s.batch_size, self._runner.name, recorded)

    def _run_epoch(self, epoch: int) -> bool:
        """Train for one epoch and record it; return whether to stop."""
        self.callbacks.on_epoch_begin(self.network, epoch)
        start_s = time.perf_counter()
        rows = self.settings.rows
        order = self.network.shuffle_rng.permutation(rows) if self.settings.shuffle else rows
        self._runner.begin_epoch(order)
        loss = self._run_chunks(epoch, order)
        seconds = time.perf_counter() - start_s
        values = {"loss": loss, "seconds": seconds, "samples_per_s": len(rows) / seconds}
        for evaluator in self.evaluators.values():
            values |= evaluator.evaluate()
        return self.callbacks.on_epoch_end(self.network, epoch, self.history.record(**values))

    def _run_chunks(self, epoch: int, order: np.ndarray) -> float:
        """Run all steps of an epoch; return the loss of the epoch."""
        n_steps = self.settings.steps_per_epoch
        mean = EpochLoss(self.settings, self.data, order)
        first = 0
        while first < n_steps:
            last = min(n_steps, first + self._chunk_steps())
            losses = self._run_chunk(epoch, first, last)
            mean.add(first, losses)
            self.callbacks.on_chunk_end(self.network, epoch, last, n_steps, mean.value)
            first = last
        return mean.value

    def _run_chunk(self, epoch: int, first: int, last: int) -> np.ndarray:
        steps = self.state.steps + np.arange(last - first)
        hyper = self._hyper(epoch, first, last, steps)
        masks = self.network.steps_trained + np.arange(last - first)
        keys = reference.dropout_keys(self.network.dropout_seed, masks, self.network.n_dropout)
        start_s = time.perf_counter()
        losses = self._runner.train(first, last, hyper, keys)
        if last < self.settings.steps_per_epoch or self._seconds_per_step is None:
            self._measure((time.perf_counter() - start_s) / (last - first))  # not the short last batch
        self.state.steps += last - first
        self.network.steps_trained += last - first
        self._check_finite(epoch, first, losses)
        return losses

    def _hyper(self, epoch: int, first: int, last: int, steps: np.ndarray) -> np.ndarray:
        """Return the optimizer's hyperparameters of the steps [first, last) of an epoch."""
        epochs = epoch + np.arange(first, last) / self.settings.steps_per_epoch
        optimizer = self.state.optimizer
        rates = optimizer.schedule.rates(epochs, max(1, self.settings.epochs))
        return optimizer.hyper(steps, rates)

    def _chunk_steps(self) -> int:
        """Return how many steps to run in one go: one at first, then as many as ``CHUNK_S`` allows."""
        if self._seconds_per_step is None:
            return 1
        return max(1, int(CHUNK_S / self._seconds_per_step))

    def _measure(self, seconds_per_step: float) -> None:
        """Remember the fastest step: the first one may have compiled something."""
        before = self._seconds_per_step
        self._seconds_per_step = seconds_per_step if before is None else min(before, seconds_per_step)

    def _check_finite(self, epoch: int, first: int, losses: np.ndarray) -> None:
        if np.isfinite(losses).all():
            return
        step = first + int(np.argmin(np.isfinite(losses)))
        raise DivergenceError(
            f"the loss is {losses[step - first]} in epoch {epoch + 1}, "
            f"step {step + 1} of {self.settings.steps_per_epoch}: "
            "likely causes are a learning rate that is too high (try a tenth, or clip_norm=1.0) "
            "or inputs that are not scaled (try values around -1..1)"
        )


class EpochLoss:
    """The loss of an epoch from the losses of its steps: their mean weighted by rows, or their sum for sums."""

    def __init__(self, settings: Settings, data: TrainingData, order: np.ndarray) -> None:
        self._is_mean = resolve_loss(settings.loss).reduction == "mean"
        starts = np.arange(0, len(order), settings.batch_size)
        if data.weights is None:
            self._weights = np.diff(np.append(starts, len(order))).astype(np.float64)
        else:
            self._weights = np.add.reduceat(data.weights[order], starts)
        # One by one, because sums of chunks would be rounded differently from run to run: time decides their lengths.
        self._losses = np.zeros(len(starts))
        self._n_done = 0

    def add(self, first: int, losses: np.ndarray) -> None:
        """Add the losses of the steps from ``first`` on."""
        self._n_done = first + len(losses)
        self._losses[first : self._n_done] = losses

    @property
    def value(self) -> float:
        """The loss so far."""
        losses, weights = self._losses[: self._n_done], self._weights[: self._n_done]
        if not self._is_mean:
            return float(losses.sum())
        total = float(weights.sum())
        return float((weights * losses).sum()) / total if total > 0.0 else 0.0
