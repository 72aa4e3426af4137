"""The training loop: epochs of chunks of steps. Between two chunks Python has the word, inside one it has not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from accelnn.arrays.typing import Array
from accelnn.errors import AccelnnWarning, DivergenceError
from accelnn.messages import warn
from accelnn.network.network import Network
from accelnn.training.arguments import checked_number
from accelnn.training.callbacks import CallbackList, TrainingPlan, calling_from
from accelnn.training.data import TrainingData
from accelnn.training.divergence import Recorder
from accelnn.training.epoch_loss import EpochLoss
from accelnn.training.evaluation import Evaluator
from accelnn.training.history import History
from accelnn.training.keeper import Keeper, Place
from accelnn.training.objective import USUAL, Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.pace import Pace
from accelnn.training.row_orders import OrderAhead
from accelnn.training.runners.anomaly import AnomalyRunner
from accelnn.training.runners.choice import Runner, WaitingRunner, choose_runner
from accelnn.training.runners.step_tables import DropoutKeys, HyperTable

STOP_TRAINING = "model.stop_training was set"


@dataclass
class OptimizerState:
    """What an optimizer remembers between steps: its moments, on the backend, and how many steps it has taken.

    ``rate`` is the learning rate that a callback has set in the place of the optimizer's, or None.
    """

    optimizer: Optimizer
    moments: tuple[Array, ...]
    steps: int = 0
    rate: float | None = None

    @classmethod
    def fresh(cls, optimizer: Optimizer, network: Network) -> OptimizerState:
        """Return the state before the first step: all moments are 0."""
        xp = network.backend.xp
        with network.backend.active():
            return cls(optimizer, tuple(xp.zeros_like(network.arena.values) for _ in range(optimizer.n_moments)))

    def go_on_from(self, moments: Sequence[np.ndarray], steps: int, network: Network) -> None:
        """Go on where another state was; its ``moments``, host arrays, are copied: what they are in is not ours."""
        with network.backend.active():
            for own, values in zip(self.moments, moments, strict=True):
                own[...] = network.backend.asarray(values)
        self.steps = steps

    def restart(self, network: Network) -> None:
        """Forget everything: that of a run whose numbers were not finite is worth nothing."""
        self.steps = 0
        with network.backend.active():
            for moment in self.moments:
                moment[...] = 0


@dataclass(frozen=True)
class Settings:
    """The settings of a training run, checked.

    ``rows`` are the rows of the data to train on, int64; ``order`` returns them in the order of the next epoch, None
    keeps theirs. ``threads`` limits the threads of a step, None does not; ``precision`` is that of matrix products on
    CUDA. ``detect_anomaly`` looks at the result of every operation, in the plain runner. ``divergence_warning`` says
    that numbers that are not finite have ended the run, where a callback goes back to good weights.
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
    detect_anomaly: bool = False
    divergence_warning: type[Warning] = AccelnnWarning

    @property
    def steps_per_epoch(self) -> int:
        """The number of mini-batches of an epoch; a last, partial one counts."""
        return -(-len(self.rows) // self.batch_size)


@dataclass
class Training:
    """One training run of a network; ``keeper`` keeps it in checkpoints."""

    network: Network
    data: TrainingData
    settings: Settings
    state: OptimizerState
    callbacks: CallbackList
    evaluators: dict[str, Evaluator] = field(default_factory=dict)
    history: History = field(default_factory=History)
    keeper: Keeper = field(default_factory=Keeper)

    def run(self) -> History:
        """Train for all epochs, or until a callback or Ctrl-C stops it, which may come while code is compiled.

        Raises DivergenceError when a loss is not a finite number, or weights are not after an epoch, unless a callback
        goes back to weights that are good.
        """
        with ExitStack() as at_end:
            at_end.enter_context(calling_from(self))
            try:
                self._prepare()
                at_end.callback(self.callbacks.on_train_end, self.network, self.history)
                with self.keeper.running():
                    self._begin()
                    self._run_epochs()
                self.history.stopped_because = self.history.stopped_because or self._paused_because
            except KeyboardInterrupt:
                self.history.interrupted = True
                message = "training was interrupted; the model keeps what it has learned"
                warn(message)
        return self.history

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.hyper.rate(*self._at, self.state.steps)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Use this rate, >= 0, from the next step on, in the place of the schedule."""
        self.state.rate = checked_number("learning_rate", learning_rate, at_least=0)
        self.hyper.set_rate(self.state.rate, self.state.steps)

    @property
    def losses_so_far(self) -> np.ndarray:
        """The losses of the steps of this epoch that are done, float64 (n,)."""
        return self._loss.losses

    def _prepare(self) -> None:
        """Do once what epochs would else do again and again."""
        with self.keeper.undisturbed():
            self.keeper.begin(self)
        s = self.settings
        self._pace = Pace()
        weights = None if s.objective.batches_weigh_rows else self.data.weights
        self._loss = EpochLoss(s.loss, len(s.rows), s.batch_size, weights)
        self._at = self.keeper.place.epoch, self.keeper.place.step
        self._paused_because: str | None = None
        self.network.stop_training = False
        self.hyper = HyperTable(self.state.optimizer, s.epochs, s.steps_per_epoch, self.state.rate)
        self._keys = DropoutKeys(self.network)
        self._recorder = Recorder(self)
        self._orders = OrderAhead(s.order)
        self._runner = self._choose_runner()
        self.history.runner, self.history.threads = self._runner.name, self._runner.threads

    @property
    def runner(self) -> Runner:
        """What executes the steps."""
        return self._runner

    def anomaly_runner(self) -> AnomalyRunner:
        """Return a new runner for this run that looks at every result."""
        s, network = self.settings, self.network
        arguments = (network, self.data, s.loss, self.state.optimizer, self.state.moments, s.batch_size)
        return AnomalyRunner(*arguments, network.backend.ops, s.objective)

    def _choose_runner(self) -> Runner:
        s = self.settings
        if s.detect_anomaly:
            return self.anomaly_runner()
        optimizer, moments = self.state.optimizer, self.state.moments
        arguments = (self.network, self.data, s.loss, optimizer, moments, s.batch_size)
        return choose_runner(s.runner, *arguments, threads=s.threads, precision=s.precision, objective=s.objective)

    def _begin(self) -> None:
        plan = self._plan()
        self.callbacks.on_train_begin(self.network, plan)
        self.keeper.begin_callbacks(self, plan)

    def _plan(self) -> TrainingPlan:
        s = self.settings
        recorded = ("loss", "seconds", "samples_per_s", *(name for e in self.evaluators.values() for name in e.names))
        recorded += tuple(name for callback in self.callbacks.callbacks for name in callback.columns)
        begin = self.keeper.place.epoch, self.keeper.place.step
        return TrainingPlan(s.epochs, s.steps_per_epoch, len(s.rows), s.batch_size, self._runner.name, recorded, *begin)

    def _run_epochs(self) -> None:
        """Run the epochs from the keeper's place on; none if a callback has already ended the run that goes on."""
        place = self.keeper.place
        for epoch in range(place.epoch, self.settings.epochs):
            if self._is_stopped:
                break
            try:
                self._run_epoch(epoch, place)
            except DivergenceError as error:
                self._end_diverged(epoch, error)
            place = Place()

    def _end_diverged(self, epoch: int, error: DivergenceError) -> None:
        """End the run here if a callback will go back to good weights, else raise ``error``."""
        self.state.restart(self.network)
        if not self.callbacks.on_divergence(self.network, epoch, error):
            raise error
        self.history.stopped_because = str(error)
        warn(f"training ended early and goes back to its best weights: {error}", self.settings.divergence_warning)

    def _run_epoch(self, epoch: int, place: Place) -> None:
        """Train for what ``place`` leaves of one epoch and record it."""
        start_s = self._begin_epoch(epoch, place)
        self._run_chunks(epoch, place.step)
        if self._at[1] < self.settings.steps_per_epoch:
            return
        with self.keeper.undisturbed():
            self._recorder.check_weights(epoch, is_last=epoch + 1 == self.settings.epochs)
        seconds = time.perf_counter() - start_s
        values = {"loss": self._loss.value, "seconds": seconds, "samples_per_s": len(self.settings.rows) / seconds}
        for evaluator in self.evaluators.values():
            values |= evaluator.evaluate()
        with self.keeper.undisturbed():
            record = self.history.record(**values)
            if self.callbacks.on_epoch_end(self.network, epoch, record) or self.network.stop_training:
                self.history.stopped_because = self.callbacks.stop_reason or STOP_TRAINING
                self._recorder.check_weights(epoch, is_last=True)
            self._stand_at(epoch + 1, 0)
        is_last = epoch + 1 == self.settings.epochs or self._is_stopped
        self.keeper.after_epoch(record, is_last=is_last)

    def _begin_epoch(self, epoch: int, place: Place) -> float:
        """Draw the order of the rows; return when the epoch began, by the clock of ``time.perf_counter``."""
        with self.keeper.undisturbed():
            self.callbacks.on_epoch_begin(self.network, epoch, resumed=place.has_begun)
            start_s = time.perf_counter() - place.seconds
            self.keeper.begin_order(place.seconds)
            rows = self.settings.rows
            order = self._orders.take(rows)
        self._runner.begin_epoch(order)
        self._recorder.begin_epoch(epoch, order)
        self._loss.begin(order)
        self._loss.add(0, place.losses)
        return start_s

    def _run_chunks(self, epoch: int, first: int) -> None:
        """Run the steps of an epoch from ``first`` on, up to its end or to where a callback wants to stop."""
        n_steps = self.settings.steps_per_epoch
        while first < n_steps:
            last = self.keeper.last_step(epoch, first, min(n_steps, first + self._pace.steps))
            self._run_chunk(epoch, first, last)
            if self._is_to_pause(epoch, last):
                break
            if last < n_steps:
                self.keeper.after_chunk()
            first = last

    def _is_to_pause(self, epoch: int, done: int) -> bool:
        """Tell the callbacks of the end of a chunk; return whether the run is to stop there.

        That is no end for good, as it is after an epoch: a run with checkpoints can go on from there.
        """
        heard, n_steps = self.callbacks.hears_chunks, self.settings.steps_per_epoch
        if heard and self.callbacks.on_chunk_end(self.network, epoch, done, n_steps, self._loss.value):
            self._paused_because = self.callbacks.stop_reason
        elif self.network.stop_training:
            self._paused_because = STOP_TRAINING
        return self._paused_because is not None

    @property
    def _is_stopped(self) -> bool:
        return self.history.stopped_because is not None or self._paused_because is not None

    def _run_chunk(self, epoch: int, first: int, last: int) -> None:
        n_steps = last - first
        hyper, keys = self.tables(epoch, first, last, self.state.steps, self.network.steps_trained)
        if isinstance(self._runner, WaitingRunner) and last == self.settings.steps_per_epoch:
            self._runner.meanwhile = partial(self._orders.prepare, self.settings.rows)
        with self.keeper.undisturbed():
            self._recorder.keep(epoch, first)
            start_s = time.perf_counter()
            losses = self._runner.train(first, last, hyper, keys)
            if not self._is_short(first, last):
                self._pace.record(n_steps, time.perf_counter() - start_s)
            self.state.steps += n_steps
            self.network.steps_trained += n_steps
            self._recorder.check_losses(epoch, first, losses)
            self._loss.add(first, losses)
            self._stand_at(epoch, last)

    def _stand_at(self, epoch: int, step: int) -> None:
        self._at = epoch, step
        self.keeper.stand_at(epoch, step)

    def tables(self, epoch: int, first: int, last: int, steps: int, trained: int) -> tuple[np.ndarray, np.ndarray]:
        """Return hyperparameters and dropout keys of the steps [first, last) of ``epoch``.

        ``steps`` is the number of steps that the optimizer has made before them, ``trained`` that of the network.
        """
        return self.hyper.rows(epoch, first, last, steps), self._keys.rows(trained, last - first)

    def _is_short(self, first: int, last: int) -> bool:
        """Return whether these steps are nothing but a last, partial batch, which says nothing about the others."""
        return 0 < first == last - 1 and last * self.settings.batch_size > len(self.settings.rows)
