"""Callbacks that stop a training run early."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from accelnn.errors import DivergenceError, invalid
from accelnn.network.arguments import flag, integer
from accelnn.signatures import by_signature
from accelnn.training.arguments import checked_number
from accelnn.training.callbacks import Callback, TrainingPlan
from accelnn.training.history import History
from accelnn.training.metrics import resolve_mode, unknown_column


@by_signature
class EarlyStopping(Callback):
    """Stop when a metric has not improved for a while, and go back to the best weights.

    Prechelt, "Early Stopping - But When?", in Neural Networks: Tricks of the Trade, 1998.

    Args:
        metric: a recorded value, such as "val_loss", "val_accuracy" or "loss".
        patience: number of epochs in a row without improvement after which to stop, >= 1.
        min_delta: smallest change that counts as an improvement, >= 0, in the unit of the metric.
        restore_best: at the end of the training, however it ends, set the model to the weights of the epoch
            with the best metric (kept on the host: one copy of the parameters). A loss that is not finite then ends the
            training with a warning, unless no epoch was good before.
        mode: "min", "max", or "auto" to know from the name which values are better.

    Attributes:
        best: best value so far, None before the first epoch.
        best_epoch: index of its epoch, None before the first epoch.

    Raises:
        ArgumentError: a number out of range, an unknown mode, a metric whose direction is not known; when
            training: a metric that is not recorded.
        ArgumentTypeError: an argument of the wrong type.

    """

    sets_final_weights = True
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
        self.mode = mode
        self._higher = resolve_mode(metric, mode)
        self._forget()

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Forget an earlier run; raise if the metric will not be recorded."""
        self._forget()
        check_planned(self.metric, plan)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Keep the weights of an epoch that is better; True after ``patience`` epochs that are not."""
        value = recorded(self.metric, record)
        better = is_better(value, self.best, higher=self._higher, min_delta=self.min_delta)
        if better and self._keeps(model):
            self.best, self.best_epoch, self._waited = value, epoch, 0
            return False
        self._waited += 1
        return self._give_up()

    def on_divergence(self, model: Any, epoch: int, error: DivergenceError) -> bool:
        """Return whether there are best weights to restore, so that the training can end here."""
        return self._weights is not None and self.best is not None and math.isfinite(self.best)

    def on_train_end(self, model: Any, history: History) -> None:
        """Restore the best weights."""
        weights, self._weights = self._weights, None
        if weights is not None:
            model.set_weights(weights)

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor; "mode" says which values are better."""
        mode = "max" if self._higher else "min"
        limits = {"patience": self.patience, "min_delta": self.min_delta, "restore_best": self.restore_best}
        return {"metric": self.metric, **limits, "mode": mode}

    def state(self) -> dict[str, Any]:
        """Return the best epoch with its weights, and how many epochs were no better since."""
        best = {"best": self.best, "best_epoch": self.best_epoch, "weights": self._weights}
        return {**best, "waited": self._waited, "stop_reason": self.stop_reason}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` has returned."""
        self.best, self.best_epoch, self._weights = state["best"], state["best_epoch"], state["weights"]
        self._waited, self.stop_reason = state["waited"], state["stop_reason"]

    def _forget(self) -> None:
        self.best = self.best_epoch = self.stop_reason = self._weights = None
        self._waited = 0

    def _keeps(self, model: Any) -> bool:
        """Keep the weights if they are to be restored; return False if they are worth nothing."""
        if self.restore_best:
            weights = finite_weights(model)
            self._weights = weights or self._weights
            return weights is not None
        return True

    def _give_up(self) -> bool:
        if self._waited < self.patience:
            return False
        self.stop_reason = f"{self.metric} did not improve for {self.patience} epochs{self._found()}"
        return True

    def _found(self) -> str:
        if self.best is None or self.best_epoch is None:
            return ""
        return f" (best {self.best:.6g} in epoch {self.best_epoch + 1})"  # people count epochs from 1


@by_signature
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
        self.mode = mode
        self._higher = resolve_mode(metric, mode)

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Forget an earlier run; raise if the metric will not be recorded."""
        self.stop_reason = None
        check_planned(self.metric, plan)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Return whether the target is reached."""
        value = recorded(self.metric, record)
        reached = value >= self.target if self._higher else value <= self.target
        if reached:
            self.stop_reason = f"{self.metric} reached {value:.6g} (target {self.target:.6g})"
        return reached

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor; "mode" says which values are better."""
        return {"metric": self.metric, "target": self.target, "mode": "max" if self._higher else "min"}


@by_signature
class TimeLimit(Callback):
    """Stop when the training has taken so many seconds, also in the middle of an epoch.

    The time counts from the first step of this process, evaluations and other callbacks included. It is looked at
    between two chunks of steps, so a tenth of a second late. A run with checkpoints is kept as it is then; resumed, it
    goes on from there with a new limit.

    Args:
        seconds: > 0.

    Raises:
        ArgumentError, ArgumentTypeError: another number, no number.

    """

    def __init__(self, seconds: float) -> None:
        self.seconds = checked_number("seconds", seconds, above=0)
        self._end_s = math.inf

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Look at the clock."""
        self.stop_reason = None
        self._end_s = time.monotonic() + self.seconds

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> bool:
        """Return whether the time is over."""
        is_over = time.monotonic() >= self._end_s
        if is_over:
            self.stop_reason = f"the time limit of {self.seconds:g} s was reached"
        return is_over


def is_better(value: float, best: float | None, *, higher: bool, min_delta: float) -> bool:
    """Return whether a metric has improved by more than ``min_delta``; NaN never has, the first number always."""
    if best is None or math.isnan(value):
        return not math.isnan(value)
    return (value - best if higher else best - value) > min_delta


def finite_weights(model: Any) -> list[np.ndarray[Any, Any]] | None:
    """Return copies of the weights, None if they are not all finite.

    The last step of an epoch may spoil them, which its loss does not know yet.
    """
    weights: list[np.ndarray[Any, Any]] = model.get_weights()
    return weights if all(np.isfinite(array).all() for array in weights) else None


def check_planned(metric: str, plan: TrainingPlan, argument: str = "metric") -> None:
    """Raise ArgumentError for a metric that will not be recorded, before an hour of training has gone by."""
    if plan.recorded:
        recorded(metric, dict.fromkeys(plan.recorded, 0.0), argument)


def recorded(metric: str, record: dict[str, float], argument: str = "metric") -> float:
    """Return a column of a record; ArgumentError if there is none."""
    if metric not in record:
        if metric.startswith("val_") and "val_loss" not in record:
            fix = f"give validation_data or validation_split; recorded: {', '.join(record)}"
            raise invalid(argument, metric, fix)
        raise unknown_column(argument, metric, record)
    return record[metric]
