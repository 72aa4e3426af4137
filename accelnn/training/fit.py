"""The training loop: epochs of chunks of steps. Between two chunks Python has the word, inside one it has not."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from accelnn.arrays.typing import Array
from accelnn.errors import AccelnnWarning, DivergenceError
from accelnn.network.network import Network
from accelnn.training.callbacks import CallbackList, TrainingPlan
from accelnn.training.data import TrainingData
from accelnn.training.epoch_loss import EpochLoss
from accelnn.training.evaluation import Evaluator
from accelnn.training.history import History
from accelnn.training.objective import USUAL, Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.pace import Pace
from accelnn.training.runners import Runner, choose_runner
from accelnn.training.step_tables import DropoutKeys, HyperTable


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
    """The settings of a training run, checked.

    ``rows`` are the rows of the data to train on, int64; ``order`` returns them in the order of the next epoch, None
    keeps theirs. ``threads`` limits the threads of a step, None does not; ``precision`` is that of matrix products on
    CUDA.
    """

    loss: str
    epochs: int
    batch_size: int
    order: Callable[[np.ndarray], np.ndarray] | None
    runner: str
    rows: np.ndarray
    threads: int | None = None
    precision: str | None = None
    objective: Objective = USUAL

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
        self._prepare()
        try:
            self.callbacks.on_train_begin(self.network, self._plan())
            for epoch in range(self.settings.epochs):
                if self._run_epoch(epoch):
                    self.history.stopped_because = self.callbacks.stop_reason
                    break
        except KeyboardInterrupt:
            self.history.interrupted = True
            warnings.warn("training was interrupted; the model keeps what it has learned", AccelnnWarning, stacklevel=3)
        finally:
            self.callbacks.on_train_end(self.network, self.history)
        return self.history

    def _prepare(self) -> None:
        """Do once what epochs would else do again and again."""
        s = self.settings
        self._pace = Pace()
        self._loss = EpochLoss(s.loss, len(s.rows), s.batch_size, self.data.weights)
        self._hyper = HyperTable(self.state.optimizer, s.epochs, s.steps_per_epoch)
        self._keys = DropoutKeys(self.network)
        self._runner = self._choose_runner()
        self.history.runner, self.history.threads = self._runner.name, self._runner.threads

    def _choose_runner(self) -> Runner:
        s = self.settings
        optimizer, moments = self.state.optimizer, self.state.moments
        arguments = (self.network, self.data, s.loss, optimizer, moments, s.batch_size)
        return choose_runner(s.runner, *arguments, threads=s.threads, precision=s.precision, objective=s.objective)

    def _plan(self) -> TrainingPlan:
        s = self.settings
        recorded = ("loss", "seconds", "samples_per_s", *(name for e in self.evaluators.values() for name in e.names))
        return TrainingPlan(s.epochs, s.steps_per_epoch, len(s.rows), s.batch_size, self._runner.name, recorded)

    def _run_epoch(self, epoch: int) -> bool:
        """Train for one epoch and record it; return whether to stop."""
        self.callbacks.on_epoch_begin(self.network, epoch)
        start_s = time.perf_counter()
        rows = self.settings.rows
        order = rows if self.settings.order is None else self.settings.order(rows)
        self._runner.begin_epoch(order)
        self._loss.begin(order)
        self._run_chunks(epoch)
        seconds = time.perf_counter() - start_s
        values = {"loss": self._loss.value, "seconds": seconds, "samples_per_s": len(rows) / seconds}
        for evaluator in self.evaluators.values():
            values |= evaluator.evaluate()
        return self.callbacks.on_epoch_end(self.network, epoch, self.history.record(**values))

    def _run_chunks(self, epoch: int) -> None:
        """Run all steps of an epoch."""
        n_steps = self.settings.steps_per_epoch
        first = 0
        while first < n_steps:
            last = min(n_steps, first + self._pace.steps)
            self._run_chunk(epoch, first, last)
            if self.callbacks.hears_chunks:
                self.callbacks.on_chunk_end(self.network, epoch, last, n_steps, self._loss.value)
            first = last

    def _run_chunk(self, epoch: int, first: int, last: int) -> None:
        n_steps = last - first
        hyper = self._hyper.rows(epoch, first, last, self.state.steps)
        keys = self._keys.rows(self.network.steps_trained, n_steps)
        start_s = time.perf_counter()
        losses = self._runner.train(first, last, hyper, keys)
        if not self._is_short(first, last):
            self._pace.record(n_steps, time.perf_counter() - start_s)
        self.state.steps += n_steps
        self.network.steps_trained += n_steps
        self._check_finite(epoch, first, losses)
        self._loss.add(first, losses)

    def _is_short(self, first: int, last: int) -> bool:
        """Return whether these steps are nothing but a last, partial batch, which says nothing about the others."""
        return 0 < first == last - 1 and last * self.settings.batch_size > len(self.settings.rows)

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
