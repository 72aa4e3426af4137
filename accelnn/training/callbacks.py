"""Callbacks: code that runs between the chunks and the epochs of a training run, and may stop it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelnn.errors import invalid, unknown_name, wrong_type
from accelnn.network.arguments import flag, integer
from accelnn.training.arguments import checked_number
from accelnn.training.history import History
from accelnn.training.metrics import resolve_mode


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run is about to do.

    Attributes:
        epochs: number of epochs planned.
        steps_per_epoch: number of steps (mini-batches) in each, the partial last one included.
        n_samples: number of training samples.
        batch_size: samples per step.
        runner: name of the runner.
        recorded: names of the values that every epoch will record; empty if not known.

    """

    epochs: int
    steps_per_epoch: int
    n_samples: int = 0
    batch_size: int = 0
    runner: str = ""
    recorded: tuple[str, ...] = ()


class Callback:
    """Base of all callbacks; every method does nothing until a subclass says otherwise.

    Epochs are counted from 0. ``model`` is the model in training, with its parameters as of now.
    """

    stop_reason: str | None = None
    """Why ``on_epoch_end`` asked to stop; becomes ``History.stopped_because``."""

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Called once, before the first epoch. What is raised here ends the training before it begins."""

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        """Called before the first step of every epoch."""

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        """Called after every chunk of steps.

        Args:
            model: the model in training.
            epoch: index of the epoch.
            steps_done: steps of this epoch that are done, 1 ... ``steps_total``.
            steps_total: steps of this epoch.
            loss: mean training loss of this epoch so far.

        """

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool | None:
        """Called after every epoch with what the history recorded for it; return True to stop training."""
        return None

    def on_train_end(self, model: Any, history: History) -> None:
        """Called once at the end, also of a run that was stopped, interrupted or ended by an error."""


class CallbackList(Callback):
    """Several callbacks as one, called in the order given.

    Raises (when it is made):
        ArgumentTypeError: an item that is not a ``Callback`` (a class where its instance is meant, too).
    """

    def __init__(self, callbacks: Callback | Iterable[Callback] | None = None) -> None:
        if callbacks is None or isinstance(callbacks, Callback):
            callbacks = [] if callbacks is None else [callbacks]
        if not isinstance(callbacks, Iterable):
            raise wrong_type("callbacks", callbacks, "use a list of callbacks, such as [EarlyStopping()]")
        self.callbacks = [_checked_callback(callback) for callback in callbacks]
        self._chunk_listeners = [callback for callback in self.callbacks if _hears(callback, "on_chunk_end")]

    @property
    def hears_chunks(self) -> bool:
        """Whether any callback does something after a chunk; if not, nobody needs to compute the loss so far."""
        return bool(self._chunk_listeners)

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Tell every callback, and forget why an earlier run was stopped."""
        self.stop_reason = None
        for callback in self.callbacks:
            callback.on_train_begin(model, plan)

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        """Tell every callback."""
        for callback in self.callbacks:
            callback.on_epoch_begin(model, epoch)

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        """Tell every callback that listens."""
        for callback in self._chunk_listeners:
            callback.on_chunk_end(model, epoch, steps_done, steps_total, loss)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Tell every callback, also after one asked to stop; True if any did, with the reasons joined."""
        stopping = [c for c in self.callbacks if c.on_epoch_end(model, epoch, record)]
        if stopping:
            self.stop_reason = "; ".join(c.stop_reason or type(c).__name__ for c in stopping)
        return bool(stopping)

    def on_train_end(self, model: Any, history: History) -> None:
        """Tell every callback, even if one raises: a progress bar has to give the cursor back."""
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):  # an exit stack runs the last one first
                stack.callback(callback.on_train_end, model, history)


class EarlyStopping(Callback):
    """Stop when a metric has not improved for a while, and go back to the best weights.

    Prechelt, "Early Stopping - But When?", in Neural Networks: Tricks of the Trade, 1998.

    Args:
        metric: a recorded value, such as "val_loss", "val_accuracy" or "loss".
        patience: number of epochs in a row without improvement after which to stop, >= 1.
        min_delta: smallest change that counts as an improvement, >= 0, in the unit of the metric.
        restore_best: at the end of the training, however it ends, set the model to the weights of the epoch
            with the best metric (kept on the host: one copy of the parameters).
        mode: "min", "max", or "auto" to know from the name which values are better.

    Attributes:
        best: best value so far, None before the first epoch.
        best_epoch: index of its epoch, None before the first epoch.

    Raises:
        ArgumentError: a number out of range, an unknown mode, a metric whose direction is not known; when
            training: a metric that is not recorded.
        ArgumentTypeError: an argument of the wrong type.

    """

    best: float | None
    best_epoch: int | None
    _weights: list[np.ndarray[Any, Any]] | None

    def __init__(
        self,
        metric: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str = "auto",
    ) -> None:
        self.metric = metric
        self.patience = integer("patience", patience, minimum=1)
        self.min_delta = checked_number("min_delta", min_delta, at_least=0)
        self.restore_best = flag("restore_best", restore_best)
        self._higher = resolve_mode(metric, mode)
        self._forget()

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Forget an earlier run; raise if the metric will not be recorded."""
        self._forget()
        _check_planned(self.metric, plan)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Keep the weights of an epoch that is better; True after ``patience`` epochs that are not."""
        value = _recorded(self.metric, record)
        if self._improves(value):
            self.best, self.best_epoch, self._waited = value, epoch, 0
            if self.restore_best:
                self._weights = model.get_weights()
            return False
        self._waited += 1
        return self._give_up()

    def on_train_end(self, model: Any, history: History) -> None:
        """Restore the best weights."""
        weights, self._weights = self._weights, None
        if weights is not None:
            model.set_weights(weights)

    def _forget(self) -> None:
        self.best = self.best_epoch = self.stop_reason = self._weights = None
        self._waited = 0

    def _improves(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        gain = value - self.best if self._higher else self.best - value
        return gain > self.min_delta

    def _give_up(self) -> bool:
        if self._waited < self.patience:
            return False
        self.stop_reason = f"{self.metric} did not improve for {self.patience} epochs{self._found()}"
        return True

    def _found(self) -> str:
        if self.best is None or self.best_epoch is None:
            return ""
        return f" (best {self.best:.6g} in epoch {self.best_epoch + 1})"  # people count epochs from 1


class StopOnTarget(Callback):
    """Stop as soon as a metric reaches a target.

    Args:
        metric: a recorded value, such as "val_accuracy".
        target: the value to reach, in the unit of the metric.
        mode: "min", "max", or "auto" to know from the name which values are better.

    Raises:
        ArgumentError: a target that is not finite, an unknown mode, a metric whose direction is not known;
            when training: a metric that is not recorded.
        ArgumentTypeError: an argument of the wrong type.

    """

    def __init__(self, metric: str, target: float, mode: str = "auto") -> None:
        self.metric = metric
        self.target = checked_number("target", target)
        self._higher = resolve_mode(metric, mode)

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Forget an earlier run; raise if the metric will not be recorded."""
        self.stop_reason = None
        _check_planned(self.metric, plan)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Return whether the target is reached."""
        value = _recorded(self.metric, record)
        reached = value >= self.target if self._higher else value <= self.target
        if reached:
            self.stop_reason = f"{self.metric} reached {value:.6g} (target {self.target:.6g})"
        return reached


def _checked_callback(callback: Any) -> Callback:
    if not isinstance(callback, Callback):
        raise wrong_type("callbacks", callback, "use instances of Callback, such as EarlyStopping()")
    return callback


def _hears(callback: Callback, event: str) -> bool:
    """Return whether the callback has a method of its own for this event."""
    return event in vars(callback) or getattr(type(callback), event) is not getattr(Callback, event)


def _check_planned(metric: str, plan: TrainingPlan) -> None:
    """Refuse an unrecorded metric before an hour of training has gone by."""
    if plan.recorded:
        _recorded(metric, dict.fromkeys(plan.recorded, 0.0))


def _recorded(metric: str, record: dict[str, float]) -> float:
    if metric not in record:
        if metric.startswith("val_") and "val_loss" not in record:
            fix = f"give validation_data or validation_split; recorded: {', '.join(record)}"
            raise invalid("metric", metric, fix)
        raise unknown_name("metric", metric, record)
    return record[metric]
